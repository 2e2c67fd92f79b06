"""Exponent unit and softmax beside their smallest presets: widths, degrees, roundings, golden's default."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.golden.softmax import SoftmaxFormat
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

FORMS = [
    SoftmaxFormat(score_fraction_bits=0, exp_fraction_bits=8, degree=1, probability_fraction_bits=1),
    SoftmaxFormat(score_fraction_bits=8, exp_fraction_bits=8, degree=3, rounding="half_up"),
    SoftmaxFormat(score_fraction_bits=3, exp_fraction_bits=28, degree=8, probability_fraction_bits=16),
    SoftmaxFormat(score_fraction_bits=5, exp_fraction_bits=19, degree=4, rounding="floor"),
]


def assert_passes(name: str, parameters, simulator: str, seeds: list[int]) -> None:
    for verdict in verify(find(name), parameters, simulator=simulator, seeds=seeds):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_exponent_is_golden_in_every_form(form):
    parameters = replace(find("spatten.exponent").presets["tiny"], form=form, distance_bits=12)
    assert_passes("spatten.exponent", parameters, "icarus", [3])


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_softmax_is_golden_in_every_form(form):
    parameters = replace(find("spatten.softmax").presets["tiny"], form=form, lanes=1, score_bits=11)
    assert_passes("spatten.softmax", parameters, "icarus", [3])


@pytest.mark.parametrize(
    "changes",
    [
        {"lanes": 1, "row_lines": 2, "store_rows": 1},
        {"lanes": 4, "row_lines": 64, "store_rows": 4, "score_bits": 16},
        {"lanes": 16, "row_lines": 4, "score_bits": 4},
    ],
    ids=str,
)
def test_the_softmax_is_its_model_at_every_shape(changes):
    parameters = replace(find("spatten.softmax").presets["tiny"], **changes)
    assert_passes("spatten.softmax", parameters, "icarus", [3])


@pytest.mark.parametrize("name", ["spatten.exponent", "spatten.softmax"])
def test_golden_s_default_form_is_met(name):
    assert_passes(name, replace(find(name).presets["full"], lanes=2), "icarus", [1])
