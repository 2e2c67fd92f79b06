"""A GEMM cut into equal blocks that fit SAT's buffers, each block a small GEMM of its own.

`machine` calls `tilings` and takes the best of a dataflow. Blocks keep sums on chip: weight stationary, blocks of
rows whose sums fit the output buffer; output stationary, blocks of the reduction that add to sums in the
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


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Blocks in execution order, each with how often it comes; `words` say how the GEMM was cut."""

    blocks: tuple[tuple[Folds, int], ...]
    words: str = "whole"

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

    def estimate(self, bytes_per_cycle: float) -> float:
        """Expected cycles: of a single block as `Folds.estimate`; of many what is slower, array or memory."""
        if len(self.blocks) == 1 and self.blocks[0][1] == 1:
            return self.blocks[0][0].estimate(bytes_per_cycle)
        return sum(
            times * max(folds.compute_cycles, folds.traffic_bytes / bytes_per_cycle)
            for folds, times in self.blocks
        )


def tilings(flow: str, gemm: Gemm, array: Array) -> Iterator[Tiling]:
    """The GEMM as a whole, and cut so that its sums stay on chip. Impossible ones raise ValueError on their own."""
    if flow == "ws":
        yield from _weight_stationary(gemm, array)
    else:
        yield from _output_stationary(gemm, array)


def _weight_stationary(gemm: Gemm, array: Array) -> Iterator[Tiling]:
    sums = array.cols * ACCUMULATOR_BYTES
    fitting = array.output_buffer // sums // array.rows * array.rows
    if gemm.m <= fitting or not fitting:
        yield _whole(weight_stationary(gemm, array))
    for halving in range(MOST_HALVINGS):
        rows = fitting >> halving
        if array.rows <= rows < gemm.m:
            yield _by_rows(gemm, array, "ws", rows)


def _output_stationary(gemm: Gemm, array: Array) -> Iterator[Tiling]:
    tiles = -(-gemm.m // array.rows) * -(-gemm.n // array.cols)
    if tiles <= MOST_TILES:
        yield _whole(output_stationary(gemm, array))
    else:
        columns = -(-gemm.n // array.cols)
        yield _by_rows(gemm, array, "os", max(1, MOST_TILES // columns) * array.rows)
    yield from _by_reduction(gemm, array)


def _whole(folds: Folds) -> Tiling:
    return Tiling(blocks=((folds, 1),))


def _by_rows(gemm: Gemm, array: Array, flow: str, rows: int) -> Tiling:
    """Blocks of `rows` rows of activations, the last one what is left."""
    make = {"os": output_stationary, "ws": weight_stationary}[flow]
    count, rest = divmod(gemm.m, rows)
    blocks = [(make(replace(gemm, m=rows), array), count)] if count else []
    if rest:
        blocks.append((make(replace(gemm, m=rest), array), 1))
    return Tiling(blocks=tuple(blocks), words=f"blocks of {rows} rows")


def _by_reduction(gemm: Gemm, array: Array) -> Iterator[Tiling]:
    """Panels whose sums fill at most half of the output buffer, summed up over blocks of the reduction.

    A block is as long as half of each operand's buffer holds it for the whole panel. Dense products only: a
    pruned operand is a weight, whose reduction is short.
    """
    panel = array.output_buffer // 2 // (ACCUMULATOR_BYTES * gemm.n) // array.rows * array.rows
    panel = min(panel, gemm.m)
    if gemm.kept != gemm.group or panel < min(array.rows, gemm.m):
        return
    left = replace(array, output_buffer=array.output_buffer // 2)
    for halving in range(MOST_HALVINGS):
        rows = max(min(array.rows, gemm.m), -(-panel >> halving) // array.rows * array.rows)
        steps = min(
            int(array.activation_buffer // 2 * 8 // (gemm.fetched_bits * rows)),
            array.weight_buffer // 2 * 8 // (gemm.weight_bits * gemm.n),
        )
        if array.rows + array.cols <= steps < gemm.k:
            count, rest = divmod(gemm.m, rows)
            blocks = _reduced(replace(gemm, m=rows), left, steps, count) if count else []
            if rest:
                blocks += _reduced(replace(gemm, m=rest), left, steps, 1)
            yield Tiling(blocks=tuple(blocks), words=f"panels of {rows} rows, {steps} steps at a time")
        if rows == array.rows:
            return


def _reduced(gemm: Gemm, array: Array, steps: int, times: int) -> list[tuple[Folds, int]]:
    """One panel: blocks of `steps` along k that leave their sums on chip, and the last one, which stores them."""
    count, rest = divmod(gemm.k, steps)
    last = rest or steps
    inner = count if rest else count - 1
    whole = output_stationary(replace(gemm, k=steps), array)
    return [
        (_without_outputs(whole), inner * times),
        (output_stationary(replace(gemm, k=last), array), times),
    ]


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
