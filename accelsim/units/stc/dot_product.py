"""A lane of a sparse tensor core: multipliers, their operand selectors, a tree of adders, accumulators.

A step multiplies `multipliers` elements of A with as many of B: in a sparse step those that the codes pick of
twice as many, in a dense step all of half as many, on the same multipliers. `sums` dot products take turns,
a step each, so that a sum's next step comes when its last one is in the accumulator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.tensor_lane import accumulate, picked_positions
from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.checks import require_power_of_two, require_range
from accelsim.units.promises import Promises, store_depth
from accelsim.units.stc.lane import ACCUMULATOR_BITS, CodeForm, Types, check_codes
from accelsim.units.stc.selector import GROUP, KEPT
from accelsim.units.step import Row, pack, unpack

LARGEST_MULTIPLIERS = 64
LARGEST_SUMS = 64


@dataclass(frozen=True, kw_only=True)
class DotProduct(Types):
    """`multipliers`, a power of two; `sparse`: with operand selectors for `codes`, else dense steps only."""

    multipliers: int = 4
    sums: int = 8
    sparse: bool = True
    codes: CodeForm = "ordered"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two("multipliers", self.multipliers, 2, LARGEST_MULTIPLIERS)
        require_range("sums", self.sums, 1, LARGEST_SUMS)
        if self.sums <= self.accumulate_cycles:
            raise ValueError(f"sums must be more than the {self.accumulate_cycles} clocks of an adder")
        check_codes(self.codes)

    @property
    def groups(self) -> int:
        """Codes of a sparse step."""
        return self.multipliers // KEPT

    @property
    def b_elements(self) -> int:
        """Of B, that a step brings."""
        return self.groups * GROUP if self.sparse else self.multipliers

    @property
    def latency_cycles(self) -> int:
        """From the last step of a sum to the sum: the products' sum; the accumulator and the store."""
        return self.sum_cycles(self.multipliers) + self.accumulate_cycles + 1


PRESETS = {
    "int8": DotProduct(),
    "dense": DotProduct(sparse=False),
    "fp16": DotProduct(a_type="f16", b_type="f16", multipliers=2, multiplier_latency=3, adder_latency=5),
    "tiny": DotProduct(sums=3),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A payload of `steps`: raw elements; `start` is where the sum begins if this is its first step."""

    a: tuple[int, ...]
    b: tuple[int, ...]
    first: bool
    last: bool
    start: int = 0
    codes: tuple[int, ...] = ()
    dense: bool = True


def pack_step(parameters: DotProduct, step: Step) -> int:
    """Payload of `steps`; fields that a dense step or a later one has no use for are taken as they are."""
    bits = parameters.element_bits
    fields = [
        (pack(step.a, bits), parameters.multipliers * bits),
        (pack(step.b, bits), parameters.b_elements * bits),
    ]
    if parameters.sparse:
        fields += [
            (pack(step.codes, BITS_OF_A_CODE), BITS_OF_A_CODE * parameters.groups),
            (int(step.dense), 1),
        ]
    fields += [(step.start, ACCUMULATOR_BITS), (int(step.first), 1), (int(step.last), 1)]
    payload = offset = 0
    for value, width in fields:
        payload |= value << offset
        offset += width
    return payload


def unpack_step(parameters: DotProduct, payload: int) -> Step:
    """The fields of a payload of `steps`."""
    bits = parameters.element_bits
    a = unpack(payload, bits, parameters.multipliers)
    payload >>= bits * parameters.multipliers
    b = unpack(payload, bits, parameters.b_elements)
    payload >>= bits * parameters.b_elements
    codes, dense = [], 1
    if parameters.sparse:
        codes = unpack(payload, BITS_OF_A_CODE, parameters.groups)
        payload >>= BITS_OF_A_CODE * parameters.groups
        dense, payload = payload & 1, payload >> 1
    (start,), (first, last) = unpack(payload, ACCUMULATOR_BITS, 1), unpack(payload >> ACCUMULATOR_BITS, 1, 2)
    return Step(
        a=tuple(a),
        b=tuple(b),
        codes=tuple(codes),
        dense=bool(dense),
        start=start,
        first=bool(first),
        last=bool(last),
    )


def operands(parameters: DotProduct, step: Step) -> list[int]:
    """The elements of B that the multipliers take."""
    if step.dense:
        return list(step.b[: parameters.multipliers])
    positions = picked_positions(np.array(step.codes), ordered=parameters.codes == "ordered")
    return [step.b[GROUP * group + int(place)] for group, pair in enumerate(positions) for place in pair]


def added(parameters: DotProduct, a: Sequence[int], b: Sequence[int], start: int) -> int:
    """`start` and the products of elements of A and B."""
    left, right = (np.array(values, f"u{parameters.element_bits // 8}") for values in (a, b))
    return int(accumulate(parameters.a_type, parameters.b_type, left, right, np.array(start, np.uint32)))


class Model:
    """Streams: `steps` in, `sums` out; probes `place`, `promised`.

    `place`: the sum whose turn it is; `promised`: sums behind their last step, on their way or at the output.
    A step that is the last one of its sum is taken if the sum has room.
    """

    def __init__(self, parameters: DotProduct) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """The first sum's turn; nothing under way."""
        latency = self.parameters.latency_cycles
        self._place = 0
        self._sums = [0] * self.parameters.sums
        self._promises = Promises(latency, store_depth(latency))

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, promises = self.parameters, self._promises
        step = unpack_step(parameters, inputs["steps_payload"])
        row = {
            "steps_ready": int(promises.room or not step.last),
            "sums_valid": int(promises.offered is not None),
            "sums_payload": promises.offered or 0,
            "place": self._place,
            "promised": promises.promised,
        }
        entering = None
        if inputs["steps_valid"] and row["steps_ready"]:
            start = step.start if step.first else self._sums[self._place]
            total = self._sums[self._place] = added(parameters, step.a, operands(parameters, step), start)
            entering = total if step.last else None
            self._place = (self._place + 1) % parameters.sums
        promises.step(entering, inputs["sums_ready"])
        return row


def cycles(parameters: DotProduct, steps: int) -> int:
    """Clocks from the first step offered to the last sum taken; the last step ends one, nobody waits."""
    return steps + parameters.latency_cycles if steps else 0
