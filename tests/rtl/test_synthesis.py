"""What synthesis is told and what it says: multipliers of a family, the name of a critical path."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("amaranth")

from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.synthesis import named_path
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hardware.py"


def test_a_critical_path_is_named_by_its_ends_and_its_nets() -> None:
    def end(cell: str) -> dict[str, str]:
        return {"cell": cell, "port": "Q"}

    steps = [
        {"type": "clk-to-q", "delay": 0.5, "from": end("a"), "to": end("a")},
        {"type": "routing", "delay": 1.25, "net": "unit.sum$carry", "from": end("a"), "to": end("b")},
        {"type": "logic", "delay": 0.25, "from": end("b"), "to": end("b")},
        {"type": "routing", "delay": 0.5, "net": "unit.sum_CCU2C_S0_COUT", "from": end("b"), "to": end("b")},
        {"type": "routing", "delay": 0.5, "net": "unit.sum", "from": end("b"), "to": end("c")},
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


@pytest.fixture
def hardware(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    spec = importlib.util.spec_from_file_location("hardware", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_cells_are_kept_only_if_they_are_of_the_same_verilog(
    hardware: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    def synthesise(text: str, top: str, target: str) -> dict[str, Any]:
        counted.append(target)
        return {"lut": len(counted)}

    monkeypatch.setattr(synthesis, "synthesise", synthesise)
    first = hardware.measure(*hardware.chosen("kit.fifo:tiny"), seeds=0, cells={})
    again = hardware.measure(*hardware.chosen("kit.fifo:tiny"), seeds=0, cells=first)
    assert counted == ["xilinx", "ecp5"]
    assert again == first
    other = hardware.measure(*hardware.chosen("kit.fifo:tiny,depth=8"), seeds=0, cells=first)
    assert counted == ["xilinx", "ecp5"] * 2
    assert (other["xilinx"], other["ecp5"]) == ({"lut": 3}, {"lut": 4})
    old = {name: value for name, value in first.items() if name != "verilog"}
    hardware.measure(*hardware.chosen("kit.fifo:tiny"), seeds=0, cells=old)
    assert len(counted) == 6
    alone = hardware.measure(*hardware.chosen("kit.fifo:tiny"), seeds=0, cells={}, targets=["xilinx"])
    assert counted[6:] == ["xilinx"]
    assert "ecp5" not in alone
    assert list(alone["verilog"]) == ["xilinx"]
