"""The plan of Sparseloop's tensor core: a job is a tile of rows and columns over all of k.

While elements work on a tile, shared memory gives its words and DRAM moves its share of the layer's words
(what is fetched meanwhile is for the tiles that follow). The next tile begins when all are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from accelsim.accelerators.sparse_tensor_core.sparseloop_traffic import Mapping, Product
from accelsim.plan import Integers, Layout, Plan, Stage

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.sparseloop import SparseloopCore

LAYOUT = Layout(
    stages=(
        Stage(name="elements"),
        Stage(name="shared memory"),
        Stage(name="fetch", port="read"),
        Stage(name="store", port="write", write=True),
    )
)


def plan_of(
    machine: SparseloopCore, products: Sequence[Product], chosen: Sequence[Mapping], counts: Sequence[int]
) -> Plan:
    """All tiles of all products; `counts`: how many equal ones of each."""
    work = [
        np.tile(_columns(product, mapping), count)
        for product, mapping, count in zip(products, chosen, counts, strict=True)
    ]
    plan = Plan(layout=LAYOUT, jobs=sum(columns.size for columns in work))
    first = address = 0
    for product, mapping, count, columns in zip(products, chosen, counts, work, strict=True):
        jobs = np.arange(first, first + columns.size)
        ends = np.concatenate([[0], np.cumsum(columns)])
        outputs = product.rows * product.columns
        plan.busy[jobs, 0] = product.steps * columns
        for column, words, pace in (
            (1, mapping.read(product), machine.shared_read_words),
            (2, mapping.fetched(product), machine.dram_read_words),
            (3, outputs, machine.dram_write_words),
        ):
            plan.busy[jobs, column] = _shares(_ceiling(count * words / pace), ends)
        for stage, name, words, sweeps in (
            ("fetch", "weights", product.weight_words, mapping.weight_fetches),
            ("fetch", "activations", product.activations, mapping.activation_fetches),
            ("store", "outputs", outputs, 1),
        ):
            bursts = _ceiling(count * words / machine.dram.burst_bytes)
            _add_sweeps(plan, stage, name, jobs, ends, address, bursts, sweeps, machine.dram.burst_bytes)
            address += bursts * machine.dram.burst_bytes
        first += columns.size
    plan.add_after("elements", np.arange(1, plan.jobs), "store", np.arange(plan.jobs - 1))
    return plan


def _columns(product: Product, mapping: Mapping) -> Integers:
    """(tiles,): columns of each, tile of rows after tile of rows."""
    begins = np.arange(0, product.columns, mapping.columns)
    return np.tile(np.minimum(mapping.columns, product.columns - begins), product.row_tiles)


def _shares(total: int, ends: Integers) -> Integers:
    """`total` dealt out by the columns that lie before each of `ends`, so that the shares add up to it."""
    whole, rest = divmod(total, int(ends[-1]))
    return np.diff(whole * ends - -rest * ends // int(ends[-1]))


def _add_sweeps(
    plan: Plan,
    stage: str,
    operand: str,
    jobs: Integers,
    ends: Integers,
    address: int,
    bursts: int,
    sweeps: int,
    burst_bytes: int,
) -> None:
    """Go over a region of `bursts` bursts from `address` on `sweeps` times, each job its share."""
    count = _shares(bursts * sweeps, ends)
    begin = np.cumsum(count) - count
    place = begin % bursts
    # A job moves at most one sweep, so that its share wraps around once at most.
    before = np.minimum(count, bursts - place)
    plan.add_runs(stage, jobs, address + place * burst_bytes, before, burst_bytes, operand=operand)
    plan.add_runs(stage, jobs, address, count - before, burst_bytes, operand=operand)


def _ceiling(value: float) -> int:
    return -int(-value // 1)
