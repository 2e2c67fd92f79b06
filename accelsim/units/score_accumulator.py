"""Score accumulator: a memory of one sum a token, to which rows of probabilities are added.

It stands beside the softmax and adds what the softmax gives, `width` tokens a clock, without slowing it;
before tokens are ranked it is read out, and cleared before the next sentence. Sums saturate.
Source: HPCA 2021 SpAtten, sections 3 and 4; the paper does not state the width of a sum.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.attention import accumulated
from accelsim.units.checks import check_lanes
from accelsim.units.step import Row, pack, unpack

ADD, CLEAR, READ = range(3)
"""What a request does with the first `count` tokens."""

WRITE_CYCLES = 4
"""From a line's address to the first clock in which it can be addressed again: memory 2, sum, write."""

READ_CYCLES = 3
"""From a line's address to the line at the output: memory 2, store."""

STORE_LINES = 4
"""Lines at the output and on their way there: as many as keep a read-out running."""

MOST_BITS = 62


@dataclass(frozen=True, kw_only=True)
class ScoreAccumulator:
    """`width` tokens a clock, scores of `score_bits` bits, sums of `sum_bits` bits, `capacity` tokens.

    13 bits hold a probability times 4096, 1.0 included.
    """

    width: int = 8
    score_bits: int = 13
    sum_bits: int = 32
    capacity: int = 1024

    def __post_init__(self) -> None:
        check_lanes(self.width, "width")
        if not 1 <= self.score_bits <= self.sum_bits:
            raise ValueError(f"score_bits must be 1..sum_bits ({self.sum_bits}), not {self.score_bits}")
        if self.sum_bits > MOST_BITS:
            raise ValueError(f"sum_bits must be <= {MOST_BITS}, not {self.sum_bits}")
        if self.capacity < 2 * self.width or self.capacity % self.width:
            raise ValueError(f"capacity must be two or more whole lines of {self.width}, not {self.capacity}")

    @property
    def lines(self) -> int:
        """Lines of the memory."""
        return self.capacity // self.width


PRESETS = {
    "full": ScoreAccumulator(),
    "tiny": ScoreAccumulator(width=4, score_bits=6, sum_bits=9, capacity=32),
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A payload of `request`: operation (2 bits), count."""

    operation: int
    count: int


class Model:
    """Streams: `request` and `scores` in, `sums` out; probes `busy` and `stored`.

    scores: width x score_bits, one beat for each line of an ADD. sums: width x sum_bits, count, last; lanes
    from `count` on are zero. A line is not touched before what was written to it stands in the memory.
    """

    def __init__(self, parameters: ScoreAccumulator) -> None:
        self.parameters = parameters
        self._memory = np.zeros((parameters.lines, parameters.width), np.uint64)
        self.reset()

    def reset(self) -> None:
        """Nothing is under way. Sums of shortly before are undefined until they are cleared."""
        self._request: Request | None = None
        self._line = 0
        # Lines that are written, and lines that are read, by the clocks that they still take.
        self._writing: deque[int | None] = deque([None] * (WRITE_CYCLES - 1))
        self._reading: deque[int | None] = deque([None] * (READ_CYCLES - 1))
        self._store: deque[int] = deque()

    def shown(self) -> Row:
        """What follows from the state alone; `request_ready` may also follow from a line of scores."""
        request = self._request
        adds = request is not None and request.operation == ADD
        return {
            "request_ready": int(request is None),
            "scores_ready": int(adds and self._line not in self._writing),
            "sums_valid": int(bool(self._store)),
            "sums_payload": self._store[0] if self._store else 0,
            "busy": int(request is not None),
            "stored": len(self._store),
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, request, line = self.shown(), self._request, self._line
        free = request is not None and line not in self._writing
        adds = request is not None and request.operation == ADD
        under_way = len(self._store) + sum(one is not None for one in self._reading)
        room = under_way < STORE_LINES
        goes = free and (
            bool(inputs["scores_valid"]) if adds else room if request and request.operation == READ else True
        )
        last = request is not None and goes and line == self._last_line(request)
        row["request_ready"] = int(request is None or last)
        self._move(inputs, request if goes else None, line)
        self._line += goes
        if request is None or last:
            self._request, self._line = None, 0
            if inputs["request_valid"]:
                self._request = unpack_request(self.parameters, inputs["request_payload"])
        return row

    def _move(self, inputs: Mapping[str, int], request: Request | None, line: int) -> None:
        """What is under way takes a step; `request` works on a line in this clock, if it is there."""
        if inputs["sums_ready"] and self._store:
            self._store.popleft()
        written = read = None
        if request is not None:
            lanes = min(self.parameters.width, request.count - line * self.parameters.width)
            if request.operation == READ:
                read = pack_sums(
                    self.parameters,
                    self._memory[line, :lanes].tolist(),
                    last=line == self._last_line(request),
                )
            else:
                written = line
                self._write(inputs, request, line, lanes)
        self._writing.append(written)
        self._writing.popleft()
        self._reading.append(read)
        arrived = self._reading.popleft()
        if arrived is not None:
            self._store.append(arrived)

    def _write(self, inputs: Mapping[str, int], request: Request, line: int, lanes: int) -> None:
        """At once: nobody reads the line before its time."""
        sums = self._memory[line]
        if request.operation == CLEAR:
            sums[:] = 0
            return
        scores = unpack(inputs["scores_payload"], self.parameters.score_bits, lanes)
        sums[:lanes] = accumulated(sums[:lanes], np.array(scores), self.parameters.sum_bits)

    def _last_line(self, request: Request) -> int:
        return (request.count - 1) // self.parameters.width


def unpack_request(parameters: ScoreAccumulator, payload: int) -> Request:
    """The fields of a payload of `request`. ValueError for what the unit does not do."""
    request = Request(operation=payload & 3, count=payload >> 2)
    if request.operation > READ or not 1 <= request.count <= parameters.capacity:
        raise ValueError(
            f"a request must be 0..2 for 1..{parameters.capacity} tokens, not {request.operation} for "
            f"{request.count}"
        )
    return request


def pack_request(request: Request) -> int:
    """Payload of `request`."""
    return request.operation | request.count << 2


def pack_sums(parameters: ScoreAccumulator, sums: Sequence[int], *, last: bool) -> int:
    """Payload of `sums`."""
    above = len(sums) | int(last) << parameters.width.bit_length()
    return pack(sums, parameters.sum_bits) | above << (parameters.width * parameters.sum_bits)


def cycles(parameters: ScoreAccumulator, requests: Sequence[Request]) -> int:
    """Clocks from the first request to the last line read out; sources never idle, the sink never waits.

    A line a clock, and a request in the clock of the last line of the one before it. Latency: a line that
    was written waits WRITE_CYCLES for its next use, which only requests of fewer lines than that feel.
    """
    free = [0] * parameters.lines
    clock = end = 0
    for request in requests:
        for line in range(-(-request.count // parameters.width)):
            clock = max(clock + 1, free[line])
            if request.operation == READ:
                end = clock + READ_CYCLES + 1
            else:
                free[line] = clock + WRITE_CYCLES
    return end
