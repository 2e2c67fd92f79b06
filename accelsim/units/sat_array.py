"""SAT's array of processing elements (USPE): output or weight stationary, dense or N:M, fold after fold.

An element multiplies, in FP16, a weight with one of `group` activations that the weight's index chooses, and
adds in FP32. Dense is index 0. It holds `interleave` sums of its own, so that an adder of several clocks
need not wait. Fill and drain are exposed, as in `accelsim.accelerators.folds`: see `fold_cycles`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from accelsim.golden.floating import FP16, FP32, Words, add, multiply
from accelsim.units.checks import require_range
from accelsim.units.promises import store_depth
from accelsim.units.step import Row, pack, unpack

HALF, SINGLE = 16, 32


@dataclass(frozen=True, kw_only=True)
class SatArray:
    """`rows` x `cols` elements; `group`: the largest M; `longest`: beats of activations of a fold."""

    rows: int = 32
    cols: int = 32
    group: int = 8
    multiplier_latency: int = 0
    adder_latency: int = 1
    interleave: int = 1
    longest: int = 4096

    def __post_init__(self) -> None:
        require_range("rows", self.rows, 1, 256)
        require_range("cols", self.cols, 1, 256)
        require_range("group", self.group, 1, 32)
        require_range("multiplier_latency", self.multiplier_latency, 0, 16)
        require_range("adder_latency", self.adder_latency, 1, 32)
        require_range("interleave", self.interleave, 1, 32)
        require_range("longest", self.longest, 1, 1 << 20)

    @property
    def index_bits(self) -> int:
        """Of a weight's index."""
        return max(1, (self.group - 1).bit_length())

    @property
    def beats_bits(self) -> int:
        """Of a fold's beats less 1."""
        return max(1, (self.longest - 1).bit_length())

    @property
    def banks(self) -> int:
        """Of an element's sums: several need another bank to be added to while they drain."""
        return 1 if self.interleave == 1 else 2

    @property
    def round_clocks(self) -> int:
        """Clocks from a product to the next one of the same sum: all sums have their turn, and the adder."""
        return max(self.interleave, self.adder_latency)

    def fill_clocks(self, stationary: bool) -> int:
        """Clocks from the last step of a fold to its end: to the farthest element, and through it.

        A step goes on by an element a clock; a sum that travels needs the adder in every row.
        """
        down = (self.rows - 1) * (self.adder_latency if stationary else 1)
        return down + self.cols - 1 + self.multiplier_latency + self.adder_latency - 1

    @property
    def store_depth(self) -> int:
        """Places of the store behind the array."""
        return store_depth(self.fill_clocks(stationary=True) + 2)


PRESETS = {
    "paper": SatArray(),
    "tiny": SatArray(rows=2, cols=2, group=4, adder_latency=2, longest=16),
}

