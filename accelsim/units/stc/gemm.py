"""GEMMs on the tile engine: lines of memory images in, tile by tile, lines of D out.

D^T = B^T A^T as `mma.sp` wants it: A (rows of weights, 2:4 along k or dense) and B (columns of activations)
lie row by row, k-contiguous, so that a line of 16 bytes is a register of a quad's lanes; metadata lies as
PyTorch and CUTLASS have it; D lies column by column, accumulators of 32 bits. Ports are streams: addresses
of lines go out, lines come back in their order, lines of D go out with theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.units.checks import require_range
from accelsim.units.stc.lane import ACCUMULATOR_BITS
from accelsim.units.stc.tile import BEAT_BITS, KEPT, QUADS, ZERO, Pass, Tile, pack_pass
from accelsim.units.stc.tile_model import Model as TileModel
from accelsim.units.step import Row, pack
from accelsim.units.walk import Level, addresses

LINE_BITS = BEAT_BITS
LINE_BYTES = LINE_BITS // 8
WORDS_OF_A_LINE = LINE_BITS // ACCUMULATOR_BITS

PASSES_OF_A_RUN = 2
"""Sparse passes that one run of 32 metadata words serves (`accelsim.golden.metadata.warp_registers`)."""


@dataclass(frozen=True, kw_only=True)
class Gemm(Tile):
    """A tile engine, with counters of `count_bits` bits for tiles and passes and addresses of lines."""

    count_bits: int = 12
    address_bits: int = 28

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("count_bits", self.count_bits, 2, 24)
        require_range("address_bits", self.address_bits, self.count_bits + 7, 60)

    @property
    def operands(self) -> tuple[str, ...]:
        """Its ports for lines that come."""
        return ("a", "b", "codes") if self.sparse else ("a", "b")

    @property
    def lines(self) -> int:
        """Of D, that a beat of the tile engine holds."""
        return self.lanes // WORDS_OF_A_LINE

    @property
    def metadata_tiles(self) -> int:
        """Tiles of rows whose metadata lies together: a run of it is two passes of one, of fp16 of two."""
        return self.metadata.shape.selectors // PASSES_OF_A_RUN


PRESETS = {
    "eight": Gemm(),
    "sixteen": Gemm(lanes=16),
    "dense": Gemm(sparse=False),
    "fp16": Gemm(a_type="f16", b_type="f16", multiplier_latency=3, adder_latency=5),
    "tiny": Gemm(lanes=8, count_bits=4, address_bits=14),
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A payload of `jobs`: tiles of 16 rows and of 8 columns, passes of each, where the images begin.

    A pass is 32 bytes of k if sparse, 16 if dense. Sparse passes come in pairs, which share their metadata,
    and so do tiles of rows of fp16.
    """

    row_tiles: int
    column_tiles: int
    passes: int
    sparse: bool = False
    a: int = 0
    b: int = 0
    codes: int = 0
    d: int = 0

    def __post_init__(self) -> None:
        if min(self.row_tiles, self.column_tiles, self.passes) < 1:
            raise ValueError(f"a job must have tiles and passes, not {self}")
        if self.sparse and self.passes % PASSES_OF_A_RUN:
            raise ValueError(f"passes must be even in a sparse job, not {self.passes}")


def pack_job(parameters: Gemm, job: Job) -> int:
    """Payload of `jobs`. ValueError for tiles whose metadata nothing lies together with."""
    if job.sparse and job.row_tiles % parameters.metadata_tiles:
        raise ValueError(
            f"row_tiles must be even in a sparse job of {parameters.a_type}, not {job.row_tiles}"
        )
    counts = pack([job.row_tiles, job.column_tiles, job.passes], parameters.count_bits)
    addresses = [job.a, job.b, *([job.codes] if parameters.sparse else []), job.d]
    payload = counts | pack(addresses, parameters.address_bits) << 3 * parameters.count_bits
    if not parameters.sparse:
        return payload
    return payload | int(job.sparse) << 3 * parameters.count_bits + 4 * parameters.address_bits


def unpack_job(parameters: Gemm, payload: int) -> Job:
    """The fields of a payload of `jobs`."""

    def field(bits: int) -> int:
        nonlocal payload
        value, payload = payload & (1 << bits) - 1, payload >> bits
        return value

    row_tiles, column_tiles, passes = (field(parameters.count_bits) for _ in range(3))
    a, b = field(parameters.address_bits), field(parameters.address_bits)
    codes = field(parameters.address_bits) if parameters.sparse else 0
    d = field(parameters.address_bits)
    return Job(
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        passes=passes,
        sparse=bool(field(1)) and parameters.sparse,
        a=a,
        b=b,
        codes=codes,
        d=d,
    )


