"""The optimiser's update on SAT: masters and state from memory, WUVE, SORE for the pruned copies, and back.

One plan for each weight tensor, in chunks of half the weight buffer or an eighth of
the tensor. Every stage is pipelined: while WUVE
updates a chunk, SORE reduces the one before and the next is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.accelerators.sat.reduction import Copy, copies
from accelsim.plan import Buffer, Integers, Layout, Plan, Stage
from accelsim.units import wuve
from accelsim.units.wuve import Wuve
from accelsim.workload import Update

GRADIENT_BYTES = 4
DENSE_COPY_BYTES = 2
CHUNKS, SMALLEST_CHUNK = 8, 1024  # enough of them for the stages to overlap, if they are worth it


@dataclass(frozen=True, kw_only=True)
class Updating:
    """What of the machine an update needs. `fetch_gradients`: they were stored.

    `pregenerate`: pruned copies are made here; otherwise one dense FP16 copy is stored.
    """

    wuve: Wuve
    sore_lanes: int
    transpose_buffer: bool
    pregenerate: bool
    fetch_gradients: bool
    buffer_bytes: int
    burst_bytes: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of one update: clocks of SORE by direction, bytes of the copies, bytes in and out."""

    forward_clocks: int
    backward_clocks: int
    copy_bytes: int
    read_bytes: int
    write_bytes: int


def counts(update: Update, machine: Updating) -> Counts:
    """Whole tensor. A skipped step reads its gradients, finds Inf or NaN in them, and writes nothing."""
    weights = update.parameters
    gradients = GRADIENT_BYTES * weights if machine.fetch_gradients else 0
    if update.skipped:
        return Counts(forward_clocks=0, backward_clocks=0, copy_bytes=0, read_bytes=gradients, write_bytes=0)
    forward, backward = copies(update)
    reduces = machine.pregenerate
    stored = _stored_bytes(forward, backward) if reduces else DENSE_COPY_BYTES * weights
    return Counts(
        forward_clocks=forward.clocks(machine.sore_lanes, turned=False) if reduces else 0,
        backward_clocks=backward.clocks(machine.sore_lanes, not machine.transpose_buffer) if reduces else 0,
        copy_bytes=stored,
        read_bytes=gradients + update.read_bytes,
        write_bytes=update.write_bytes + stored,
    )


def _stored_bytes(forward: Copy, backward: Copy) -> int:
    """Two dense copies are one."""
    if forward.is_dense and backward.is_dense:
        return forward.stored_bytes
    return forward.stored_bytes + backward.stored_bytes


def plan(update: Update, machine: Updating) -> Plan:
    """Chunks through fetch, WUVE, SORE and store. ValueError for a buffer that holds no weight."""
    count = counts(update, machine)
    widest = max(1, max(count.read_bytes, count.write_bytes) // update.parameters + 1)
    chunk = min(machine.buffer_bytes // 2 // widest, max(SMALLEST_CHUNK, update.parameters // CHUNKS))
    if chunk < 1:
        raise ValueError(
            f"weight_buffer must hold two weights of an update, not {machine.buffer_bytes} bytes"
        )
    jobs = -(-update.parameters // chunk)
    beats = -(-update.parameters // machine.wuve.lanes)
    made = Plan(layout=_layout(machine.buffer_bytes), jobs=jobs)
    made.whole[:, 1:] = True
    stage = made.layout.stage
    made.busy[:, stage("wuve")] = _spread(beats, jobs)
    made.drain[:, stage("wuve")] = wuve.cycles(machine.wuve, 1) - 1
    made.busy[:, stage("sore")] = _spread(count.forward_clocks + count.backward_clocks, jobs)
    moved = _spread(count.read_bytes, jobs), _spread(count.write_bytes, jobs)
    held = np.minimum(np.maximum(*moved), machine.buffer_bytes)
    made.take[:, 0] = made.give[:, 0] = held
    address = 0
    for name, sizes in zip(("fetch", "store"), moved, strict=True):
        bursts = -(-sizes // machine.burst_bytes)
        begin = address + (np.cumsum(bursts) - bursts) * machine.burst_bytes
        made.add_runs(name, np.arange(jobs), begin, bursts, machine.burst_bytes)
        address += int(bursts.sum()) * machine.burst_bytes
    return made


def _layout(buffer_bytes: int) -> Layout:
    return Layout(
        stages=(
            Stage(name="fetch", port="read"),
            Stage(name="wuve"),
            Stage(name="sore"),
            Stage(name="store", port="write", write=True),
        ),
        buffers=(Buffer(name="weights", capacity=buffer_bytes, take="fetch", give="store"),),
    )


def _spread(total: int, jobs: int) -> Integers:
    """`total` over the jobs, evenly."""
    return np.diff(total * np.arange(jobs + 1, dtype=np.int64) // jobs)
