"""The mutation table: every unit with a bug in it is caught by `verify`, and by which of its comparisons.

`pytest tests/rtl/test_mutations.py -s` prints the table. Rows: RTL against the step model, clock by clock.
Beats: RTL, or the step model, against golden. Rule: what is offered stays until it is taken. Cycles:
`cycles()` against the step model. Bus: rules of AXI. Memory: what it holds at the end against golden.
"""

import re
from contextlib import ExitStack
from dataclasses import replace

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
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import UNITS, find
from mutants import planted, rebuilt

pytestmark = pytest.mark.rtl

SEEDS = [1, 2]
SIMULATOR = {"sat": "icarus"}
"""Amaranth's own needs no build, but is slow where there is much to simulate."""
PATIENCE_CLOCKS = 600
"""Where a beat was lost, the bench waits for it; the longest stall is 64 clocks, a refresh of HBM 350."""

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
        "bus": r"(cross 4 KiB|is not a multiple of|_w last is)",
        "memory": r"memory at ",
    }
    return {kind for kind, text in kinds.items() if any(re.search(text, line) for line in complaints)}


@pytest.mark.parametrize(
    ("unit", "settings", "wrong", "bugs", "comparisons"),
    MUTATIONS,
    ids=[f"{unit}: {wrong}" for unit, _, wrong, _, _ in MUTATIONS],
)
def test_a_bug_is_caught(unit, settings, wrong, bugs, comparisons):
    sound = replace(find(unit), patience=PATIENCE_CLOCKS)
    parameters = replace_all(sound.least, parse_settings(settings))
    with ExitStack() as stack:
        for bug in bugs:
            sound = rebuilt(sound, stack.enter_context(planted(bug)))
        verdicts = verify(sound, parameters, simulator=SIMULATOR.get(unit, "amaranth"), seeds=SEEDS)
    found = caught_by([line for verdict in verdicts for line in verdict.complaints])
    print(f"\n{unit} | {wrong} | caught by {', '.join(sorted(found)) or 'nothing'}")
    assert not all(verdict.passed for verdict in verdicts)
    assert found == comparisons


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_without_a_bug_is_not_caught(unit):
    assert all(
        verdict.passed
        for verdict in verify(
            find(unit), find(unit).least, simulator=SIMULATOR.get(unit, "amaranth"), seeds=SEEDS
        )
    )


def test_every_unit_is_in_the_table():
    assert {unit for unit, *_ in MUTATIONS} == set(UNITS)
