"""Products too large for every line of every k-step: some of their waves, and the first steps of each block.

A wave finds in the L2 what the waves before it left there; how much of its operands that is, is counted for
every wave. Two windows of waves are simulated, with the L2 as it would be, and weighted so that as many waves
and as many bytes from DRAM as the product has stand for it: time is taken to be linear in what a wave misses.
The last part of a wave is simulated for itself. Where the operands of a wave are more than the L2 holds,
nothing is left for the next, and time is linear in k-steps, too: a window is simulated at two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from accelsim.accelerators.sparse_tensor_core.grids import Grid, Part, grid_of
from accelsim.accelerators.sparse_tensor_core.residues import fresh_bytes, held_at_start, held_before
from accelsim.accelerators.sparse_tensor_core.rows import plan_of
from accelsim.plan import Integers
from accelsim.samples import Sample
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

LEAST_STEPS = 32
WINDOWS = 2


class _Window(NamedTuple):
    """Tiles `first` to before `first` + `tiles`, and how often they count."""

    first: int
    tiles: int
    weight: float


def samples(kernel: Kernel, products: tuple[Matmul, ...], most_bursts: int) -> tuple[Sample, ...]:
    """The plans whose weighted sum stands for all products; one plan of weight 1 if that is small enough."""
    if not most_bursts or sum(_lines(kernel, grid_of(kernel, p)) for p in products) <= most_bursts:
        plan = plan_of(kernel, products)
        return (Sample(plan=plan, weight=1.0, held=held_at_start(kernel, products)),)
    found: list[Sample] = []
    for product in products:
        found += _Product(kernel=kernel, product=product, most=most_bursts // len(products)).samples()
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Product:
    """One product of a kernel, of which about `most` lines may be simulated."""

    kernel: Kernel
    product: Matmul
    most: int

    @property
    def grid(self) -> Grid:
        return grid_of(self.kernel, self.product)

    @property
    def forgets(self) -> bool:
        """Are a wave's operands more than the L2 holds?"""
        kernel, grid = self.kernel, self.grid
        return kernel.wave_bytes(grid.tall, grid.wide) * grid.deep > kernel.core.l2.bytes

    def samples(self) -> Iterator[Sample]:
        """Each window at each number of k-steps."""
        windows = tuple(self.windows())
        lines = sum(window.tiles for window in windows) * self.grid.splits * _step_lines(self.kernel)
        for window in windows:
            for steps, share in self.steps(lines):
                part = Part(first=window.first, tiles=window.tiles, steps=steps)
                yield Sample(
                    plan=plan_of(self.kernel, (self.product,), part),
                    weight=window.weight * share,
                    held=self.held(window.first),
                )

    def held(self, first: int) -> Integers | None:
        """What the L2 has when this tile begins."""
        if first == 0:
            return held_at_start(self.kernel, (self.product,))
        return None if self.forgets else held_before(self.kernel, self.product, self.grid, first)

    def steps(self, lines: int) -> tuple[tuple[int, float], ...]:
        """Numbers of k-steps and their weights; `lines`: of one k-step of all windows."""
        deep = self.grid.block_steps
        longer = max(LEAST_STEPS, 3 * self.most // (4 * lines))
        if longer >= deep or not (self.forgets or self.grid.splits > 1):
            return ((deep, 1.0),)
        return _along((longer // 3, longer), deep)

    def windows(self) -> Iterator[_Window]:
        """Of full waves those whose misses are as those of the lower and of the upper half; and the rest."""
        kernel, grid = self.kernel, self.grid
        slots = kernel.slots
        waves, rest = divmod(grid.tiles, slots) if grid.splits == 1 else (0, grid.tiles)
        if rest:
            yield _Window(waves * slots, rest, 1.0)
        wave_lines = slots * grid.block_steps * _step_lines(kernel)
        room = self.most - rest * grid.block_steps * _step_lines(kernel)
        together = 1 if self.forgets else max(1, room // (WINDOWS * wave_lines))
        if waves <= WINDOWS * together:
            if waves:
                yield _Window(0, waves * slots, 1.0)
            return
        fresh = fresh_bytes(kernel, self.product, grid)
        count = waves // together
        missed = fresh[: count * together].reshape(count, together).sum(axis=1)
        for number, weight in _two(missed, waves / together, float(fresh.sum())):
            yield _Window(number * together * slots, together * slots, weight)


def _two(missed: Integers, count: float, total: float) -> Iterator[tuple[int, float]]:
    """Two windows with weights that sum to `count`, and with their misses to `total`."""
    order = np.argsort(missed, kind="stable")
    halves = np.array_split(order, WINDOWS)
    low, high = (int(half[np.abs(missed[half] - missed[half].mean()).argmin()]) for half in halves)
    if not missed[low] <= total / count <= missed[high]:
        low, high = int(order[0]), int(order[-1])
    spread = int(missed[high] - missed[low])
    share = (total / count - missed[low]) / spread if spread else 0.5
    share = min(1.0, max(0.0, float(share)))
    yield low, count * (1 - share)
    yield high, count * share


def _along(places: tuple[int, int], at: int) -> tuple[tuple[int, float], ...]:
    """Weights of two places on a line so that they give its value at another."""
    low, high = places
    share = (at - low) / (high - low)
    return (low, 1 - share), (high, share)


def _lines(kernel: Kernel, grid: Grid) -> int:
    """Lines of the L2 that all k-steps ask for."""
    return grid.tiles * grid.deep * _step_lines(kernel)


def _step_lines(kernel: Kernel) -> int:
    return sum(-(-asked // kernel.core.l2.line_bytes) for asked in kernel.asked_bytes)
