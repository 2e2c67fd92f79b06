"""Zero eliminator: closes the gaps that a filter left, and joins what remains into full rows.

A group is some rows of `lanes` elements, each with a bit that says whether it is kept; the last row is
marked. Out come the kept elements in their order, `lanes` a row, only the last row of a group partial (or
empty, if nothing was left to give). One row a clock goes in and out for ever, as long as the sink is ready.

Source: HPCA 2021 SpAtten, section 4; the register policies are those of its RTL (papers' artefact,
utils/ZeroEliminator). Its shift layers and its re-align shifter are one butterfly network here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import Registers, check_lanes, check_registers, require_range
from accelsim.units.step import Row, pack, unpack

LARGEST_BITS = 64
QUEUE_ROWS = 2
"""Rows that wait for the sink. Two: the last row of a group may complete two rows in one clock."""


@dataclass(frozen=True, kw_only=True)
class ZeroEliminator:
    """`lanes` elements of `bits` bits a clock.

    registers: "low_latency" has one register behind the prefix sum and one behind the last layer of the
    butterfly; "max_frequency" one behind every layer of either, and one behind the sum between them.
    """

    lanes: int = 16
    bits: int = 12
    registers: Registers = "low_latency"

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        require_range("bits", self.bits, 1, LARGEST_BITS)
        check_registers(self.registers)

    @property
    def layers(self) -> int:
        """Layers of the prefix sum, and as many of the butterfly."""
        return self.lanes.bit_length() - 1

    @property
    def prefix_registers(self) -> int:
        """Registers of the prefix sum."""
        return 1 if self.registers == "low_latency" else max(1, self.layers)

    @property
    def depth(self) -> int:
        """Registers from the input to the join: a row is joined `depth` clocks after it was taken."""
        return self.prefix_registers + (1 if self.registers == "low_latency" else 1 + self.layers)

    @property
    def latency_cycles(self) -> int:
        """From the clock in which a row is taken to that in which the row it completes is offered."""
        return self.depth + 1


PRESETS = {
    "full": ZeroEliminator(),
    "fast": ZeroEliminator(registers="max_frequency"),
    "tiny": ZeroEliminator(lanes=4, bits=8),
}


class Model:
    """The zero eliminator clock by clock. Streams: `rows` in, `kept` out; probe `waiting`.

    A row: elements (lanes x bits), keep (lanes), last (1). A kept row: elements, count, last; elements from
    `count` on are zero. `waiting`: elements in the join register.
    """

    def __init__(self, parameters: ZeroEliminator) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Empty registers."""
        self._pipeline: list[tuple[list[int], bool] | None] = [None] * self.parameters.depth
        self._joined: list[int] = []
        self._queue: list[int] = []

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        completed, joined = self._join(self._pipeline[-1])
        taken = bool(self._queue) and bool(inputs["kept_ready"])
        advance = len(self._queue) - taken + len(completed) <= QUEUE_ROWS
        row = {
            "rows_ready": int(advance),
            "kept_valid": int(bool(self._queue)),
            "kept_payload": self._queue[0] if self._queue else 0,
            "waiting": len(self._joined),
        }
        if taken:
            self._queue.pop(0)
        if advance:
            self._queue += completed
            self._joined = joined
            arriving = unpack_row(self.parameters, inputs["rows_payload"]) if inputs["rows_valid"] else None
            self._pipeline = [arriving, *self._pipeline[:-1]]
        return row

    def _join(self, arriving: tuple[list[int], bool] | None) -> tuple[list[int], list[int]]:
        """Rows that the arriving one completes, and the elements that then wait."""
        if arriving is None:
            return [], self._joined
        elements, last = self._joined + arriving[0], arriving[1]
        lanes = self.parameters.lanes
        if not last:
            full = elements[:lanes]
            if len(full) < lanes:
                return [], elements
            return [pack_kept(self.parameters, full, last=False)], elements[lanes:]
        return pack_group(self.parameters, elements), []


def pack_row(parameters: ZeroEliminator, elements: Sequence[int], keep: Sequence[bool], *, last: bool) -> int:
    """Payload of `rows`: elements, then the keep bits, then `last`."""
    lanes, bits = parameters.lanes, parameters.bits
    packed = pack(elements, bits) | pack([int(bit) for bit in keep], 1) << (lanes * bits)
    return packed | int(last) << (lanes * bits + lanes)


def unpack_row(parameters: ZeroEliminator, payload: int) -> tuple[list[int], bool]:
    """The kept elements of a payload of `rows`, and whether it is the last of its group."""
    lanes, bits = parameters.lanes, parameters.bits
    keep = payload >> (lanes * bits)
    elements = unpack(payload, bits, lanes)
    return [value for lane, value in enumerate(elements) if keep >> lane & 1], bool(keep >> lanes & 1)


def pack_kept(parameters: ZeroEliminator, elements: Sequence[int], *, last: bool) -> int:
    """Payload of `kept`: elements, then their count, then `last`."""
    lanes, bits = parameters.lanes, parameters.bits
    packed = pack(elements, bits) | len(elements) << (lanes * bits)
    return packed | int(last) << (lanes * bits + lanes.bit_length())


def pack_group(parameters: ZeroEliminator, elements: Sequence[int]) -> list[int]:
    """All payloads of `kept` for a group of kept elements: full rows, and the rest of them."""
    lanes = parameters.lanes
    starts = range(0, max(1, len(elements)), lanes)
    return [
        pack_kept(parameters, elements[start : start + lanes], last=start + lanes >= len(elements))
        for start in starts
    ]


def cycles(parameters: ZeroEliminator, payloads: Sequence[int]) -> int:
    """Clocks from the first row offered to the last kept row taken, when source and sink never wait.

    Row i is taken in clock i and joined in clock i + depth; a completed row is taken one clock later, or
    one clock after the one before it.
    """
    taken, waiting = -1, 0
    for clock, payload in enumerate(payloads):
        kept, last = unpack_row(parameters, payload)
        waiting += len(kept)
        completed = waiting // parameters.lanes
        if last:
            completed = max(1, -(-waiting // parameters.lanes))
            waiting = 0
        else:
            waiting %= parameters.lanes
        for _ in range(completed):
            taken = max(taken + 1, clock + parameters.latency_cycles)
    return taken + 1
