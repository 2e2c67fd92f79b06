"""What every clocked model of a unit is: `step` is one clock, `reset` the edge with reset high.

Rows are dictionaries of flat port names: a stream `s` is `s_valid`, `s_ready`, `s_payload` (one packed
integer, lowest field first); probes go by their own names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Row = dict[str, int]


class Model(Protocol):
    """The definition of a unit's time: RTL must show the same rows."""

    def step(self, inputs: Mapping[str, int]) -> Row:
        """The outputs as they stand before the clock edge, given these inputs; then the state advances."""

    def reset(self) -> None:
        """The state after a clock edge with reset high."""


def pack(values: Sequence[int], bits: int) -> int:
    """Values of `bits` bits each as one integer, the first one lowest."""
    packed = 0
    for position, value in enumerate(values):
        packed |= value << (position * bits)
    return packed


def unpack(packed: int, bits: int, count: int) -> list[int]:
    """The `count` lowest fields of `bits` bits each."""
    mask = (1 << bits) - 1
    return [(packed >> (position * bits)) & mask for position in range(count)]
