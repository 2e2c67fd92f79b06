"""How a top-k engine is built, and the latencies that follow: RTL, model and `cycles` read them here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from accelsim.golden.topk import LFSR_BITS, SAMPLES, Pivot
from accelsim.words import unknown

Engine = Literal["quick", "radix"]
Form = Literal["low_latency", "deep"]

MOST_WIDTH, MOST_BITS, MOST_DIGIT_BITS = 64, 32, 6

PIVOT_WAIT: dict[Pivot, int] = {"published": 3, "uniform": 6, "reservoir": 0, "rank_adaptive": 4}
"""Cycles by which a pass starts later, because its pivot must be read, or chosen among samples."""

COMPARE_STAGES: dict[Form, int] = {"low_latency": 1, "deep": 2}
COUNT_STAGES: dict[Form, int] = {"low_latency": 1, "deep": 3}

FILTER_COMPARE_STAGES, FILTER_COUNT_STAGES = 2, 3
"""Of the filter, in every form: its depth costs a row a few cycles once, that of the selection each pass."""

BUTTERFLY_CYCLES = 2

SEED_CYCLES = 3
"""Of the additions that make a row's id the seed of its pivots, before its scores are taken."""

MEMORY_CYCLES = 3
"""Address, block RAM, its output register: then a line is in the engine's own register."""


@dataclass(frozen=True, kw_only=True)
class TopK:
    """A top-k engine for rows of up to `capacity` scores of `bits` bits, `width` scores a cycle.

    engine: `quick` (quick-select, section 4 of the SpAtten paper) or `radix` (threshold select, fixed time).
    pivot: quick-select's rule, `accelsim.golden.topk.Pivot`. form: how deep its pipeline is.
    digit_bits: what a pass of the radix engine finds.
    """

    engine: Engine = "quick"
    pivot: Pivot = "reservoir"
    form: Form = "low_latency"
    width: int = 16
    bits: int = 12
    capacity: int = 1024
    digit_bits: int = 4

    def __post_init__(self) -> None:
        for name, choices in (("engine", Engine), ("pivot", Pivot), ("form", Form)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(unknown(f"topk.{name}", getattr(self, name), get_args(choices)))
        if not 1 <= self.width <= MOST_WIDTH or self.width & (self.width - 1):
            raise ValueError(f"topk.width must be a power of two up to {MOST_WIDTH}, not {self.width}")
        for name, least, most in (
            ("bits", 2, MOST_BITS),
            ("digit_bits", 1, MOST_DIGIT_BITS),
            ("capacity", 2 * self.width, 1 << LFSR_BITS),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"topk.{name} must be {least}..{most}, not {getattr(self, name)}")
        if self.capacity % self.width:
            raise ValueError(f"topk.capacity must be whole lines of {self.width}, not {self.capacity}")

    @property
    def lines(self) -> int:
        """Lines of a memory that holds the longest row."""
        return self.capacity // self.width

    @property
    def index_bits(self) -> int:
        """Of an index, and of a number of scores less one."""
        return (self.lines - 1).bit_length() + (self.width - 1).bit_length()

    @property
    def draws(self) -> bool:
        """Whether pivots are drawn, so that a row's id is made a seed before its scores are taken."""
        return self.engine == "quick"

    @property
    def samples_kept(self) -> int:
        """Samples that the writing of a side leaves behind."""
        if self.engine == "radix":
            return 0
        return {"reservoir": 1, "rank_adaptive": SAMPLES}.get(self.pivot, 0)

    @property
    def digits(self) -> int:
        """Passes of the radix engine."""
        return -(-self.bits // self.digit_bits)

    @property
    def compare_stages(self) -> int:
        """Cycles of a comparison."""
        return COMPARE_STAGES[self.form]

    @property
    def count_stages(self) -> int:
        """Cycles of a count over the lanes: a prefix count, or the radix engine's tree of groups of four."""
        if self.engine == "radix":
            return 1 + (-(-self.width // 4) - 1).bit_length()
        return COUNT_STAGES[self.form]

    @property
    def pivot_wait(self) -> int:
        """Cycles that a pass waits for its pivot."""
        return PIVOT_WAIT[self.pivot]

    @property
    def request_cycles(self) -> int:
        """From a request to the first scores that can be taken."""
        return 1 + (SEED_CYCLES if self.draws else 0)

    @property
    def pass_cycles(self) -> int:
        """From the last line of a pass to the first of the next one, where the pivot is there at once.

        quick: memory, compare, count, accumulate, decide in two, choose the side, start. radix: memory,
        match, reach, count, accumulate; the digit is taken on the way.
        """
        if self.engine == "radix":
            return MEMORY_CYCLES + 3 + self.count_stages + 1
        return MEMORY_CYCLES + self.compare_stages + self.count_stages + 5

    @property
    def turn_cycles(self) -> int:
        """Of a row in the engine, beside its selection and the lines of its filter: it is taken, its numbers
        stand in the registers, its threshold is presented."""
        return 3

    @property
    def drain_cycles(self) -> int:
        """From the last line that the filter reads to the last that comes out: what remains is flushed."""
        return self.filter_cycles + 1

    @property
    def filter_cycles(self) -> int:
        """From a line's address to the line that it completes at the output.

        Memory, compare, count of equals, those before the line, what is left, room, keep; count, destination,
        butterfly, join, mask in two; store.
        """
        keep = FILTER_COMPARE_STAGES + FILTER_COUNT_STAGES + 4
        compact = FILTER_COUNT_STAGES + 1 + BUTTERFLY_CYCLES + 1
        return MEMORY_CYCLES + keep + compact + 3

    @property
    def store_lines(self) -> int:
        """Lines of the store at the output: as many as keep the filter running, a power of two."""
        return 1 << (self.filter_cycles + 4 - 1).bit_length()
