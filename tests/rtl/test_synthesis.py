"""What synthesis is told and what it says: multipliers of a family, the name of a critical path."""

import pytest

pytest.importorskip("amaranth")

from accelsim_rtl.kit.synthesis import named_path
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl


def test_a_critical_path_is_named_by_its_ends_and_its_nets() -> None:
    def end(cell: str) -> dict[str, str]:
        return {"cell": cell, "port": "Q"}

    steps = [
        {"type": "clk-to-q", "delay": 0.5, "from": end("a"), "to": end("a")},
        {"type": "routing", "delay": 1.25, "net": "unit.sum$carry", "from": end("a"), "to": end("b")},
        {"type": "logic", "delay": 0.25, "from": end("b"), "to": end("b")},
        {"type": "routing", "delay": 1.0, "net": "unit.sum", "from": end("b"), "to": end("c")},
        {"type": "setup", "delay": 0.0, "from": end("c"), "to": end("c")},
    ]
    assert named_path(steps) == {
        "from": "a",
        "to": "c",
        "nets": ["unit.sum"],
        "logic_ns": 0.75,
        "routing_ns": 2.25,
    }


@pytest.mark.parametrize(
    ("name", "blocks"),
    # A lane of the exponent is one module, whatever the lanes: a quotient and two steps of Horner.
    [("spatten.dot_product", 8), ("spatten.exponent", 3), ("spatten.value_product", 8)],
)
def test_an_ecp5_s_multipliers_keep_their_operands_and_products_themselves(name: str, blocks: int) -> None:
    unit = find(name)
    text = verilog(unit.instance(unit.presets["tiny"], target="ecp5"), unit.top)
    assert text.count("MULT18X18D") == blocks
    assert text.count('.REG_OUTPUT_CLK("CLK0")') == text.count('.REG_INPUTB_CLK("CLK0")') == blocks
    assert "MULT18X18D" not in verilog(unit.instance(unit.presets["tiny"]), unit.top)