ELEMENT_PRESETS = {
    "paper": SatArray(rows=1, cols=1),
    "tiny": SatArray(rows=1, cols=1, group=4, adder_latency=3, interleave=2, longest=16),
}


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A payload of `folds`. `stationary`: weights are. `beats`: of `west`. `kept`: steps of each of them, N.

    `continued`: travelling sums begin with those of `partials`, not with zero. `kept` counts only where
    sums are stationary.
    """

    stationary: bool
    beats: int
    kept: int = 1
    continued: bool = False


def pack_fold(parameters: SatArray, fold: Fold) -> int:
    """Payload of `folds`. ValueError for what the array cannot count."""
    require_range("beats", fold.beats, 1, parameters.longest)
    require_range("kept", fold.kept, 1, parameters.group)
    flags = int(fold.stationary) | int(fold.continued) << 1
    return flags | (fold.kept - 1) << 2 | (fold.beats - 1) << 2 + parameters.index_bits


def unpack_fold(parameters: SatArray, payload: int) -> Fold:
    """The fields of a payload of `folds`."""
    return Fold(
        stationary=bool(payload & 1),
        continued=bool(payload >> 1 & 1),
        kept=(payload >> 2 & (1 << parameters.index_bits) - 1) + 1,
        beats=(payload >> 2 + parameters.index_bits) + 1,
    )


def pack_north(parameters: SatArray, values: Sequence[int], indices: Sequence[int]) -> int:
    """Payload of `north`: a weight and its index for every column."""
    weights = [int(value) | int(index) << HALF for value, index in zip(values, indices, strict=True)]
    return pack(weights, HALF + parameters.index_bits)


def unpack_north(parameters: SatArray, payload: int) -> tuple[Words, Words]:
    """Values (FP16 words) and indices of every column."""
    weights = unpack(payload, HALF + parameters.index_bits, parameters.cols)
    values = np.array([weight & 0xFFFF for weight in weights], np.uint16)
    return values, np.array([weight >> HALF for weight in weights], np.uint16)


def unpack_west(parameters: SatArray, payload: int) -> Words:
    """(rows, group) FP16 words of a payload of `west`; it is packed row by row."""
    words = unpack(payload, HALF, parameters.rows * parameters.group)
    return np.array(words, np.uint16).reshape(parameters.rows, parameters.group)


@dataclass
class _Drain:
    """Sums on their way out of the elements, the lowest row first: what is left of them."""

    rows: deque[int] = field(default_factory=deque)
    captured: bool = False


class Model:
    """Streams: `folds`, `west`, `north`, `partials` in, `sums` out; probes `promised` and `works`.

    Sums stationary: a step takes a beat of `north`; one of `west` serves `kept` steps of each of the
    `interleave` sums, which take turns. `sums` are beats of a row, the last row first, slot by slot.
    Weights stationary: `rows` beats of `north`, last row first; then a beat of `west` for each of `sums`.
    works: of a fold a clock passes that it needs; it neither waits for operands nor for room.
    """

    def __init__(self, parameters: SatArray) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No fold, nothing under way."""
        self._fold: Fold | None = None
        self._drain: _Drain | None = None
        self._clock = 0
        self._travelling: deque[tuple[int, int]] = deque()
        self._stored: deque[int] = deque()

    @property
    def offered(self) -> int | None:
        """The row of sums that stands before its sink."""
        return self._stored[0] if self._stored else None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        promised = len(self._stored) + len(self._travelling)
        room = promised < self.parameters.store_depth
        row = {
            "folds_ready": int(self._fold is None),
            "west_ready": 0,
            "north_ready": 0,
            "partials_ready": 0,
            "sums_valid": int(bool(self._stored)),
            "sums_payload": self._stored[0] if self._stored else 0,
            "promised": promised,
            "works": 0,
        }
        if self._stored and inputs["sums_ready"]:
            self._stored.popleft()
        draining = self._drain is not None
        pushed = self._push(room)
        entering = None
        if self._fold is not None:
            fills = (
                self._step_number == self._steps and self.parameters.fill_clocks(self._fold.stationary) > 0
            )
            entering = self._work(row, inputs, room and not draining)
            row["folds_ready"] = int(self._ends())
            row["works"] |= int(self._ends() and fills)
        self._travel(entering)
        if pushed is not None:
            self._stored.append(pushed)
        if row["folds_ready"]:
            self._close()
            if inputs["folds_valid"]:
                self._open(unpack_fold(self.parameters, inputs["folds_payload"]))
        return row

    def _open(self, fold: Fold) -> None:
        parameters = self.parameters
        self._fold = fold
        self._loads = parameters.rows if fold.stationary else 0
        self._steps = fold.beats * (1 if fold.stationary else fold.kept * parameters.round_clocks)
        self._fill = parameters.fill_clocks(fold.stationary)
        self._step_number = 0
        shape = (parameters.interleave, parameters.rows, parameters.cols)
        self._sums = np.zeros(shape, np.uint32)
        self._weights: list[tuple[Words, Words]] = []

    def _work(self, row: Row, inputs: Mapping[str, int], may_send: bool) -> int | None:
        """What this clock does for the fold; a row of sums that sets out, if one does."""
        fold = self._fold
        assert fold is not None
        if self._loads:
            row["north_ready"] = 1
            if inputs["north_valid"]:
                row["works"] = 1
                self._loads -= 1
                self._weights.insert(0, unpack_north(self.parameters, inputs["north_payload"]))
            return None
        if self._step_number == self._steps:
            row["works"] = int(self._fill > 1)
            self._fill = max(0, self._fill - 1)
            return None
        if fold.stationary:
            return self._send(row, inputs, fold, may_send)
        self._accumulate(row, inputs, fold)
        return None

    def _accumulate(self, row: Row, inputs: Mapping[str, int], fold: Fold) -> None:
        """A step of stationary sums, or a clock in which the adder is waited for."""
        parameters = self.parameters
        turn, slot = divmod(self._step_number, parameters.round_clocks)
        if slot < parameters.interleave:
            ends = turn % fold.kept == fold.kept - 1 and slot == parameters.interleave - 1
            row["north_ready"] = inputs["west_valid"]
            row["west_ready"] = int(ends) and inputs["north_valid"]
            if not (inputs["west_valid"] and inputs["north_valid"]):
                return
            values, indices = unpack_north(parameters, inputs["north_payload"])
            lanes = unpack_west(parameters, inputs["west_payload"])
            products = multiply(lanes[:, indices], values[None, :], FP16, FP32)
            self._sums[slot] = add(self._sums[slot], products)
        row["works"] = 1
        self._step_number += 1

    def _send(self, row: Row, inputs: Mapping[str, int], fold: Fold, may_send: bool) -> int | None:
        """A step of stationary weights."""
        parameters = self.parameters
        begins = not fold.continued or inputs["partials_valid"]
        row["west_ready"] = int(may_send and begins)
        row["partials_ready"] = int(may_send and fold.continued and inputs["west_valid"])
        if not (row["west_ready"] and inputs["west_valid"]):
            return None
        row["works"] = 1
        self._step_number += 1
        start = unpack(inputs["partials_payload"], SINGLE, parameters.cols) if fold.continued else []
        sums = np.array(start or [0] * parameters.cols, np.uint32)
        lanes = unpack_west(parameters, inputs["west_payload"])
        for place, (values, indices) in enumerate(self._weights):
            sums = add(sums, multiply(lanes[place, indices], values, FP16, FP32))
        return pack(sums.tolist(), SINGLE)

    def _travel(self, entering: int | None) -> None:
        """A row of sums is in the store a clock after its way through the array."""
        if entering is not None:
            arrival = self._clock + self.parameters.fill_clocks(stationary=True) + 1
            self._travelling.append((arrival, entering))
        if self._travelling and self._travelling[0][0] == self._clock:
            self._stored.append(self._travelling.popleft()[1])
        self._clock += 1

    def _push(self, room: bool) -> int | None:
        """The next row of sums that leaves the elements, if one does; they are captured a clock before."""
        drain = self._drain
        if drain is None:
            return None
        if not drain.captured:
            drain.captured = True
            return None
        if not room:
            return None
        pushed = drain.rows.popleft()
        if not drain.rows:
            self._drain = None
        return pushed

    def _ends(self) -> bool:
        fold = self._fold
        assert fold is not None
        finished = self._step_number == self._steps and self._fill == 0 and not self._loads
        return finished and (fold.stationary or self._drain is None)

    def _close(self) -> None:
        if self._fold is not None and not self._fold.stationary:
            rows = [sums for slot in self._sums for sums in slot[::-1]]
            self._drain = _Drain(deque(pack(sums.tolist(), SINGLE) for sums in rows))
        self._fold = None


