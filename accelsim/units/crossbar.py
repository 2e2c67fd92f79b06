"""Crossbar of many streams to many: SpAtten's fetcher sends addresses by one and gets data by another.

An output takes at most one beat a clock, of the lowest input that wants it; a beat that has to wait keeps its
output until it is taken (transaction lock). `Crossbar`: how large it is; `Model` and `cycles`: its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.compiled import kernel
from accelsim.units.checks import require_range
from accelsim.units.step import Row

LARGEST_PORTS = 64
LARGEST_DEPTH = 1 << 16
LARGEST_BITS = 4096

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Crossbar:
    """`inputs` streams of `bits` bits, each beat to the output that its bits from `position` on name.

    A FIFO of `input_depth` beats stands before each input, one of `output_depth` behind each output; 0: none.
    Where the outputs are no power of two, the field is taken modulo their number.
    """

    inputs: int = 32
    outputs: int = 16
    bits: int = 64
    position: int = 5
    input_depth: int = 64
    output_depth: int = 0

    def __post_init__(self) -> None:
        require_range("inputs", self.inputs, 1, LARGEST_PORTS)
        require_range("outputs", self.outputs, 1, LARGEST_PORTS)
        require_range("bits", self.bits, 1, LARGEST_BITS)
        require_range("position", self.position, 0, self.bits)
        require_range("input_depth", self.input_depth, 0, LARGEST_DEPTH)
        require_range("output_depth", self.output_depth, 0, LARGEST_DEPTH)

    def output_of(self, payload: int) -> int:
        """Where a beat goes."""
        return (payload >> self.position & (1 << (self.outputs - 1).bit_length()) - 1) % self.outputs

    def pack_granted(self, payload: int, source: int) -> int:
        """A beat that leaves: the payload, and above it the number of its input."""
        return payload | source << self.bits


# Table I of SpAtten (HPCA 2021): 32 address FIFOs of 64 x 8 B to 16 channels of 32-byte bursts; 16 channels
# to 32 data FIFOs of 64 x 16 B, whose number stands above the data.
PRESETS = {
    "addresses": Crossbar(),
    "data": Crossbar(inputs=16, outputs=32, bits=133, position=128, input_depth=0, output_depth=64),
    "tiny": Crossbar(inputs=4, outputs=2, bits=8, position=0, input_depth=2),
}


class Model:
    """The crossbar clock by clock. Streams: `request_0`, ... in, `granted_0`, ... out; probe `locked`."""

    def __init__(self, parameters: Crossbar) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Empty, no output promised."""
        self._entered: list[list[int]] = [[] for _ in range(self.parameters.inputs)]
        self._leaving: list[list[int]] = [[] for _ in range(self.parameters.outputs)]
        self._lock: list[int | None] = [None] * self.parameters.outputs

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters = self.parameters
        heads = [self._head(inputs, port) for port in range(parameters.inputs)]
        grants = [self._grant(heads, output) for output in range(parameters.outputs)]
        row = {
            "locked": sum(1 << output for output, lock in enumerate(self._lock) if lock is not None),
        }
        row |= {
            f"request_{port}_ready": int(len(self._entered[port]) < parameters.input_depth)
            for port in range(parameters.inputs)
        }
        taken = []
        for output, port in enumerate(grants):
            beat, leaving = None, self._leaving[output]
            if port is not None and (payload := heads[port]) is not None:
                beat = parameters.pack_granted(payload, port)
            ready = inputs[f"granted_{output}_ready"]
            if parameters.output_depth:
                shown = leaving[0] if leaving else None
                moves = beat is not None and len(leaving) < parameters.output_depth
                if leaving and ready:
                    leaving.pop(0)
                if moves and beat is not None:
                    leaving.append(beat)
            else:
                shown, moves = beat, beat is not None and bool(ready)
            row |= {
                f"granted_{output}_valid": int(shown is not None),
                f"granted_{output}_payload": shown or 0,
            }
            self._lock[output] = None if moves else port
            if moves and port is not None:
                taken.append(port)
        self._advance(inputs, row, taken)
        return row

    def _head(self, inputs: Mapping[str, int], port: int) -> int | None:
        """The beat that an input asks for."""
        if self.parameters.input_depth:
            return self._entered[port][0] if self._entered[port] else None
        return inputs[f"request_{port}_payload"] if inputs[f"request_{port}_valid"] else None

    def _grant(self, heads: list[int | None], output: int) -> int | None:
        """The input that an output belongs to in this clock."""
        if (lock := self._lock[output]) is not None:
            return lock
        return next(
            (
                port
                for port, head in enumerate(heads)
                if head is not None and self.parameters.output_of(head) == output
            ),
            None,
        )

    def _advance(self, inputs: Mapping[str, int], row: Row, taken: list[int]) -> None:
        for port in taken:
            if self.parameters.input_depth:
                self._entered[port].pop(0)
            else:
                row[f"request_{port}_ready"] = 1
        if self.parameters.input_depth:
            for port, entered in enumerate(self._entered):
                if row[f"request_{port}_ready"] and inputs[f"request_{port}_valid"]:
                    entered.append(inputs[f"request_{port}_payload"])


