"""The one cycle engine: a plan and a memory in, a timeline out.

Accelerators call `simulate`. `docs/engine.md` defines every cycle; `accelsim.engine` is the compiled
loop; a cycle-by-cycle reference in the tests agrees with it on random plans.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from accelsim.dram import banks
from accelsim.dram.presets import DDR4_2400
from accelsim.dram.seat import REFUSED, Memory, Seat, seat
from accelsim.dram.warming import warm
from accelsim.engine import state as engine
from accelsim.engine.arrays import rows_of, state_of, wiring_of
from accelsim.engine.loop import advance
from accelsim.plan import Integers, Plan

CAUSES = engine.CAUSES

# Stands in where there is no memory: its state is never touched.
_NO_MEMORY = Memory(dram=DDR4_2400, clock_hz=1e9)


class Deadlock(RuntimeError):
    """Nothing can happen any more: `job` waits in `stage` for `cause`."""

    def __init__(self, job: int, stage: str, cause: str) -> None:
        super().__init__(f"deadlock: job {job} waits in stage {stage!r} for {cause}")
        self.job, self.stage, self.cause = job, stage, cause


@dataclass(frozen=True, kw_only=True)
class Pins:
    """Where the clocks of the data pins went, summed over all buses; `docs/dram.md`, Time of the pins.

    `refused` are the clocks, summed over the channels, in which an access on offer found no room.
    """

    clocks: int = 0
    data: int = 0
    conflicts: int = 0
    activates: int = 0
    refresh: int = 0
    bus: int = 0
    refused: int = 0

    def by_cause(self) -> dict[str, int]:
        """All of them, `idle` too, by name."""
        return {**vars(self), "idle": self.idle}

    @property
    def idle(self) -> int:
        """Clocks in which nothing waited for the pins."""
        return self.clocks - self.data - self.conflicts - self.activates - self.refresh - self.bus


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a memory was asked for and what it did; all 0 without a memory.

    `read_bursts` and `write_bursts` passed the pins: each is a row hit, miss or conflict. `forwarded` reads
    were answered by a queued write, `merged` writes replaced one. `cache_hits` are reads of whole lines that
    DRAM was not asked for. `clocks` are command clocks, `open_clocks` those of ranks with an open row.
    """

    read_bursts: int = 0
    write_bursts: int = 0
    forwarded: int = 0
    merged: int = 0
    cache_hits: int = 0
    row_hits: int = 0
    row_misses: int = 0
    row_conflicts: int = 0
    activates: int = 0
    refreshes: int = 0
    open_clocks: int = 0
    clocks: int = 0
    pins: Pins = field(default_factory=Pins)


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """What happened when, in cycles.

    `start`, `free`, `end`: (jobs, stages). `lane`: (jobs,). `busy`, `idle`: (stages,) and `stalled`:
    (stages, causes), summed over lanes, so that busy + stalled + idle = lanes * cycles in every stage.
    `commands`: (commands, 6), those of the memory that were written down, as `accelsim.dram.banks.Banks.log`
    has them, in the order of their clocks within a channel.
    """

    stages: tuple[str, ...]
    cycles: int
    lanes: int
    start: Integers
    free: Integers
    end: Integers
    lane: Integers
    busy: Integers
    stalled: Integers
    idle: Integers
    traffic: Traffic
    commands: Integers


def simulate(
    plan: Plan, memory: Memory | None, held: Integers | None = None, *, log_rows: int = 0
) -> Timeline:
    """When each job of the plan passes each stage.

    `memory=None` answers at once (compute cycles alone). The plan must satisfy `plan.check()`.
    `held`: addresses that were read before, in this order, and lie in the cache as far as it holds them.
    `log_rows`: how many commands of the memory to write down, the first of them. Raises Deadlock.
    """
    stages = len(plan.layout.stages)
    rows, wiring = rows_of(plan), wiring_of(plan.layout)
    place = seat(memory or _NO_MEMORY, log_rows=log_rows)
    if held is not None:
        warm(place, held)
    state = state_of(plan, wiring, place)
    advance(rows, wiring, place, state, memory is not None)
    if state.counters[engine.ENDED] < plan.jobs * stages:
        raise _deadlock(plan, rows, wiring, state)
    return _timeline(plan, state, place if memory else None)


