"""The top-k engine clock by clock: the definition that its RTL is held against, row by row."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.topk import LFSR_BITS, top_k_indices
from accelsim.units.step import Row, pack, unpack
from accelsim.units.topk.parameters import TopK
from accelsim.units.topk.selection import Schedule, schedule


@dataclass(frozen=True, kw_only=True)
class Request:
    """A payload of `request`."""

    count: int
    keep: int
    row_id: int


@dataclass(kw_only=True)
class _Work:
    """A row behind the loader: its scores, its threshold, and the kept lines that each line completes.

    `completes[i]`: payloads of `kept` that line i completes; one more at the end: what is flushed behind it.
    """

    lines: int
    kth: int
    quota: int
    schedule: Schedule | None
    completes: list[int | None]


class Model:
    """Streams: `request` and `scores` in, `threshold` and `kept` out; probes `loading`, `passes`, `stored`.

    Payloads, lowest field first. request: count, keep, row_id (16 bits). scores: width x bits. threshold:
    kth, quota. kept: scores, indices, count, last; lanes from `count` on are zero.
    """

    def __init__(self, parameters: TopK) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Nothing is loaded, selected or stored."""
        self._request: Request | None = None
        self._loaded: list[int] = []
        self._wait = 0
        self._state = "idle"
        self._clock = 0
        self._passes = 0
        self._line = 0
        self._threshold: int | None = None
        # The filter's pipeline: a line's way from its address to the store, with what it completed.
        self._pipeline: deque[tuple[bool, int | None]] = deque(
            [(False, None)] * (self.parameters.filter_cycles - 1)
        )
        self._flushed: int | None = None
        self._store: deque[int] = deque()
        self._promised = self._change = 0
        self._room = True

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        request = self._request
        takes_scores = request is not None and not self._complete and self._wait == 0
        return {
            "request_ready": int(request is None),
            "scores_ready": int(takes_scores),
            "threshold_valid": int(self._threshold is not None),
            "threshold_payload": self._threshold or 0,
            "kept_valid": int(bool(self._store)),
            "kept_payload": self._store[0] if self._store else 0,
            "loading": int(request is not None),
            "passes": self._passes,
            "stored": len(self._store),
        }

    @property
    def _complete(self) -> bool:
        """Whether the row in the loader is whole."""
        return self._request is not None and len(self._loaded) == self._lines_of(self._request)

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, request = self.shown(), self._request
        issued = self._work_step(inputs, self._complete)
        self._store_step(bool(inputs["kept_ready"]), issued)
        self._load_step(inputs, request is None, bool(row["scores_ready"]))
        return row

    def _load_step(self, inputs: Mapping[str, int], takes_request: bool, takes_scores: bool) -> None:
        """A request, then its scores."""
        if takes_scores:
            if inputs["scores_valid"]:
                self._loaded.append(inputs["scores_payload"])
        elif self._wait:
            self._wait -= 1
        elif takes_request and inputs["request_valid"]:
            self._request = unpack_request(self.parameters, inputs["request_payload"])
            self._wait = self.parameters.request_cycles - 1

    def _work_step(self, inputs: Mapping[str, int], complete: bool) -> tuple[bool, int | None]:
        """Selection, threshold and the filter's reads; what goes into the filter's pipeline."""
        presented = self._threshold is None
        if self._threshold is not None and inputs["threshold_ready"]:
            self._threshold = None
        entering, self._flushed = (False, self._flushed), None
        if self._state == "idle":
            self._passes = 0
            if complete:
                self._take()
        elif self._state == "select":
            self._clock += 1
            plan = self._work.schedule
            assert plan is not None
            self._passes += self._clock in plan.begins
            if self._clock == plan.found + 1:
                self._state = "present"
        elif self._state == "present":
            if presented:
                work = self._work
                self._threshold = pack_threshold(self.parameters, work.kth, work.quota)
                self._state, self._line = "filter", 0
        elif self._room:
            entering = (True, self._work.completes[self._line])
            self._line += 1
            if self._line == self._work.lines:
                self._flushed = self._work.completes[-1]
                self._state = "idle"
        return entering

    def _take(self) -> None:
        """The loaded row leaves the loader, which is then free for the next one."""
        assert self._request is not None
        self._work = plan_row(self.parameters, self._request, self._loaded)
        self._state = "present"
        if self._work.schedule:
            self._state, self._clock = "select", 0
        self._request, self._loaded = None, []

    def _store_step(self, ready: bool, entering: tuple[bool, int | None]) -> None:
        """The filter's pipeline moves; its end goes to the store, whose first line may be taken."""
        self._pipeline.append(entering)
        retired, line = self._pipeline.popleft()
        # The number of promised lines is summed in two cycles, and room is said one cycle later.
        self._room = self._promised < self.parameters.store_lines - 3
        self._promised += self._change
        taken = ready and bool(self._store)
        if taken:
            self._store.popleft()
        if line is not None:
            self._store.append(line)
        self._change = int(entering[0]) - int(retired) + int(line is not None) - int(taken)

    def _lines_of(self, request: Request) -> int:
        return -(-request.count // self.parameters.width)


def plan_row(parameters: TopK, request: Request, payloads: Sequence[int]) -> _Work:
    """What becomes of a loaded row."""
    width = parameters.width
    values = np.array(
        [score for payload in payloads for score in unpack(payload, parameters.bits, width)][: request.count],
        dtype=np.int64,
    )
    plan = None
    kth, quota = 0, request.count
    if request.keep < request.count:
        plan = schedule(parameters, values, request.keep, request.row_id)
        kth, quota = plan.kth, plan.quota
    kept = [int(index) for index in top_k_indices(values, request.keep)]
    out = [kept[start : start + width] for start in range(0, len(kept), width)]
    completes: list[int | None] = [None] * (len(payloads) + 1)
    for number, indices in enumerate(out):
        where = indices[-1] // width if len(indices) == width else -1
        completes[where] = pack_kept(
            parameters, values[indices].tolist(), indices, last=number == len(out) - 1
        )
    return _Work(lines=len(payloads), kth=kth, quota=quota, schedule=plan, completes=completes)


def unpack_request(parameters: TopK, payload: int) -> Request:
    """The fields of a payload of `request`. ValueError for numbers that the engine does not take."""
    bits = parameters.capacity.bit_length()
    count, keep = unpack(payload, bits, 2)
    if not 1 <= keep <= count <= parameters.capacity:
        raise ValueError(
            f"a request must have 1 <= keep <= count <= {parameters.capacity}, not keep {keep}, count {count}"
        )
    return Request(count=count, keep=keep, row_id=payload >> (2 * bits))


def pack_request(parameters: TopK, request: Request) -> int:
    """Payload of `request`."""
    bits = parameters.capacity.bit_length()
    return pack([request.count, request.keep, request.row_id % (1 << LFSR_BITS)], bits)


def pack_threshold(parameters: TopK, kth: int, quota: int) -> int:
    """Payload of `threshold`."""
    return kth | quota << parameters.bits


def pack_kept(parameters: TopK, scores: Sequence[int], indices: Sequence[int], *, last: bool) -> int:
    """Payload of `kept`."""
    width, bits, index_bits = parameters.width, parameters.bits, parameters.index_bits
    packed = pack(scores, bits) | pack(indices, index_bits) << (width * bits)
    above = len(scores) | int(last) << width.bit_length()
    return packed | above << (width * (bits + index_bits))
