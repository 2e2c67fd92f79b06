"""GPUs by name, and a tiny machine for tests; a preset of another machine of this kind is put in here."""

from __future__ import annotations

from dataclasses import replace

from accelsim.accelerators.base import Accelerator
from accelsim.accelerators.sparse_tensor_core.boards import (
    A100_HBM2E,
    A100_L2,
    H100_HBM2E,
    H100_HBM3,
    H100_L2,
    H200_HBM3E,
)
from accelsim.accelerators.sparse_tensor_core.costs import H100_LAUNCH, Power
from accelsim.accelerators.sparse_tensor_core.machine import SparseTensorCore
from accelsim.accelerators.sparse_tensor_core.sparseloop import (
    SPARSELOOP,
    SPARSELOOP_DENSE,
    SPARSELOOP_FLEXIBLE,
)

# Boards' limits; idle power is not published, so it is a choice. The factors are set near the fit
# of `benchmarks/paper_stc.py` to the square products of the PCIe boards, one for a device and type.
A100_POWER = Power(watts=400, idle_watts=70, wide=8.0, narrow=14.0)
H100_POWER = Power(watts=700, idle_watts=70, wide=7.0, narrow=11.7)

# 2:4 of 16 bits goes down all weights: measured layers (arXiv 2603.05232) take as long as that order's
# traffic at any number of tokens: 370 to 390 TFLOPS with 3,584 rows of weights, 270 with 37,888. Of 8 bits
# both take 710 to 730.
A100 = SparseTensorCore(power=A100_POWER, wide_sparse_swizzle=1)

A100_PCIE = replace(A100, dram=A100_HBM2E, power=replace(A100_POWER, watts=300))

H100 = SparseTensorCore(
    generation="hopper",
    sms=132,
    clock_hz=1.98e9,
    dense_tiles="fine",
    tile_activations=256,
    readers_m=2,
    readers_n=1,
    pipeline_stages=4,
    cluster=2,
    fill_on_port=False,
    shared_memory=227 << 10,
    launch=H100_LAUNCH,
    power=H100_POWER,
    l2=H100_L2,
    dram=H100_HBM3,
)

H100_PCIE = replace(
    H100,
    sms=114,
    clock_hz=1.755e9,
    # 5,120 bytes a clock are inferred (80 slices of 64 bytes), not published: a choice.
    l2=replace(H100_L2, bandwidth=5120 * 1.755e9),
    dram=H100_HBM2E,
    power=replace(H100_POWER, watts=350),
)

H200 = replace(H100, dram=H200_HBM3E)

# As PyTorch's CUTLASS kernels for 2:4 run there; dense ones are native.
H100_MMA = replace(H100, sparse_kernels="mma")

TINY = SparseTensorCore(
    sms=2,
    tiles="fixed",
    most_splits=1,
    tile_weights=32,
    tile_activations=32,
    tile_k_bits=512,
    readers_m=1,
    readers_n=1,
    l2=replace(A100_L2, bytes=1 << 16, bandwidth=256e9),
    dram=replace(A100.dram, channels=2),
)

PRESETS: dict[str, Accelerator] = {
    "a100": A100,
    "a100_pcie": A100_PCIE,
    "h100": H100,
    "h100_mma": H100_MMA,
    "h100_pcie": H100_PCIE,
    "h200": H200,
    "sparseloop": SPARSELOOP,
    "sparseloop_dense": SPARSELOOP_DENSE,
    "sparseloop_flexible": SPARSELOOP_FLEXIBLE,
    "tiny": TINY,
}
