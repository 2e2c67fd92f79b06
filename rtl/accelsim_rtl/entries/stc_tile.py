"""`stc.tile` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden import fragments
from accelsim.golden.fragments import COLUMNS, LANES, ROWS, Registers
from accelsim.golden.metadata import to_cutlass, warp_registers
from accelsim.golden.tensor_lane import multiply_pass, undefined
from accelsim.golden.two_four import LEGAL_CODES, ORDERED_CODES, encode
from accelsim.units.stc import tile as unit
from accelsim.units.stc.lane import WORD_BITS
from accelsim.units.stc.tile import (
    A_BEATS,
    FROM_C,
    KEPT,
    QUADS,
    ZERO,
    Pass,
    accumulator_beats,
    accumulator_words,
    pack_pass,
    quad_beats,
    quad_registers,
    unpack_pass,
)
from accelsim.units.stc.tile import Tile as Parameters
from accelsim.units.stc.tile_model import Model
from accelsim.workload import Workload
from accelsim_rtl.entries.stc_dot_product import accumulators, elements
from accelsim_rtl.entries.stc_slices import kept_weights
from accelsim_rtl.kit.replay import MaskBlock, Replayed, UnfitError, mask_blocks
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.tile import Tile

TILES = 6
MOST_PASSES = 3
REPLAYED_BLOCKS = 16
RUNS = {32: (16, 64), 16: (32, 32)}
"""Rows and k of a run of PyTorch's metadata words, by their bits; k is two passes."""

DOUBTFUL_TILE = 4
"""Whose first pass has metadata that is drawn, codes or not."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Tiles of one to three passes, dense and sparse ones, that begin with zeros or C."""
    return [_tile(parameters, generator, tile) for tile in range(TILES)]


