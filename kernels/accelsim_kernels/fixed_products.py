"""Exact products of integers of up to 16 bits: Linear layers and scores in fixed point.

Sixteen outputs are lanes, and a word of each holds two neighbours of the reduced axis, so that one
instruction multiplies and adds 32 numbers. Word p of block b lies at words[(b x pairs + p) x 16 + lane].
Sums of 32 bits go to 64 bits before they could overflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim_kernels.compiled import inlined, kernel, parallel, threads
from accelsim_kernels.lanes import WIDTH, add_long, load, paired, zeros
from accelsim_kernels.packing import READABLE

Array = npt.NDArray[Any]

CHUNK_ROWS = 32
SERIAL_PRODUCTS = 1 << 18
"""Products below which starting threads costs more than they save."""

EIGHT, ONE = (0,) * 8, (0,)


def pack_pairs(operand: Array) -> npt.NDArray[np.int32]:
    """(..., outputs, length) integers within 16 bits to words (..., blocks, pairs, 16)."""
    *outer, outputs, length = operand.shape
    blocks, pairs = -(-outputs // WIDTH), -(-length // 2)
    padded = np.zeros((*outer, blocks * WIDTH, pairs * 2), np.int16)
    padded[..., :outputs, :length] = operand
    split = padded.reshape(*outer, blocks, WIDTH, pairs, 2).swapaxes(-3, -2)
    return np.ascontiguousarray(split).view(np.int32)[..., 0]


def pairs_of(rows: Array) -> npt.NDArray[np.int32]:
    """(..., length) integers within 16 bits to (..., pairs) words of two neighbours."""
    length = rows.shape[-1]
    padded = np.zeros((*rows.shape[:-1], length + length % 2), np.int16)
    padded[..., :length] = rows
    return padded.view(np.int32)


def safe_pairs(left: Array, right: Array) -> int:
    """How many pairs a 32-bit sum holds, whatever the products of these two operands are; at least 1.

    ValueError for numbers beyond 16 bits, whose pair of products alone would not fit.
    """
    largest = 1
    for operand in (left, right):
        reach = max(abs(int(operand.min(initial=0))), abs(int(operand.max(initial=0))), 1)
        if reach >= 1 << 15:
            raise ValueError(f"operands must be within +-{(1 << 15) - 1}, not reach {reach}")
        largest *= reach
    return max(1, ((1 << 31) - 1) // (2 * largest))


def matmul_fixed(
    activations: Array, words: npt.NDArray[np.int32], outputs: int, safe: int
) -> npt.NDArray[np.int64]:
    """activations (rows, length) times packed weights: exact sums (rows, outputs), as `matmul_integer`.

    words: of `pack_pairs`, (blocks, pairs, 16); safe: of `safe_pairs`. ValueError if the lengths differ.
    """
    pairs = pairs_of(activations)
    if activations.ndim != 2 or pairs.shape[1] != words.shape[1]:
        raise ValueError(
            f"activations must have {2 * words.shape[1]} columns (or one less), not shape {activations.shape}"
        )
    rows, blocks = activations.shape[0], words.shape[0]
    total = np.zeros((rows, blocks * WIDTH), np.int64)
    arrays = (pairs.reshape(-1), np.require(words, requirements=READABLE).reshape(-1), total.reshape(-1))
    shape = (rows, blocks, words.shape[1])
    if rows * words.size < SERIAL_PRODUCTS:
        _part(*arrays, shape, safe, 0, rows, 0, blocks)
    else:
        _threaded(*arrays, shape, safe, threads())
    return total[:, :outputs]


@parallel
def _threaded(pairs, words, total, shape, safe, parts):
    rows, blocks, _ = shape
    row_parts = (rows + CHUNK_ROWS - 1) // CHUNK_ROWS
    for part in prange(row_parts * parts):
        first, cut = part % row_parts * CHUNK_ROWS, part // row_parts
        end = min(rows, first + CHUNK_ROWS)
        _part(
            pairs, words, total, shape, safe, first, end, blocks * cut // parts, blocks * (cut + 1) // parts
        )


@kernel
def _part(pairs, words, total, shape, safe, first, end, block_first, block_end):
    """Rows first to end of some blocks."""
    blocks, count = shape[1], shape[2]
    for block in range(block_first, block_end):
        row = first
        while row < end:
            at, to = row * count, (row * blocks + block) * WIDTH
            if end - row >= 8:
                dot(pairs, at, words, block * count * WIDTH, total, to, count, safe, blocks * WIDTH, EIGHT)
                row += 8
            else:
                dot(pairs, at, words, block * count * WIDTH, total, to, count, safe, blocks * WIDTH, ONE)
                row += 1


@inlined
def dot(pairs, at, words, word, total, to, count, safe, step, like):
    """Rows of `count` pairs, as many as `like` is long, times sixteen outputs: added to `total`."""
    for begin in range(0, count, safe):
        sums = zeros(words, like)
        for pair in range(begin, min(count, begin + safe)):
            sums = paired(sums, pairs, at + pair, count, load(words, word + pair * WIDTH))
        for row in range(len(like)):
            add_long(total, to + row * step, sums[row])
