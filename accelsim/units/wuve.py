"""WUVE, the unit that updates weights: FP32 lanes of momentum SGD, and the two faces of its time.

Source: Fang et al., IEEE TCAD 2023 (FP16 in, FP32 inside, FP16 out); lanes, optimiser and order of
operations are not published and are chosen here: the order of `accelsim.golden.momentum`, one weight a clock
and lane, every operation a pipelined adder or multiplier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from accelsim.golden.floating import canonical
from accelsim.golden.momentum import Momentum, is_finite, step
from accelsim.units.checks import require_range
from accelsim.units.step import Row, pack, unpack

WORD = 32


@dataclass(frozen=True, kw_only=True)
class Wuve:
    """`lanes` weights a clock; clocks of a pipelined FP32 multiplier and adder; the optimiser's constants."""

    lanes: int = 32
    multiplier_latency: int = 1
    adder_latency: int = 1
    constants: Momentum = field(default_factory=Momentum)

    def __post_init__(self) -> None:
        require_range("lanes", self.lanes, 1, 1024)
        require_range("multiplier_latency", self.multiplier_latency, 1, 64)
        require_range("adder_latency", self.adder_latency, 1, 64)

    @property
    def latency(self) -> int:
        """Clocks from a beat to its result: the operations that follow one another.

        A product and a sum for the momentum, the same for the rate; a sum for each decay, whose product with
        the weight is ready when the gradient is; a product that undoes the loss scale.
        """
        constants = self.constants
        decays = bool(constants.weight_decay) + bool(constants.decay)
        scaled = constants.loss_scale > 1 or decays > 0
        return (2 + scaled) * self.multiplier_latency + (2 + decays) * self.adder_latency


PRESETS = {"paper": Wuve(), "tiny": Wuve(lanes=2)}


def pack_beat(gradients: Sequence[int], weights: Sequence[int], velocities: Sequence[int], kept: int) -> int:
    """An input beat: the bits of the FP32 words of all lanes, field by field, above them a kept bit each."""
    words = [*gradients, *weights, *velocities]
    return pack(words, WORD) | kept << WORD * len(words)


def unpack_beat(lanes: int, payload: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """The words of an input beat, field by field, and its kept bits."""
    words = unpack(payload, WORD, 3 * lanes)
    kept = unpack(payload >> WORD * 3 * lanes, 1, lanes)
    return words[:lanes], words[lanes : 2 * lanes], words[2 * lanes :], kept


def pack_result(weights: Sequence[int], velocities: Sequence[int], copies: Sequence[int]) -> int:
    """An output beat: the bits of the FP32 words of all lanes, field by field, above them the FP16 copies."""
    words = [*weights, *velocities]
    return pack(words, WORD) | pack(copies, 16) << WORD * len(words)


def unpack_result(lanes: int, payload: int) -> tuple[list[int], list[int], list[int]]:
    """Bits of the weights, velocities (FP32) and copies (FP16) of an output beat."""
    words = unpack(payload, WORD, 2 * lanes)
    return words[:lanes], words[lanes:], unpack(payload >> WORD * 2 * lanes, 16, lanes)


class Model:
    """WUVE clock by clock. Streams: `beats` in, `updated` out; probe `infinite`: a gradient had Inf or NaN.

    The pipeline moves as one: it stands while its last beat is not taken.
    """

    def __init__(self, parameters: Wuve) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """An empty pipeline."""
        self._pipeline: deque[int | None] = deque([None] * self.parameters.latency)
        self._infinite = False

    @property
    def offered(self) -> int | None:
        """The result that stands before its sink."""
        return self._pipeline[-1]

    @property
    def infinite(self) -> int:
        """The probe."""
        return int(self._infinite)

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        last = self._pipeline[-1]
        moves = last is None or bool(inputs["updated_ready"])
        row = {
            "beats_ready": int(moves),
            "updated_valid": int(last is not None),
            "updated_payload": last or 0,
            "infinite": self.infinite,
        }
        if moves:
            self._pipeline.pop()
            taken = self._result(inputs["beats_payload"]) if inputs["beats_valid"] else None
            self._pipeline.appendleft(taken)
        return row

    def _result(self, payload: int) -> int:
        *fields, kept = unpack_beat(self.parameters.lanes, payload)
        gradient, weight, velocity = np.array(fields, np.uint32).view(np.float32)
        self._infinite |= not is_finite(gradient)
        found = step(self.parameters.constants, gradient, weight, velocity, np.array(kept, np.bool_))
        return pack_result(*(canonical(numbers).tolist() for numbers in found))


def cycles(parameters: Wuve, weights: int) -> int:
    """Clocks from the first beat offered to the last result taken, when source and sink never wait."""
    beats = -(-weights // parameters.lanes)
    return beats + parameters.latency if beats else 0
