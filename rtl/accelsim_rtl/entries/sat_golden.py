"""What golden makes of a list of SAT's jobs: operands are read out of memory as the formats say.

No image is asked for what it was made of: addresses, indices and rows are those of the job.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.floating import canonical
from accelsim.golden.formats import NM, reduce_nm
from accelsim.golden.matmul import matmul_nm
from accelsim.golden.momentum import step
from accelsim.units.sat.images import strips
from accelsim.units.sat.jobs import Job, Product, Update, unpack_job
from accelsim.units.sat.machine import HALF, JOB_BITS, Machine
from accelsim.units.step import pack, unpack

Lines = dict[int, int]
Words = npt.NDArray[Any]


def jobs_of(parameters: Machine, lines: Lines, first: int, count: int) -> list[Job]:
    """The jobs of a list in memory."""
    whole = parameters.job_lines
    return [
        unpack_job(
            pack([lines[place + number] for number in range(whole)], parameters.line_bits)
            & (1 << JOB_BITS) - 1
        )
        for place in range(first, first + count * whole, whole)
    ]


def run(parameters: Machine, lines: Lines, jobs: list[Job]) -> Lines:
    """The lines that jobs write; those of one are there for the next."""
    written: Lines = {}
    for job in jobs:
        work = _product if isinstance(job, Product) else _update
        found = work(parameters, lines | written, job)  # type: ignore[operator]
        written |= found
    return written


def _product(parameters: Machine, lines: Lines, job: Product) -> Lines:
    slots = 1 if job.stationary else parameters.interleave
    activations = (_streamed if job.stationary else _staying)(parameters, lines, job)
    groups = activations.shape[1]
    codes = [
        _strip(parameters, lines, job, job.north + number * job.north_slot, groups)
        for number in range(job.column_tiles * slots)
    ]
    values, indices = (np.concatenate(parts) for parts in zip(*codes, strict=True))
    code = NM(
        n=job.kept, m=parameters.group, length=groups * parameters.group, values=values, indices=indices
    )
    with np.errstate(all="ignore"):
        sums = matmul_nm(activations.reshape(len(activations), -1), code)
        words = canonical(sums.astype(np.float16) if job.narrow else sums)
    return _blocks(parameters, words, job.out, job.out_slot, 1 if job.narrow else 2)


def _staying(parameters: Machine, lines: Lines, job: Product) -> Words:
    """(m, groups, M) activations of sums that stay: a beat is a group of R rows, the lowest one last."""
    tiles = []
    for tile in range(job.row_tiles):
        beats = [
            _beat(parameters, lines, job.west + tile * job.west_row + beat * parameters.beat_lines)
            for beat in range(job.fold_beats)
        ]
        tiles.append(np.stack(beats, axis=1)[::-1])
    return np.concatenate(tiles)


def _streamed(parameters: Machine, lines: Lines, job: Product) -> Words:
    """(m, groups, M) activations of weights that stay: a beat is a row of m."""
    stored = (job.chunks - 1) * parameters.rows + job.last_rows
    places = range(0, stored, job.kept)
    rows = []
    for tile in range(job.row_tiles):
        for beat in range(job.beats):
            groups = []
            for place in places:
                chunk, row = divmod(place, parameters.rows)
                first = job.west + tile * job.west_row + chunk * job.west_lines
                groups.append(_beat(parameters, lines, first + beat * parameters.beat_lines)[row])
            rows.append(groups)
    return np.array(rows)


def _beat(parameters: Machine, lines: Lines, first: int) -> Words:
    """(R, M) activations of a beat."""
    words = [
        word
        for number in range(parameters.beat_lines)
        for word in unpack(lines[first + number], HALF, parameters.cols)
    ]
    flat = np.array(words[: parameters.rows * parameters.group], np.uint16)
    return flat.view(np.float16).reshape(parameters.rows, parameters.group)


def _strip(parameters: Machine, lines: Lines, job: Product, first: int, groups: int) -> tuple[Words, Words]:
    """(C, groups, N) values and indices of a strip."""
    cols, bits = parameters.cols, parameters.stored_index_bits
    values, indices = [], []
    for row in range(groups * job.kept):
        turn, place = divmod(row, job.run)
        head = first + turn * (job.run + 1)
        values.append(unpack(lines[first + row if job.dense else head + 1 + place], HALF, cols))
        found = lines[head] >> place * cols * bits
        indices.append([row % parameters.group] * cols if job.dense else unpack(found, bits, cols))
    shape = (cols, groups, job.kept)
    return (
        np.array(values, np.uint16).T.reshape(shape).view(np.float16),
        np.array(indices, np.uint16).T.reshape(shape),
    )


def _blocks(parameters: Machine, words: Words, first: int, pitch: int, each: int) -> Lines:
    """Lines of a matrix of 16 or 32-bit words in blocks of C columns; a row is `each` lines."""
    cols, found = parameters.cols, {}
    for block in range(words.shape[1] // cols):
        for row, numbers in enumerate(words[:, block * cols : (block + 1) * cols].tolist()):
            packed = pack(numbers, HALF * each)
            for half in range(each):
                place = first + block * pitch + row * each + half
                found[place] = packed >> half * parameters.line_bits & (1 << parameters.line_bits) - 1
    return found


def _update(parameters: Machine, lines: Lines, job: Update) -> Lines:
    cols, rows = parameters.cols, job.tiles * parameters.cols
    operands = [
        _matrix(parameters, lines, job, first) for first in (job.gradients, job.weights, job.velocities)
    ]
    kept = np.zeros(operands[0].shape, np.bool_)
    weights, velocities, copies = (
        canonical(numbers) for numbers in step(parameters.constants, *operands, kept)
    )
    found = _blocks(parameters, weights, job.weights, job.pitch, 2)
    found |= _blocks(parameters, velocities, job.velocities, job.pitch, 2)
    for words, first, pitch in (
        (copies.T, job.forward, job.forward_block),
        (copies, job.backward, job.backward_block),
    ):
        code = reduce_nm(np.ascontiguousarray(words), parameters.kept, parameters.group)
        image = strips(parameters, code, len(words) // cols)
        assert len(image) == len(words) // cols * pitch
        assert rows
        found |= {first + place: pack(line, HALF) for place, line in enumerate(image.tolist())}
    return found


def _matrix(parameters: Machine, lines: Lines, job: Update, first: int) -> Words:
    """(k, n) FP32 numbers of whole tiles, in blocks of C columns."""
    found = [
        unpack(lines[first + block * job.pitch + line], HALF, parameters.cols)
        for block in range(job.blocks)
        for line in range(2 * job.tiles * parameters.cols)
    ]
    words = np.array(found, np.uint16).reshape(job.blocks, job.tiles * parameters.cols, -1).view(np.float32)
    return words.transpose(1, 0, 2).reshape(words.shape[1], -1)
