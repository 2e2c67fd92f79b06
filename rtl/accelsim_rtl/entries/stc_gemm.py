"""`stc.gemm` for the kit: GEMMs from memory images, what golden expects of them, and their latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.elements import numbers
from accelsim.golden.formats import select_nm
from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.golden.matmul import matmul_integer
from accelsim.golden.metadata import from_cutlass
from accelsim.golden.tensor_lane import STEPS, multiply_pass, undefined
from accelsim.golden.two_four import Codes, decode
from accelsim.units.stc import gemm as unit
from accelsim.units.stc.gemm import (
    LINE_BITS,
    LINE_BYTES,
    PASSES_OF_A_RUN,
    WORDS_OF_A_LINE,
    Job,
    pack_job,
    unpack_job,
)
from accelsim.units.stc.gemm import Gemm as Parameters
from accelsim.units.stc.images import Images, images
from accelsim.units.stc.tile import QUADS
from accelsim.units.step import pack
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.gemm import Gemm

SIZES = ((13, 9, 100, True), (30, 5, 20, False), (16, 8, 40, False), (5, 3, 7, True))
"""Rows of A, columns of B, k, and whether A is 2:4: edges in every direction."""

LARGEST_GAP = 32


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """GEMMs of several sizes, dense and 2:4, whose images lie anywhere; codes of the last one may be none."""
    drawn = drawn_images(parameters, generator, SIZES)
    spoil(drawn[-1], generator)
    return [_transaction(parameters, made) for made in drawn]


def drawn_images(
    parameters: Parameters, generator: np.random.Generator, sizes: Sequence[tuple[int, int, int, bool]]
) -> list[Images]:
    """Images of GEMMs, one behind the other with gaps.

    fp16 is drawn as weights are; its extremes are for `stc.tile`.
    """
    found, place = [], 0
    for size in sizes:
        if parameters.sparse or not size[-1]:
            operands = _operands(parameters, *size, generator)
            base = place + int(generator.integers(LARGEST_GAP))
            found.append(images(parameters, *operands, sparse=size[-1], base=base))
            place = found[-1].job.d + result_lines(found[-1].job)
    return found


def result_lines(job: Job) -> int:
    """Lines of D."""
    return job.row_tiles * job.column_tiles * ROWS * COLUMNS // WORDS_OF_A_LINE


def spoil(made: Images, generator: np.random.Generator) -> None:
    """Codes of the first line of metadata, if there is any, may be none."""
    if "codes" in made.lines:
        made.lines["codes"][0] = int.from_bytes(generator.bytes(LINE_BYTES), "little")


def _operands(
    parameters: Parameters, rows: int, columns: int, k: int, sparse: bool, generator: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    a, b = (drawn_elements(parameters, (count, k), generator) for count in (rows, columns))
    if sparse:
        kept = select_nm(generator.random(a.shape).astype(np.float32), 2, 4)
        a = np.where(kept, a, 0).astype(a.dtype)
    return a, b


def drawn_elements(
    parameters: Parameters, shape: tuple[int, int], generator: np.random.Generator
) -> npt.NDArray[Any]:
    """Raw elements."""
    if parameters.floating:
        return generator.standard_normal(shape).astype(np.float16).view(np.uint16)
    bits = parameters.element_bits
    return generator.integers(1 << bits, size=shape, dtype=f"u{bits // 8}")


def _transaction(parameters: Parameters, made: Images) -> Transaction:
    """A job, and the lines that memory answers."""
    asked = read_addresses(parameters, made.job)
    begins = {"a": made.job.a, "b": made.job.b, "codes": made.job.codes}
    answers = {
        f"{name}_lines": [made.lines[name][address - begins[name]] for address in addresses]
        for name, addresses in asked.items()
    }
    return {"jobs": [pack_job(parameters, made.job)]} | answers


def read_addresses(parameters: Parameters, job: Job) -> dict[str, list[int]]:
    """Addresses of the lines that a job reads, tile by tile and pass by pass."""
    asked: dict[str, list[int]] = {"a": [], "b": []} | ({"codes": []} if job.sparse else {})
    words = 2 if job.sparse else 1
    together = parameters.metadata_tiles
    for row_tile in range(job.row_tiles):
        for column_tile in range(job.column_tiles):
            for number in range(job.passes):
                rows = range(row_tile * ROWS, (row_tile + 1) * ROWS)
                columns = range(column_tile * COLUMNS, (column_tile + 1) * COLUMNS)
                asked["a"] += [job.a + row * job.passes + number for row in rows]
                asked["b"] += [
                    job.b + (column * job.passes + number) * words + word
                    for word in range(words)
                    for column in columns
                ]
                if job.sparse:
                    run = number // PASSES_OF_A_RUN * job.row_tiles // together + row_tile // together
                    asked["codes"] += [job.codes + run * QUADS + quad for quad in range(QUADS)]
    return asked


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The addresses of lines, and golden's product of the matrices that the images hold."""
    found: dict[str, list[int]] = {f"{name}_reads": [] for name in parameters.operands} | {"writes": []}
    for each in transactions:
        job = unpack_job(parameters, each["jobs"][0])
        asked = read_addresses(parameters, job)
        for name, addresses in asked.items():
            found[f"{name}_reads"] += addresses
        memory = {
            name: dict(zip(addresses, each[f"{name}_lines"], strict=True))
            for name, addresses in asked.items()
        }
        words, _ = product(parameters, job, memory)
        found["writes"] += writes(parameters, job, words)
    return found


