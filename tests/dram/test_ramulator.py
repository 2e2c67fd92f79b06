"""The cycles and commands are those of Ramulator 2.1's rules, on every kind of traffic."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import ramulator
from ramulator import DDR4, HBM2
from traffic import GIBIBYTE, PLAIN, Integers, chunk, run

from accelsim.dram.presets import DDR4_2400, HBM2_2000
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

COUNT = 300 if PLAIN else 1_000
# Name, device, Ramulator's timings of it, its mapper, clocks of its front end to one of the memory.
MEMORIES = {
    "DDR4, 1 rank": (DDR4_2400, DDR4, "RoBaRaCoCh", 1),
    "DDR4, 2 ranks": (replace(DDR4_2400, ranks=2), {**DDR4, "ranks": 2}, "RoBaRaCoCh", 1),
    "HBM2": (HBM2_2000, HBM2, "RoBaRaCoCh", 16),
    "HBM2, 4 offers": (replace(HBM2_2000, offers=4), HBM2, "RoBaRaCoCh", 4),
    "HBM2, MOP4CLXOR": (HBM2_2000, HBM2, "MOP4CLXOR", 16),
}


def in_order(random: np.random.Generator, most: int) -> Integers:
    return np.arange(COUNT)


def at_random(random: np.random.Generator, most: int) -> Integers:
    return random.integers(0, most, COUNT)


def strided(random: np.random.Generator, most: int) -> Integers:
    return np.arange(COUNT) * int(random.integers(2, 3_000)) % most


def in_one_channel(random: np.random.Generator, most: int) -> Integers:
    # Long enough for refreshes, in HBM2 as well.
    return random.integers(0, most // 8, COUNT) * 8


def gathered(random: np.random.Generator, most: int) -> Integers:
    begin = random.integers(0, most - 16, COUNT // 8 + 1)
    return (begin[:, None] + np.arange(8)).ravel()[:COUNT]


def copied(random: np.random.Generator, most: int) -> Integers:
    pairs = np.arange(COUNT) // 2
    return np.where(np.arange(COUNT) % 2 == 1, pairs + most // 2, pairs)


def in_few_rows(random: np.random.Generator, most: int) -> Integers:
    return random.integers(0, 4_096, COUNT) * 8


def in_few_bursts(random: np.random.Generator, most: int) -> Integers:
    return random.integers(0, 64, COUNT)


SHARES = {"reads": 0.0, "writes": 1.0, "mixed 2 to 1": 1 / 3}
PATTERNS = [in_order, at_random, strided, in_one_channel, gathered, copied, in_few_rows, in_few_bursts]
Pattern = Callable[[np.random.Generator, int], Integers]


def traffic(device: Device, pattern: Pattern, write_share: float, seed: int) -> Chunk:
    random = np.random.default_rng(seed)
    lines = pattern(random, GIBIBYTE // device.burst_bytes)
    return chunk(lines, random.random(COUNT) < write_share)


def published(requests: Chunk, memory: str, **changes: int) -> tuple[int, list[tuple[int, ...]]]:
    device, timings, mapper, ratio = MEMORIES[memory]
    addresses = (requests.lines * device.burst_bytes).tolist()
    writes = [bool(write) for write in requests.writes]
    pairs = list(zip(addresses, writes, strict=True))
    return ramulator.simulate({**timings, **changes}, pairs, mapper, ratio)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__)
@pytest.mark.parametrize("share", SHARES)
def test_cycles_and_commands_are_those_of_ramulator(memory: str, pattern: Pattern, share: str) -> None:
    device, _, mapper, _ = MEMORIES[memory]
    requests = traffic(device, pattern, SHARES[share], seed=len(memory) + len(share))
    cycles, commands = published(requests, memory)
    totals, log = run(device, requests, mapping=mapper)
    # It does not count the clock in which the last request is accepted.
    assert totals.cycles == cycles + 1
    for number in range(device.channels):
        expected = [command for command in commands if command[1] == number]
        found = [tuple(row) for row in log[log[:, 1] == number].tolist()]
        # A channel that has nothing more to serve is not asked for its refreshes.
        assert found[: len(expected)] == expected[: len(found)]
        assert not {0, 3, 4} & {command[2] for command in expected[len(found) :]}


@pytest.mark.parametrize("memory", ["DDR4, 2 ranks", "HBM2"])
@pytest.mark.parametrize("timing", ["WTRL", "WTRS", "WR", "RTP", "CCDL", "RRDL", "RP", "RCDWR", "CWL"])
def test_a_clock_more_in_one_timing_is_noticed(memory: str, timing: str) -> None:
    device, timings, mapper, _ = MEMORIES[memory]
    requests = traffic(device, in_few_rows, SHARES["mixed 2 to 1"], seed=1)
    _, expected = published(requests, memory, **{timing: timings[timing] + 1})
    _, log = run(device, requests, mapping=mapper)
    last = max(command[0] for command in expected)
    assert sorted(expected) != sorted(tuple(row) for row in log.tolist() if row[0] <= last)
