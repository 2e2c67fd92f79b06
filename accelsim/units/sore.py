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


@dataclass(frozen=True, kw_only=True)
class Sore:
    """`lanes` groups at a time, `n` kept of `m`, numbers of `value_bits` bits of which the highest is the sign."""

    n: int = 2
    m: int = 8
    lanes: int = 32
    value_bits: int = 16

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("m", self.m, 2, 32),
            ("n", self.n, 1, self.m),
            ("lanes", self.lanes, 1, 256),
            ("value_bits", self.value_bits, 2, 64),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}")

    @property
    def index_bits(self) -> int:
        """Bits of an index within a group."""
        return (self.m - 1).bit_length()

    @property
    def magnitude_mask(self) -> int:
        """All bits of a number but its sign."""
        return (1 << (self.value_bits - 1)) - 1


PRESETS = {"tiny": Sore(n=2, m=4, lanes=4), "paper": Sore()}


@dataclass(frozen=True, slots=True)
class Pair:
    """One kept number, its bits, and where it stood in its group."""

    value: int
    index: int


def pack_beat(parameters: Sore, values: Sequence[int], last: bool) -> int:
    """An input beat: one number a lane, lane 0 lowest, and above them whether the group ends with this beat."""
    return _concatenate([(value, parameters.value_bits) for value in values] + [(int(last), 1)])


def pack_groups(parameters: Sore, groups: Sequence[Sequence[Pair]]) -> int:
    """An output beat: the N pairs of every lane, lane 0 and the lowest index lowest, value below index."""
    fields = []
    for pair in chain.from_iterable(groups):
        fields += [(pair.value, parameters.value_bits), (pair.index, parameters.index_bits)]
    return _concatenate(fields)


class SoreModel:
    """SORE clock by clock: ports and probe of the component, as they stand just before each edge.

    Streams: `weights` in, `kept` out. Probe: `position`, the numbers that each lane holds of the open group.
    """

    def __init__(self, parameters: Sore) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """What a clock edge under reset leaves: no open group, nothing to hand out."""
        self._position = 0
        self._open = self._fillers()
        self._closed: int | None = None

    def step(self, row: Mapping[str, int]) -> dict[str, int]:
        """One clock: from the input ports to the output ports, and then to the state after the edge."""
        parameters = self.parameters
        *values, last = self._unpack(row["weights_payload"])
        ends = bool(last) or self._position == parameters.m - 1
        free = self._closed is None or bool(row["kept_ready"])
        ports = {
            "weights_ready": int(free or not ends),
            "kept_valid": int(self._closed is not None),
            "kept_payload": self._closed or 0,
            "position": self._position,
        }
        if free:
            self._closed = None
        if row["weights_valid"] and ports["weights_ready"]:
            self._take(values, ends)
        return ports

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

    def _unpack(self, payload: int) -> list[int]:
        bits, lanes = self.parameters.value_bits, self.parameters.lanes
        values = [payload >> (lane * bits) & ((1 << bits) - 1) for lane in range(lanes)]
        return [*values, payload >> (lanes * bits)]


def cycles(beats: int) -> int:
    """Clocks from the first offered beat to the last taken group, when nobody waits.

    A beat a clock whatever N and M, and the last group leaves in the clock after its last beat: a group
    takes M + 1 clocks by itself, and M among others.
    """
    return beats + 1 if beats else 0


def _concatenate(fields: Sequence[tuple[int, int]]) -> int:
    """(value, bits) pairs, the first lowest."""
    word, place = 0, 0
    for value, bits in fields:
        word |= value << place
        place += bits
    return word
