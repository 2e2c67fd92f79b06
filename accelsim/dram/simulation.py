"""A stream of requests through a memory: bounded memory, counts, and the commands if they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from accelsim.dram import banks as b
from accelsim.dram.energy import Energy, energy
from accelsim.dram.offering import offer
from accelsim.dram.repeats import Repeats
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

LOG_ROWS = 1 << 16

Commands = Callable[[b.Integers], None]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a stream took. `cycles`: clocks until the last request was accepted; `drained`: until its data.

    Requests that a queued write answered (`forwarded` reads, `merged` writes) reach no row.
    `read_latency` is the mean, in clocks from acceptance to the last data. `lost_to_...` are clocks of data
    pins, summed over them (`accelsim.dram.books`); `open_clocks` those of ranks with an open row. `advanced`
    counts the requests that were advanced in closed form; all other numbers are the same without.
    """

    device: Device
    cycles: int
    drained: int
    reads: int
    writes: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    forwarded: int
    merged: int
    activates: int
    refreshes: int
    lost_to_bus: int
    lost_to_activates: int
    lost_to_conflicts: int
    lost_to_refresh: int
    open_clocks: int
    read_latency: float | None
    inside: int
    first_inside: int
    advanced: int = field(compare=False)

    @property
    def seconds(self) -> float:
        """Time of `cycles`."""
        return float(self.cycles / self.device.clock_hz)

    @property
    def gbps(self) -> float | None:
        """10^9 bytes a second over all channels; None where nothing was asked."""
        requests = self.reads + self.writes
        return requests * self.device.burst_bytes / self.seconds / 1e9 if self.cycles else None

    @property
    def energy(self) -> Energy | None:
        """By cause, until the last data; None where the device has no entry."""
        answered = self.forwarded, self.merged
        return energy(
            self.device,
            activates=self.activates,
            reads=self.reads - answered[0],
            writes=self.writes - answered[1],
            refreshes=self.refreshes,
            clocks=self.drained,
            open_clocks=self.open_clocks,
        )


def simulate(
    device: Device,
    chunks: Iterable[Chunk],
    *,
    commands: Commands | None = None,
    progress: Callable[[int], None] = lambda requests: None,
    every_burst: bool = False,
) -> Totals:
    """Offer all requests in order, as fast as the queues take them, and serve what is left at the end.

    `commands` is given the log (see `Banks.log`) piece by piece: in clock order within a channel only.
    Regular requests are advanced in closed form where the memory's state repeats (`accelsim.dram.repeats`),
    unless commands are wanted, or `every_burst` to be simulated.
    """
    memory = b.banks(device, log_rows=LOG_ROWS if commands else 0)
    repeats = None if commands or every_burst else Repeats(device, memory)
    inside = first_inside = requests = 0
    for chunk in chunks:
        if repeats:
            repeats.offer(chunk, more=True)
        else:
            _offer(memory, chunk, commands, drain=False)
        inside += chunk.inside
        first_inside = first_inside or chunk.first_inside
        requests += len(chunk.lines)
        progress(requests)
    nothing = Chunk(lines=np.zeros(0, np.int64), writes=np.zeros(0, np.int64), earliest=np.zeros(0, np.int64))
    if repeats:
        repeats.offer(nothing, more=False)
    cycles = int(memory.run[b.CLOCK]) if requests else 0
    _offer(memory, nothing, commands, drain=True)
    counts = [int(count) for count in memory.memory[:, : b.RECENT].sum(axis=0)]
    answered, drained = counts[b.READS], int(memory.memory[:, b.LAST_DONE].max())
    return Totals(
        device=device,
        cycles=cycles,
        drained=drained,
        reads=counts[b.READS],
        writes=counts[b.WRITES],
        row_hits=counts[b.HITS],
        row_misses=counts[b.MISSES],
        row_conflicts=counts[b.CONFLICTS],
        forwarded=counts[b.FORWARDED],
        merged=counts[b.MERGED],
        activates=counts[b.ACTIVATES],
        refreshes=counts[b.REFRESHES],
        lost_to_bus=counts[b.LOST_TO_BUS],
        lost_to_activates=counts[b.LOST_TO_ACTIVATES],
        lost_to_conflicts=counts[b.LOST_TO_CONFLICTS],
        lost_to_refresh=counts[b.LOST_TO_REFRESH],
        open_clocks=b.open_clocks(memory, drained),
        read_latency=counts[b.LATENCY] / answered if answered else None,
        inside=inside,
        first_inside=first_inside,
        advanced=repeats.advanced if repeats else 0,
    )


def _offer(memory: b.Banks, chunk: Chunk, commands: Commands | None, *, drain: bool) -> None:
    end = len(chunk.lines) + (memory.shape.channels if drain else 0)
    done = 0
    while True:
        done = offer(memory, chunk.lines, chunk.writes, chunk.earliest, done, end, b.FAR)
        if commands:
            commands(memory.log[: memory.run[b.LOGGED]].copy())
        memory.run[b.LOGGED] = 0
        if done == end:
            return
