"""The crossbar beside its smallest preset: other shapes, depths and fields, and the two of Table I."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.units.crossbar import PRESETS
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

UNIT = find("spatten.crossbar")


def assert_passes(parameters, simulator: str, seeds: list[int]) -> None:
    for verdict in verify(UNIT, parameters, simulator=simulator, seeds=seeds):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": 1, "outputs": 1, "input_depth": 0},
        {"inputs": 1, "outputs": 5, "input_depth": 1},
        {"inputs": 5, "outputs": 1, "input_depth": 0, "output_depth": 1},
        {"inputs": 3, "outputs": 6, "input_depth": 3, "output_depth": 2},
        {"inputs": 7, "outputs": 3, "input_depth": 0},
        {"inputs": 4, "outputs": 4, "position": 7},
        {"inputs": 2, "outputs": 4, "position": 8},
    ],
    ids=str,
)
def test_the_crossbar_is_its_model_at_every_shape(changes):
    assert_passes(replace(PRESETS["tiny"], **changes), "icarus", [3, 4])


@pytest.mark.parametrize("preset", ["addresses", "data"])
def test_the_crossbars_of_the_paper_are_their_models(preset):
    assert_passes(PRESETS[preset], "icarus", [1])
