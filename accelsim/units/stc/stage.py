"""The step model of a unit that is logic before one register: metadata decoder and operand selector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accelsim.units.step import Row

LATENCY_CYCLES = 1


class StageModel:
    """`taken` in, `given` out, a beat a clock; `function` makes the payload of one from that of the other."""

    def __init__(self, taken: str, given: str, function: Callable[[int], int]) -> None:
        self._taken, self._given, self._function = taken, given, function
        self.reset()

    def reset(self) -> None:
        """Nothing to hand out."""
        self._held: int | None = None

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        free = self._held is None or bool(inputs[f"{self._given}_ready"])
        row = {
            f"{self._taken}_ready": int(free),
            f"{self._given}_valid": int(self._held is not None),
            f"{self._given}_payload": self._held or 0,
        }
        if free:
            valid = inputs[f"{self._taken}_valid"]
            self._held = self._function(inputs[f"{self._taken}_payload"]) if valid else None
        return row


def cycles(beats: int) -> int:
    """Clocks from the first beat offered to the last one taken, when source and sink never wait."""
    return beats + LATENCY_CYCLES if beats else 0
