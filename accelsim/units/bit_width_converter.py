"""Bit-width converter: packed elements of memory, most or least significant parts, to operands of one width.

Source: HPCA 2021 SpAtten, section 4: multiplexers and a shifter take what the memory holds to the words of
the K and V stores, which are always 12 bits. Most significant parts become the integers that they stand for
when their least significant bits are zero; least significant parts become the bits to put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any

from accelsim.units.checks import check_lanes, require_range
from accelsim.units.step import Row, pack, unpack

COUNT_BITS = 12
"""Of elements and of beats of a record."""
RECORD_BITS = 16
SHIFT_BITS = 3
WIDTH_BITS = 5


@dataclass(frozen=True, kw_only=True)
class BitWidthConverter:
    """Beats of `beat_bits` bits in, `lanes` operands of `operand_bits` bits out, a beat and a line a clock.

    widths: of an element in memory. lsb_bits: most bits that a most significant part is shifted up.
    """

    beat_bits: int = 128
    lanes: int = 32
    operand_bits: int = 12
    widths: tuple[int, ...] = (4, 6, 8, 10, 12)
    lsb_bits: int = 4

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        require_range("beat_bits", self.beat_bits, 1, 1024)
        require_range("operand_bits", self.operand_bits, 1, 32)
        require_range("lsb_bits", self.lsb_bits, 0, (1 << SHIFT_BITS) - 1)
        if list(self.widths) != sorted(set(self.widths)) or not self.widths:
            raise ValueError(f"widths must be ascending, one at least, not {self.widths}")
        if self.widths[0] < 1 or self.widths[-1] > min(self.operand_bits, 31):
            raise ValueError(
                f"widths must be from 1 to operand_bits ({self.operand_bits}), not {self.widths}"
            )

    @property
    def granule_bits(self) -> int:
        """What all moves within the buffer are multiples of."""
        return gcd(self.beat_bits, *(self.lanes * width for width in self.widths))

    @property
    def buffer_granules(self) -> int:
        """The most that waits for a line, and a beat."""
        longest = self.lanes * self.widths[-1] + self.beat_bits
        return longest // self.granule_bits - 1


PRESETS = {
    "full": BitWidthConverter(),
    "tiny": BitWidthConverter(beat_bits=16, lanes=4, operand_bits=8, widths=(2, 3, 6), lsb_bits=2),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A payload of `request`: `records` times `beats` beats, whose first `elements` elements count.

    An element has `width` bits. A most significant part is signed and is shifted up by `shift` bits; a
    least significant one (`least`) is neither.
    """

    width: int
    elements: int
    beats: int
    records: int = 1
    shift: int = 0
    least: bool = False


class Model:
    """The converter clock by clock. Streams: `request` and `beats` in, `operands` out; probes `busy`, `held`.

    beats: packed elements, the first one lowest. operands: lanes x operand_bits, how many count (the others
    are zero), whether they are least significant parts, whether a record ends. held: granules in the buffer.
    """

    def __init__(self, parameters: BitWidthConverter) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No request, nothing held."""
        self._request: Request | None = None
        self._buffer = self._held = 0
        self._elements = self._beats = self._records = 0
        self._line: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        request, lanes = self._request, self.parameters.lanes
        row = {
            "request_ready": int(request is None),
            "beats_ready": 0,
            "operands_valid": int(self._line is not None),
            "operands_payload": self._line or 0,
            "busy": int(request is not None),
            "held": self._held // self.parameters.granule_bits,
        }
        if inputs["operands_ready"]:
            self._line = None
        if request is not None:
            last = self._elements <= lanes
            if self._line is None and (self._beats == 0 if last else self._held >= lanes * request.width):
                row["request_ready"] = int(self._give(request, last))
            row["beats_ready"] = self._take(request, inputs)
        if row["request_ready"]:
            self._request = None
            if inputs["request_valid"]:
                self._begin(unpack_request(self.parameters, inputs["request_payload"]))
        return row

    def _begin(self, request: Request) -> None:
        self._request, self._records = request, request.records
        self._elements, self._beats = request.elements, request.beats

    def _give(self, request: Request, last: bool) -> bool:
        """A line leaves the buffer. Whether it was the last one of the request."""
        lanes = self.parameters.lanes
        count = min(lanes, self._elements)
        self._line = converted(self.parameters, request, self._buffer, count, last)
        bits = self._held if last else lanes * request.width
        self._buffer, self._held = self._buffer >> bits, self._held - bits
        self._elements -= count
        if last:
            self._records -= 1
            if self._records:
                self._elements, self._beats = request.elements, request.beats
        return last and not self._records

    def _take(self, request: Request, inputs: Mapping[str, int]) -> int:
        """Whether a beat is taken up; behind a record's last element it is dropped."""
        wants = self._held < self.parameters.lanes * request.width
        ready = self._beats > 0 and (wants or self._elements <= self.parameters.lanes)
        if ready and inputs["beats_valid"]:
            self._beats -= 1
            if wants:
                self._buffer |= inputs["beats_payload"] << self._held
                self._held += self.parameters.beat_bits
        return int(ready)


