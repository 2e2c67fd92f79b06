"""Products too large for every line of every k-step: some of their waves, and the first steps of each block.

Every full wave is taken to last as long as the mean of the first two or more, and a last part of one as long
as if it ran alone. In the number of k-steps time is linear: it is simulated at two, and followed along the
line. Where the L2 does not hold the operands of a wave, the next finds nothing of them, however few the steps
of the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from accelsim.accelerators.sparse_tensor_core.grids import Grid, Part, grid_of
from accelsim.accelerators.sparse_tensor_core.rows import plan_of
from accelsim.samples import Sample
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sparse_tensor_core.kernels import Kernel

LEAST_WAVES = 2
LEAST_STEPS = 32


class _Point(NamedTuple):
    """So many tiles and steps of a block, and how often they count."""

    tiles: int
    steps: int
    weight: float


def samples(kernel: Kernel, products: tuple[Matmul, ...], most_bursts: int) -> tuple[Sample, ...]:
    """The plans whose weighted sum stands for all products; one plan of weight 1 if that is small enough."""
    if not most_bursts or sum(_lines(kernel, grid_of(kernel, p)) for p in products) <= most_bursts:
        return (Sample(plan=plan_of(kernel, products), weight=1.0),)
    found = []
    for product in products:
        grid = grid_of(kernel, product)
        for point in _points(kernel, grid, most_bursts // len(products)):
            part = Part(tiles=point.tiles, steps=point.steps, forgets=_forgets(kernel, grid))
            found.append(Sample(plan=plan_of(kernel, (product,), part), weight=point.weight))
    return tuple(found)


def _lines(kernel: Kernel, grid: Grid) -> int:
    """Lines of the L2 that all k-steps ask for."""
    return grid.tiles * grid.deep * _step_lines(kernel)


def _step_lines(kernel: Kernel) -> int:
    return sum(-(-asked // kernel.core.l2.line_bytes) for asked in kernel.asked_bytes)


def _points(kernel: Kernel, grid: Grid, most: int) -> Iterator[_Point]:
    """Two numbers of steps of some full waves, and of the last part of one."""
    blocks = grid.tiles * grid.splits
    waves, rest = divmod(blocks, kernel.slots)
    step_lines = _step_lines(kernel)
    few = min(waves, LEAST_WAVES) if grid.splits == 1 else waves
    longer = max(LEAST_STEPS, int(3 * most / (4 * (few * kernel.slots + rest) * step_lines)))
    steps = (longer // 3, longer) if longer < grid.block_steps else (grid.block_steps,)
    if len(steps) == 1 and few < waves:
        room = most - rest * grid.block_steps * step_lines
        few = min(waves, max(few, room // (kernel.slots * grid.block_steps * step_lines)))
    for step, weight in _along(steps, grid.block_steps):
        if few == waves:
            yield _Point(grid.tiles, step, weight)
        else:
            yield _Point(few * kernel.slots, step, weight * waves / few)
            if rest:
                yield _Point(rest, step, weight)


def _along(places: tuple[int, ...], at: int) -> tuple[tuple[int, float], ...]:
    """Weights of one or two places on a line so that they give its value at another."""
    if len(places) == 1:
        return ((places[0], 1.0),)
    low, high = places
    share = (at - low) / (high - low)
    return (low, 1 - share), (high, share)


def _forgets(kernel: Kernel, grid: Grid) -> bool:
    """Are a wave's operands more than the L2 holds?"""
    return kernel.wave_bytes(grid.tall, grid.wide) * grid.deep > kernel.core.l2.bytes
