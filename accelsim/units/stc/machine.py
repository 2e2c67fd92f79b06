"""The machine: `stc.gemm` on a bus. Registers tell it a job; it reads A, B and metadata and writes D.

Software fills the registers and pulses `control.begin`, which takes them along; it is lost while a job waits
(`status.pending`). Each image has an AXI4 port. Lines of A and B are bursts of one, because neighbours in a
tile are rows apart; a run of metadata is a burst, and so are the lines of a column of D that leave together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.units import fifo, read_master, write_master
from accelsim.units.axi import Port, Transfer, pack_transfer
from accelsim.units.fifo import Fifo
from accelsim.units.read_master import ReadMaster
from accelsim.units.registers import Field, Register, RegisterMap, Slave
from accelsim.units.stc import gemm
from accelsim.units.stc.gemm import LINE_BITS, LINE_BYTES, WORDS_OF_A_LINE, Gemm, Job, pack_job
from accelsim.units.stc.tile import QUADS
from accelsim.units.step import Row
from accelsim.units.write_master import WriteMaster

COUNTER_BITS = 32

LEAST_OUTSTANDING = 16
"""A line a clock and port from a memory that answers within twelve clocks."""

SOURCES = {"r": ("valid", "payload"), "b": ("valid", "payload")}
"""Channels of a port that the memory fills; of them it sees `ready`."""
CHANNELS = {name: ("aw", "w", "b") if name == "d" else ("ar", "r") for name in ("a", "b", "codes", "d")}
BUS_INPUTS = {
    name: {
        f"m_axi_{name}_{channel}_{part}": f"m_axi_{channel}_{part}"
        for channel in channels
        for part in SOURCES.get(channel, ("ready",))
    }
    for name, channels in CHANNELS.items()
}
"""Of a master's inputs, their names at the machine and at the master; BUS_OUTPUTS the other way round."""
BUS_OUTPUTS = {
    name: {
        f"m_axi_{channel}_{part}": f"m_axi_{name}_{channel}_{part}"
        for channel in channels
        for part in (("ready",) if channel in SOURCES else ("valid", "payload"))
    }
    for name, channels in CHANNELS.items()
}

FAILED, UNDEFINED = 1, 2
"""Bits of a payload of `done`."""


