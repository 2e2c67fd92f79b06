"""Memory images for SAT's machine: operands, jobs with their addresses, and results out of what was written.

A strip of weights is C columns of n: rows of C stored weights, group by group, index by index, whole tiles of
C weights along k; before each run of rows stands a line of their indices, unless the weights are dense.
Activations lie as they enter the array, beat by beat: of each row of the array a group. Where sums stay, the
lowest of R rows of m is the array's last, so that sums leave in order; where weights stay, a beat holds
for each stored weight the group that it is of.
Matrices of FP32 numbers, and results, lie in blocks of C columns, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import NM, aligned_groups
from accelsim.units.sat.jobs import Job, Product, Update, pack_job
from accelsim.units.sat.machine import HALF, Machine
from accelsim.units.step import pack, unpack

Float16 = npt.NDArray[np.float16]
Float32 = npt.NDArray[np.float32]


@dataclass
class Memory:
    """Lines by their numbers, and what is free from line `end` on."""

    parameters: Machine
    lines: dict[int, int] = field(default_factory=dict)
    end: int = 0

    def put(self, lines: npt.NDArray[Any] | list[int]) -> int:
        """Place lines, given as integers or as (lines, C) words of 16 bits; gives the first one's number."""
        first = self.end
        if isinstance(lines, np.ndarray):
            lines = [pack(words, HALF) for words in lines.tolist()]
        self.lines |= dict(enumerate(lines, first))
        self.end += len(lines)
        if self.end > 1 << self.parameters.line_address_bits:
            raise ValueError(
                f"address_bits must be more for {self.end} lines, not {self.parameters.address_bits}"
            )
        return first

    def jobs(self, jobs: list[Job]) -> int:
        """Place a list of jobs; gives its first line."""
        mask, parameters = (1 << self.parameters.line_bits) - 1, self.parameters
        packed = [pack_job(job) for job in jobs]
        return self.put(
            [
                bits >> number * parameters.line_bits & mask
                for bits in packed
                for number in range(parameters.job_lines)
            ]
        )