def _timeline(plan: Plan, state: engine.State, place: Seat | None) -> Timeline:
    shape = (plan.jobs, len(plan.layout.stages))
    cycles = int(state.counters[engine.CYCLES])
    busy = np.where(plan.skip, 0, plan.busy).sum(axis=0)
    return Timeline(
        stages=tuple(stage.name for stage in plan.layout.stages),
        cycles=cycles,
        lanes=plan.layout.lanes,
        start=state.start.reshape(shape),
        free=state.free.reshape(shape),
        end=state.end.reshape(shape),
        lane=state.lane,
        busy=busy,
        stalled=state.stalled,
        idle=plan.layout.lanes * cycles - busy - state.stalled.sum(axis=1),
        traffic=_traffic(place, cycles) if place else Traffic(),
        commands=place.banks.log[: place.banks.run[banks.LOGGED]] if place else np.zeros((0, 6), np.int64),
    )


def _traffic(place: Seat, cycles: int) -> Traffic:
    m = place.banks
    # Clocks that begin before the last cycle ends.
    clocks = -(-cycles * place.clocks // place.cycles)
    counts = m.memory[:, : banks.SIZE].sum(axis=0).tolist()
    moved = counts[banks.READS] - counts[banks.FORWARDED], counts[banks.WRITES] - counts[banks.MERGED]
    buses = m.shape.channels * (m.shape.units if m.shape.own_pins else 1)
    return Traffic(
        read_bursts=moved[0],
        write_bursts=moved[1],
        forwarded=counts[banks.FORWARDED],
        merged=counts[banks.MERGED],
        cache_hits=int(place.cache.hits.sum()),
        row_hits=counts[banks.HITS],
        row_misses=counts[banks.MISSES],
        row_conflicts=counts[banks.CONFLICTS],
        activates=counts[banks.ACTIVATES],
        refreshes=counts[banks.REFRESHES],
        open_clocks=banks.open_clocks(m, clocks),
        clocks=clocks,
        pins=Pins(
            clocks=clocks * buses,
            data=sum(moved) * m.shape.burst_clocks,
            conflicts=counts[banks.LOST_TO_CONFLICTS],
            activates=counts[banks.LOST_TO_ACTIVATES],
            refresh=counts[banks.LOST_TO_REFRESH],
            bus=counts[banks.LOST_TO_BUS],
            refused=int(place.doors[:, REFUSED].sum()),
        ),
    )


def _deadlock(plan: Plan, rows: engine.Rows, wiring: engine.Wiring, state: engine.State) -> Deadlock:
    """The lowest job that has not ended, its first stage that has not, and what it waits for."""
    job, stage = (int(i) for i in np.argwhere(state.end.reshape(plan.jobs, -1) < 0)[0])
    op = job * rows.stages + stage
    lane = int(state.lane[job])
    return Deadlock(job, plan.layout.stages[stage].name, _cause(rows, wiring, state, op, lane))


def _cause(rows: engine.Rows, wiring: engine.Wiring, state: engine.State, op: int, lane: int) -> str:
    job, stage = divmod(op, rows.stages)
    if lane < 0:
        return "lane"
    if state.start[op] >= 0:
        return "upstream" if stage and state.end[op - 1] < 0 else "memory"
    if state.stations[lane * rows.stages + stage, engine.JOB] != job:
        return "order"
    if stage and state.end[op - 1] < 0:
        return "input"
    if rows.after_op.size:
        others = rows.after_op[rows.after_begin[op] : rows.after_begin[op + 1]]
        if (state.end[others] < 0).any():
            return "after"
    taken = (wiring.buffer_take == stage) & (rows.take[job] > 0)
    if (state.used[wiring.buffer[lane]] + rows.take[job] > wiring.buffer_capacity)[taken].any():
        return "buffer"
    return "unit"
