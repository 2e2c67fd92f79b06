"""Requests for the tests, their way through the compiled controller, and an address decoder of its own."""

from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt

from accelsim.dram.simulation import Totals, simulate
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

PLAIN = bool(numba.config.DISABLE_JIT)  # everything is a thousand times slower then
GIBIBYTE = 1 << 30

Integers = npt.NDArray[np.int64]


def chunk(lines: Integers, writes: Integers | None = None, earliest: Integers | None = None) -> Chunk:
    zeros = np.zeros(len(lines), np.int64)
    return Chunk(
        lines=lines.astype(np.int64),
        writes=zeros if writes is None else writes.astype(np.int64),
        earliest=zeros if earliest is None else earliest.astype(np.int64),
    )


def sequential(count: int) -> Chunk:
    return chunk(np.arange(count))


def scattered(device: Device, count: int, seed: int, write_share: float = 0.0) -> Chunk:
    generator = np.random.default_rng(seed)
    lines = generator.integers(0, GIBIBYTE // device.burst_bytes, count)
    return chunk(lines, generator.random(count) < write_share)


def mixed(device: Device, count: int, seed: int) -> Chunk:
    """A third in order, a third at random, a third in few rows; reads and writes, some of them late."""
    generator = np.random.default_rng(seed)
    third = count // 3
    near = generator.integers(0, 4096, third) * device.channels
    lines = np.concatenate([np.arange(third), generator.integers(0, 1 << 24, count - 2 * third), near])
    writes = np.concatenate([np.zeros(third), generator.random(count - third) < 0.4])
    earliest = np.where(generator.random(count) < 0.01, np.arange(count) * 8, 0)
    return chunk(lines, writes, earliest)


def run(device: Device, *chunks: Chunk, mapping: str = "RoBaRaCoCh") -> tuple[Totals, Integers]:
    """The totals and all commands."""
    logs: list[Integers] = []
    totals = simulate(replace(device, mapping=mapping), chunks, commands=logs.append)
    return totals, np.concatenate(logs)


def decode(device: Device, line: int) -> tuple[int, int, int, int, int]:
    """Channel, rank, bank in the rank, row, column of RoBaRaCoCh, by division."""
    line, channel = divmod(line, device.channels)
    line, column = divmod(line, device.columns)
    line, rank = divmod(line, device.units)
    line, group = divmod(line, device.bank_groups)
    row, bank = divmod(line, device.banks)
    return channel, rank, group * device.banks + bank, row, column