def grouped(code: NM, group: int) -> NM:
    """The same weights in groups of `group`, a multiple of their own M, that keep as many times N."""
    if group % code.m:
        raise ValueError(f"M must divide the array's group={group}, not {code.m}")
    ratio = group // code.m
    missing = -code.values.shape[1] % ratio
    filler = np.broadcast_to(np.arange(code.n, dtype=code.indices.dtype), (len(code.values), missing, code.n))
    values = np.pad(code.values, ((0, 0), (0, missing), (0, 0)))
    indices = (
        np.concatenate([code.indices, filler], axis=1)
        + np.tile(np.arange(ratio, dtype=code.indices.dtype) * code.m, values.shape[1] // ratio)[:, None]
    )
    shape = (len(values), -1, ratio * code.n)
    return NM(
        n=ratio * code.n,
        m=group,
        length=code.length,
        values=values.reshape(shape),
        indices=indices.reshape(shape),
    )


def dense(weights: Float16, group: int) -> NM:
    """Dense weights (n, k) as the array takes them: groups of which all are kept."""
    values = aligned_groups(weights, group)
    indices = np.broadcast_to(np.arange(group, dtype=np.uint16), values.shape)
    return NM(n=group, m=group, length=weights.shape[1], values=values, indices=indices)


def product(
    memory: Memory,
    activations: Float16,
    code: NM,
    *,
    word: int,
    narrow: bool = True,
    north: int | None = None,
) -> Product:
    """Images and job of activations (m, k) times weights (n, k) in groups of the array's own M.

    word: the scheduler's; its bit 0 says what stays. narrow: results are FP16, else FP32. north: where the
    weights lie already, as an update writes them; else they are placed.
    """
    parameters, stationary = memory.parameters, bool(word & 1)
    if activations.shape[1] != code.length or code.m != parameters.group:
        raise ValueError(
            f"a product must be of (m, {code.length}) and groups of {parameters.group}, "
            f"not {activations.shape} and {code.m}"
        )
    groups = aligned_groups(activations.view(np.uint16), code.m)
    cut = _weights_stay(parameters, groups, code.n) if stationary else _sums_stay(parameters, groups, code.n)
    slots = 1 if stationary else parameters.interleave
    columns = -(-len(code.values) // (parameters.cols * slots))
    strip = strip_lines(parameters, code.values.shape[1], code.n)
    north_lines = _with_indices(parameters, cut.north_rows, code.n)
    if north is None:
        image = strips(parameters, code, columns * slots)
        # The last transfer of the last strip may go on behind it.
        behind = max(0, north_lines * cut.chunks - strip)
        north = memory.put(np.pad(image, ((0, behind), (0, 0))))
    out_lines = cut.out_rows * (1 if narrow else 2)
    blank = np.zeros((columns * slots * cut.row_tiles * out_lines, parameters.cols), np.uint16)
    return Product(
        word=word,
        narrow=narrow,
        dense=code.n == code.m,
        kept=code.n,
        run=parameters.run(code.n),
        beats=cut.beats,
        last_beats=cut.last_beats,
        fold_beats=cut.fold_beats,
        folds=cut.row_tiles * columns * (cut.chunks if stationary else 1),
        row_tiles=cut.row_tiles,
        column_tiles=columns,
        chunks=cut.chunks,
        uses=columns if cut.chunks == 1 else 1,
        last_rows=cut.last_rows,
        slot_rows=0 if stationary else cut.north_rows,
        west_lines=cut.beats * parameters.beat_lines,
        north_lines=north_lines,
        out_lines=out_lines,
        west_row=cut.chunks * cut.beats * parameters.beat_lines,
        north_slot=strip,
        out_slot=cut.row_tiles * out_lines,
        west=memory.put(_beats(parameters, cut.west)),
        north=north,
        out=memory.put(blank),
    )


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A product in row tiles and chunks. west: (beats of all, R, M) words as they enter.

    north_rows: rows of weights that a chunk reads of a strip; out_rows: rows of sums that a tile writes.
    """

    west: npt.NDArray[np.uint16]
    row_tiles: int
    chunks: int
    beats: int
    last_beats: int
    fold_beats: int
    north_rows: int
    out_rows: int
    last_rows: int = 0


def _sums_stay(parameters: Machine, groups: npt.NDArray[np.uint16], kept: int) -> _Cut:
    """Equal chunks of whole tiles along k, as many as buffers need."""
    rows, tile, count = parameters.rows, parameters.tile_groups, groups.shape[1]
    chunks = -(-count // (parameters.depth // tile * tile))
    each = -(-count // chunks)
    beats = count if chunks == 1 else -(-each // tile) * tile
    chunks = -(-count // beats)
    tiles = -(-len(groups) // rows)
    padded = np.pad(groups, ((0, tiles * rows - len(groups)), (0, chunks * beats - count), (0, 0)))
    west = padded.reshape(tiles, rows, chunks * beats, -1)[:, ::-1].transpose(0, 2, 1, 3)
    return _Cut(
        west=west.reshape(-1, *west.shape[2:]),
        row_tiles=tiles,
        chunks=chunks,
        beats=beats,
        last_beats=count - (chunks - 1) * beats,
        fold_beats=count,
        north_rows=-(-beats // tile) * tile * kept,
        out_rows=rows,
    )


def _weights_stay(parameters: Machine, groups: npt.NDArray[np.uint16], kept: int) -> _Cut:
    """Equal blocks of rows of m, as many as buffers need; a chunk is what the array's rows hold of k."""
    rows, stored = parameters.rows, groups.shape[1] * kept
    tiles = -(-len(groups) // parameters.depth)
    beats = -(-len(groups) // tiles)
    chunks = -(-stored // rows)
    padded = np.pad(
        groups, ((0, tiles * beats - len(groups)), (0, -(-chunks * rows // kept) - groups.shape[1]), (0, 0))
    )
    spread = padded[:, np.arange(chunks * rows) // kept].reshape(tiles, beats, chunks, rows, -1)
    west = spread.transpose(0, 2, 1, 3, 4)
    return _Cut(
        west=west.reshape(-1, *west.shape[3:]),
        row_tiles=tiles,
        chunks=chunks,
        beats=beats,
        last_beats=beats,
        fold_beats=beats,
        north_rows=rows,
        out_rows=beats,
        last_rows=stored - (chunks - 1) * rows,
    )


def _beats(parameters: Machine, west: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Lines of beats (beats, R, M), each in whole lines."""
    flat = west.reshape(len(west), -1)
    padded = np.pad(flat, ((0, 0), (0, parameters.beat_lines * parameters.cols - flat.shape[1])))
    return padded.reshape(-1, parameters.cols)


def strips(parameters: Machine, code: NM, count: int) -> npt.NDArray[np.uint16]:
    """Lines of `count` strips; columns and tiles that are missing are zeros."""
    cols, run, bits = parameters.cols, parameters.run(code.n), parameters.stored_index_bits
    missing = (
        (0, count * cols - len(code.values)),
        (0, -code.values.shape[1] % parameters.tile_groups),
        (0, 0),
    )
    values, indices = np.pad(code.values.view(np.uint16), missing), np.pad(code.indices, missing)

    def rows(array: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        return array.reshape(count, cols, -1).transpose(0, 2, 1)

    if code.n == code.m:
        return rows(values).reshape(-1, cols)
    # Indices of a run lie one behind the other, in words of a line.
    per_word = HALF // bits
    runs = rows(indices).reshape(-1, run * cols)
    whole = np.pad(runs, ((0, 0), (0, per_word * cols - run * cols))).reshape(-1, cols, per_word)
    words = (whole << bits * np.arange(per_word, dtype=np.uint16)).sum(axis=-1, dtype=np.uint16)
    together = np.concatenate([words[:, None], rows(values).reshape(-1, run, cols)], axis=1)
    return together.reshape(-1, cols)


def strip_lines(parameters: Machine, groups: int, kept: int) -> int:
    """Lines of a strip of so many groups."""
    tiles = -(-groups // parameters.tile_groups)
    return _with_indices(parameters, tiles * parameters.tile_groups * kept, kept)


def _with_indices(parameters: Machine, rows: int, kept: int) -> int:
    return rows if kept == parameters.group else rows + rows // parameters.run(kept)


def blocks(parameters: Machine, matrix: Float32, rows: int) -> npt.NDArray[np.uint16]:
    """Lines of a matrix of FP32 numbers in blocks of C columns, padded to `rows` rows."""
    cols = parameters.cols
    padded = np.pad(matrix, ((0, rows - len(matrix)), (0, -matrix.shape[1] % cols)))
    words = padded.reshape(rows, -1, cols).transpose(1, 0, 2)
    return np.ascontiguousarray(words).view(np.uint16).reshape(-1, cols)


def update(
    memory: Memory, gradients: Product, weights: Float32, velocities: Float32, *, forward: int, backward: int
) -> Update:
    """Images and job of an update behind the product that writes its gradients, (k, n) as the weights.

    forward, backward: where the compact copies lie; k must be whole tiles.
    """
    parameters, cols = memory.parameters, memory.parameters.cols
    rows, kept = gradients.row_tiles * gradients.out_lines // 2, parameters.kept
    if gradients.narrow or weights.shape[0] % cols or weights.shape[0] > rows:
        raise ValueError(
            f"gradients must be FP32, in whole tiles of {cols} rows, not narrow={gradients.narrow}, "
            f"{weights.shape[0]} of {rows} rows"
        )
    tiles, across = weights.shape[0] // cols, -(-weights.shape[1] // cols)
    tile_lines = _with_indices(parameters, parameters.tile_groups * kept, kept)
    return Update(
        run=parameters.run(kept),
        tile_lines=tile_lines,
        tiles=tiles,
        blocks=across,
        pitch=2 * rows,
        forward_block=tiles * tile_lines,
        backward_block=across * tile_lines,
        gradients=gradients.out,
        weights=memory.put(blocks(parameters, weights, rows)),
        velocities=memory.put(blocks(parameters, velocities, rows)),
        forward=forward,
        backward=backward,
    )


def matrix(
    parameters: Machine,
    lines: Mapping[int, int],
    first: int,
    *,
    rows: int,
    columns: int,
    pitch: int,
    narrow: bool,
) -> npt.NDArray[Any]:
    """The matrix (rows, columns) of FP16 (narrow) or FP32 numbers that lies in blocks of `pitch` lines."""
    cols, each = parameters.cols, 1 if narrow else 2
    found = [
        [
            unpack(lines[first + block * pitch + row * each + half], HALF, cols)
            for row in range(rows)
            for half in range(each)
        ]
        for block in range(-(-columns // cols))
    ]
    words = np.array(found, np.uint16).reshape(len(found), rows, -1)
    numbers = words.view(np.float16 if narrow else np.float32)
    return numbers.transpose(1, 0, 2).reshape(rows, -1)[:, :columns]
