"""The mutation table: every unit with a bug in it is caught by `verify`, and by which of its comparisons.

`pytest tests/rtl/test_mutations.py -s` prints the table. Rows: RTL against the step model, clock by clock.
Beats: RTL, or the step model, against golden. Rule: what is offered stays until it is taken. Cycles:
`cycles()` against the step model. Bus: rules of AXI. Memory: what it holds at the end against golden.
"""

import functools
import re
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("amaranth")

import mutations_axi
import mutations_fetch
import mutations_head
import mutations_kit
import mutations_sat
import mutations_sat_machine
import mutations_spatten
import mutations_stc

from accelsim.parameters import parse_settings, replace_all
from accelsim_rtl.kit.ports import ports
from accelsim_rtl.kit.scenarios import Prepared, prepare
from accelsim_rtl.kit.unit import Unit
from accelsim_rtl.kit.verify import Bench
from accelsim_rtl.units import UNITS, find
from mutants import planted, rebuilt

pytestmark = pytest.mark.rtl

SEEDS = [1, 2]
SIMULATOR = {"sat": "icarus"}
"""Amaranth's own needs no build, but is slow where there is much to simulate."""
PATIENCE_CLOCKS = 600
"""Where a beat was lost, the bench waits for it; the longest stall is 64 clocks, a refresh of HBM 350."""

MODELS = ("accelsim.", "accelsim_rtl.entries.")
"""Modules that say what must come out."""

TABLES = (
    mutations_axi,
    mutations_fetch,
    mutations_head,
    mutations_kit,
    mutations_sat,
    mutations_sat_machine,
    mutations_spatten,
    mutations_stc,
)
MUTATIONS = [mutation for table in TABLES for mutation in table.MUTATIONS]


def caught_by(complaints: list[str]) -> set[str]:
    """The comparisons that complained."""
    kinds = {
        "rows": r": (clock \d+: \w+ is |\d+ clocks, not)",
        "rule": r": clock \d+: \w+ offered ",
        "beats": r"\w+ (beat \d+ is|gave \d+ beats)",
        "cycles": r"cycles\(\)",
        "bus": r"(cross 4 KiB|is not a multiple of|_w last is|is unknown where)",
        "memory": r"memory at ",
    }
    return {kind for kind, text in kinds.items() if any(re.search(text, line) for line in complaints)}


def chosen(name: str, settings: tuple[str, ...]) -> tuple[Unit, Any]:
    """A unit that does not wait long, and its parameters."""
    unit = replace(find(name), patience=PATIENCE_CLOCKS)
    return unit, replace_all(unit.least, parse_settings(settings))


@functools.lru_cache(maxsize=2)
def prepared(name: str, settings: tuple[str, ...], seed: int) -> Prepared:
    """What the sound unit is given and what must come out: the same for every bug that is in RTL alone."""
    unit, parameters = chosen(name, settings)
    return prepare(unit, parameters, ports(unit.instance(parameters)), seed)


# A unit without a bug is not caught: `test_verify` runs this preset with seed 1 on Amaranth, both elsewhere.
@pytest.mark.parametrize(
    ("name", "settings", "wrong", "bugs", "comparisons"),
    MUTATIONS,
    ids=[f"{name}: {wrong}" for name, _, wrong, _, _ in MUTATIONS],
)
def test_a_bug_is_caught(name, settings, wrong, bugs, comparisons):
    """By the first seed, or by both together where one does not show it to all comparisons."""
    unit, parameters = chosen(name, tuple(settings))
    in_model = any(bug.module.startswith(MODELS) for bug in bugs)
    found = set()
    with ExitStack() as stack:
        for bug in bugs:
            unit = rebuilt(unit, stack.enter_context(planted(bug)))
        bench = Bench(unit, parameters)
        for seed in SEEDS:
            given = bench.prepare(seed) if in_model else prepared(name, tuple(settings), seed)
            (verdict,) = bench.run([given], SIMULATOR.get(name, "amaranth"))
            found |= caught_by(verdict.complaints)
            if found == comparisons:
                break
    print(f"\n{name} | {wrong} | caught by {', '.join(sorted(found)) or 'nothing'} of seeds to {seed}")
    assert not verdict.passed
    assert found == comparisons


def test_every_unit_is_in_the_table():
    assert {unit for unit, *_ in MUTATIONS} == set(UNITS)
