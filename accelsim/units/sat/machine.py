"""The machine `sat`: a training step's products and updates from memory, job by job.

Memory is lines of one FP16 number a column. A job is JOB_BITS bits of them; of a product it begins with the
scheduler's configuration word (`accelsim.accelerators.sat.schedule`), behind which stand the counts and
addresses that an executor needs and a scheduler does not. `images` makes jobs and the lines that they name.
Buses, buffers and format of the images are not published: they are choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import gcd

from accelsim.golden.momentum import Momentum
from accelsim.units.checks import check_lanes, require_range
from accelsim.units.read_master import ReadMaster
from accelsim.units.registers import Field, Register, RegisterMap
from accelsim.units.sat_array import Fold, SatArray, fold_cycles
from accelsim.units.sore import Sore
from accelsim.units.stc.machine import Level
from accelsim.units.transpose import Transpose
from accelsim.units.write_master import WriteMaster
from accelsim.units.wuve import Wuve

HALF = 16
JOB_BITS = 512
LINE_ADDRESS_BITS = 32
COUNT_BITS, FOLD_BITS, COUNTER_BITS = 16, 24, 32
SCHEDULE_BITS = 64
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
class Machine(SatArray):
    """An array with operand buffers of two halves, WUVE, SORE and DMA around it.

    kept: N of the copies that an update makes, of `group` weights. depth: beats of activations, and rows of
    partial sums, that a half of a buffer holds. A bus beat is a line: `cols` FP16 numbers.
    constants: of WUVE; a decay of pruned weights needs the forward mask, which this machine does not read.
    """

    kept: int = 2
    depth: int = 64
    longest: int = 1 << 16
    address_bits: int = 34
    burst_beats: int = 16
    outstanding: int = 16
    constants: Momentum = field(default_factory=Momentum)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_lanes(self.cols, "cols")
        check_lanes(self.group, "group")
        require_range("group", self.group, 2, min(32, self.cols))
        require_range("kept", self.kept, 1, self.group - 1)
        require_range("depth", self.depth, max(2, self.cols // self.group), 4096)
        if self.constants.decay:
            raise ValueError(f"constants.decay must be 0 for a machine, not {self.constants.decay}")
        _ = self.reader, self.writer

    @property
    def line_bits(self) -> int:
        """Of a bus beat."""
        return HALF * self.cols

    @property
    def line_bytes(self) -> int:
        """Of a bus beat."""
        return self.line_bits // 8

    @property
    def line_address_bits(self) -> int:
        """Of the number of a line."""
        return self.address_bits - (self.line_bytes - 1).bit_length()

    @property
    def job_lines(self) -> int:
        """That a job occupies."""
        return -(-JOB_BITS // self.line_bits)

    @property
    def beat_lines(self) -> int:
        """That a beat of activations occupies: a group for every row."""
        return -(-self.rows * self.group // self.cols)

    @property
    def stored_index_bits(self) -> int:
        """Of an index in memory: a power of two."""
        return 1 << (self.index_bits - 1).bit_length()

    @property
    def tile_groups(self) -> int:
        """Groups in `cols` weights: strips of weights are whole tiles."""
        return self.cols // self.group

    @property
    def north_depth(self) -> int:
        """Rows of weights that a half of their buffer holds."""
        return max(self.depth * self.group * self.interleave, self.rows)

    def run(self, kept: int) -> int:
        """Rows that share a line of indices, where `kept` of a group are stored.

        Runs end with tiles of strips, and with the rows of weights that stay.
        """
        rows, most = gcd(self.tile_groups * kept, self.rows), HALF // self.stored_index_bits
        return max(count for count in range(1, most + 1) if rows % count == 0)

    @cached_property
    def reader(self) -> ReadMaster:
        """Memory to buffers."""
        return ReadMaster(
            address_bits=self.address_bits,
            data_bits=self.line_bits,
            burst_beats=self.burst_beats,
            outstanding=self.outstanding,
            count_bits=COUNT_BITS,
        )

    @cached_property
    def writer(self) -> WriteMaster:
        """Results to memory."""
        return WriteMaster(
            address_bits=self.address_bits,
            data_bits=self.line_bits,
            burst_beats=self.burst_beats,
            outstanding=self.outstanding,
            count_bits=COUNT_BITS,
        )

    @cached_property
    def wuve(self) -> Wuve:
        """A lane a column."""
        return Wuve(
            lanes=self.cols,
            multiplier_latency=max(1, self.multiplier_latency),
            adder_latency=self.adder_latency,
            constants=self.constants,
        )

    @cached_property
    def sore(self) -> Sore:
        """A lane a column."""
        return Sore(n=self.kept, m=self.group, lanes=self.cols)

    @cached_property
    def transpose(self) -> Transpose:
        """A tile of `cols` x `cols` weights."""
        return Transpose(side=self.cols)

    @property
    def update_rows(self) -> int:
        """Rows of a tile of a compact copy."""
        return self.tile_groups * self.kept

    @cached_property
    def map(self) -> RegisterMap:
        """The registers."""
        counters = (
            ("jobs", "Jobs that ended."),
            ("errors", "Clocks in which memory answered with an error."),
            ("folds", "Folds that the array began."),
            ("works", "Clocks in which the array did not wait."),
            ("busy", "Clocks from a start to the end of its last job."),
        )
        return RegisterMap(
            name="sat",
            sentence="SAT: products and updates of a training step, from a list of jobs in memory.",
            registers=(
                Register(
                    name="control",
                    fields=(Field(name="start", access="pulse", sentence="Begin; lost while busy."),),
                ),
                Register(
                    name="status",
                    fields=(
                        Field(name="busy", access="ro", sentence="Jobs are left."),
                        Field(
                            name="infinite",
                            access="ro",
                            sentence="Since reset a gradient was Inf or NaN.",
                        ),
                    ),
                ),
                Register(
                    name="list",
                    sentence="The first job, in lines.",
                    fields=(Field(name="line", bits=self.line_address_bits),),
                ),
                Register(name="jobs", fields=(Field(name="count", bits=COUNT_BITS),)),
                *(
                    Register(
                        name=f"count_{name}",
                        fields=(Field(name="value", bits=COUNTER_BITS, access="counter", sentence=sentence),),
                    )
                    for name, sentence in counters
                ),
            ),
        )


PRESETS = {
    "paper": Machine(multiplier_latency=3, adder_latency=5, interleave=8),
    "tiny": Machine(
        rows=4,
        cols=4,
        group=4,
        multiplier_latency=1,
        adder_latency=2,
        interleave=2,
        depth=8,
        longest=64,
        address_bits=16,
        burst_beats=4,
        outstanding=4,
    ),
    "least": Machine(
        rows=2,
        cols=2,
        group=2,
        kept=1,
        interleave=2,
        depth=2,
        longest=16,
        address_bits=13,
        burst_beats=8,
        outstanding=4,
    ),
}


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
    values = {}
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
