"""SpAtten's PxV: probabilities times vectors of V, summed to one vector of outputs a row.

A line of V comes each clock with a probability for each of its vectors: each probability meets the places of
its vector, places of one element are folded together, and accumulators stand behind them. A row's outputs are
rounded and leave some lanes a clock, while the next row is summed.
Source: HPCA 2021 SpAtten, section 4 and Table I (512 multipliers of 12 bits, probabilities broadcast D times,
D separate adder trees); widths and rounding of the outputs are those of `accelsim.golden.integer_attention`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.golden.fixed import Raw, Rounding, check_rounding, shift_right
from accelsim.golden.topk import LFSR_BITS
from accelsim.units.checks import require_power_of_two, require_range
from accelsim.units.dot_product import LARGEST_MULTIPLIERS
from accelsim.units.products import PRODUCT_CYCLES, tree_cycles
from accelsim.units.promises import Promises, behind, store_depth
from accelsim.units.record import Field, Record, bits_for
from accelsim.units.step import Row

NUMBER_BITS = LFSR_BITS
"""Of a row's number, which also seeds the pivots of its selection."""


@dataclass(frozen=True, kw_only=True)
class ValueProduct:
    """`multipliers` of a probability and an operand of V; at most `vectors` vectors in a line.

    The sum of a row's probabilities is at most 1 + keys / 2 units, as that of rounded ones is, for rows of up
    to `keys`. `output_lanes` outputs leave a clock, with `output_fraction_bits` more than V has.
    """

    multipliers: int = 512
    operand_bits: int = 12
    vectors: int = 8
    keys: int = 1024
    probability_fraction_bits: int = 12
    output_fraction_bits: int = 4
    rounding: Rounding = "half_even"
    output_lanes: int = 16

    def __post_init__(self) -> None:
        check_rounding(self.rounding)
        require_power_of_two("multipliers", self.multipliers, 1, LARGEST_MULTIPLIERS)
        require_power_of_two("vectors", self.vectors, 1, self.multipliers)
        require_power_of_two("output_lanes", self.output_lanes, 1, self.multipliers // self.vectors)
        require_range("operand_bits", self.operand_bits, 2, 18)
        require_range("keys", self.keys, 1, 1 << 20)
        require_range("probability_fraction_bits", self.probability_fraction_bits, 1, 16)
        require_range("output_fraction_bits", self.output_fraction_bits, 0, self.probability_fraction_bits)

    @property
    def levels(self) -> int:
        """log2 of the multipliers."""
        return (self.multipliers - 1).bit_length()

    @property
    def folds(self) -> int:
        """Additions between a product and its accumulator, where a line holds most vectors."""
        return tree_cycles(self.vectors)

    @property
    def least_level(self) -> int:
        """log2 of the places of the shortest vector."""
        return self.levels - self.folds

    @property
    def probability_bits(self) -> int:
        """Of a probability: 1.0 has a bit of its own."""
        return self.probability_fraction_bits + 1

    @property
    def sum_bits(self) -> int:
        """Of an accumulator."""
        most = (1 << self.probability_fraction_bits) + self.keys // 2
        return self.operand_bits + most.bit_length()

    @property
    def dropped_bits(self) -> int:
        """Of a sum, by the rounding."""
        return self.probability_fraction_bits - self.output_fraction_bits

    @property
    def output_bits(self) -> int:
        """Of an output: a sum without what is dropped, and what rounding up may carry."""
        return self.sum_bits - self.dropped_bits + 1

    @property
    def magnitude_bits(self) -> int:
        """Of the sum of a row's magnitudes."""
        return self.output_bits + self.levels

    @property
    def weights(self) -> Record:
        """Probabilities of a line's vectors, 0 where there is none; of the row: log2 of a vector's places."""
        return Record(
            probabilities=Field(self.probability_bits, self.vectors),
            level=bits_for(self.levels),
            number=NUMBER_BITS,
            last=1,
        )

    @property
    def values(self) -> Record:
        """A line of V."""
        return Record(operands=Field(self.operand_bits, self.multipliers, signed=True))

    @property
    def results(self) -> Record:
        """Some outputs of a row, the sum of the magnitudes of all so far, and whether they are its last."""
        return Record(
            outputs=Field(self.output_bits, self.output_lanes, signed=True),
            number=NUMBER_BITS,
            magnitude=self.magnitude_bits,
            last=1,
        )

    @property
    def sum_cycles(self) -> int:
        """From a line to the accumulators, and to the outputs that wait: products, folds, sum, copy."""
        return 1 + PRODUCT_CYCLES + self.folds + 1 + 1

    @property
    def output_cycles(self) -> int:
        """From outputs that wait to those at the output: rounding 2, magnitude, tree, sum, store."""
        return 2 + 1 + tree_cycles(self.output_lanes) + 1 + 1

    @property
    def latency_cycles(self) -> int:
        """From a row's last line to its first outputs."""
        return self.sum_cycles + self.output_cycles

    @property
    def store_beats(self) -> int:
        """Of the store at the output: room for a longest row is promised as a whole."""
        return store_depth(self.latency_cycles + (self.multipliers // self.output_lanes))

    def beats(self, level: int) -> int:
        """Of the outputs of a row."""
        return (1 << level) // self.output_lanes


PRESETS = {
    "full": ValueProduct(),
    "eighth": ValueProduct(multipliers=64, output_lanes=8),
    "tiny": ValueProduct(
        multipliers=8,
        operand_bits=5,
        vectors=4,
        keys=32,
        probability_fraction_bits=6,
        output_fraction_bits=2,
        output_lanes=2,
    ),
}


class Model:
    """Streams: `weights`, `values` in, `results` out; probe `promised`: beats that leave or will.

    A line is taken with its weights; a row's last one when all beats of the row have room, and not before
    those of the row ahead of it are out of its way.
    """

    def __init__(self, parameters: ValueProduct) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No row, nothing under way."""
        parameters = self.parameters
        self._sums = np.zeros(parameters.multipliers, np.int64)
        self._busy = 0
        # Beats on their way: of a row whose last line is taken, one a clock from a certain clock on.
        self._leaving: deque[int | None] = deque()
        self._promises = Promises(parameters.output_cycles, parameters.store_beats)

    @property
    def _promised(self) -> int:
        return self._promises.promised + sum(beat is not None for beat in self._leaving)

    def shown(self) -> Row:
        """What follows from the state alone: all but the readiness of the inputs, which follows from both."""
        return {
            "weights_ready": 0,
            "values_ready": 0,
            "results_valid": int(self._promises.offered is not None),
            "results_payload": self._promises.offered or 0,
            "promised": self._promised,
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, parameters = self.shown(), self.parameters
        last, beats = 0, 0
        if inputs["weights_valid"]:
            weights = inputs["weights_payload"]
            last = parameters.weights.field_of(weights, "last")
            beats = parameters.beats(parameters.weights.field_of(weights, "level"))
        goes = bool(inputs["weights_valid"]) and (
            not last or (not self._busy and self._promised + beats <= parameters.store_beats)
        )
        row["values_ready"] = int(goes)
        row["weights_ready"] = int(goes and inputs["values_valid"])
        given: list[int] = []
        self._busy = max(0, self._busy - 1)
        if row["weights_ready"]:
            given = self._take(inputs["weights_payload"], inputs["values_payload"])
            if last:
                self._busy = beats - 1
        if given:
            wait = parameters.sum_cycles - len(self._leaving)
            self._leaving.extend([None] * wait)
            self._leaving.extend(given)
        leaving = self._leaving.popleft() if self._leaving else None
        self._promises.step(leaving, inputs["results_ready"])
        return row

    def _take(self, weights: int, values: int) -> list[int]:
        """A line is summed; the beats of the row that it completes."""
        parameters = self.parameters
        fields = parameters.weights.unpack(weights)
        operands = np.array(parameters.values.unpack(values)["operands"], np.int64)
        length = 1 << fields["level"]
        vectors = operands.reshape(-1, length)
        self._sums[:length] += np.array(fields["probabilities"][: len(vectors)]) @ vectors
        if not fields["last"]:
            return []
        beats = row_results(parameters, self._sums[:length], fields["number"])
        self._sums[:] = 0
        return beats


def rounded_outputs(parameters: ValueProduct, sums: Raw) -> Raw:
    """Golden's outputs of sums of products."""
    return shift_right(sums, parameters.dropped_bits, parameters.rounding)


def row_results(parameters: ValueProduct, sums: npt.NDArray[np.int64], number: int) -> list[int]:
    """Payloads of `results` of a row."""
    outputs = rounded_outputs(parameters, sums).reshape(-1, parameters.output_lanes)
    magnitudes = np.cumsum(np.abs(outputs).sum(axis=1)).tolist()
    return [
        parameters.results.pack(
            outputs=line.tolist(), number=number, magnitude=magnitude, last=int(place == len(outputs) - 1)
        )
        for place, (line, magnitude) in enumerate(zip(outputs, magnitudes, strict=True))
    ]


def cycles(parameters: ValueProduct, rows: Sequence[tuple[int, int]]) -> int:
    """Clocks from the first line offered to the last outputs taken; sources never idle, the sink never waits.

    rows: (lines, level) of each. A line a clock; a row's last one also waits until the beats of the row
    before it, one a clock, are out of its way, and until its own have room.
    """
    enters: list[int] = []
    leaves: list[int] = []
    clear = 0
    for lines, level in rows:
        beats = parameters.beats(level)
        for _ in range(lines - 1):
            enters.append(behind(enters, 1))
        # Room for all of them: those that stand a store ahead have been taken.
        last = max(behind(enters, 1), clear, behind(leaves, parameters.store_beats, len(leaves) + beats - 1))
        enters.append(last)
        clear = last + beats
        for beat in range(beats):
            leaves.append(max(last + parameters.latency_cycles + beat, behind(leaves, 1)))
    return leaves[-1] + 1 if leaves else 0
