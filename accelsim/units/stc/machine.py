"""The machine: `stc.gemm` on a bus. Registers tell it a job; it reads A, B and metadata and writes D.

Software fills the registers and pulses `control.begin`, which takes them along; it is lost while a job waits
(`status.pending`). Each image has an AXI4 port. Lines of A and B are bursts of one, because neighbours in a
tile are rows apart; a run of metadata is a burst, and so are the lines of a column of D that leave together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from accelsim.units.axi import Port
from accelsim.units.fifo import Fifo
from accelsim.units.read_master import ReadMaster
from accelsim.units.registers import Field, Register, RegisterMap
from accelsim.units.stc.gemm import LINE_BITS, LINE_BYTES, Gemm, Job
from accelsim.units.stc.tile import QUADS
from accelsim.units.write_master import WriteMaster

COUNTER_BITS = 32

LEAST_OUTSTANDING = 16
"""A line a clock and port from a memory that answers within twelve clocks."""

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
