"""N:M weights as the products read them: sixteen outputs side by side, values and packed indices.

A *table* is what sixteen lanes can look up at once: the activations of as many whole groups as fit in 16 (in
32 where M is above 16). A *slot* is one kept value of each of sixteen outputs; a table has N slots a group.
Slot s of block b lies at values[(b x slots + s) x 16 + lane]; its index, the position in the table, in the
bits of words[(b x words_of_a_block + s // 8) x 16 + lane], eight of 4 bits a word, or six of 5 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim.golden.formats import NM
from accelsim_kernels.compiled import parallel
from accelsim_kernels.lanes import WIDTH

Array = npt.NDArray[Any]

READABLE = ("C", "A", "W")
"""How arrays come to kernels, so that each is compiled once."""

LARGEST_M = 2 * WIDTH
"""A group must fit in a table of two vectors."""

# The element in memory, and the words in which kernels get it (`lanes.STORED`).
ELEMENTS = {
    "fp32": (np.dtype(np.float32), np.dtype(np.float32)),
    "fp16": (np.dtype(np.float16), np.dtype(np.int16)),
    "bf16": (np.dtype(np.uint16), np.dtype(np.uint16)),
    "int8": (np.dtype(np.int8), np.dtype(np.int8)),
}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """N of every M weights of `length` along the reduced axis, M from 2 to 32."""

    n: int
    m: int
    length: int

    def __post_init__(self) -> None:
        if not (2 <= self.m <= LARGEST_M and 1 <= self.n <= self.m):
            raise ValueError(
                f"N:M must have M from 2 to {LARGEST_M} and N from 1 to M, not {self.n}:{self.m}"
            )
        if self.length < 0:
            raise ValueError(f"length must be at least 0, not {self.length}")

    @property
    def groups(self) -> int:
        """Groups of M, the ragged last one included."""
        return -(-self.length // self.m)

    @property
    def wide(self) -> bool:
        """Whether a group needs a table of 32."""
        return self.m > WIDTH

    @property
    def groups_per_table(self) -> int:
        """Whole groups in a table."""
        return max(1, WIDTH // self.m)

    @property
    def tables(self) -> int:
        """Tables along the reduced axis."""
        return -(-self.groups // self.groups_per_table)

    @property
    def stride(self) -> int:
        """Activations from one table to the next."""
        return self.groups_per_table * self.m

    @property
    def slots_per_table(self) -> int:
        """Slots of a table."""
        return self.groups_per_table * self.n

    @property
    def slots(self) -> int:
        """Slots of a block of sixteen outputs."""
        return self.tables * self.slots_per_table

    @property
    def index_bits(self) -> int:
        """Bits of a packed index."""
        return 5 if self.wide else 4

    @property
    def words(self) -> int:
        """Words of packed indices of each lane of a block."""
        return -(-self.slots // (32 // self.index_bits))

    @property
    def padded(self) -> int:
        """Activations that the look-ups of a row may read."""
        if not self.tables:
            return 0
        return (self.tables - 1) * self.stride + WIDTH * (2 if self.wide else 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """N:M weights (outputs, length) in the layout above; `element` is one of `ELEMENTS`."""

    pattern: Pattern
    outputs: int
    element: str
    values: Array
    words: npt.NDArray[np.uint32]

    @property
    def blocks(self) -> int:
        """Blocks of sixteen outputs, the ragged last one included."""
        return -(-self.outputs // WIDTH)

    @property
    def nbytes(self) -> int:
        """Bytes of values and indices: what a product with one activation row moves."""
        return self.values.nbytes + self.words.nbytes


def pack(weights: NM) -> Packed:
    """Golden's N:M weights of a matrix, in its element: float32, float16, uint16 (BF16 words) or int8."""
    if weights.values.ndim != 3:
        raise ValueError(f"N:M weights must be of a matrix, not of {weights.values.ndim - 1} axes")
    element = element_of(weights.values.dtype)
    pattern = Pattern(n=weights.n, m=weights.m, length=weights.length)
    outputs = weights.values.shape[0]
    blocks = -(-outputs // WIDTH)
    stored = np.require(weights.values, requirements=READABLE).view(ELEMENTS[element][1])
    values = np.zeros(blocks * pattern.slots * WIDTH, stored.dtype)
    words = np.zeros(blocks * pattern.words * WIDTH, np.uint32)
    indices = np.require(weights.indices, np.uint16, READABLE)
    shape = (pattern.slots, pattern.words, pattern.index_bits, pattern.groups_per_table)
    _pack(stored, indices, values, words, pattern.m, *shape)
    return Packed(pattern=pattern, outputs=outputs, element=element, values=values, words=words)


def unpack(packed: Packed) -> NM:
    """The weights in golden's form again."""
    pattern, rows = packed.pattern, packed.blocks * WIDTH
    values = packed.values.reshape(packed.blocks, pattern.slots, WIDTH)
    words = packed.words.reshape(packed.blocks, pattern.words, WIDTH)
    slot = np.arange(pattern.slots)
    per_word, bits = 32 // pattern.index_bits, pattern.index_bits
    shifts = (slot % per_word * bits).astype(np.uint32)
    places = words[:, slot // per_word] >> shifts[:, None] & np.uint32((1 << bits) - 1)
    shape = (rows, pattern.tables * pattern.groups_per_table, pattern.n)
    form = ELEMENTS[packed.element][0]
    kept, indices = (
        each.swapaxes(1, 2).reshape(shape)[: packed.outputs, : pattern.groups] for each in (values, places)
    )
    return NM(
        n=pattern.n,
        m=pattern.m,
        length=pattern.length,
        values=np.ascontiguousarray(kept).view(form),
        indices=(indices % pattern.m).astype(np.uint16),
    )


def element_of(kind: np.dtype[Any]) -> str:
    """The name of an element in memory; ValueError for another."""
    for name, (stored, _) in ELEMENTS.items():
        if stored == kind:
            return name
    known = ", ".join(f"{stored} ({name})" for name, (stored, _) in ELEMENTS.items())
    raise ValueError(f"weights must be of {known}, not {kind}")


@parallel
def _pack(stored, indices, values, words, m, slots, words_of_a_block, bits, per_table):
    outputs, groups, n = stored.shape
    per_word = 32 // bits
    for block in prange((outputs + WIDTH - 1) // WIDTH):
        for lane in range(min(WIDTH, outputs - block * WIDTH)):
            row = block * WIDTH + lane
            for group in range(groups):
                for kept in range(n):
                    slot = group * n + kept
                    place = np.uint32(group % per_table * m + indices[row, group, kept])
                    values[(block * slots + slot) * WIDTH + lane] = stored[row, group, kept]
                    word = (block * words_of_a_block + slot // per_word) * WIDTH + lane
                    words[word] |= place << np.uint32(slot % per_word * bits)
