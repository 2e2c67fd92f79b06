"""What a layer of each type, and each library's kernels, make of a tensor core."""

from __future__ import annotations

from dataclasses import replace

import pytest

import accelsim
from accelsim.accelerators.sparse_tensor_core import SparseTensorCore
from accelsim.accelerators.sparse_tensor_core.presets import A100, A100_PCIE, H100, H100_MMA, H100_PCIE, TINY
from accelsim.accelerators.sparse_tensor_core.residues import held_at_start
from accelsim.accelerators.sparse_tensor_core.tiles import choose
from accelsim.workload import Matmul, Workload

pytestmark = pytest.mark.slow  # without compilation


def product(m: int, n: int, k: int, dtype: str = "fp32") -> Matmul:
    return Matmul(name="gemm", m=m, n=n, k=k, dtype=dtype)


def seconds(core: SparseTensorCore, layer: Matmul, sparse: bool) -> float:
    """Of one product, timed over and over."""
    core = replace(core, l2_holds="operands").for_layer(layer)
    work = core.plan_products((layer,), sparse)
    clocks = accelsim.layer_times.layer_times("gemm", "stc", work, accelsim.accelerators.base.memory_of(core))
    return clocks.cycles / core.clock_hz + (work.launch_seconds or 0.0)


@pytest.mark.parametrize(("dtype", "runs_as"), [("fp32", "fp16"), ("bf16", "bf16"), ("int8", "int8")])
def test_a_layer_runs_in_its_own_type(dtype: str, runs_as: str) -> None:
    layer = product(128, 128, 256, dtype)
    assert TINY.for_layer(layer).dtype == runs_as
    own, said = TINY.plan(layer), replace(TINY, dtype=runs_as).plan(layer)
    assert own.asked == said.asked
    assert own.facts == said.facts


def test_a_type_that_was_asked_for_is_that_of_all_layers() -> None:
    layers = tuple(replace(product(64, 64, 64, dtype), name=dtype) for dtype in ("bf16", "int8", "fp32"))
    made = Workload(model="mixed", layers=layers)
    own = accelsim.run(made, TINY)
    assert own.layers[0].cycles == own.layers[2].cycles != own.layers[1].cycles
    assert own.layers[0].part_pj["multipliers"] > own.layers[1].part_pj["multipliers"]
    fixed = accelsim.run(made, replace(TINY, dtype="int8"))
    assert len({row.cycles for row in fixed.layers}) == 1


@pytest.mark.parametrize(
    ("core", "dtype", "known"),
    [(TINY, "fp8", "fp16, bf16, tf32, int8, int4 on ampere"), (H100, "int4", "fp16, bf16, tf32, int8, fp8")],
)
def test_a_type_that_the_device_lacks_stops_the_run_at_its_layer(
    core: SparseTensorCore, dtype: str, known: str
) -> None:
    layers = (product(64, 64, 64), replace(product(64, 64, 64, dtype), name="second"))
    with pytest.raises(
        ValueError,
        match=rf"^layer 'second' \(2 of 2\) on stc: dtype must be one of {known}.*, not '{dtype}'$",
    ):
        accelsim.run(Workload(model="m", layers=layers), core)


def test_dense_kernels_of_hopper_have_more_tiles_than_sparse_ones() -> None:
    layer = (product(1024, 1024, 1024, "bf16"),)
    dense, sparse = (choose(H100_PCIE, layer, which) for which in (False, True))
    assert dense.tile.activations % 64
    assert sparse.tile.activations % 64 == 0
    assert choose(H100_PCIE, (product(1024, 1024, 1024, "int8"),), False).tile.activations % 64 == 0


def test_2_4_loses_at_1024_cubed_in_bf16_on_h100() -> None:
    """Measured 0.75: dense tiles fill the SMs, and a 2:4 kernel takes longer to launch."""
    layer = product(1024, 1024, 1024, "bf16")
    assert seconds(H100_PCIE, layer, True) > seconds(H100_PCIE, layer, False)


def test_kernels_of_ampere_lose_on_hopper() -> None:
    """Measured 0.62 at 768 x 4096 x 4096 (NVIDIA/cutlass issue 1335), where native kernels win."""
    layer = product(768, 4096, 4096, "bf16")
    kernel = choose(H100_MMA, (layer,), True)
    assert kernel.is_foreign
    assert kernel.fills_on_port
    assert kernel.shares == (1, 1)
    dense, native, foreign = (
        seconds(H100, layer, False),
        seconds(H100, layer, True),
        seconds(H100_MMA, layer, True),
    )
    assert native < dense < foreign


def test_2_4_of_16_bits_on_ampere_reads_all_weights_for_each_column_of_tiles() -> None:
    """More weights than the L2 holds: their order decides how often DRAM sends them."""
    layer = product(1024, 37_888, 512)
    small = replace(A100, l2=replace(A100.l2, bytes=4 << 20))
    reads = []
    for core in (small, replace(small, wide_sparse_swizzle=0), replace(small, dtype="int8")):
        work = core.plan_products((layer,), True)
        memory = accelsim.accelerators.base.memory_of(core)
        found = accelsim.layer_times.layer_times("gemm", "stc", work, memory)
        reads.append(found.traffic.read_bursts * core.dram.burst_bytes)
    assert reads[0] > 1.5 * reads[1]
    assert reads[2] < reads[1]


def test_operands_that_the_l2_holds_are_not_read_again() -> None:
    layer = (product(128, 128, 64),)
    kernel = replace(A100, l2_holds="operands").kernel(sparse=False)
    held = held_at_start(kernel, layer)
    assert held is not None
    assert held.size * 128 == 2 * 128 * 64 * 2
    core = replace(A100, l2_holds="operands")
    found = accelsim.run(Workload(model="m", layers=layer), core).layers[0]
    assert found.read_bytes == 0
    assert found.traffic is not None
    assert found.traffic.cache_hits > 0


def test_the_limit_of_power_counts_a_bit_of_memory_with_its_link() -> None:
    limit = A100_PCIE.power.limit("fp16")
    assert limit is not None
    assert limit.seconds(0.0, 1.0, 1000) == pytest.approx(8000 * 7e-12 / 230)
    assert limit.seconds(0.0, 1e9, 1000) == pytest.approx(1e-3 / 230)


def test_registers_halve_their_sums_with_2_4_but_not_the_other_operand() -> None:
    dense, sparse = (replace(A100, dtype="fp16").kernel(sparse=which) for which in (False, True))
    # mma.m16n8k16: 4 + 2 registers of operands, 4 sums read and written; mma.sp.m16n8k32 has 1 of metadata,
    # and B's twice as long. The loads write what the port reads, a register of 128 bytes at a time.
    assert dense.register_accesses == 512 * (4 + 2 + 8) + dense.step.read_bytes // 128
    assert sparse.register_accesses == 256 * (4 + 4 + 8 + 1) + sparse.step.read_bytes // 128
