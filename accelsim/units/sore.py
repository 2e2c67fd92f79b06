"""SORE, the unit that reduces dense weights to N:M: parameters and the two faces of its time.

Every lane keeps the N largest magnitudes of M weights that arrive one a clock; all lanes work in step.
Source: Fang et al., IEEE TCAD 2023 (32 lanes, serial compare and replace, M cycles a group).
What the paper leaves open: a strictly larger magnitude replaces, so the lowest index wins a tie; the pairs
leave in ascending order of index; NaN stands above infinity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from accelsim.units.checks import require_range
from accelsim.units.step import Row, pack, unpack


@dataclass(frozen=True, kw_only=True)
class Sore:
    """`n` kept of `m` in `lanes` groups at a time; numbers of `value_bits` bits, the highest the sign."""

    n: int = 2
    m: int = 8
    lanes: int = 32
    value_bits: int = 16

    def __post_init__(self) -> None:
        require_range("m", self.m, 2, 32)
        require_range("n", self.n, 1, self.m)
        require_range("lanes", self.lanes, 1, 256)
        require_range("value_bits", self.value_bits, 2, 64)

    @property
    def index_bits(self) -> int:
        """Bits of an index within a group."""
        return (self.m - 1).bit_length()

    @property
    def magnitude_mask(self) -> int:
        """All bits of a number but its sign."""
        return (1 << (self.value_bits - 1)) - 1


PRESETS = {"paper": Sore(), "tiny": Sore(n=2, m=4, lanes=4)}


@dataclass(frozen=True, slots=True)
class Pair:
    """One kept number, its bits, and where it stood in its group."""

    value: int
    index: int


def pack_beat(parameters: Sore, values: Sequence[int], last: bool) -> int:
    """An input beat: one number a lane, lane 0 lowest; above them whether the group ends with this beat."""
    return pack(values, parameters.value_bits) | int(last) << parameters.lanes * parameters.value_bits


def unpack_beat(parameters: Sore, payload: int) -> list[int]:
    """The numbers of an input beat by lane, and after them 1 if the group ends with it."""
    return [
        *unpack(payload, parameters.value_bits, parameters.lanes),
        payload >> parameters.lanes * parameters.value_bits,
    ]


def pack_groups(parameters: Sore, groups: Sequence[Sequence[Pair]]) -> int:
    """An output beat: the N pairs of every lane, lane 0 and the lowest index lowest, value below index."""
    pairs = [pair.value | pair.index << parameters.value_bits for pair in chain.from_iterable(groups)]
    return pack(pairs, parameters.value_bits + parameters.index_bits)


class Model:
    """SORE clock by clock. Streams: `weights` in, `kept` out; probe `position`.

    `position`: numbers that each lane has taken of the open group. A finished group waits in a register.
    """

    def __init__(self, parameters: Sore) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No open group, nothing to hand out."""
        self._position = 0
        self._open = self._fillers()
        self._closed: int | None = None

    @property
    def offered(self) -> int | None:
        """The finished group of every lane that stands before its sink."""
        return self._closed

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters = self.parameters
        *values, last = unpack_beat(parameters, inputs["weights_payload"])
        ends = bool(last) or self._position == parameters.m - 1
        free = self._closed is None or bool(inputs["kept_ready"])
        row = {
            "weights_ready": int(free or not ends),
            "kept_valid": int(self._closed is not None),
            "kept_payload": self._closed or 0,
            "position": self._position,
        }
        if free:
            self._closed = None
        if inputs["weights_valid"] and row["weights_ready"]:
            self._take(values, ends)
        return row

    def _take(self, values: list[int], ends: bool) -> None:
        for group, value in zip(self._open, values, strict=True):
            self._insert(group, Pair(value, self._position))
        self._position += 1
        if ends:
            self._closed = pack_groups(self.parameters, self._open)
            self._open = self._fillers()
            self._position = 0

    def _insert(self, group: list[Pair], newcomer: Pair) -> None:
        if newcomer.index < self.parameters.n:
            group[newcomer.index] = newcomer
            return
        # Of equally weak pairs the last one leaves. The newcomer stands behind all of them.
        weakest = min(group, key=lambda pair: (self._magnitude(pair), -pair.index))
        if self._magnitude(newcomer) > self._magnitude(weakest):
            group.remove(weakest)
            group.append(newcomer)

    def _magnitude(self, pair: Pair) -> int:
        return pair.value & self.parameters.magnitude_mask

    def _fillers(self) -> list[list[Pair]]:
        """Zeros at the lowest positions: a group that ends early is as if padded with zeros."""
        return [[Pair(0, index) for index in range(self.parameters.n)] for _ in range(self.parameters.lanes)]


def cycles(beats: int) -> int:
    """Clocks from the first beat offered to the last group taken, when source and sink never wait.

    A beat a clock whatever N and M, and the last group leaves in the clock after its last beat: a group
    takes M + 1 clocks by itself, and M among others.
    """
    return beats + 1 if beats else 0
