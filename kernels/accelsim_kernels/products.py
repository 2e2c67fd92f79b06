"""Products of N:M weights and dense activations: one row (GEMV) to hundreds, in float32 or int32 sums.

Every output is a lane. A look-up brings sixteen activations at once, so that a kept value costs one look-up
and one multiply-add, and memory moves values and indices alone. Rows go in eights, fours and ones; the
reduced axis in chunks whose activations stay in the second-level cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim_kernels.compiled import inlined, kernel, parallel, threads
from accelsim_kernels.lanes import (
    WIDTH,
    added,
    load,
    loads,
    multiplied,
    multiplied_wide,
    shifted,
    store,
    zeros,
)
from accelsim_kernels.packing import Packed

Array = npt.NDArray[Any]

CHUNK_ROWS = 64
CHUNK_COLUMNS = 1024
"""Activations of a chunk: 256 KB in float32, a quarter of a second-level cache."""

SERIAL_BYTES = 1 << 21
"""Weights times rows below which threads cost more than they save: on a virtual machine one that sleeps wakes
after 100 us and more, and by then a core alone has gone through a megabyte."""

MOST_INT8_COLUMNS = (2**31 - 1) // 2**14
"""Products of two int8 that an int32 sum always holds."""

EIGHT, FOUR, ONE = (0,) * 8, (0,) * 4, (0,)


def matmul(weights: Packed, activations: Array) -> Array:
    """activations (rows, length) times weights (outputs, length): (rows, outputs).

    int8 weights take int8 activations and give exact int32; all others take float16 or float32 and give
    float32, summed in an order of our own: |error| <= `error_bound`. ValueError for shapes that do not fit.
    """
    pattern = weights.pattern
    if activations.ndim != 2 or activations.shape[1] != pattern.length:
        raise ValueError(
            f"activations must be (rows, {pattern.length}) as the weights, not of shape {activations.shape}"
        )
    sums = np.int32 if weights.element == "int8" else np.float32
    _check_element(weights, activations)
    rows = activations.shape[0]
    total = np.zeros((rows, weights.blocks * WIDTH), sums)
    if total.size and pattern.slots:
        _accumulate(weights, _readable(activations, pattern.padded, sums), total)
    return total[:, : weights.outputs]


def error_bound(weights: Packed, activations: Array, magnitudes: Array) -> npt.NDArray[np.float64]:
    """Largest difference of a float product from the exact one, where `magnitudes` is sum |a||w|.

    At most one rounding for each product and each addition, and two for the halves of a row's sum.
    """
    return magnitudes * np.expm1((2 * weights.pattern.slots + 2) * np.log1p(2.0**-24))


def _check_element(weights: Packed, activations: Array) -> None:
    allowed = (np.int8,) if weights.element == "int8" else (np.float32, np.float16)
    if activations.dtype not in allowed:
        names = " or ".join(np.dtype(kind).name for kind in allowed)
        raise ValueError(f"activations of {weights.element} weights must be {names}, not {activations.dtype}")
    if weights.element == "int8" and weights.pattern.slots > MOST_INT8_COLUMNS:
        raise ValueError(
            f"int8 weights must keep at most {MOST_INT8_COLUMNS} of a row, not {weights.pattern.slots}"
        )


def _readable(activations: Array, columns: int, sums: Any) -> Array:
    """Flat rows of `columns` elements of the sums' type, zeros behind the last; no copy where none is due."""
    if activations.dtype == sums and activations.shape[1] == columns and activations.flags.carray:
        return activations.reshape(-1)
    padded = np.zeros((activations.shape[0], columns), sums)
    length = min(columns, activations.shape[1])
    padded[:, :length] = activations[:, :length]
    return padded.reshape(-1)


class _Shape(NamedTuple):
    """What kernels know of a product beside its arrays; `padded`: activations of a row."""

    rows: int
    blocks: int
    tables: int
    per_table: int
    stride: int
    words: int
    padded: int
    wide: int


