"""The AXI units under AMBA's port names, against bus models of others, with pauses on all channels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotbext.axi")

from accelsim.units import spatten
from accelsim.units.register_bench import PRESETS, RegisterBench
from accelsim.units.stc.gemm import LINE_BITS, LINE_BYTES
from accelsim.units.stc.machine import PRESETS as MACHINES
from accelsim.units.stc.machine import Machine, register_values
from accelsim_rtl.axi.flat import Flat
from accelsim_rtl.entries.register_writes import write
from accelsim_rtl.entries.spatten_layers import Room, asked_of, drawn, transaction
from accelsim_rtl.entries.spatten_machine import written
from accelsim_rtl.entries.stc_gemm import drawn_images, product, writes
from accelsim_rtl.kit import simulators
from accelsim_rtl.kit.register_texts import c_header, markdown
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.kit.verilog import verilog
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

HERE = Path(__file__).resolve().parent


def passes(name: str, bench: str, simulator: str, place: Path, monkeypatch, parameters=None, seed=1) -> dict:
    """Build a unit under its flat names, run one bench of `axi_benches`; what it told."""
    unit = find(name)
    component = unit.instance(parameters or unit.presets["tiny"])
    text = verilog(Flat(component), f"{unit.top}_axi")
    folder = simulators.build(text, f"{unit.top}_axi", simulator, waves=False)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("BENCH_SEED", str(seed))
    monkeypatch.setenv("COCOTB_TEST_FILTER", f"{bench}$")
    results = place / "results.json"
    simulators.run(
        folder,
        f"{unit.top}_axi",
        simulator,
        bench=place / "said.json",
        results=results,
        waves=None,
        module="axi_benches",
    )
    return json.loads(results.read_text())


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(("name", "bench"), [("axi.read_master", "reads"), ("axi.write_master", "writes")])
def test_the_masters_agree_with_foreign_memories(name, bench, simulator, tmp_path, monkeypatch):
    assert passes(name, bench, simulator, tmp_path, monkeypatch)["beats"] > 300


def test_the_write_master_has_bursts_of_one_beat():
    unit = find("axi.write_master")
    (verdict,) = verify(unit, replace(unit.presets["tiny"], burst_beats=1), simulator="icarus", seeds=[1])
    assert verdict.passed, verdict.complaints[:5]


def test_the_write_master_offers_data_to_a_memory_that_waits_for_it(tmp_path, monkeypatch):
    told = passes("axi.write_master", "address_behind_data", "icarus", tmp_path, monkeypatch)
    assert told["beats"] > 50


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> dict[str, int]:
    """The macros of the C header, as a program says that was compiled with them."""
    if shutil.which("g++") is None:
        pytest.fail("g++ compiles the header")
    place, header = tmp_path_factory.mktemp("header"), c_header(PRESETS["words"].map)
    names = re.findall(r"#define BENCH_(\w+) ", header)
    lines = [
        f'std::printf("{name} %llu\\n", (unsigned long long)BENCH_{name});'
        for name in names
        if name != "REGISTERS_H"
    ]
    members = [
        f'std::printf("at_{register.name} %zu\\n", offsetof(bench_registers, {register.name}));'
        for register in PRESETS["words"].map.registers
    ]
    (place / "bench_registers.h").write_text(header)
    (place / "main.cpp").write_text(
        '#include "bench_registers.h"\n#include <cstddef>\n#include <cstdio>\n'
        f'int main() {{ {" ".join(lines + members)} std::printf("size %zu\\n", sizeof(bench_registers)); }}\n'
    )
    subprocess.run(["g++", "-Wall", "-Werror", "-o", "main", "main.cpp"], cwd=place, check=True)
    output = subprocess.run(["./main"], cwd=place, check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def test_the_header_compiles_and_its_structure_lies_where_its_offsets_say(said):
    registers = RegisterBench().map
    assert said["size"] == said["BYTES"] == 4 * len(registers.words)
    for register in registers.registers:
        offset = registers.offsets[register.name]
        assert said[f"{register.name.upper()}_OFFSET"] == said[f"at_{register.name}"] == offset
        assert f"| 0x{offset:02x} | `{register.name}` |" in markdown(registers)


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_registers_lie_where_the_header_says(simulator, said, tmp_path, monkeypatch):
    (tmp_path / "said.json").write_text(json.dumps(said))
    told = passes("axi.registers", "registers", simulator, tmp_path, monkeypatch, PRESETS["words"])
    assert told["words"] == 7


def test_a_bench_that_fails_is_told(tmp_path, monkeypatch, said):
    wrong = said | {"CONTROL_OFFSET": said["BASE_OFFSET"]}
    (tmp_path / "said.json").write_text(json.dumps(wrong))
    with pytest.raises(simulators.FailedToolError):
        passes("axi.registers", "registers", "icarus", tmp_path, monkeypatch, PRESETS["words"])
    assert not (tmp_path / "results.json").exists()


def gemms(parameters: Machine, seed: int) -> dict[str, Any]:
    """What software and memory hold of some GEMMs, and D as golden says it; for `axi_benches.gemms`."""
    drawn = drawn_images(parameters, np.random.default_rng(seed), ((13, 9, 40, True), (17, 5, 20, False)))
    lines: list[tuple[int, str]] = []
    jobs = []
    for made in drawn:
        job, held = made.job, {}
        for name, begin in (("a", job.a), ("b", job.b), ("codes", job.codes)):
            held[name] = {begin + place: line for place, line in enumerate(made.lines.get(name, []))}
            lines += [(address * LINE_BYTES, _hex(line)) for address, line in held[name].items()]
        words, _ = product(parameters, job, held)
        beats = writes(parameters, job, words)
        jobs.append(
            {
                "writes": [
                    list(word)
                    for register, fields in register_values(parameters, job).items()
                    for word in write(parameters.map, register, **fields)
                ],
                "results": [
                    [(beat >> LINE_BITS) * LINE_BYTES, _hex(beat & (1 << LINE_BITS) - 1)] for beat in beats
                ],
            }
        )
    offsets = parameters.map.offsets
    return {
        "reads": parameters.operands,
        "lines": lines,
        "jobs": jobs,
        "status": offsets["status"],
        "under_way": 3,
        "done": offsets["count_jobs"],
    }


def _hex(line: int) -> str:
    return line.to_bytes(LINE_BYTES, "little").hex()


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_tensor_core_multiplies_in_a_foreign_memory(simulator, tmp_path, monkeypatch):
    parameters = MACHINES["tiny"]
    (tmp_path / "said.json").write_text(json.dumps(gemms(parameters, seed=1)))
    assert passes("stc", "gemms", simulator, tmp_path, monkeypatch)["lines"] == 2 * 32 + 2 * 32


def attention(parameters: spatten.Machine, seed: int) -> dict[str, Any]:
    """What software, memories and golden hold of two layers; for `axi_benches.layers`."""
    generator, room = np.random.default_rng(seed), Room(parameters)
    bits, size = parameters.beat_bits, parameters.beat_bits // 8
    memory, layers = [], []
    for number in range(2):
        work = transaction(parameters, replace(drawn(parameters, number, generator), fails=False), room)
        asked = asked_of(parameters, work)
        for word in work["memory"]:
            place, channel = divmod((word >> bits) // size, parameters.channels)
            memory.append([channel, place * size, (word & (1 << bits) - 1).to_bytes(size, "little").hex()])
        found = {"tokens": len(asked.tokens), "heads": len(asked.heads)}
        ((_, status),) = write(parameters.map, "status", **found)
        words = [word & (1 << 32) - 1 for word in work["s_axil_w"]]
        results = written(parameters, asked).items()
        layers.append(
            {
                "writes": list(zip(work["s_axil_aw"], words, strict=True)),
                "status": status,
                "results": [[address, beat.to_bytes(size, "little").hex()] for address, beat in results],
            }
        )
    offset = parameters.map.offsets["status"]
    return {"channels": parameters.channels, "memory": memory, "layers": layers, "status": offset}


def test_spatten_attends_between_foreign_memories(tmp_path, monkeypatch):
    parameters = spatten.PRESETS["tiny"]
    (tmp_path / "said.json").write_text(json.dumps(attention(parameters, seed=1)))
    assert passes("spatten", "layers", "icarus", tmp_path, monkeypatch)["beats"] > 10
