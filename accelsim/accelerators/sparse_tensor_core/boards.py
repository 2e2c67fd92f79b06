"""What lies around the SMs of each board: the stacks of its memory and its L2."""

from __future__ import annotations

from dataclasses import replace

from accelsim.dram import DEVICES, Cache, Dram


def gpu_memory(device: str, clock_ps: int, channels: int) -> Dram:
    """A GPU's stacks: lines of the L2 lie in turn in the channels, in their pseudo-channels and in the bank
    groups of these, so that a stream keeps all pins busy. Order and depth of the queues are choices.
    """
    return replace(
        DEVICES[device],
        clock_ps=clock_ps,
        channels=channels,
        interleave=128,
        mapping="RoBaCoBgRaCh",
        queue=256,
    )


# 5 stacks of 8 channels at 2.43 Gb/s a pin: 1555 GB/s.
A100_HBM2 = gpu_memory("HBM2-2400", 823, 40)

# 466 clk to DRAM, less the 30 clocks of the device itself (activate, read, data).
A100_L2 = Cache(
    bytes=40 << 20,
    line_bytes=128,
    ways=16,
    bandwidth=5120 * 1.41e9,
    hit_latency=185e-9,
    miss_latency=305e-9,
    source="A100 white paper: 40 MB, 5120 B/clk; 261.5 and 466 clk of 1.41 GHz (arXiv 2402.13499)",
)

# HBM2E, 5 stacks: 1935 GB/s.
A100_HBM2E = gpu_memory("HBM2E-3200", 661, 40)

# HBM2E, 5 stacks: 2040 GB/s.
H100_HBM2E = gpu_memory("HBM2E-3200", 627, 40)

# HBM3, 5 stacks of 16 channels: 3.35 TB/s.
H100_HBM3 = gpu_memory("HBM3-5200", 764, 80)

# HBM3E, 6 stacks of 16 channels: 4.8 TB/s.
H200_HBM3E = gpu_memory("HBM3-6400", 640, 96)

H100_L2 = Cache(
    bytes=50 << 20,
    line_bytes=128,
    ways=16,
    bandwidth=5120 * 1.98e9,
    hit_latency=150e-9,
    miss_latency=256e-9,
    source="H100 white paper: 50 MB, taken to be 80 slices of 64 B/clk as A100's (measured on H800: "
    "3942 B/clk, where A100 gets 2008 of its 5120); 263 and 479 clk of 1.755 GHz (arXiv 2402.13499)",
)
