"""Round-robin arbiter: many streams into one. Parameters and the two faces of its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import require_range
from accelsim.units.step import Row

LARGEST_SOURCES = 64
LARGEST_BITS = 4096


@dataclass(frozen=True, kw_only=True)
class Arbiter:
    """`sources` streams with payloads of `bits` bits."""

    sources: int = 4
    bits: int = 32

    def __post_init__(self) -> None:
        require_range("sources", self.sources, 2, LARGEST_SOURCES)
        require_range("bits", self.bits, 1, LARGEST_BITS)


PRESETS = {"four": Arbiter(), "tiny": Arbiter(sources=3, bits=8)}


class Model:
    """The arbiter clock by clock. Streams: `request_0`, ... in, `granted` out; probe `grant`.

    One source has the grant; it goes to the next requester whenever the output does not wait. So a requester
    is served after at most one beat of every other source.
    """

    def __init__(self, parameters: Arbiter) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """The first source has the grant."""
        self._grant = 0

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        sources, grant = self.parameters.sources, self._grant
        valid = inputs[f"request_{grant}_valid"]
        row = {f"request_{source}_ready": 0 for source in range(sources)}
        row |= {
            f"request_{grant}_ready": inputs["granted_ready"],
            "granted_valid": valid,
            "granted_payload": pack_granted(self.parameters, inputs[f"request_{grant}_payload"], grant),
            "grant": grant,
        }
        if not valid or inputs["granted_ready"]:
            others = [(grant + distance) % sources for distance in range(1, sources)]
            self._grant = next((source for source in others if inputs[f"request_{source}_valid"]), grant)
        return row


def pack_granted(parameters: Arbiter, payload: int, source: int) -> int:
    """An output beat: the payload, and above it the number of its source."""
    return payload | source << parameters.bits


def cycles(payloads: Sequence[Sequence[int]]) -> int:
    """Clocks from the first payload offered to the last one taken, when sources and sink never wait.

    payloads: of every source. A beat a clock; a clock passes first if the source with the grant has none.
    """
    beats = sum(map(len, payloads))
    return beats + int(beats > 0 and not payloads[0])
