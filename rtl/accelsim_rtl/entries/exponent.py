"""`spatten.exponent` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.softmax import exp_negative
from accelsim.units import exponent as unit
from accelsim.units.exponent import Exponent as Parameters
from accelsim.units.step import pack, unpack
from accelsim_rtl.exponent import Exponent
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_LINES = 300


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Every distance where there are few; else the nearest, the farthest, near ones and any."""
    farthest, most = parameters.farthest, (1 << parameters.distance_bits) - 1
    places = MOST_LINES * parameters.lanes
    if most < places:
        chosen = generator.permutation(most + 1)
    else:
        edges = np.array([0, farthest - 1, farthest, most, *(1 << np.arange(parameters.distance_bits))])
        near = generator.integers(0, 8 << parameters.form.score_fraction_bits, places // 2)
        chosen = np.concatenate([edges, near, generator.integers(0, farthest + 2, places // 2)])
    chosen = np.minimum(chosen, most)
    chosen = np.resize(chosen, -(-chosen.size // parameters.lanes) * parameters.lanes)
    lines = chosen.reshape(-1, parameters.lanes).tolist()
    return [{"distances": [pack(line, parameters.distance_bits) for line in lines]}]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's powers of all distances at once."""
    lines = [
        unpack(payload, parameters.distance_bits, parameters.lanes)
        for each in transactions
        for payload in each["distances"]
    ]
    powers = exp_negative(np.array(lines), parameters.form)
    return {"powers": [pack(line, parameters.power_bits) for line in powers.tolist()]}


UNIT = Unit(
    name="spatten.exponent",
    sentence="exp(-distance) in fixed point: range reduction by ln 2, Taylor polynomial by Horner, 8 lanes",
    presets=unit.PRESETS,
    component=Exponent,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, sum(len(each["distances"]) for each in transactions)
    ),
    targets=("ecp5",),
    latency=lambda parameters: {
        "latency_cycles": parameters.latency_cycles + 1,
        "step_cycles": parameters.step_cycles,
        "lines_per_clock": 1,
    },
)
