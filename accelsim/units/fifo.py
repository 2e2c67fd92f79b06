"""FIFO between two streams: parameters and the two faces of its time.

The hardware is `amaranth.lib.fifo`, wrapped; here stands what it does clock by clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from accelsim.units.checks import require_range
from accelsim.units.step import Row

LARGEST_DEPTH = 1 << 16
LARGEST_BITS = 4096


@dataclass(frozen=True, kw_only=True)
class Fifo:
    """Up to `depth` payloads of `bits` bits.

    memory: "distributed" is read in the clock of its address (LUT RAM), so that a payload is offered one
    clock after it was taken; "block" has its output in a register (block RAM), one clock later.
    """

    depth: int = 16
    bits: int = 32
    memory: Literal["distributed", "block"] = "distributed"

    def __post_init__(self) -> None:
        require_range("depth", self.depth, 1, LARGEST_DEPTH)
        require_range("bits", self.bits, 1, LARGEST_BITS)
        if self.memory not in ("distributed", "block"):
            raise ValueError(f"memory must be distributed or block, not {self.memory!r}")

    @property
    def registered(self) -> bool:
        """The oldest payload stands in an output register behind the memory; a single one needs no memory."""
        return self.memory == "block" and self.depth > 1

    @property
    def latency_cycles(self) -> int:
        """From the clock that takes a payload into the empty FIFO to the first that offers it."""
        return 2 if self.registered else 1

    @property
    def interval_cycles(self) -> int:
        """Clocks between two payloads of a stream that never waits: 1 but for the shallowest FIFOs."""
        return 1 if self.depth > self.latency_cycles else 2


PRESETS = {
    "distributed": Fifo(),
    "block": Fifo(depth=512, memory="block"),
    "tiny": Fifo(depth=4, bits=8),
}


class Model:
    """The FIFO clock by clock. Streams: `entering`, `leaving`; probe `level`: the payloads inside."""

    def __init__(self, parameters: Fifo) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Empty."""
        self._stored: list[int] = []
        self._output: list[int] = []

    def shown(self) -> Row:
        """The outputs, all of which follow from the state alone."""
        registered = self.parameters.registered
        oldest = self._output if registered else self._stored
        return {
            "entering_ready": int(len(self._stored) < self.parameters.depth - registered),
            "leaving_valid": int(bool(oldest)),
            "leaving_payload": oldest[0] if oldest else 0,
            "level": len(self._stored) + len(self._output),
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, registered = self.shown(), self.parameters.registered
        oldest = self._output if registered else self._stored
        if row["leaving_valid"] and inputs["leaving_ready"]:
            oldest.pop(0)
        if registered and self._stored and not self._output:
            self._output.append(self._stored.pop(0))
        if row["entering_ready"] and inputs["entering_valid"]:
            self._stored.append(inputs["entering_payload"])
        return row


def cycles(parameters: Fifo, payloads: Sequence[int]) -> int:
    """Clocks from the first payload offered to the last one taken, when source and sink never wait."""
    if not payloads:
        return 0
    return (len(payloads) - 1) * parameters.interval_cycles + parameters.latency_cycles + 1
