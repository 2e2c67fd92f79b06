"""Jobs of SAT's machine: what they say, their bits in memory, the walks that they name, and their clocks.

A product's job begins with the scheduler's configuration word (`accelsim.accelerators.sat.schedule`), behind
which stand the counts and addresses that an executor needs and a scheduler does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.units.sat.machine import COUNT_BITS, Machine
from accelsim.units.sat_array import Fold, fold_cycles
from accelsim.units.walk import Level

LINE_ADDRESS_BITS, FOLD_BITS, SCHEDULE_BITS = 32, 24, 64
PRODUCT, UPDATE = 0, 1

_HEAD = {"word": SCHEDULE_BITS, "kind": 1}
PRODUCT_FIELDS = _HEAD | {
    "narrow": 1,
    "dense": 1,
    "kept": 5,
    "run": 5,
    "beats": COUNT_BITS,
    "last_beats": COUNT_BITS,
    "fold_beats": 20,
    "folds": FOLD_BITS,
    "row_tiles": COUNT_BITS,
    "column_tiles": COUNT_BITS,
    "chunks": COUNT_BITS,
    "uses": COUNT_BITS,
    "last_rows": 9,
    "slot_rows": COUNT_BITS,
    "west_lines": COUNT_BITS,
    "north_lines": COUNT_BITS,
    "out_lines": COUNT_BITS,
    **dict.fromkeys(("west_row", "north_slot", "out_slot", "west", "north", "out"), LINE_ADDRESS_BITS),
}
"""Fields of a product's job, the lowest first. `kept`, `run`: less 1. Bit 0 of `word`: weights stay."""

UPDATE_FIELDS = _HEAD | {
    "run": 5,
    "tile_lines": COUNT_BITS,
    "tiles": COUNT_BITS,
    "blocks": COUNT_BITS,
    **dict.fromkeys(
        (
            "pitch",
            "forward_block",
            "backward_block",
            "gradients",
            "weights",
            "velocities",
            "forward",
            "backward",
        ),
        LINE_ADDRESS_BITS,
    ),
}
"""Fields of an update's job. `run`: less 1."""


@dataclass(frozen=True, kw_only=True)
class Product:
    """A job: row tiles x column tiles of sums. Addresses and strides are of lines; see `images.product`.

    Weights that stay: a fold is `beats` rows of activations, and `chunks` folds add up to a tile.
    Sums that stay: a fold is `fold_beats` groups, in `chunks` of `beats`, the last one `last_beats`.
    uses: folds that a half of activations serves. last_rows: rows of the last fold that hold weights.
    slot_rows: rows of weights of a chunk and one of the `interleave` sums. narrow: results leave as FP16.
    """

    word: int
    narrow: bool
    dense: bool
    kept: int
    run: int
    beats: int
    last_beats: int
    fold_beats: int
    folds: int
    row_tiles: int
    column_tiles: int
    chunks: int
    uses: int
    last_rows: int
    slot_rows: int
    west_lines: int
    north_lines: int
    out_lines: int
    west_row: int
    north_slot: int
    out_slot: int
    west: int
    north: int
    out: int

    @property
    def stationary(self) -> bool:
        """Whether weights stay: the dataflow of the configuration word."""
        return bool(self.word & 1)

    @property
    def fold(self) -> Fold:
        """Of the array."""
        if self.stationary:
            return Fold(stationary=True, beats=self.fold_beats)
        return Fold(stationary=False, beats=self.fold_beats, kept=self.kept)


@dataclass(frozen=True, kw_only=True)
class Update:
    """A job: WUVE and SORE over `blocks` x `tiles` tiles of cols x cols weights.

    tile_lines: of a tile of a compact copy; *_block: lines from a block of columns of a copy to the next;
    pitch: the same of gradients, weights and velocities.
    """

    run: int
    tile_lines: int
    tiles: int
    blocks: int
    pitch: int
    forward_block: int
    backward_block: int
    gradients: int
    weights: int
    velocities: int
    forward: int
    backward: int


Job = Product | Update


def pack_job(job: Job) -> int:
    """The bits of a job. ValueError, with the field, for a number that has no room."""
    names, kind = (PRODUCT_FIELDS, PRODUCT) if isinstance(job, Product) else (UPDATE_FIELDS, UPDATE)
    values = {name: int(getattr(job, name, 0)) for name in names} | {"kind": kind}
    packed = place = 0
    for name, bits in names.items():
        value = values[name] - (name in ("kept", "run"))
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{name} of a job must fit {bits} bits, not {value}")
        packed |= value << place
        place += bits
    return packed


def unpack_job(packed: int) -> Job:
    """The job of its bits."""
    update = packed >> SCHEDULE_BITS & 1 == UPDATE
    values: dict[str, Any] = {}
    for name, bits in (UPDATE_FIELDS if update else PRODUCT_FIELDS).items():
        values[name] = (packed & (1 << bits) - 1) + (name in ("kept", "run"))
        packed >>= bits
    del values["kind"]
    if update:
        del values["word"]
        return Update(**values)
    return Product(**values | {"narrow": bool(values["narrow"]), "dense": bool(values["dense"])})


def walks(parameters: Machine, job: Job) -> dict[str, tuple[int, list[Level]]]:
    """Where each kind of transfer begins, and the loops of its lines, the innermost first."""
    slots = parameters.interleave
    if isinstance(job, Update):
        tile = 2 * parameters.cols
        return {
            "tiles": (0, [(job.tiles, tile), (job.blocks, job.pitch)]),
            "written": (0, [(job.tiles, tile), (job.blocks, job.pitch)]),
            "forward": (job.forward, [(job.tiles, job.tile_lines), (job.blocks, job.forward_block)]),
            "backward": (job.backward, [(job.tiles, job.backward_block), (job.blocks, job.tile_lines)]),
        }
    repeats = job.column_tiles if job.uses == 1 else 1
    slots = 1 if job.stationary else slots
    return {
        "west": (job.west, [(job.chunks, job.west_lines), (repeats, 0), (job.row_tiles, job.west_row)]),
        "north": (
            job.north,
            [
                (slots, job.north_slot),
                (job.chunks, job.north_lines),
                (job.column_tiles, job.north_slot * slots),
                (job.row_tiles, 0),
            ],
        ),
        "out": (
            job.out,
            [
                (slots, job.out_slot),
                (job.column_tiles, job.out_slot * slots),
                (job.row_tiles, job.out_lines),
            ],
        ),
    }


def works(parameters: Machine, jobs: Sequence[Job]) -> int:
    """Clocks in which the array works for its products: neither for operands nor for room it waits.

    That is `fold_cycles` of every fold. Against the compute cycles of `accelsim.accelerators.folds`, of an
    array of the same latencies that reads stored weights one a clock:
    Sums stay: dense weights are groups of which all are kept, so k is padded to a multiple of `group`;
    I sums of an element are I folds there that pay their fill once, and columns are padded to I tiles.
    Weights stay (slot model): blocks of activations are equal, so m is padded to a multiple of their number,
    of which each loads all weights anew; dense k is padded to a multiple of `group` as well.
    """
    return sum(job.folds * fold_cycles(parameters, job.fold) for job in jobs if isinstance(job, Product))
