"""A GEMM cut into equal blocks that fit SAT's buffers, each block a small GEMM of its own.

`products` tries all `cuts` and takes the best `tiling`. Blocks keep sums on chip: weight stationary, blocks
of rows whose sums fit the output buffer; output stationary, blocks of the reduction that add to sums in the
output buffer. Equal blocks are planned once and counted as often as they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from accelsim.accelerators.folds import ACCUMULATOR_BYTES, Folds, output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm

MOST_HALVINGS = 6
MOST_TILES = 4096  # of a block, where blocks are for speed alone
MAKE = {"os": output_stationary, "ws": weight_stationary}


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Blocks in execution order, each with how often it comes. `rows`, `steps`: their size; 0: all."""

    blocks: tuple[tuple[Folds, int], ...]
    rows: int = 0
    steps: int = 0

    def __str__(self) -> str:
        if self.steps:
            return f"panels of {self.rows} rows, {self.steps} steps at a time"
        return f"blocks of {self.rows} rows" if self.rows else "whole"

    @property
    def compute_cycles(self) -> int:
        """Cycles with unlimited memory."""
        return sum(folds.compute_cycles * times for folds, times in self.blocks)

    @property
    def traffic_bytes(self) -> int:
        """Bytes fetched and stored, before rounding to bursts."""
        return sum(folds.traffic_bytes * times for folds, times in self.blocks)

    def total(self, name: str) -> int:
        """Sum of a column of the folds over all blocks."""
        return sum(int(getattr(folds, name).sum()) * times for folds, times in self.blocks)

    def least_cycles(self, bytes_per_cycle: float) -> float:
        """What array and memory need each for itself."""
        return max(float(self.compute_cycles), self.traffic_bytes / bytes_per_cycle)


def cuts(flow: str, gemm: Gemm, array: Array) -> Iterator[tuple[int, int]]:
    """Sizes of blocks to try, as (rows, steps): the whole, and those that keep the sums on chip."""
    yield from _cuts_by_rows(gemm, array) if flow == "ws" else _cuts_by_reduction(gemm, array)


def tiling(flow: str, gemm: Gemm, array: Array, rows: int = 0, steps: int = 0) -> Tiling:
    """The GEMM in blocks of `rows` and `steps` (0: all). ValueError for one that the buffers cannot hold."""
    if steps:
        if flow == "ws" or not rows:
            raise ValueError("blocks of steps must be output stationary, in panels of rows")
        return _by_reduction(gemm, array, rows, steps)
    if rows and rows < gemm.m:
        return _by_rows(gemm, array, flow, rows)
    return Tiling(blocks=((MAKE[flow](gemm, array), 1),))


def _cuts_by_rows(gemm: Gemm, array: Array) -> Iterator[tuple[int, int]]:
    sums = array.cols * ACCUMULATOR_BYTES
    fitting = array.output_buffer // sums // array.rows * array.rows
    if gemm.m <= fitting or fitting <= array.rows:
        yield 0, 0
    for halving in range(MOST_HALVINGS):
        rows = (fitting >> halving) // array.rows * array.rows
        if array.rows <= rows < gemm.m:
            yield rows, 0


def _cuts_by_reduction(gemm: Gemm, array: Array) -> Iterator[tuple[int, int]]:
    """Panels whose sums fill at most half of the output buffer, summed up over blocks of the reduction.

    A block is as long as half of each operand's buffer holds it for the whole panel. Dense products only: a
    pruned operand is a weight, whose reduction is short.
    """
    columns = -(-gemm.n // array.cols)
    tiles = -(-gemm.m // array.rows) * columns
    yield (0 if tiles <= MOST_TILES else max(1, MOST_TILES // columns) * array.rows), 0
    panel = array.output_buffer // 2 // (ACCUMULATOR_BYTES * gemm.n) // array.rows * array.rows
    panel = min(panel, -(-gemm.m // array.rows) * array.rows)
    if gemm.kept != gemm.group:
        return
    for halving in range(MOST_HALVINGS):
        rows = (panel >> halving) // array.rows * array.rows
        if rows < array.rows:
            return
        steps = min(
            int(array.activation_buffer // 2 * 8 // (gemm.fetched_bits * min(rows, gemm.m))),
            int(array.weight_buffer // 2 * 8 // (gemm.weight_bits * gemm.n)),
        )
        if array.rows + array.cols <= steps < gemm.k:
            yield rows, steps


def _by_rows(gemm: Gemm, array: Array, flow: str, rows: int) -> Tiling:
    """Blocks of `rows` rows of activations, the last one what is left."""
    count, rest = divmod(gemm.m, rows)
    blocks = [(MAKE[flow](replace(gemm, m=rows), array), count)]
    if rest:
        blocks.append((MAKE[flow](replace(gemm, m=rest), array), 1))
    return Tiling(blocks=tuple(blocks), rows=rows)


def _by_reduction(gemm: Gemm, array: Array, rows: int, steps: int) -> Tiling:
    """Output stationary; half of the output buffer holds the sums of a panel from block to block."""
    if gemm.kept != gemm.group or 2 * min(rows, gemm.m) * gemm.n * ACCUMULATOR_BYTES > array.output_buffer:
        raise ValueError(
            f"a dense panel of {rows} rows must have its sums in half of output_buffer={array.output_buffer}"
        )
    left = replace(array, output_buffer=array.output_buffer // 2)
    # Steps need not end with a span, and dense weights have no groups that could straddle one.
    gemm = replace(gemm, span=0)
    count, rest = divmod(gemm.m, rows)
    blocks = _reduced(replace(gemm, m=rows), left, steps, count) if count else []
    if rest:
        blocks += _reduced(replace(gemm, m=rest), left, steps, 1)
    return Tiling(blocks=tuple(blocks), rows=rows, steps=steps)


def _reduced(gemm: Gemm, array: Array, steps: int, times: int) -> list[tuple[Folds, int]]:
    """One panel: blocks of `steps` along k that leave their sums on chip, and one that stores them."""
    count, rest = divmod(gemm.k, steps)
    last = rest or min(steps, gemm.k)
    inner = count if rest else count - 1
    whole = output_stationary(replace(gemm, k=steps), array)
    ending = output_stationary(replace(gemm, k=last), array), times
    return [(_without_outputs(whole), inner * times), ending] if inner else [ending]


def _without_outputs(folds: Folds) -> Folds:
    """Sums stay in the output buffer: read when a fold begins, written when it ends."""
    nothing = np.zeros_like(folds.outputs)
    return replace(
        folds,
        outputs=nothing,
        sums_take=nothing,
        sums_give=nothing,
        sums_moved=2 * folds.sums_take,
    )
