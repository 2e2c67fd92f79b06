"""The machine `sat`: a training step's products and updates from memory, job by job.

Memory is lines of one FP16 number a column. `jobs` says what a job is, `images` makes jobs and the lines that
they name. Buses, buffers and formats of the images are not published: they are choices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import gcd

from accelsim.golden.momentum import Momentum
from accelsim.units.checks import check_lanes, require_range
from accelsim.units.read_master import ReadMaster
from accelsim.units.registers import Field, Register, RegisterMap
from accelsim.units.sat_array import SatArray
from accelsim.units.sore import Sore
from accelsim.units.transpose import Transpose
from accelsim.units.write_master import WriteMaster
from accelsim.units.wuve import Wuve

HALF = 16
JOB_BITS = 512
COUNT_BITS, COUNTER_BITS = 16, 32


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

    @property
    def _bus(self) -> dict[str, int]:
        """What both masters are built with."""
        own = ("address_bits", "burst_beats", "outstanding")
        return {"data_bits": self.line_bits, "count_bits": COUNT_BITS} | {
            name: getattr(self, name) for name in own
        }

    @cached_property
    def reader(self) -> ReadMaster:
        """Memory to buffers."""
        return ReadMaster(**self._bus)

    @cached_property
    def writer(self) -> WriteMaster:
        """Results to memory."""
        return WriteMaster(**self._bus)

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
