"""FC layers on SpAtten's e2e machine: bytes and cycles against sums by hand."""

from dataclasses import replace

import numpy as np
import pytest

import accelsim
from accelsim.accelerators.base import memory_of
from accelsim.accelerators.spatten import PRESETS, SpAtten
from accelsim.golden.formats import Bitmap
from accelsim.machine import simulate
from accelsim.workload import Matmul, Workload

E2E, FULL = PRESETS["e2e"], PRESETS["full"]


def bursts(elements: int, bits: int) -> int:
    return -(-elements * bits // 256)


def expected(machine: SpAtten, layer: Matmul) -> tuple[int, int, int]:
    """Bursts read and written, and cycles of the arrays."""
    if layer.k > machine.multipliers:
        lines, group = -(-layer.k // machine.multipliers), 1
    else:
        lines, group = 1, machine.scores_per_cycle(layer.k)
    most = 2 * (machine.lines // 2 // lines) * group
    bits = machine.weight_bits if layer.weights else 12
    reads = writes = busy = 0
    for _ in range(layer.count):
        for first in range(0, layer.n, most):
            outputs = min(most, layer.n - first)
            reads += bursts(outputs * layer.k, bits)
            reads += bursts(layer.k, 12) * (layer.m if layer.m > 1 else int(first == 0))
            writes += bursts(outputs, 12) * layer.m
            groups = -(-outputs // group)
            busy += layer.m * lines * -(-groups // 2)
    return reads, writes, busy


SMALL = [
    Matmul(name="fc", m=1, n=1024, k=1024),
    Matmul(name="fc", m=5, n=300, k=100, count=3),
    Matmul(name="fc", m=2, n=1, k=513),
    Matmul(name="fc", m=3, n=70, k=1, count=2, weights=False),
]
LARGE = [
    Matmul(name="fc", m=1, n=4096, k=1024),
    Matmul(name="fc", m=7, n=1000, k=4096),
]
LAYERS = [
    *SMALL,
    *(pytest.param(layer, marks=pytest.mark.slow) for layer in LARGE),  # without compilation
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: f"{layer.m}x{layer.n}x{layer.k}")
@pytest.mark.parametrize("bits", [8, 12])
def test_bytes_and_array_cycles_are_those_of_the_tiles(layer: Matmul, bits: int) -> None:
    machine = replace(E2E, weight_bits=bits)
    work = machine.plan(layer)
    work.plan.check()
    reads, writes, busy = expected(machine, layer)
    timeline = simulate(work.plan, memory_of(machine))
    traffic = timeline.traffic
    assert (traffic.read_bursts + traffic.forwarded, traffic.write_bursts + traffic.merged) == (reads, writes)
    assert timeline.busy[timeline.stages.index("product")] == busy
    assert work.macs_done == layer.macs <= busy * 2 * machine.multipliers
    assert work.facts["lanes_idle"] == pytest.approx(1 - layer.macs / (busy * 1024))
    assert timeline.cycles >= max(busy, (reads + writes) / 16)


@pytest.mark.slow  # without compilation
def test_a_single_token_is_bound_by_memory_and_many_tokens_by_the_arrays() -> None:
    one, many = (Matmul(name="fc", m=m, n=2048, k=1024) for m in (1, 256))
    # A refresh of all banks takes longer than the one row that waits.
    machine = replace(E2E, dram=replace(E2E.dram, tREFI=10**9))
    single, batch = (simulate(machine.plan(layer).plan, memory_of(machine)) for layer in (one, many))
    product = single.stages.index("product")
    assert single.busy[product] == 2048 * 1024 / 1024
    assert single.cycles > 2 * single.busy[product]
    # Fill and drain of the first and the last tile beside it.
    assert batch.busy[product] == 256 * 2048
    assert batch.cycles < 1.03 * batch.busy[product]


@pytest.mark.slow  # without compilation
def test_twelve_bits_take_half_as_many_bytes_more_as_eight() -> None:
    layer = Matmul(name="fc", m=1, n=32768, k=1024)
    eight, twelve = (
        simulate(machine.plan(layer).plan, memory_of(machine))
        for machine in (E2E, replace(E2E, weight_bits=12))
    )
    weights = 32768 * 1024
    bursts = twelve.traffic.read_bursts - eight.traffic.read_bursts
    assert bursts * E2E.dram.burst_bytes == weights // 2
    assert twelve.cycles / eight.cycles == pytest.approx(1.5, abs=0.05)


def test_zeros_in_weights_save_nothing_and_the_report_says_so() -> None:
    mask = Bitmap.pack(np.random.default_rng(0).random((64, 96)) < 0.5)
    dense, pruned = Matmul(name="fc", m=4, n=64, k=96), Matmul(name="fc", m=4, n=64, k=96, mask=mask)
    assert (E2E.plan(dense).plan.busy == E2E.plan(pruned).plan.busy).all()
    assert "of the weights are zero: dense cycles" in E2E.plan(pruned).notes[0]


def test_what_the_e2e_machine_does_not_run() -> None:
    assert "attention only" in FULL.refuse(SMALL[0])
    assert E2E.refuse(SMALL[0]) == ""
    assert (
        E2E.refuse(Matmul(name="fc", m=1, n=1, k=65_537))
        == "k must be <= 65536 (half of sram_bytes), not 65537"
    )
    convolution = Matmul(name="c", m=1, n=1, k=9, geometry={"kernel": "3x3"})
    assert "not convolution" in E2E.refuse(convolution)
    with pytest.raises(ValueError, match="weight_bits must be one of"):
        replace(E2E, weight_bits=4)


def test_a_report_of_the_e2e_machine_has_its_linears() -> None:
    report = accelsim.run(Workload(model="fc", layers=(SMALL[0],)), E2E)
    assert report.layers[0].cycles > 2048
    assert any("weights have 8 bits" in line for line in report.assumptions)
    assert report.layers[0].part_pj["QxK multipliers"] > 0