def _tile(parameters: Parameters, generator: np.random.Generator, tile: int) -> Transaction:
    passes = tile % MOST_PASSES + 1
    from_c = bool(generator.integers(2))
    work: Transaction = {"instructions": [], "a": [], "b": [], "codes": [], "c": []}
    if from_c:
        c = accumulators(parameters, ROWS * COLUMNS, generator).reshape(ROWS, COLUMNS)
        work["c"] = accumulator_beats(parameters, c)
    for number in range(passes):
        doubtful = tile == DOUBTFUL_TILE and number == 0
        step = Pass(
            begins=KEPT if number else FROM_C if from_c else ZERO,
            gives=number == passes - 1,
            sparse=parameters.sparse and (doubtful or bool(generator.integers(3))),
            selector=int(generator.integers(parameters.metadata.shape.selectors)) if parameters.sparse else 0,
        )
        work["instructions"].append(pack_pass(parameters, step))
        work["a"] += quad_beats(_registers(parameters, 2, generator))
        work["b"] += quad_beats(_registers(parameters, step.b_beats // QUADS, generator))
        if step.sparse:
            work["codes"] += quad_beats(_metadata(parameters, step.selector, generator, doubtful))
    if not parameters.sparse:
        del work["codes"]
    return work


def _registers(parameters: Parameters, count: int, generator: np.random.Generator) -> Registers:
    values = elements(parameters, LANES * count * parameters.lane.multipliers, generator)
    return np.array(values, f"u{parameters.element_bits // 8}").view(np.uint32).reshape(LANES, count)


def _metadata(
    parameters: Parameters, selector: int, generator: np.random.Generator, doubtful: bool
) -> npt.NDArray[Any]:
    """The lanes that the selector does not name hold anything."""
    registers = generator.integers(0, 1 << WORD_BITS, LANES, dtype=np.uint32)
    if doubtful:
        return registers
    legal = ORDERED_CODES if parameters.codes == "ordered" else LEGAL_CODES
    codes = generator.choice(legal, (ROWS, parameters.metadata.row_codes)).astype(np.uint8)
    return fragments.metadata_to_lanes(codes, parameters.metadata.shape, selector, registers)


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Blocks of pruned weights with their metadata as PyTorch lays it out in memory, a run of it two passes.

    A run of 32 words is the metadata of 16 rows by 64 of k, of 16-bit elements that of 32 rows by 32: two
    passes of one tile or of two, with the selectors in turn. A workload says which weights stay, not how
    large they are: those are drawn, none of them zero, and so are the activations.
    """
    if not parameters.sparse:
        raise UnfitError("sparse must be true to replay pruned weights")
    form = parameters.form
    rows, k = RUNS[form.word_bits]
    blocks, sentence = mask_blocks(
        workload, generator, n=form.kept, m=form.group, shape=(rows, k), most=REPLAYED_BLOCKS
    )
    transactions = []
    for block in blocks:
        weights = kept_weights(parameters, block.mask, generator)
        values, codes = encode(weights, form, kept=block.mask)
        runs = warp_registers(to_cutlass(codes, form), form)
        registers = runs[block.column // k, block.row // rows]
        transactions += [
            _block(parameters, values, block, tile, registers, generator) for tile in range(rows // ROWS)
        ]
    return Replayed(transactions=transactions, sentence=f"{sentence}; weights and activations are drawn")


def _block(
    parameters: Parameters,
    values: npt.NDArray[Any],
    block: MaskBlock,
    tile: int,
    registers: Registers,
    generator: np.random.Generator,
) -> Transaction:
    """The passes of a tile of a block of weights: its stored values, a run of metadata for all passes."""
    shape = parameters.metadata.shape
    first_row = block.row + tile * ROWS
    stored = values.reshape(len(values), -1)[first_row : first_row + ROWS]
    work: Transaction = {"instructions": [], "a": [], "b": [], "codes": [], "c": []}
    passes = RUNS[parameters.form.word_bits][1] // shape.k
    for number in range(passes):
        step = Pass(
            begins=KEPT if number else ZERO,
            gives=number == passes - 1,
            sparse=True,
            selector=tile * passes + number,
        )
        first = (block.column + number * shape.k) // 2
        words = fragments.to_words(stored[:, first : first + shape.k // 2], parameters.form)
        work["instructions"].append(pack_pass(parameters, step))
        work["a"] += quad_beats(fragments.a_to_lanes(words, shape))
        work["b"] += quad_beats(_registers(parameters, step.b_beats // QUADS, generator))
        work["codes"] += quad_beats(registers)
    return work


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's accumulators of the passes from the lanes' registers, tile by tile."""
    return {"d": [beat for transaction in transactions for beat in _results(parameters, transaction)]}


def _results(parameters: Parameters, transaction: Transaction) -> list[int]:
    shape, ordered = parameters.metadata.shape, parameters.codes == "ordered"
    left = {name: list(transaction.get(name, [])) for name in ("a", "b", "codes", "c")}
    words = np.zeros((ROWS, COLUMNS), np.uint32)
    doubtful, beats = False, []
    for payload in transaction["instructions"]:
        step = unpack_pass(parameters, payload)
        if step.begins != KEPT:
            words, doubtful = np.zeros((ROWS, COLUMNS), np.uint32), False
        if step.begins == FROM_C:
            words = accumulator_words(parameters, _first(left["c"], parameters.places))
        rows = fragments.a_from_lanes(quad_registers(_first(left["a"], A_BEATS)), shape)
        b = quad_registers(_first(left["b"], step.b_beats))
        columns, codes = _columns(b), None
        if step.sparse:
            registers = quad_registers(_first(left["codes"], QUADS))[:, 0]
            codes = fragments.metadata_from_lanes(registers, shape, step.selector)
            columns = fragments.b_from_lanes(b, shape)
            doubtful |= bool(undefined(codes, ordered=ordered).any())
        words = multiply_pass(
            (parameters.a_type, parameters.b_type), rows, columns, words, codes, ordered=ordered
        )
        if step.gives:
            mark = int(doubtful) << parameters.lanes * WORD_BITS
            beats += [beat | mark for beat in accumulator_beats(parameters, words)]
    return beats


def _columns(registers: Registers) -> Registers:
    """Columns of B (8, 4) of a dense pass: lane 4 n + t holds word t of column n."""
    return registers.reshape(COLUMNS, -1)


def _first(beats: list[int], count: int) -> list[int]:
    """The next beats of a stream, which are then gone."""
    taken = beats[:count]
    del beats[:count]
    return taken


def _passes(parameters: Parameters, transactions: list[Transaction]) -> list[Pass]:
    return [unpack_pass(parameters, payload) for each in transactions for payload in each["instructions"]]


UNIT = Unit(
    name="stc.tile",
    sentence="16 x 8 accumulators from lanes' registers as mma and mma.sp have them; dense and 2:4 alike",
    presets=unit.PRESETS,
    component=Tile,
    model=Model,
    stimulus=stimulus,
    replay=replay,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, _passes(parameters, transactions)),
    latency=lambda parameters: {
        "latency_cycles": parameters.latency_cycles,
        "cycles_per_pass": parameters.pass_cycles,
    },
)
