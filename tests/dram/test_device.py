"""A memory as a machine takes it: its clocks to a cycle, its cache, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from accelsim.dram import DDR4_2400, DEVICES, Cache, Memory
from accelsim.dram.mapping import CHANNEL, cut, field, mapping, spread_all
from accelsim.dram.seat import seat

LINES = Cache(
    bytes=1 << 16, line_bytes=128, ways=4, bandwidth=1e11, hit_latency=1e-8, miss_latency=1e-8, pending=8
)


def test_the_ratio_of_the_clocks_is_exact() -> None:
    assert Memory(dram=DDR4_2400, clock_hz=200e6).clocks == Fraction(5000, 833)
    assert Memory(dram=DEVICES["HBM2-2000"], clock_hz=1e9).clocks == 1


@pytest.mark.parametrize("name", DEVICES)
def test_a_preset_stands_behind_a_machine(name: str) -> None:
    place = seat(Memory(dram=DEVICES[name], clock_hz=1e9))
    assert place.banks.memory.shape[0] == DEVICES[name].channels


@pytest.mark.parametrize("clock_hz", [1e-300, 1.0, 1e300])
def test_a_clock_that_is_absurd_for_the_device_is_refused(clock_hz: float) -> None:
    with pytest.raises(ValueError, match=r"clock_hz must be within 10000 times the .* Hz of DDR4-2400, not"):
        Memory(dram=DDR4_2400, clock_hz=clock_hz)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bytes": 100}, "bytes of the cache must be >= 512"),
        ({"line_bytes": 96}, "line_bytes of the cache must be a power of two of bursts of 64 B"),
        ({"line_bytes": 1 << 14}, "that fits a queue of 32, not 16384"),
        ({"line_bytes": 256}, "dram.interleave must be >= the 256 bytes of a line"),
        ({"ways": 0}, "ways of the cache must be >= 1, not 0"),
        ({"bandwidth": 0.0}, "bandwidth of the cache must be > 0, not 0.0"),
        ({"miss_latency": -1.0}, "miss_latency of the cache must be >= 0, not -1.0"),
        ({"pending": 0}, "pending of the cache must be >= 1, not 0"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(change: dict[str, float], message: str) -> None:
    dram = replace(DDR4_2400, interleave=128)

    def place() -> None:
        seat(Memory(dram=dram, clock_hz=1e9, cache=replace(LINES, **change)))  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=message):
        place()


@pytest.mark.parametrize("channels", [3, 40, 96])
def test_channels_that_are_no_power_of_two_take_turns(channels: int) -> None:
    device = replace(DDR4_2400, channels=channels, interleave=128)
    lines = np.arange(4 * channels)
    spread = spread_all(cut(device), lines)
    uncompiled = getattr(field, "py_func", field)  # helpers of kernels cannot be called from here
    assert [int(uncompiled(mapping(device), line, CHANNEL, 0)) for line in spread] == [
        int(line) // 2 % channels for line in lines
    ]
    assert np.unique(spread).size == lines.size


def test_a_mapping_is_checked_with_the_device() -> None:
    with pytest.raises(ValueError, match="mapping must be one of"):
        replace(DDR4_2400, mapping="RoBa")
    with pytest.raises(ValueError, match="interleave must be 0 or a power of two of bursts of 64 B, not 96"):
        replace(DDR4_2400, interleave=96)
