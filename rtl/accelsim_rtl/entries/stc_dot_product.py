"""`stc.dot_product` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.tensor_lane import accumulate
from accelsim.golden.two_four import LEGAL_CODES, ORDERED_CODES, stored_positions
from accelsim.units.stc import dot_product as unit
from accelsim.units.stc.dot_product import DotProduct as Parameters
from accelsim.units.stc.dot_product import Step, pack_step, unpack_step
from accelsim.units.stc.lane import ACCUMULATOR_BITS
from accelsim.units.stc.selector import GROUP
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.stc.dot_product import DotProduct

ROUNDS = 24
"""Each of `sums` dot products of one length, a step of each in turn."""

MOST_STEPS = 6


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Sums of all lengths, sparse and dense ones, that begin anywhere; elements drawn, largest, smallest."""
    return [_round(parameters, generator) for _ in range(ROUNDS)]


def _round(parameters: Parameters, generator: np.random.Generator) -> Transaction:
    steps, sums = int(generator.integers(1, MOST_STEPS + 1)), parameters.sums
    legal = ORDERED_CODES if parameters.codes == "ordered" else LEGAL_CODES
    dense = not parameters.sparse or bool(generator.integers(3) == 0)
    payloads = []
    for number in range(steps):
        for _ in range(sums):
            codes = generator.choice(legal, parameters.groups) if parameters.sparse else []
            payloads.append(
                pack_step(
                    parameters,
                    Step(
                        a=elements(parameters, parameters.multipliers, generator),
                        b=elements(parameters, parameters.b_elements, generator),
                        codes=tuple(map(int, codes)),
                        dense=dense,
                        start=int(generator.integers(1 << ACCUMULATOR_BITS)),
                        first=number == 0,
                        last=number == steps - 1,
                    ),
                )
            )
    return {"steps": payloads}


def elements(parameters: Any, count: int, generator: np.random.Generator) -> tuple[int, ...]:
    """Raw elements: drawn, or of the extremes."""
    bits = parameters.element_bits
    if generator.integers(4):
        return tuple(generator.integers(1 << bits, size=count).tolist())
    return tuple(
        generator.choice([0, 1, (1 << bits) - 1, 1 << (bits - 1), (1 << (bits - 1)) - 1], count).tolist()
    )


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's dot products, all of a round at once."""
    payloads: list[int] = []
    for transaction in transactions:
        steps = [unpack_step(parameters, payload) for payload in transaction["steps"]]
        width = f"u{parameters.element_bits // 8}"
        totals = np.array([step.start for step in steps[: parameters.sums]], np.uint32)
        for place in range(0, len(steps), parameters.sums):
            turn = steps[place : place + parameters.sums]
            a = np.array([step.a for step in turn], width)
            totals = accumulate(
                parameters.a_type, parameters.b_type, a, _selected(parameters, turn, width), totals
            )
        payloads += totals.tolist()
    return {"sums": payloads}


def _selected(parameters: Parameters, steps: list[Step], width: str) -> npt.NDArray[Any]:
    b = np.array([step.b for step in steps], width)
    if steps[0].dense:
        return b[:, : parameters.multipliers]
    positions = stored_positions(np.array([step.codes for step in steps], np.uint8), parameters.form)
    places = (positions + GROUP * np.arange(parameters.groups)[:, None]).reshape(len(steps), -1)
    return np.take_along_axis(b, places, axis=1)


UNIT = Unit(
    name="stc.dot_product",
    sentence="A sparse tensor core's lane: operand selectors, multipliers, adders; dense and 2:4 steps",
    presets=unit.PRESETS,
    component=DotProduct,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, sum(len(transaction["steps"]) for transaction in transactions)
    ),
    latency=lambda parameters: {"latency_cycles": parameters.latency_cycles, "steps_per_clock": 1},
)
