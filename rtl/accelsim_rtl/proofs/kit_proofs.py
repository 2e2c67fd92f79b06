"""The proofs of the kit: FIFO, arbiter, floating point, buses."""

from functools import partial

from accelsim.units import floating
from accelsim.units.arbiter import Arbiter as ArbiterParameters
from accelsim.units.fifo import Fifo as FifoParameters
from accelsim.units.read_master import ReadMaster as ReadMasterParameters
from accelsim.units.register_bench import RegisterBench as RegisterBenchParameters
from accelsim.units.write_master import WriteMaster as WriteMasterParameters
from accelsim_rtl.arbiter import Arbiter
from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.axi.register_bench import RegisterBench
from accelsim_rtl.axi.reorder_buffer import ReorderBuffer
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.float.unit import FloatUnit
from accelsim_rtl.proofs.arbiter_grants import ArbiterGrants
from accelsim_rtl.proofs.axi_masters import ReadBus, ReorderedBeats, WrittenBursts
from accelsim_rtl.proofs.claims import ARBITER, FIFO, PROMISED, REORDERED, STREAM_RULE, WRITTEN
from accelsim_rtl.proofs.fifo_order import FifoOrder
from accelsim_rtl.proofs.promised_lines import PromisedLines
from accelsim_rtl.proofs.prover import Proof
from accelsim_rtl.proofs.watching import Harness

FLOAT = {
    "kit.fp16_multiplier": floating.HalfMultiplier(latency=1, product="fp16"),
    "kit.fp32_multiplier": floating.SingleMultiplier(latency=1),
    "kit.fp32_adder": floating.SingleAdder(latency=1),
    "kit.fp16_to_fp32": floating.Widening(latency=1),
    "kit.fp32_to_fp16": floating.Narrowing(latency=2),
    "kit.fp32_multiply_add": floating.MultiplyAdd(multiplier_latency=1, adder_latency=1),
}


def _float(operation: floating.Operation) -> PromisedLines:
    unit = FloatUnit(operation)
    return PromisedLines(unit, unit.store, moving="arrives", stages=operation.clocks)


PROOFS = (
    Proof(
        unit="kit.fifo",
        claim=FIFO,
        bounds="distributed, depth 4, 4 bits",
        harness=lambda: FifoOrder(Fifo(FifoParameters(depth=4, bits=4))),
    ),
    Proof(
        unit="kit.fifo",
        claim=FIFO,
        bounds="block, depth 6, 4 bits",
        harness=lambda: FifoOrder(Fifo(FifoParameters(depth=6, bits=4, memory="block"))),
    ),
    Proof(
        unit="kit.arbiter",
        claim=ARBITER,
        bounds="4 sources, 4 bits",
        harness=lambda: ArbiterGrants(Arbiter(ArbiterParameters(sources=4, bits=4))),
    ),
    *(
        Proof(
            unit=unit,
            claim=PROMISED,
            bounds=f"{operation.clocks} clock{'s' if operation.clocks > 1 else ''}",
            harness=partial(_float, operation),
        )
        for unit, operation in FLOAT.items()
    ),
    Proof(
        unit="axi.read_master",
        claim=REORDERED,
        bounds="its buffer alone, 2 bursts of 2 beats of 2 bits; the bus answers what it was asked for",
        harness=lambda: ReorderedBeats(ReorderBuffer(2, bursts=2, beats=2)),
    ),
    Proof(
        unit="axi.read_master",
        claim=REORDERED,
        bounds="its buffer alone, 4 bursts of a beat of 2 bits; the bus answers what it was asked for",
        harness=lambda: ReorderedBeats(ReorderBuffer(2, bursts=4, beats=1)),
    ),
    Proof(
        unit="axi.read_master",
        claim=STREAM_RULE,
        bounds="2 bursts of 2 beats of 8 bits, 13 bits of address; the bus answers what it was asked for",
        harness=lambda: ReadBus(
            ReadMaster(
                ReadMasterParameters(address_bits=13, data_bits=8, burst_beats=2, outstanding=2, count_bits=3)
            )
        ),
    ),
    Proof(
        unit="axi.write_master",
        claim=WRITTEN,
        bounds="2 bursts of 4 beats of 8 bits, 13 bits of address; the bus answers each burst once",
        harness=lambda: WrittenBursts(
            WriteMaster(
                WriteMasterParameters(
                    address_bits=13, data_bits=8, burst_beats=4, outstanding=2, count_bits=3
                )
            )
        ),
    ),
    Proof(
        unit="axi.registers",
        claim=STREAM_RULE,
        bounds="6 words, a counter of 2 bits",
        harness=lambda: Harness(RegisterBench(RegisterBenchParameters(extra=1, count_bits=2))),
    ),
)
