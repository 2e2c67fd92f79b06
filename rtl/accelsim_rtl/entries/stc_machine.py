"""`stc` for the kit: GEMMs from memory images, what golden expects of them, and the machine's latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.elements import numbers
from accelsim.golden.formats import select_nm
from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.golden.matmul import matmul_integer
from accelsim.golden.metadata import from_cutlass
from accelsim.golden.two_four import decode
from accelsim.units.stc import machine as unit
from accelsim.units.stc.images import LINE_BYTES, images
from accelsim.units.stc.machine import LINE_BITS, WORDS_OF_A_LINE, Job, pack_job, unpack_job
from accelsim.units.stc.machine import Machine as Parameters
from accelsim.units.stc.tile import QUADS
from accelsim.units.step import pack
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.machine import Machine

SIZES = ((13, 9, 100, True), (30, 5, 20, False), (16, 8, 40, False), (5, 3, 7, True))
"""Rows of A, columns of B, k, and whether A is 2:4: edges in every direction."""

LARGEST_BASE = 32


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """GEMMs of several sizes, dense and 2:4, whose images lie anywhere."""
    return [
        transaction(parameters, *_operands(parameters, size, generator), generator)
        for size in SIZES
        if parameters.sparse or not size[-1]
    ]


def _operands(
    parameters: Parameters, size: tuple[int, int, int, bool], generator: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], bool]:
    rows, columns, k, sparse = size
    width = f"u{parameters.element_bits // 8}"
    a, b = (
        generator.integers(1 << parameters.element_bits, size=(count, k), dtype=width)
        for count in (rows, columns)
    )
    if sparse:
        a = np.where(select_nm(generator.random(a.shape).astype(np.float32), 2, 4), a, 0).astype(width)
    return a, b, sparse


def transaction(
    parameters: Parameters,
    a: npt.NDArray[Any],
    b: npt.NDArray[Any],
    sparse: bool,
    generator: np.random.Generator,
) -> Transaction:
    """A job, and the lines that memory answers."""
    made = images(parameters, a, b, sparse=sparse, base=int(generator.integers(LARGEST_BASE)))
    asked = _asked(made.job)
    begins = {"a": made.job.a, "b": made.job.b, "codes": made.job.codes}
    answers = {
        f"{name}_lines": [made.lines[name][address - begins[name]] for address in addresses]
        for name, addresses in asked.items()
    }
    return {"jobs": [pack_job(parameters, made.job)]} | answers


def _asked(job: Job) -> dict[str, list[int]]:
    """Addresses of the lines that a job reads, tile by tile and pass by pass."""
    asked: dict[str, list[int]] = {"a": [], "b": []} | ({"codes": []} if job.sparse else {})
    words = 2 if job.sparse else 1
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
                    run = number // 2 * job.row_tiles + row_tile
                    asked["codes"] += [job.codes + run * QUADS + quad for quad in range(QUADS)]
    return asked


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The addresses of lines, and golden's product of the matrices that the images hold."""
    names = ("a", "b", "codes") if parameters.sparse else ("a", "b")
    found: dict[str, list[int]] = {f"{name}_reads": [] for name in names} | {"writes": []}
    for each in transactions:
        job = unpack_job(parameters, each["jobs"][0])
        asked = _asked(job)
        for name, addresses in asked.items():
            found[f"{name}_reads"] += addresses
        memory = {
            name: dict(zip(addresses, each[f"{name}_lines"], strict=True))
            for name, addresses in asked.items()
        }
        found["writes"] += _written(parameters, job, _product(parameters, job, memory))
    return found


def _product(parameters: Parameters, job: Job, memory: dict[str, dict[int, int]]) -> npt.NDArray[np.int64]:
    """D of the matrices in memory, A decompressed."""
    a = _matrix(parameters, memory["a"], job.row_tiles * ROWS)
    b = _matrix(parameters, memory["b"], job.column_tiles * COLUMNS)
    if job.sparse:
        raw = _bytes(memory["codes"])
        words = np.frombuffer(raw, "<i4").reshape(job.row_tiles * ROWS, -1)
        codes = from_cutlass(words, parameters.form)
        a = decode(a.reshape(*codes.shape, -1), codes, parameters.form)
    return matmul_integer(numbers(a, parameters.a_type), numbers(b, parameters.b_type))


def _matrix(parameters: Parameters, lines: dict[int, int], rows: int) -> npt.NDArray[Any]:
    return np.frombuffer(_bytes(lines), f"u{parameters.element_bits // 8}").reshape(rows, -1)


def _bytes(lines: dict[int, int]) -> bytes:
    return b"".join(lines[address].to_bytes(LINE_BYTES, "little") for address in sorted(lines))


def _written(parameters: Parameters, job: Job, product: npt.NDArray[np.int64]) -> list[int]:
    """Lines of D in the order in which they leave: tile by tile, block of rows by block, column by column."""
    words = (product & 0xFFFFFFFF).astype(np.int64)
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
    name="stc",
    sentence="GEMMs from memory images on a sparse tensor core: weights dense or 2:4 with PyTorch's metadata",
    presets=unit.PRESETS,
    component=Machine,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, _jobs(parameters, transactions)),
    latency=lambda parameters: {"cycles_per_pass": parameters.pass_cycles},
)
