"""The tile engine of a sparse tensor core: D = A B + C of 16 x 8 accumulators on a number of lanes.

It takes what the lanes of a warp hold for `mma.sp` of the short form (int8: m16n8k32), register by register,
four lanes of a quad at a time, or for the dense `mma` of half the k. A pass multiplies the four words of each
row of A; the long form of PTX is two passes, the second with the selector's next value, on kept
accumulators. Each lane has a word of A a clock, so that dense and sparse passes take as long:
16 rows x 8 columns x 4 words on `lanes` lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.fragments import COLUMNS, LANES, ROWS, Registers
from accelsim.golden.tensor_lane import STEPS
from accelsim.units.stc.dot_product import DotProduct
from accelsim.units.stc.lane import ACCUMULATOR_BITS, WORD_BITS, CodeForm, Types, check_codes
from accelsim.units.stc.metadata import QUAD, Metadata
from accelsim.units.step import pack, unpack

QUADS = LANES // QUAD
BEAT_BITS = QUAD * WORD_BITS
"""Of a register of a quad's lanes."""

A_BEATS = ROWS
METADATA_CLOCKS = ROWS
"""A beat of metadata holds the codes of two rows and stays for two clocks."""

C_DEPTH = 16
"""Places of the store of C: enough for a beat a clock."""

D_DEPTH = 16
"""Places of the store of D: on 8 lanes a pass ends with as many results, which may leave slowly."""

ZERO, FROM_C, KEPT = 0, 1, 2
"""Where a pass begins: with zeros, with beats of `c`, with what the pass before left."""


@dataclass(frozen=True, kw_only=True)
class Tile(Types):
    """`lanes`: 4, 8 or 16 rows at a time; `sparse`: with metadata and operand selectors, else dense only."""

    lanes: int = 8
    sparse: bool = True
    codes: CodeForm = "ordered"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lanes not in (4, 8, 16):
            raise ValueError(f"lanes must be 4, 8 or 16, not {self.lanes}")
        check_codes(self.codes)

    @property
    def blocks(self) -> int:
        """Of `lanes` rows."""
        return ROWS // self.lanes

    @property
    def places(self) -> int:
        """Accumulators of a lane."""
        return self.blocks * COLUMNS

    @property
    def lane(self) -> DotProduct:
        """One of its lanes."""
        return DotProduct(
            a_type=self.a_type,
            b_type=self.b_type,
            multipliers=WORD_BITS // self.element_bits,
            sums=self.places,
            sparse=self.sparse,
            codes=self.codes,
        )

    @property
    def metadata(self) -> Metadata:
        """Its metadata decoder."""
        return Metadata(element_bits=self.element_bits, codes=self.codes)

    @property
    def b_beats(self) -> int:
        """Of the longest pass."""
        return COLUMNS * (2 if self.sparse else 1)

    @property
    def pass_cycles(self) -> int:
        """From the begin of a pass to that of the next."""
        return STEPS * self.places

    @property
    def step_cycles(self) -> int:
        """From a step's issue to its sum at the accumulator: the buffers' registers, and the lane."""
        return 1 + self.lane.sum_cycles(self.lane.multipliers)

    @property
    def latency_cycles(self) -> int:
        """From a step's issue to its result at the output."""
        return self.step_cycles + 1


PRESETS = {
    "eight": Tile(),
    "four": Tile(lanes=4),
    "sixteen": Tile(lanes=16),
    "dense": Tile(sparse=False),
    "tiny": Tile(lanes=4),
}


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A payload of `instructions`. begins: ZERO, FROM_C or KEPT; gives: its accumulators leave as D."""

    begins: int = ZERO
    gives: bool = True
    sparse: bool = False
    selector: int = 0

    @property
    def b_beats(self) -> int:
        """Beats of B that it takes."""
        return COLUMNS * (2 if self.sparse else 1)


def pack_pass(parameters: Tile, step: Pass) -> int:
    """Payload of `instructions`."""
    word = step.begins | int(step.gives) << 2
    return word | (int(step.sparse) << 3 | step.selector << 4 if parameters.sparse else 0)


def unpack_pass(parameters: Tile, payload: int) -> Pass:
    """The fields of a payload of `instructions`."""
    sparse = payload >> 3 & 1 if parameters.sparse else 0
    return Pass(begins=payload & 3, gives=bool(payload >> 2 & 1), sparse=bool(sparse), selector=payload >> 4)


def quad_beats(registers: Registers) -> list[int]:
    """Payloads of `a`, `b` and `codes`: registers (32, r) register by register, quad by quad."""
    by_quad = registers.reshape(QUADS, QUAD, -1)
    return [
        pack(by_quad[quad, :, register].tolist(), WORD_BITS)
        for register in range(by_quad.shape[2])
        for quad in range(QUADS)
    ]


def quad_registers(beats: Sequence[int]) -> Registers:
    """The registers (32, r) of `quad_beats`."""
    words = np.array([unpack(beat, WORD_BITS, QUAD) for beat in beats], np.uint32)
    return np.ascontiguousarray(words.reshape(-1, QUADS, QUAD).transpose(1, 2, 0)).reshape(LANES, -1)


def accumulator_beats(parameters: Tile, words: npt.NDArray[Any]) -> list[int]:
    """Payloads of `c`: words (16, 8), block of rows by block, column by column."""
    return [
        pack(words[first : first + parameters.lanes, column].tolist(), ACCUMULATOR_BITS)
        for first in range(0, ROWS, parameters.lanes)
        for column in range(COLUMNS)
    ]


def accumulator_words(parameters: Tile, beats: Sequence[int]) -> Registers:
    """The words (16, 8) of payloads of `c` or `d`, as many as a lane has places."""
    words = np.array([unpack(beat, ACCUMULATOR_BITS, parameters.lanes) for beat in beats], np.uint32)
    return words.reshape(parameters.blocks, COLUMNS, -1).swapaxes(1, 2).reshape(ROWS, COLUMNS)


def pack_result(parameters: Tile, values: Sequence[int], undefined: bool) -> int:
    """Payload of `d`: accumulators of a column, and whether any code that made them was none."""
    return pack(values, ACCUMULATOR_BITS) | int(undefined) << parameters.lanes * ACCUMULATOR_BITS


def cycles(parameters: Tile, passes: Sequence[Pass]) -> int:
    """Clocks from the first instruction offered to the last result taken; nobody ever waits.

    The first pass begins when its operands are there; the others come while one is multiplied.
    """
    giving = [number for number, step in enumerate(passes) if step.gives]
    if not giving:
        return 0
    loaded = 1 + A_BEATS + 1
    return loaded + parameters.pass_cycles * (giving[-1] + 1) + parameters.latency_cycles