@dataclass(frozen=True, kw_only=True)
class Machine(Gemm):
    """GEMMs with `outstanding` bursts under way on each port, of metadata as many lines."""

    outstanding: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.outstanding < LEAST_OUTSTANDING:
            raise ValueError(f"outstanding must be {LEAST_OUTSTANDING} or more, not {self.outstanding}")
        _ = [self.reader(name) for name in self.operands], self.writer, self.map

    def together(self, name: str) -> int:
        """Lines of a burst of an image: they follow each other in its walk, and in memory."""
        return {"codes": QUADS, "d": self.lines}.get(name, 1)

    def reader(self, name: str) -> ReadMaster:
        """The master that reads an image."""
        lines = self.together(name)
        return ReadMaster(
            address_bits=self.port.address_bits,
            data_bits=LINE_BITS,
            burst_beats=lines,
            outstanding=self.outstanding // lines,
            count_bits=lines.bit_length(),
        )

    @cached_property
    def writer(self) -> WriteMaster:
        """The master that writes D. A burst may have two beats where one is enough."""
        return WriteMaster(
            address_bits=self.port.address_bits,
            data_bits=LINE_BITS,
            burst_beats=max(2, self.lines),
            outstanding=self.outstanding,
            count_bits=self.lines.bit_length(),
        )

    @property
    def port(self) -> Port:
        """Widths of a port, but for the number of a burst."""
        return Port(
            address_bits=self.address_bits + LINE_BYTES.bit_length() - 1, data_bits=LINE_BITS, id_bits=1
        )

    @property
    def buffer(self) -> Fifo:
        """Lines of D whose address goes ahead of them."""
        return Fifo(depth=self.outstanding, bits=LINE_BITS)

    @cached_property
    def map(self) -> RegisterMap:
        """The registers."""
        images = (
            ("a", "Weights, rows of A one behind the other, compressed if sparse."),
            ("b", "Activations, columns of B one behind the other."),
            *([("codes", "Metadata of A, as PyTorch and CUTLASS reorder it.")] if self.sparse else []),
            ("d", "Results, columns of D one behind the other, words of 32 bits."),
        )
        counters = (
            ("jobs", "Jobs that are done."),
            ("failed", "Jobs that are done, with an error of the bus."),
            *((f"read_{name}", f"Lines that came of {name}.") for name in self.operands),
            ("written", "Lines of D that went out."),
            ("multiplying", "Clocks in which the tile engine had a pass."),
            ("busy", "Clocks in which a job was under way."),
        )
        sparse = [Field(name="sparse", sentence="A is 2:4.")] if self.sparse else []
        even = ", an even number if sparse" if self.sparse and self.metadata_tiles > 1 else ""
        undefined = Field(name="undefined", access="ro", sentence="A code of the last job was none.")
        return RegisterMap(
            name="stc",
            sentence="The sparse tensor core: D = A B of images in memory, which `units.stc.images` makes.",
            registers=(
                Register(
                    name="control",
                    fields=(
                        Field(
                            name="begin",
                            access="pulse",
                            sentence="Begin the job that the registers say; they may change then.",
                        ),
                    ),
                ),
                Register(
                    name="status",
                    fields=(
                        Field(name="pending", access="ro", sentence="A job waits; another would be lost."),
                        Field(name="running", access="ro", sentence="A job is under way."),
                        Field(name="failed", access="ro", sentence="The bus refused a line of the last job."),
                        undefined,
                    ),
                ),
                Register(
                    name="tiles",
                    sentence="One or more of each.",
                    fields=(
                        Field(name="rows", bits=self.count_bits, sentence=f"Of 16 rows of A{even}."),
                        Field(name="columns", bits=self.count_bits, sentence="Of 8 columns of B."),
                    ),
                ),
                Register(
                    name="depth",
                    fields=(
                        Field(
                            name="passes",
                            bits=self.count_bits,
                            sentence="16 bytes of k, if sparse 32, and then an even number.",
                        ),
                        *sparse,
                    ),
                ),
                *(
                    Register(
                        name=name,
                        sentence=sentence,
                        fields=(
                            Field(
                                name="line",
                                bits=self.address_bits,
                                sentence=f"Its address by {LINE_BYTES} bytes.",
                            ),
                        ),
                    )
                    for name, sentence in images
                ),
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
    "eight": Machine(),
    "sixteen": Machine(lanes=16),
    "dense": Machine(sparse=False),
    "fp16": Machine(a_type="f16", b_type="f16", multiplier_latency=3, adder_latency=5),
    "tiny": Machine(lanes=8, count_bits=4, address_bits=14, outstanding=16),
}


def register_values(parameters: Machine, job: Job) -> dict[str, dict[str, int]]:
    """What software writes for a job: registers in their order, fields by name; `control` is last."""
    sparse = {"sparse": int(job.sparse)} if parameters.sparse else {}
    images = {"a": job.a, "b": job.b} | ({"codes": job.codes} if parameters.sparse else {}) | {"d": job.d}
    return {
        "tiles": {"rows": job.row_tiles, "columns": job.column_tiles},
        "depth": {"passes": job.passes} | sparse,
        **{name: {"line": line} for name, line in images.items()},
        "control": {"begin": 1},
    }


def job_of(values: Mapping[str, int]) -> Job:
    """The job of fields by their signals. ValueError for one that the machine cannot do."""
    return Job(
        row_tiles=values["tiles_rows"],
        column_tiles=values["tiles_columns"],
        passes=values["depth_passes"],
        sparse=bool(values.get("depth_sparse", 0)),
        a=values["a_line"],
        b=values["b_line"],
        codes=values.get("codes_line", 0),
        d=values["d_line"],
    )


class Model:
    """The machine clock by clock: the models of its units, and what is between them.

    Streams: s_axil, m_axi_a, m_axi_b, m_axi_codes, m_axi_d; `done` out, a beat a job. Probes as of the GEMM.
    """

    def __init__(self, parameters: Machine) -> None:
        self.parameters = parameters
        self._port = parameters.port
        self.reset()

    def reset(self) -> None:
        """No job, nothing under way."""
        parameters = self.parameters
        self._slave = Slave(parameters.map)
        self._gemm = gemm.Model(parameters)
        self._readers = {name: read_master.Model(parameters.reader(name)) for name in parameters.operands}
        self._buffer = fifo.Model(parameters.buffer)
        self._writer = write_master.Model(parameters.writer)
        self._place = dict.fromkeys((*parameters.operands, "d"), 0)
        self._pending: Job | None = None
        self._busy = self._failed = False
        self._unanswered = 0
        self._done: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        core = self._gemm.shown()
        row: Row = {"running": core["running"], "undefined": core["undefined"]}
        inner: Row = {}
        wrong, counts = False, []
        for name in self.parameters.operands:
            read = self._read(name, core, inputs, row, inner)
            if read["beats_valid"] and core[f"{name}_lines_ready"]:
                counts.append(f"count_read_{name}_value")
                wrong |= bool(read["beats_payload"] >> LINE_BITS & 1)
        written = self._write(core, inputs, row, inner)
        wrong |= bool(written["done_valid"] and written["done_payload"])
        if row["m_axi_d_w_valid"] and inputs["m_axi_d_w_ready"]:
            counts.append("count_written_value")

        # A job begins when the one before it has ended: all its lines are written, and answered.
        begins = self._pending is not None and not self._busy
        if begins and self._pending is not None:
            inner |= {"jobs_valid": 1, "jobs_payload": pack_job(self.parameters, self._pending)}
        free = self._done is None or bool(inputs["done_ready"])
        ends = self._busy and bool(core["jobs_ready"]) and self._unanswered == 0 and free
        row |= {"done_valid": int(self._done is not None), "done_payload": self._done or 0}
        asked = core["writes_valid"] and inner["writes_ready"] and self._place["d"] == 0
        if core["writes_valid"] and inner["writes_ready"]:
            self._place["d"] = (self._place["d"] + 1) % self.parameters.together("d")
        self._unanswered += int(asked) - written["done_valid"]
        row |= self._registers(inputs, core, begins, ends, counts)
        self._gemm.step({"jobs_valid": 0, "jobs_payload": 0} | inner)

        if free:
            self._done = FAILED * self._failed | UNDEFINED * core["undefined"] if ends else None
        self._failed = not begins and (self._failed or wrong)
        self._busy = begins or (self._busy and not ends)
        return row

    def _read(self, name: str, core: Row, inputs: Mapping[str, int], row: Row, inner: Row) -> Row:
        """A port's clock: of lines that follow each other the first asks for all."""
        reader, lines = self._readers[name], self.parameters.together(name)
        first, offers = self._place[name] == 0, core[f"{name}_reads_valid"]
        transfer = Transfer(core[f"{name}_reads_payload"] * LINE_BYTES, lines)
        read = reader.step(
            _renamed(inputs, BUS_INPUTS[name])
            | {
                "requests_valid": int(offers and first),
                "requests_payload": pack_transfer(self._port, transfer),
                "beats_ready": core[f"{name}_lines_ready"],
            }
        )
        taken = not first or bool(read["requests_ready"])
        if offers and taken:
            self._place[name] = (self._place[name] + 1) % lines
        row |= _renamed(read, BUS_OUTPUTS[name])
        inner[f"{name}_reads_ready"] = int(taken)
        inner[f"{name}_lines_valid"] = read["beats_valid"]
        inner[f"{name}_lines_payload"] = read["beats_payload"] & (1 << LINE_BITS) - 1
        return read

    def _write(self, core: Row, inputs: Mapping[str, int], row: Row, inner: Row) -> Row:
        """The clock of the port of D."""
        waiting = self._buffer.shown()
        address, line = divmod(core["writes_payload"], 1 << LINE_BITS)
        first, offers = self._place["d"] == 0, core["writes_valid"] and waiting["entering_ready"]
        transfer = Transfer(address * LINE_BYTES, self.parameters.together("d"))
        written = self._writer.step(
            _renamed(inputs, BUS_INPUTS["d"])
            | {
                "requests_valid": int(offers and first),
                "requests_payload": pack_transfer(self._port, transfer),
                "beats_valid": waiting["leaving_valid"],
                "beats_payload": waiting["leaving_payload"],
                "done_ready": 1,
            }
        )
        inner["writes_ready"] = int(waiting["entering_ready"] and (not first or written["requests_ready"]))
        self._buffer.step(
            {
                "entering_valid": int(core["writes_valid"] and inner["writes_ready"]),
                "entering_payload": line,
                "leaving_ready": written["beats_ready"],
            }
        )
        row |= _renamed(written, BUS_OUTPUTS["d"])
        return written

    def _registers(
        self, inputs: Mapping[str, int], core: Row, begins: bool, ends: bool, counts: list[str]
    ) -> Row:
        """The slave's clock, and the job that its pulse leaves."""
        slave = self._slave
        shown = {
            "status_pending": int(self._pending is not None),
            "status_running": int(self._busy),
            "status_failed": int(self._failed),
            "status_undefined": core["undefined"],
        }
        counts += ["count_multiplying_value"] if core["running"] else []
        counts += ["count_busy_value"] if self._busy else []
        counts += ["count_jobs_value"] if ends else []
        counts += ["count_failed_value"] if ends and self._failed else []
        told = job_of(slave.values) if "control_begin" in slave.pulses else None
        bus = slave.step(inputs, shown, counts)
        if self._pending is None:
            self._pending = told
        elif begins:
            self._pending = None
        return bus


def _renamed(row: Mapping[str, int], names: Mapping[str, str]) -> Row:
    """The entries of `names`, by their new names."""
    return {new: row[old] for old, new in names.items()}


def cycles(parameters: Machine, jobs: Sequence[Job], words: int, reads: int, latency: int) -> int:
    """Clocks from the first register written to the last one read, `reads` of them after all jobs.

    words: of the registers of a job. latency: as of the masters' own `cycles`. Nobody waits; job by job:
    the first pass's lines of A; passes; the last step's results, from the first one on their way to memory
    and the answer to the last; a clock between each of these. The next job begins with the `done` of the one
    before.
    """
    a, d = parameters.reader("a"), parameters.writer
    loads = read_master.cycles(a, [Transfer(row * LINE_BYTES, 1) for row in range(ROWS)], latency)
    lines = parameters.together("d")
    bursts = [Transfer(0, lines)] * (ROWS * COLUMNS // WORDS_OF_A_LINE // lines)
    writes = write_master.cycles(d, bursts, latency)
    total = words + reads + 3
    for job in jobs:
        passes = job.row_tiles * job.column_tiles * job.passes
        total += loads + 3 + passes * parameters.pass_cycles - parameters.places
        total += parameters.latency_cycles + writes
    return total