def product(
    parameters: Parameters, job: Job, memory: Mapping[str, Mapping[int, int]]
) -> tuple[npt.NDArray[np.uint32], bool]:
    """Words of D of the matrices in memory, lines by their addresses, and whether a code was none.

    Of integers A is decompressed. Sums of fp16 are rounded where the lanes round them, pass by pass, and what
    is no code picks what their multiplexers do.
    """
    a = _matrix(parameters, memory["a"], job.row_tiles * ROWS)
    b = _matrix(parameters, memory["b"], job.column_tiles * COLUMNS)
    codes, doubtful, ordered = None, False, parameters.codes == "ordered"
    if job.sparse:
        words = np.frombuffer(_bytes(memory["codes"]), f"<i{parameters.form.word_bits // 8}")
        codes = from_cutlass(words.reshape(job.row_tiles * ROWS, -1), parameters.form)
        doubtful = bool(undefined(codes, ordered=ordered).any())
    if parameters.floating or doubtful:
        return _pass_by_pass(parameters, a, b, codes), doubtful
    if codes is not None:
        a = decode(a.reshape(*codes.shape, -1), codes, parameters.form)
    sums = matmul_integer(numbers(a, parameters.a_type), numbers(b, parameters.b_type))
    return (sums & 0xFFFFFFFF).astype(np.uint32), doubtful


def _pass_by_pass(
    parameters: Parameters, a: npt.NDArray[Any], b: npt.NDArray[Any], codes: Codes | None
) -> npt.NDArray[np.uint32]:
    """Tile by tile: rows of A as they are stored, with their codes if there are any."""
    rows, columns = (np.ascontiguousarray(each).view("<u4").astype(np.uint32) for each in (a, b))
    found = np.zeros((len(rows), len(columns)), np.uint32)
    passes = rows.shape[1] // STEPS
    for row in range(0, len(rows), ROWS):
        for column in range(0, len(columns), COLUMNS):
            tile = np.s_[row : row + ROWS, column : column + COLUMNS]
            for number in range(passes):
                found[tile] = multiply_pass(
                    (parameters.a_type, parameters.b_type),
                    _part(rows[row : row + ROWS], number, passes),
                    _part(columns[column : column + COLUMNS], number, passes),
                    found[tile],
                    None if codes is None else _part(codes[row : row + ROWS], number, passes),
                    ordered=parameters.codes == "ordered",
                )
    return found


def _part(matrix: npt.NDArray[Any], number: int, parts: int) -> npt.NDArray[Any]:
    """Of `parts` parts of the columns the one with this number."""
    return np.split(matrix, parts, axis=1)[number]


def _matrix(parameters: Parameters, lines: dict[int, int], rows: int) -> npt.NDArray[Any]:
    return np.frombuffer(_bytes(lines), f"u{parameters.element_bits // 8}").reshape(rows, -1)


def _bytes(lines: dict[int, int]) -> bytes:
    return b"".join(lines[address].to_bytes(LINE_BYTES, "little") for address in sorted(lines))


def writes(parameters: Parameters, job: Job, words: npt.NDArray[np.uint32]) -> list[int]:
    """Lines of D with their addresses, in the order in which they leave.

    Tile by tile, block of rows by block, column by column.
    """
    pitch = len(words) // WORDS_OF_A_LINE
    beats = []
    for row_tile in range(job.row_tiles):
        for column_tile in range(job.column_tiles):
            for first in range(row_tile * ROWS, (row_tile + 1) * ROWS, parameters.lanes):
                for column in range(column_tile * COLUMNS, (column_tile + 1) * COLUMNS):
                    for row in range(first, first + parameters.lanes, WORDS_OF_A_LINE):
                        line = pack(words[row : row + WORDS_OF_A_LINE, column].tolist(), 32)
                        address = job.d + column * pitch + row // WORDS_OF_A_LINE
                        beats.append(line | address << LINE_BITS)
    return beats


def _jobs(parameters: Parameters, transactions: list[Transaction]) -> list[Job]:
    return [unpack_job(parameters, each["jobs"][0]) for each in transactions]


UNIT = Unit(
    name="stc.gemm",
    sentence="GEMMs from lines of memory images, dense or 2:4 with PyTorch's metadata",
    presets=unit.PRESETS,
    component=Gemm,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, _jobs(parameters, transactions)),
    latency=lambda parameters: {"cycles_per_pass": parameters.pass_cycles},
)
