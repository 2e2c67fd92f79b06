"""The sparse tensor core's units beside their smallest presets: types, codes, lanes, dense engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

FP16 = {"a_type": "f16", "b_type": "f16", "multipliers": 2}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("stc.selector", {"codes": "any"}),
        ("stc.selector", {"groups": 5, "operand_bits": 16}),
        ("stc.metadata", {"element_bits": 16, "codes": "any"}),
        ("stc.dot_product", {"sparse": False, "sums": 1}),
        ("stc.dot_product", {"multipliers": 16, "codes": "any", "a_type": "u8"}),
        ("stc.dot_product", {"multipliers": 2, "b_type": "u8"}),
        ("stc.tile", {"lanes": 8, "codes": "any", "b_type": "u8"}),
        ("stc.tile", {"lanes": 16}),
        ("stc.tile", {"sparse": False, "a_type": "u8"}),
        ("stc.tile", {"lanes": 16, "a_type": "f16", "b_type": "f16", "adder_latency": 7}),
        ("stc.dot_product", FP16 | {"sums": 6, "multiplier_latency": 2, "adder_latency": 5}),
        ("stc.gemm", {"lanes": 16}),
        ("stc", {"lanes": 16, "outstanding": 32}),
        ("stc", {"lanes": 4, "sparse": False}),
        ("stc.gemm", {"a_type": "f16", "b_type": "f16", "adder_latency": 3}),
    ],
    ids=str,
)
def test_a_unit_is_its_model_in_every_form(name, changes):
    unit = find(name)
    for verdict in verify(unit, replace(unit.presets["tiny"], **changes), simulator="icarus", seeds=[3]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
