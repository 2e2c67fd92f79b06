"""A memory as channels with a bandwidth, a latency and a refresh duty; and its presets.

A burst queues at its channel, is served by one of the channel's ways (pseudo-channels) and is back
after the latency. Row hits and conflicts are not modelled at this level. `docs/engine.md` has the
exact rules. Bandwidths and timings of the presets carry their source.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

FINEST_TICK = 240
"""Most ticks to a cycle: many divisors, and 10^16 cycles of them still fit in 63 bits."""


class Ticks(NamedTuple):
    """A device in the engine's integers: `ticks` to a core cycle, everything else as in `docs/engine.md`."""

    channels: int
    interleave: int
    burst_bytes: int
    outstanding: int
    accepts: int
    ways: int
    ticks: int
    service: int
    latency: int
    refresh_interval: int
    refresh_ticks: int
    sets: int
    assoc: int
    cache_service: int
    cache_latency: int


@dataclass(frozen=True, kw_only=True)
class Dram:
    """A memory device. `bandwidth` is bytes a second over all channels; times are in seconds.

    Neighbouring `interleave` bytes (0: one burst) lie in one channel, neighbouring bursts of a channel in the
    next of its `ways`. A channel has at most `outstanding` bursts accepted and not back. Each
    `refresh_interval` it serves nothing for `refresh_time`. `device` and `source` are for the reader.
    `cache_bytes` > 0 puts a cache in front of each channel (a GPU's L2 slice): lines of one burst,
    `cache_ways`-way least recently used, `cache_bandwidth` over all channels.
    """

    device: str
    channels: int
    bandwidth: float
    burst_bytes: int
    latency: float
    outstanding: int = 32
    interleave: int = 0
    ways: int = 1
    refresh_interval: float = 0.0
    refresh_time: float = 0.0
    cache_bytes: int = 0
    cache_ways: int = 16
    cache_bandwidth: float = 0.0
    cache_latency: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("channels", "burst_bytes", "outstanding", "ways", "cache_ways"):
            if getattr(self, name) < 1:
                raise ValueError(f"dram.{name} must be >= 1, not {getattr(self, name)}")
        if not self.bandwidth > 0:
            raise ValueError(f"dram.bandwidth must be > 0, not {self.bandwidth}")
        for name in (
            "latency",
            "interleave",
            "refresh_interval",
            "refresh_time",
            "cache_bytes",
            "cache_bandwidth",
            "cache_latency",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"dram.{name} must be >= 0, not {getattr(self, name)}")
        if self.interleave == 0:
            object.__setattr__(self, "interleave", self.burst_bytes)
        if self.interleave % self.burst_bytes:
            raise ValueError(
                f"dram.interleave must be a multiple of burst_bytes={self.burst_bytes}, not {self.interleave}"
            )
        if self.refresh_time > self.refresh_interval:
            raise ValueError(
                f"dram.refresh_time must be <= its interval {self.refresh_interval}, not {self.refresh_time}"
            )
        if self.cache_bytes and not self.cache_bandwidth > 0:
            raise ValueError(f"dram.cache_bandwidth must be > 0 with a cache, not {self.cache_bandwidth}")
        smallest = self.channels * self.cache_ways * self.burst_bytes
        if self.cache_bytes and self.cache_bytes < smallest:
            raise ValueError(
                f"dram.cache_bytes must be 0 or >= {smallest} (a set in each channel), not {self.cache_bytes}"
            )

    def at(self, clock_hz: float) -> Ticks:
        """The device in ticks of a core clock.

        The service time of a burst is kept to 1 part in 240 (in 480 from one cycle on) and is at least
        1 / FINEST_TICK of a cycle: a bandwidth beyond what any core takes is no limit. Other times are
        rounded to whole ticks.
        """
        cycles = Fraction(self.burst_bytes * self.channels * self.ways * clock_hz / self.bandwidth)
        service = max(cycles.limit_denominator(FINEST_TICK), Fraction(1, FINEST_TICK))
        ticks = service.denominator
        burst_cycles = self.burst_bytes * self.channels * clock_hz / self.bandwidth
        lines = self.cache_bytes // (self.burst_bytes * self.channels)

        def in_ticks(seconds: float) -> int:
            return round(seconds * clock_hz * ticks)

        return Ticks(
            channels=self.channels,
            interleave=self.interleave,
            burst_bytes=self.burst_bytes,
            outstanding=self.outstanding,
            accepts=max(1, -int(-1 // burst_cycles)),
            ways=self.ways,
            ticks=ticks,
            service=service.numerator,
            latency=in_ticks(self.latency),
            refresh_interval=in_ticks(self.refresh_interval),
            refresh_ticks=in_ticks(self.refresh_time),
            sets=lines // self.cache_ways,
            assoc=self.cache_ways,
            cache_service=max(
                1,
                in_ticks(self.burst_bytes * self.channels / self.cache_bandwidth) if self.cache_bytes else 1,
            ),
            cache_latency=in_ticks(self.cache_latency),
        )


# JEDEC DDR4-2400 8 Gb x8, one 64-bit channel: 19.2 GB/s; row-hit latency CL + BL = 21 clocks of 833 ps;
# tREFI 7.8 us, tRFC 350 ns (8 Gb: 420 clocks).
DDR4_2400 = Dram(
    device="DDR4-2400",
    channels=1,
    bandwidth=19.2e9,
    burst_bytes=64,
    latency=17.5e-9,
    refresh_interval=7.8e-6,
    refresh_time=0.35e-6,
    source="JEDEC JESD79-4, 8 Gb x8: CL 17 + BL 4 clocks of 0.833 ns, tREFI 7.8 us, tRFC 350 ns",
)

# SpAtten's memory: 16 channels of HBM2 at 2 Gb/s/pin, two 64-bit pseudo-channels each, at most 16
# outstanding reads a channel (the published artefact).
HBM2_16 = Dram(
    device="HBM2-2000x16",
    channels=16,
    bandwidth=512e9,
    burst_bytes=32,
    ways=2,
    latency=14e-9,
    outstanding=16,
    refresh_interval=3.9e-6,
    refresh_time=0.35e-6,
    source="JEDEC JESD235, 8 Gb: CL 14 ns, tREFI 3.9 us, tRFC 350 ns; SpAtten (HPCA 2021) table I, 512 GB/s",
)

PRESETS: dict[str, Dram] = {preset.device: preset for preset in (DDR4_2400, HBM2_16)}
