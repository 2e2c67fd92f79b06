# amaranth: UnusedElaboratable=no
# The registers' ports are wanted before they are elaborated.
"""What `spatten` tells of results: a layer is done when all is answered, and an error on the way is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from amaranth.hdl import Module
from amaranth.sim import Simulator

from accelsim.units.spatten import PRESETS
from accelsim_rtl.axi.registers import RegisterFile
from accelsim_rtl.bench.drive import Drive, replay
from accelsim_rtl.entries.register_writes import write
from accelsim_rtl.kit.ports import columns
from accelsim_rtl.kit.verify import Bench
from accelsim_rtl.spatten.results import Results
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

TINY = PRESETS["tiny"]
HEADS, QUERIES = 15, 16


def test_a_layer_is_not_done_while_256_transfers_wait_for_their_answer():
    parameters = replace(TINY, outstanding=256, heads=HEADS)
    registers = RegisterFile(parameters.map)
    results = Results(parameters, registers)
    m = Module()
    m.submodules += [registers, results]
    transfers = HEADS * QUERIES + HEADS + 1
    assert transfers == 256

    async def bench(ctx):
        for name, value in (("aw", 0), ("w", 0)):
            ctx.set(getattr(registers, f"s_axil_{name}").valid, value)
        ctx.set(registers.s_axil_b.ready, 1)
        for address, word in write(parameters.map, "layer", queries=QUERIES):
            ctx.set(registers.s_axil_aw.payload.addr, address)
            ctx.set(registers.s_axil_w.payload.data, word)
            ctx.set(registers.s_axil_w.payload.strb, 15)
            ctx.set(registers.s_axil_aw.valid, 1)
            ctx.set(registers.s_axil_w.valid, 1)
            await ctx.tick()
        ctx.set(registers.s_axil_aw.valid, 0)
        ctx.set(results.tokens, 1)
        ctx.set(results.heads, HEADS)
        ctx.set(results.begins, 1)
        await ctx.tick()
        ctx.set(results.begins, 0)
        # Rows of a beat each, then a line of sums; memory takes all and answers nothing.
        for port in (results.results, results.sums):
            ctx.set(port.payload.last, 1)
            ctx.set(port.valid, 1)
        ctx.set(results.transfers.ready, 1)
        ctx.set(results.beats.ready, 1)
        taken = 0
        while taken < transfers:
            taken += ctx.get(results.transfers.valid)
            await ctx.tick()
        for answer in range(transfers):
            for _ in range(3):
                assert not ctx.get(results.done.valid), f"done with {transfers - answer} open"
                await ctx.tick()
            ctx.set(results.answered, 1)
            await ctx.tick()
            ctx.set(results.answered, 0)
        assert ctx.get(results.done.valid)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_result_that_memory_refuses_is_told_by_done_and_by_status():
    unit = find("spatten")
    bench = Bench(unit, TINY)
    prepared, names = bench.prepare(1), columns(bench.ports)
    scenario = prepared.scenarios[0]
    # The last beat of the second layer: its memory takes it, and says that something went wrong.
    last = max(address for address, _ in scenario["memories"][1]["written"])
    scenario["memories"][1]["errors"] = [[last, last + 1]]
    drive = Drive(scenario, names)
    replay(unit.model(TINY), drive)
    scenario["rows"], scenario["cycles"], scenario["records"] = drive.rows, drive.cycles, drive.records
    ((_, failed),) = write(TINY.map, "status", failed=1)
    reads = len(scenario["expected"]["s_axil_r"]) // 2
    assert scenario["expected"]["done"][1] == 0
    scenario["expected"]["done"][1] = 1
    scenario["expected"]["s_axil_r"][reads] |= failed
    assert [drive.taken[name] for name in ("done", "s_axil_r")] == [
        scenario["expected"][name] for name in ("done", "s_axil_r")
    ]
    (verdict,) = bench.run([replace(prepared, scenarios=[scenario])], "icarus")
    assert verdict.passed, verdict.complaints[:10]
