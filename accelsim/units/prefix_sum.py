"""Prefix sum: for every lane, how many of the lanes before it are set, and how many are in all.

log2(lanes) layers of adders: layer d adds the sum that stands 2^d lanes below. One row a clock.
Source: HPCA 2021 SpAtten, section 4 (its zero eliminator counts the zeros before each element so).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelsim.units.checks import Registers, check_lanes, check_registers
from accelsim.units.step import Row, pack


@dataclass(frozen=True, kw_only=True)
class PrefixSum:
    """Counts over `lanes` flags. registers: one behind the last layer, or one behind every layer."""

    lanes: int = 16
    registers: Registers = "low_latency"

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        check_registers(self.registers)

    @property
    def layers(self) -> int:
        """Layers of adders."""
        return self.lanes.bit_length() - 1

    @property
    def latency_cycles(self) -> int:
        """From the clock in which a row is taken to that in which its sums are offered: its registers."""
        return 1 if self.registers == "low_latency" else max(1, self.layers)


PRESETS = {
    "full": PrefixSum(),
    "fast": PrefixSum(registers="max_frequency"),
    "tiny": PrefixSum(lanes=4),
}


class Model:
    """The prefix sum clock by clock. Streams: `flags` in (lanes bits), `sums` out.

    A payload of `sums`: for every lane the count of those before it, then the count of all, each in
    log2(lanes) + 1 bits. All registers advance together, unless sums are offered and not taken.
    """

    def __init__(self, parameters: PrefixSum) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Empty registers."""
        self._pipeline: list[int | None] = [None] * self.parameters.latency_cycles

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        offered = self._pipeline[-1]
        advance = offered is None or bool(inputs["sums_ready"])
        if advance:
            arriving = inputs["flags_payload"] if inputs["flags_valid"] else None
            self._pipeline = [arriving, *self._pipeline[:-1]]
        return {
            "flags_ready": int(advance),
            "sums_valid": int(offered is not None),
            "sums_payload": 0 if offered is None else self._sums(offered),
        }

    def _sums(self, flags: int) -> int:
        lanes = range(self.parameters.lanes + 1)
        counts = [(flags & ((1 << lane) - 1)).bit_count() for lane in lanes]
        return pack(counts, self.parameters.lanes.bit_length())


def cycles(parameters: PrefixSum, payloads: Sequence[int]) -> int:
    """Clocks from the first row offered to the last sums taken, when source and sink never wait."""
    return len(payloads) + parameters.latency_cycles if payloads else 0
