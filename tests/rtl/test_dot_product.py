"""The dot-product array beside its smallest preset: one multiplier to an eighth of SpAtten's."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize(
    "changes",
    [
        {"multipliers": 1, "tree_outputs": 1},
        {"multipliers": 2, "tree_outputs": 2, "operand_bits": 18},
        {"multipliers": 16, "tree_outputs": 1},
        {"multipliers": 64, "tree_outputs": 8, "operand_bits": 12},
    ],
    ids=str,
)
def test_the_array_is_its_model_at_every_size(changes):
    unit = find("spatten.dot_product")
    for verdict in verify(unit, replace(unit.presets["tiny"], **changes), simulator="icarus", seeds=[3]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
