"""The decision beside its smallest preset: other lanes, stores and widths."""

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
        {"lanes": 1, "row_lines": 2, "store_rows": 1},
        {"lanes": 4, "row_lines": 64, "store_rows": 4, "probability_bits": 13},
        {"lanes": 8, "row_lines": 128, "probability_bits": 13, "tag_bits": 16},
    ],
    ids=str,
)
def test_the_decision_is_its_model_at_every_shape(changes):
    unit = find("spatten.decision")
    for verdict in verify(unit, replace(unit.presets["tiny"], **changes), simulator="icarus", seeds=[3]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
