"""Exponent unit of SpAtten's softmax: exp(-distance) in the integers of golden, several lanes at a time.

Source: HPCA 2021 SpAtten, section 4: a Taylor expansion of fifth order on multiply-adds. The paper works in
floating point; here it is fixed point with the range reduction of `accelsim.golden.softmax`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log

import numpy as np

from accelsim.golden.softmax import SoftmaxFormat, exp_negative
from accelsim.units.checks import check_lanes, require_range
from accelsim.units.products import multiply_cycles
from accelsim.units.promises import Promises, store_depth
from accelsim.units.step import Row, pack, unpack


@dataclass(frozen=True, kw_only=True)
class Exponent:
    """`lanes` distances of `distance_bits` bits with the fraction bits of the scores; powers as in `form`."""

    lanes: int = 8
    distance_bits: int = 16
    form: SoftmaxFormat = field(default_factory=SoftmaxFormat)

    def __post_init__(self) -> None:
        check_lanes(self.lanes)
        require_range("distance_bits", self.distance_bits, 1, 32)

    @property
    def power_bits(self) -> int:
        """Of a power: 1.0 has a bit of its own."""
        return self.form.exp_fraction_bits + 1

    @property
    def farthest(self) -> int:
        """From this distance on a power is 0, and greater ones are cut to it."""
        farthest = (self.form.exp_fraction_bits + 2) << self.form.score_fraction_bits
        return min(farthest, (1 << self.distance_bits) - 1)

    @property
    def most_halvings(self) -> int:
        """Of the farthest distance."""
        form = self.form
        exact = self.farthest * round(2.0**form.exp_fraction_bits / log(2))
        half = 1 << form.score_fraction_bits + form.exp_fraction_bits - 1
        return (exact + half) >> form.score_fraction_bits + form.exp_fraction_bits

    @property
    def step_cycles(self) -> int:
        """A step of Horner's scheme: the product, which way it rounds and the next coefficient, their sum."""
        bits = self.form.exp_fraction_bits
        return multiply_cycles(bits + 2, bits) + 2

    @property
    def latency_cycles(self) -> int:
        """From a distance to its power: cut; halvings, rounded; their ln 2; the rest; Horner; shift.

        The last shift takes three: by eights, by ones, rounding.
        """
        halvings = multiply_cycles(self.farthest.bit_length() + 1, self.form.exp_fraction_bits + 2) + 1
        return 1 + halvings + 2 + self.form.degree * self.step_cycles + 3


NARROW = SoftmaxFormat(exp_fraction_bits=16)
"""Every product fits one multiplier."""

PRESETS = {
    "full": Exponent(),
    "narrow": Exponent(form=NARROW),
    "tiny": Exponent(
        lanes=2,
        distance_bits=10,
        form=SoftmaxFormat(
            score_fraction_bits=4, exp_fraction_bits=10, degree=2, probability_fraction_bits=6
        ),
    ),
}


class Model:
    """The unit clock by clock. Streams: `distances` in, `powers` out; probe `promised`.

    promised: lines that are in the pipeline or wait behind it.
    """

    def __init__(self, parameters: Exponent) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Nothing is under way."""
        latency = self.parameters.latency_cycles + 1
        self._promises = Promises(latency, store_depth(latency))

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        promises = self._promises
        row = {
            "distances_ready": int(promises.room),
            "powers_valid": int(promises.offered is not None),
            "powers_payload": promises.offered or 0,
            "promised": promises.promised,
        }
        takes = promises.room and inputs["distances_valid"]
        entering = powers_of(self.parameters, inputs["distances_payload"]) if takes else None
        promises.step(entering, inputs["powers_ready"])
        return row


def powers_of(parameters: Exponent, distances: int) -> int:
    """A payload of `powers` for one of `distances`."""
    each = np.array(unpack(distances, parameters.distance_bits, parameters.lanes))
    return pack(exp_negative(each, parameters.form).tolist(), parameters.power_bits)


def cycles(parameters: Exponent, lines: int) -> int:
    """Clocks from the first line offered to the last one taken, when source and sink never wait."""
    return lines + parameters.latency_cycles + 1 if lines else 0