def fold_cycles(parameters: SatArray, fold: Fold) -> int:
    """Clocks from the first beat of a fold to the first of the next, if nobody ever waits.

    Sums stationary: N steps a beat, rounds of max(I, A) clocks for I sums, R + C - 2 to the last element, L
    through the multiplier and A - 1 through the adder. For I = 1 that is `output_stationary` of
    `accelsim.accelerators.folds` with `interval` A and `latency` L + A - 1; a fold of I sums stands for I
    folds there, of which each pays its fill: the I - 1 others are saved, and up to I - 1 clocks of rounding
    where A is no multiple of I.
    Weights stationary: R loads, the steps, (R - 1) A + C - 1 + L + A - 1: those of `weight_stationary`.
    Both are the closed forms of SCALE-Sim where L = 0 and A = I = 1.
    """
    if fold.stationary:
        steps = parameters.rows + fold.beats
    else:
        steps = fold.beats * fold.kept * parameters.round_clocks
    return steps + parameters.fill_clocks(fold.stationary)


def cycles(parameters: SatArray, folds: Sequence[Fold]) -> int:
    """Clocks from the first fold offered to the last row of sums taken, when nobody ever waits.

    The first fold takes a clock of its own. Sums drain, I x R rows, while the next fold works; it ends
    no sooner than they have left, and weights that are stationary wait for that with their first step.
    """
    begin, drained, taken = 1, 0, -1
    for fold in folds:
        whole = fold_cycles(parameters, fold)
        if fold.stationary:
            waits = max(0, drained + 1 - (begin + parameters.rows))
            begin += whole + waits
            taken = begin + 1
        else:
            begin = max(begin + whole, drained + 1)
            drained = begin + parameters.interleave * parameters.rows
            taken = drained + 1
    return taken + 1
