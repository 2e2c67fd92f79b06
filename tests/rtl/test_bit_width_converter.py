"""The converter beside its smallest preset: other lanes, beats and widths."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.units.bit_width_converter import PRESETS
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lanes": 1, "beat_bits": 32},
        {"lanes": 8, "beat_bits": 256, "widths": (4, 6, 12)},
        {"lanes": 64, "beat_bits": 64, "widths": (8,)},
        {"lanes": 2, "beat_bits": 20, "widths": (1, 7, 16), "operand_bits": 16, "lsb_bits": 7},
        {"lsb_bits": 0},
    ],
    ids=str,
)
def test_the_converter_is_its_model_at_every_shape(changes):
    unit = find("spatten.bit_width_converter")
    for verdict in verify(unit, replace(PRESETS["full"], **changes), simulator="icarus", seeds=[3]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
