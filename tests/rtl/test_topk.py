"""The top-k engines and the score accumulator in hardware: every form against its model."""

from __future__ import annotations

import pytest

pytest.importorskip("amaranth")

from accelsim.parameters import parse_settings, replace_all
from accelsim_rtl.kit.verify import Verdict, verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


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
        "width=2 capacity=6 engine=radix digit_bits=1",  # more passes than scores
        "width=1 capacity=2",
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