def _accumulate(weights: Packed, flat: Array, total: Array) -> None:
    pattern, rows = weights.pattern, total.shape[0]
    shape = _Shape(
        rows,
        weights.blocks,
        pattern.tables,
        pattern.slots_per_table,
        pattern.stride,
        pattern.words,
        pattern.padded,
        pattern.wide,
    )
    arrays = (weights.values, weights.words, flat, total.reshape(-1))
    if weights.nbytes * rows < SERIAL_BYTES:
        _part(*arrays, shape, 0, rows, 0, weights.blocks)
    else:
        _threaded(*arrays, shape, threads())


@parallel
def _threaded(values, words, flat, total, shape, parts):
    row_parts = (shape.rows + CHUNK_ROWS - 1) // CHUNK_ROWS
    for part in prange(row_parts * parts):
        first, cut = part % row_parts * CHUNK_ROWS, part // row_parts
        end = min(shape.rows, first + CHUNK_ROWS)
        blocks = shape.blocks * cut // parts, shape.blocks * (cut + 1) // parts
        _part(values, words, flat, total, shape, first, end, blocks[0], blocks[1])


@kernel
def _part(values, words, flat, total, shape, first, end, block_first, block_end):
    """Rows first to end of some blocks, chunk by chunk of the reduced axis."""
    step = shape.tables if end - first == 1 else max(1, CHUNK_COLUMNS // shape.stride)
    for table in range(0, shape.tables, step):
        tables = table, min(shape.tables, table + step)
        for block in range(block_first, block_end):
            row = first
            while row < end:
                if shape.wide:
                    _tile_wide(values, words, flat, total, shape, block, row, tables, ONE)
                    row += 1
                elif end - row >= 8:
                    _tile(values, words, flat, total, shape, block, row, tables, EIGHT)
                    row += 8
                elif end - row >= 4:
                    _tile(values, words, flat, total, shape, block, row, tables, FOUR)
                    row += 4
                else:
                    _tile(values, words, flat, total, shape, block, row, tables, ONE)
                    row += 1


@inlined
def _tile(values, words, flat, total, shape, block, row, tables, like):
    """As many rows as `like` is long, sixteen outputs, the tables from one to another: added to `total`."""
    slot = tables[0] * shape.per_table
    value = (block * shape.tables * shape.per_table + slot) * WIDTH
    word = block * shape.words * WIDTH
    # Two chains of sums, or each multiply-add would wait for the one before.
    even, odd = zeros(total, like), zeros(total, like)
    for table in range(tables[0], tables[1]):
        activations = loads(flat, row * shape.padded + table * shape.stride, shape.padded, like)
        for _ in range(shape.per_table >> 1):
            index = shifted(load(words, word + (slot >> 3) * WIDTH), 4 * (slot & 7))
            even = multiplied(even, activations, index, load(values, value))
            slot += 1
            index = shifted(load(words, word + (slot >> 3) * WIDTH), 4 * (slot & 7))
            odd = multiplied(odd, activations, index, load(values, value + WIDTH))
            slot += 1
            value += 2 * WIDTH
        if shape.per_table & 1:
            index = shifted(load(words, word + (slot >> 3) * WIDTH), 4 * (slot & 7))
            even = multiplied(even, activations, index, load(values, value))
            slot += 1
            value += WIDTH
    _add(total, shape, block, row, added(even, odd), like)


@inlined
def _tile_wide(values, words, flat, total, shape, block, row, tables, like):
    """`_tile` for groups of 17 to 32, with six indices of 5 bits a word."""
    slot = tables[0] * shape.per_table
    value = (block * shape.tables * shape.per_table + slot) * WIDTH
    word = block * shape.words * WIDTH
    sums = zeros(total, like)
    for table in range(tables[0], tables[1]):
        at = row * shape.padded + table * shape.stride
        lower = loads(flat, at, shape.padded, like)
        upper = loads(flat, at + WIDTH, shape.padded, like)
        for _ in range(shape.per_table):
            index = shifted(load(words, word + slot // 6 * WIDTH), 5 * (slot % 6))
            sums = multiplied_wide(sums, lower, upper, index, load(values, value))
            slot += 1
            value += WIDTH
    _add(total, shape, block, row, sums, like)


@inlined
def _add(total, shape, block, row, sums, like):
    at, step = (row * shape.blocks + block) * WIDTH, shape.blocks * WIDTH
    sums = added(sums, loads(total, at, step, like))
    for index in range(len(like)):
        store(total, at + index * step, sums[index])