def walks(parameters: Gemm, job: Job) -> dict[str, tuple[int, list[Level]]]:
    """Where each port begins, and the loops of its addresses, the innermost first.

    `instructions`: the number of the pass, above `count_bits` bits that of the row of tiles.
    """
    words = 2 if job.sparse else 1
    column = words * job.passes
    line_of_d = job.row_tiles * ROWS // WORDS_OF_A_LINE
    found = {
        "instructions": (
            0,
            [(job.passes, 1), (job.column_tiles, 0), (job.row_tiles, 1 << parameters.count_bits)],
        ),
        "a": (
            job.a,
            [(ROWS, job.passes), (job.passes, 1), (job.column_tiles, 0), (job.row_tiles, ROWS * job.passes)],
        ),
        "b": (
            job.b,
            [
                (COLUMNS, column),
                (words, 1),
                (job.passes, words),
                (job.column_tiles, COLUMNS * column),
                (job.row_tiles, 0),
            ],
        ),
        "d": (
            job.d,
            [
                (parameters.lines, 1),
                (COLUMNS, line_of_d),
                (parameters.blocks, parameters.lines),
                (job.column_tiles, COLUMNS * line_of_d),
                (job.row_tiles, ROWS // WORDS_OF_A_LINE),
            ],
        ),
    }
    if job.sparse:
        together = parameters.metadata_tiles
        runs = job.row_tiles // together
        pairs = job.passes // PASSES_OF_A_RUN
        levels = [(QUADS, 1), (PASSES_OF_A_RUN, 0), (pairs, QUADS * runs), (job.column_tiles, 0)]
        found["codes"] = (job.codes, [*levels, (together, 0), (runs, QUADS)])
    return found


class Model:
    """Streams: `jobs` in; `a_reads`, `b_reads`, `codes_reads` out, `a_lines`, `b_lines`, `codes_lines` in;
    `writes` out. Probes `running`: of the tile engine, `undefined`: a code of the job was none.

    A job is taken when the one before it has asked for its last line and written its last one.
    """

    def __init__(self, parameters: Gemm) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No job."""
        self._tile = TileModel(self.parameters)
        self._walks: dict[str, list[int]] = {name: [] for name in ("instructions", "a", "b", "codes", "d")}
        self._job: Job | None = None
        self._line = 0
        self._undefined = 0

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        tile, walking = self._tile.shown(), self._walks
        row = {
            "jobs_ready": int(not any(walking.values())),
            "running": tile["running"],
            "undefined": self._undefined,
        }
        for port in self.parameters.operands:
            row[f"{port}_reads_valid"] = int(bool(walking[port]))
            row[f"{port}_reads_payload"] = walking[port][-1] if walking[port] else 0
            row[f"{port}_lines_ready"] = tile[f"{port}_ready"]
        row["writes_valid"] = tile["d_valid"]
        row["writes_payload"] = self._write(tile["d_payload"]) if tile["d_valid"] else 0
        return row

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, row = self.parameters, self.shown()
        last_line = self._line == parameters.lines - 1
        tile = self._tile.step(
            {
                f"{port}_{name}": inputs[f"{port}_lines_{name}"]
                for port in parameters.operands
                for name in ("valid", "payload")
            }
            | {
                "instructions_valid": int(bool(self._walks["instructions"])),
                "instructions_payload": self._instruction(),
                "c_valid": 0,
                "c_payload": 0,
                "d_ready": int(inputs["writes_ready"] and last_line),
            }
        )
        self._advance(inputs, row, tile)
        if row["jobs_ready"] and inputs["jobs_valid"]:
            self._begin(unpack_job(parameters, inputs["jobs_payload"]))
        return row

    def _begin(self, job: Job) -> None:
        """All walks from their beginnings; they are kept backwards, the next address last."""
        self._job, self._undefined = job, 0
        for name, walk in walks(self.parameters, job).items():
            self._walks[name] = list(addresses(*walk))[::-1]

    def _instruction(self) -> int:
        job, walking = self._job, self._walks["instructions"]
        if job is None or not walking:
            return 0
        row_tile, number = divmod(walking[-1], 1 << self.parameters.count_bits)
        step = Pass(
            begins=KEPT if number else ZERO,
            gives=number == job.passes - 1,
            sparse=job.sparse,
            selector=row_tile % self.parameters.metadata_tiles * PASSES_OF_A_RUN + number % PASSES_OF_A_RUN,
        )
        return pack_pass(self.parameters, step)

    def _write(self, beat: int) -> int:
        line = beat >> self._line * LINE_BITS & (1 << LINE_BITS) - 1
        return line | self._walks["d"][-1] << LINE_BITS

    def _advance(self, inputs: Mapping[str, int], row: Row, tile: Row) -> None:
        for port in self.parameters.operands:
            if row[f"{port}_reads_valid"] and inputs[f"{port}_reads_ready"]:
                self._walks[port].pop()
        if self._walks["instructions"] and tile["instructions_ready"]:
            self._walks["instructions"].pop()
        if row["writes_valid"] and inputs["writes_ready"]:
            self._walks["d"].pop()
            self._line = (self._line + 1) % self.parameters.lines
            self._undefined |= tile["d_payload"] >> self.parameters.lanes * ACCUMULATOR_BITS


def cycles(parameters: Gemm, jobs: Sequence[Job]) -> int:
    """Clocks from the first job offered to the last line written; memory answers at once, nobody ever waits.

    A job: the job itself and the instruction; the first pass's operands; passes; of the last step of the
    last pass the lines, one a clock, behind the pipeline.
    """
    lines = ROWS * COLUMNS // WORDS_OF_A_LINE
    total = 0
    for job in jobs:
        passes = job.row_tiles * job.column_tiles * job.passes
        total += 2 + ROWS + 1 + passes * parameters.pass_cycles - parameters.places
        total += parameters.latency_cycles + lines
    return total
