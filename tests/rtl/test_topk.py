"""The top-k engines and the score accumulator in hardware: every form against its model, and planted bugs."""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import replace

import pytest

pytest.importorskip("amaranth")

from accelsim.parameters import parse_settings, replace_all
from accelsim_rtl.kit.verify import Verdict, verify
from accelsim_rtl.units import find
from mutants import Bug, planted, rebuilt

pytestmark = pytest.mark.rtl

PATIENCE_CLOCKS = 300
"""Where a beat was lost, the bench waits for it; the longest stall is 64 clocks."""


def assert_passed(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


@pytest.mark.parametrize(
    "settings",
    [
        "pivot=published",
        "pivot=uniform",
        "pivot=rank_adaptive form=deep",
        "width=1",
        "width=1 engine=radix digit_bits=3",
        "width=16 form=deep capacity=96",
        "width=2 bits=5 capacity=30 pivot=rank_adaptive",
        "width=8 bits=13 engine=radix form=deep digit_bits=5",
    ],
)
def test_every_form_of_the_engine_is_its_model(settings: str) -> None:
    unit = find("spatten.topk")
    parameters = replace_all(unit.presets["tiny"], parse_settings(settings.split()))
    assert_passed(verify(unit, parameters, simulator="icarus", seeds=[3, 4]))


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["full", "deep", "radix"])
def test_rows_of_1024_scores_on_16_lanes(preset: str) -> None:
    unit = find("spatten.topk")
    assert_passed(verify(unit, unit.presets[preset], simulator="icarus", seeds=[5]))


@pytest.mark.parametrize("settings", ["width=1", "width=16 capacity=64 sum_bits=6", "width=2 sum_bits=20"])
def test_every_width_of_the_accumulator_is_its_model(settings: str) -> None:
    unit = find("spatten.score_accumulator")
    parameters = replace_all(unit.presets["tiny"], parse_settings(settings.split()))
    assert_passed(verify(unit, parameters, simulator="icarus", seeds=[3, 4]))


# (unit, settings, what goes wrong, the bugs, the comparisons that must see it)
MUTATIONS = [
    (
        "spatten.topk",
        [],
        "wrong tie: one equal score too many stays",
        [Bug("accelsim_rtl.topk.filter", "before[lane] < room", "before[lane] <= room")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "wrong tie: the equal ones of earlier lines are forgotten",
        [Bug("accelsim_rtl.topk.filter", "Mux(tags.first, 0, seen)", "0")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "wrong side: a target among the equal ones goes to the smaller",
        [Bug("accelsim_rtl.topk.decide", "self.target > others", "self.target >= others")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one: a pass waits for a line that is there",
        [Bug("accelsim_rtl.topk.quick", "Mux(short, waited[1], waited[0])", "waited[1]")],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one: the only line of a pass is read before it is written",
        [Bug("accelsim_rtl.topk.quick", "Mux(short, waited[1], waited[0])", "waited[0]")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "back-pressure: the filter reads a line for which the store has no room",
        [Bug("accelsim_rtl.topk.store", "promised < self.depth - 1", "promised < self.depth")],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "dropped beat: what remains behind the last line is not flushed",
        [Bug("accelsim_rtl.topk.join", "(self.valid & self.full) | flush", "self.valid & self.full")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        [],
        "LFSR phase: the word of this pass, not of the next one, draws the pivots of the sides",
        [Bug("accelsim_rtl.topk.quick", "word.eq(stepped(word))", "word.eq(word)")],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "LFSR phase: the word steps a group of lines too late",
        [
            Bug(
                "accelsim_rtl.topk.sampler",
                "(self.line & (self.line + 1)) == 0",
                "(self.line & (self.line - 1)) == 0",
            )
        ],
        {"rows"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "wrong side: a digit is reached by larger ones only",
        [Bug("accelsim_rtl.topk.radix", "digit >= value", "digit > value")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "wrong tie: the digit that exactly the target reaches",
        [Bug("accelsim_rtl.topk.radix", "total >= 0", "total >= -1")],
        {"rows", "beats"},
    ),
    (
        "spatten.topk",
        ["engine=radix"],
        "latency off by one: the next pass starts a clock later",
        [
            Bug(
                "accelsim_rtl.topk.radix",
                "begins.eq(started | again)",
                'begins.eq(started | delayed(m, again, 1, name="late", resets=True))',
            )
        ],
        {"rows"},
    ),
    (
        "spatten.topk",
        [],
        "latency off by one in cycles()",
        [Bug("accelsim.units.topk.cycles", "parameters.filter_cycles + 1", "parameters.filter_cycles")],
        {"cycles"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "wrong side: a sum wraps where it must saturate",
        [
            Bug(
                "accelsim_rtl.score_accumulator",
                "exact[:-1] | exact[-1].replicate(parameters.sum_bits)",
                "exact[:-1]",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "latency off by one: a line is used a clock before its sum is written",
        [
            Bug(
                "accelsim_rtl.score_accumulator",
                "zip(writes[1:], lines[1:], strict=True)",
                "zip(writes[1:-1], lines[1:-1], strict=True)",
            )
        ],
        {"rows", "beats"},
    ),
    (
        "spatten.score_accumulator",
        [],
        "dropped beat: lines are read without room for them",
        [Bug("accelsim_rtl.score_accumulator", "promised != STORE_LINES", "1")],
        {"rows", "beats"},
    ),
]


def caught_by(complaints: list[str]) -> set[str]:
    """The comparisons that complained."""
    kinds = {
        "rows": r": (clock \d+: |\d+ clocks, not)",
        "beats": r"\w+ (beat \d+ is|gave \d+ beats)",
        "cycles": r"cycles\(\)",
    }
    return {kind for kind, text in kinds.items() if any(re.search(text, line) for line in complaints)}


@pytest.mark.parametrize(
    ("unit", "settings", "wrong", "bugs", "comparisons"),
    MUTATIONS,
    ids=[f"{unit}: {wrong}" for unit, _, wrong, _, _ in MUTATIONS],
)
def test_a_bug_is_caught(unit, settings, wrong, bugs, comparisons):
    sound = replace(find(unit), patience=PATIENCE_CLOCKS)
    parameters = replace_all(sound.presets["tiny"], parse_settings(settings))
    with ExitStack() as stack:
        for bug in bugs:
            sound = rebuilt(sound, stack.enter_context(planted(bug)))
        verdicts = verify(sound, parameters, simulator="amaranth", seeds=[1, 2])
    found = caught_by([line for verdict in verdicts for line in verdict.complaints])
    print(f"\n{unit} | {wrong} | caught by {', '.join(sorted(found)) or 'nothing'}")
    assert not all(verdict.passed for verdict in verdicts)
    assert found == comparisons