def cycles(parameters: Crossbar, streams: Sequence[Sequence[int]]) -> int:
    """Clocks from the first beat offered to the last one taken, when sources and sinks never wait.

    streams: payloads of each input. At best the beats of the output that gets most, and one for each FIFO.
    """
    outputs = [parameters.output_of(payload) for stream in streams for payload in stream]
    counts = np.array([[len(stream) for stream in streams]], np.int64)
    firsts = np.cumsum(counts, axis=1) - counts
    return int(_run(parameters, np.array(outputs, np.int64), firsts, counts, 1)[0])


def issue_cycles(parameters: Crossbar, outputs: Integers, begins: Integers) -> Integers:
    """`cycles` of many requests, each alone, whose beats are dealt to the inputs in turn: (requests,).

    outputs: of all beats, one request behind the other; begins: (requests + 1,), where each begins.
    """
    ports = np.arange(parameters.inputs)
    firsts = begins[:-1, None] + ports
    left = np.diff(begins)[:, None] - ports
    return _run(parameters, outputs, firsts, np.maximum(0, -(-left // ports.size)), ports.size)


def _run(
    parameters: Crossbar, outputs: Integers, firsts: Integers, counts: Integers, stride: int
) -> Integers:
    clocks = np.zeros(len(firsts), np.int64)
    ports = np.zeros((2, parameters.inputs), np.int64)
    sinks = np.zeros((5, parameters.outputs), np.int64)
    depths = np.array([parameters.input_depth, parameters.output_depth], np.int64)
    count: Callable[..., None] = _count
    count(outputs, firsts, counts, stride, depths, ports, sinks, clocks)
    return clocks


@kernel
def _count(outputs, firsts, counts, stride, depths, ports, sinks, clocks):  # type: ignore[no-untyped-def]
    """Beats that entered and left each port; of a sink: entered, left, clock of a grant, full, lock."""
    for request in range(firsts.shape[0]):
        ports[:] = 0
        sinks[:] = 0
        left = counts[request].sum()
        clock = 0
        while left > 0:
            clock += 1
            if depths[1] > 0:
                for output in range(sinks.shape[1]):
                    # Room is seen before the oldest beat is taken.
                    sinks[3, output] = sinks[0, output] - sinks[1, output] == depths[1]
                    if sinks[0, output] > sinks[1, output]:
                        sinks[1, output] += 1
                        left -= 1
            for port in range(ports.shape[1]):
                count = counts[request, port]
                ready = ports[0, port] - ports[1, port] < depths[0] and ports[0, port] < count
                there = ports[0, port] > ports[1, port] if depths[0] > 0 else ports[1, port] < count
                if there:
                    output = outputs[firsts[request, port] + ports[1, port] * stride]
                    mine = sinks[4, output] == 0 or sinks[4, output] == port + 1
                    if mine and sinks[3, output]:
                        sinks[4, output] = port + 1
                    elif mine and sinks[2, output] < clock:
                        sinks[2, output], sinks[4, output] = clock, 0
                        ports[1, port] += 1
                        if depths[1] > 0:
                            sinks[0, output] += 1
                        else:
                            left -= 1
                if ready:
                    ports[0, port] += 1
        clocks[request] = clock