def converted(parameters: BitWidthConverter, request: Request, packed: int, count: int, last: bool) -> int:
    """A payload of `operands` out of `count` packed elements."""
    elements = unpack(packed, request.width, count)
    if not request.least:
        sign = 1 << (request.width - 1)
        elements = [((element ^ sign) - sign) << request.shift for element in elements]
    mask = (1 << parameters.operand_bits) - 1
    line = pack([element & mask for element in elements], parameters.operand_bits)
    above = count | request.least << parameters.lanes.bit_length()
    return (
        line
        | (above | last << parameters.lanes.bit_length() + 1) << parameters.lanes * parameters.operand_bits
    )


FIELDS = (
    ("width", WIDTH_BITS),
    ("shift", SHIFT_BITS),
    ("least", 1),
    ("elements", COUNT_BITS),
    ("beats", COUNT_BITS),
    ("records", RECORD_BITS),
)
"""Of a payload of `request`, the first one lowest."""


def pack_request(request: Request) -> int:
    """Payload of `request`."""
    packed = position = 0
    for name, bits in FIELDS:
        packed |= int(getattr(request, name)) << position
        position += bits
    return packed


def unpack_request(parameters: BitWidthConverter, payload: int) -> Request:
    """The fields of a payload of `request`. ValueError for what the unit does not do."""
    values: dict[str, Any] = {}
    for name, bits in FIELDS:
        values[name] = payload & (1 << bits) - 1
        payload >>= bits
    request = Request(**values | {"least": bool(values["least"])})
    if request.width not in parameters.widths:
        raise ValueError(f"width must be one of {parameters.widths}, not {request.width}")
    most = 0 if request.least else min(parameters.lsb_bits, parameters.operand_bits - request.width)
    if request.shift > most:
        raise ValueError(f"shift must be at most {most}, not {request.shift}")
    if (
        not request.records
        or not 1 <= request.elements * request.width <= request.beats * parameters.beat_bits
    ):
        raise ValueError(
            f"a record must hold its elements, one at least, not {request.elements} of {request.width} bits "
            f"in {request.beats} beats, {request.records} times"
        )
    return request


def cycles(parameters: BitWidthConverter, requests: Sequence[Request]) -> int:
    """Clocks from the first request offered to the last line taken; sources and sink never wait.

    A clock for the first request and one for the last line; the first beat of a record comes with the last
    line of the one before it, and a request with the last line of the one before it.
    """
    if not requests:
        return 0
    each = [(_record_cycles(parameters, one.width, one.elements, one.beats), one.records) for one in requests]
    return 2 + sum(first + (records - 1) * (first - 1) for first, records in each)


@lru_cache
def _record_cycles(parameters: BitWidthConverter, width: int, elements: int, beats: int) -> int:
    """Clocks from a record's first beat, for which nothing leaves, to its last line."""
    line, held, clocks = parameters.lanes * width, 0, 0
    while True:
        clocks += 1
        last = elements <= parameters.lanes
        if beats == 0 if last else held >= line:
            if last:
                return clocks
            held, elements = held - line, elements - parameters.lanes
        if beats and (held < line or elements <= parameters.lanes):
            beats -= 1
            held += parameters.beat_bits if held < line else 0
