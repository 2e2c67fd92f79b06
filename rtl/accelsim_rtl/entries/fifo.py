"""`kit.fifo` for the kit: payloads come out as they went in."""

from __future__ import annotations

import numpy as np

from accelsim.units import fifo as unit
from accelsim.units.fifo import Fifo as Parameters
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.kit.unit import Transaction, Unit

LONGEST_STIMULUS = 2000


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Drawn payloads, several times the depth, zeros and ones among them."""
    count = min(4 * parameters.depth + 100, LONGEST_STIMULUS)
    length = -(-parameters.bits // 8)
    drawn = [int.from_bytes(generator.bytes(length), "little") for _ in range(count)]
    ones = (1 << parameters.bits) - 1
    return [{"entering": [0, ones, 0, *(word & ones for word in drawn)]}]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The same in the same order: there is no arithmetic for golden to say."""
    return {"leaving": [payload for each in transactions for payload in each["entering"]]}


UNIT = Unit(
    name="kit.fifo",
    sentence="First in, first out between two streams, in LUT RAM or block RAM",
    presets=unit.PRESETS,
    component=Fifo,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [payload for each in transactions for payload in each["entering"]]
    ),
    latency=lambda parameters: {
        "latency_cycles": parameters.latency_cycles,
        "cycles_per_payload": parameters.interval_cycles,
    },
)
