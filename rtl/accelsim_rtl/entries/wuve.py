"""`sat.wuve` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.floating import FP32, canonical
from accelsim.golden.momentum import step
from accelsim.units import wuve as unit
from accelsim.units.wuve import Wuve as Parameters
from accelsim.units.wuve import pack_beat, pack_result, unpack_beat
from accelsim_rtl.entries.floating import corners, drawn
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.sat.wuve import Wuve

BEATS = 120


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Numbers as in training, numbers of any size, and, late, corner cases with Inf and NaN."""
    transactions = []
    for number in range(BEATS):
        if number % 4 != 3:
            scale = [[parameters.constants.loss_scale * 1e-2], [0.1], [0.05]]
            fields = (generator.standard_normal((3, parameters.lanes)) * scale).astype(np.float32)
            words = fields.view(np.uint32)
        elif number < BEATS * 3 // 4:
            words = drawn(FP32, generator, 3 * parameters.lanes).reshape(3, -1)
            words = np.where(words & FP32.infinity == FP32.infinity, words ^ FP32.infinity, words)
        else:
            words = generator.choice(np.array(corners(FP32)), (3, parameters.lanes))
        kept = int(generator.integers(0, 1 << min(63, parameters.lanes))) & (1 << parameters.lanes) - 1
        gradients, weights, velocities = words.tolist()
        transactions.append({"beats": [pack_beat(gradients, weights, velocities, kept)]})
    return transactions


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden's step of all weights at once."""
    beats = [unpack_beat(parameters.lanes, each["beats"][0]) for each in transactions]
    words = [
        np.array(field, np.uint32).view(np.float32)
        for field in zip(*(beat[:3] for beat in beats), strict=True)
    ]
    kept = np.array([beat[3] for beat in beats], np.bool_)
    found = [canonical(numbers).tolist() for numbers in step(parameters.constants, *words, kept)]
    return {"updated": [pack_result(*fields) for fields in zip(*found, strict=True)]}


UNIT = Unit(
    name="sat.wuve",
    sentence="Updates weights in FP32 by SGD with momentum, and gives their FP16 copies; 32 a clock",
    presets=unit.PRESETS,
    component=Wuve,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, len(transactions) * parameters.lanes),
    latency=lambda parameters: {"latency_cycles": parameters.latency, "beats_per_clock": 1},
)
