"""SORE, FIFO and arbiter at widths, patterns and depths beside their smallest presets."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


def assert_passes(name: str, simulator: str, seeds: list[int], **changes) -> None:
    unit = find(name)
    for verdict in verify(unit, replace(unit.presets["tiny"], **changes), simulator=simulator, seeds=seeds):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])


@pytest.mark.parametrize(
    "changes",
    [
        {"lanes": 1, "n": 1, "m": 2},
        {"lanes": 1, "n": 4, "m": 4},
        {"lanes": 16, "n": 2, "m": 8},
        {"lanes": 32, "n": 1, "m": 16},
        {"lanes": 2, "n": 8, "m": 32, "value_bits": 8},
        {"lanes": 3, "n": 3, "m": 7, "value_bits": 32},
    ],
    ids=str,
)
def test_sore_is_its_model_at_every_width_and_pattern(changes):
    assert_passes("sat.sore", "icarus", [3, 4], **changes)


@pytest.mark.parametrize("memory", ["distributed", "block"])
@pytest.mark.parametrize("depth", [1, 2, 3, 17])
def test_the_fifo_is_its_model_at_every_depth(depth, memory):
    assert_passes("kit.fifo", "amaranth", [3, 4], depth=depth, memory=memory)


@pytest.mark.parametrize("sources", [2, 5, 16])
def test_the_arbiter_is_its_model_with_any_number_of_sources(sources):
    assert_passes("kit.arbiter", "amaranth", [3, 4], sources=sources)
