"""`kit.arbiter` for the kit: every source's beats come out, in its order."""

from __future__ import annotations

import numpy as np

from accelsim.units import arbiter as unit
from accelsim.units.arbiter import Arbiter as Parameters
from accelsim.units.arbiter import pack_granted
from accelsim_rtl.arbiter import Arbiter
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_BEATS = 300


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Beats of every source, from none to many."""
    length = -(-parameters.bits // 8)
    ones = (1 << parameters.bits) - 1
    counts = generator.integers(0, max(2, MOST_BEATS // parameters.sources), size=parameters.sources)
    counts[generator.random(parameters.sources) < 0.1] = 0
    if not counts.any():
        counts[-1] = 1
    return [
        {
            f"request_{source}": [
                int.from_bytes(generator.bytes(length), "little") & ones for _ in range(count)
            ]
            for source, count in enumerate(counts)
        }
    ]


def _beats(parameters: Parameters, transactions: list[Transaction]) -> list[list[int]]:
    """The beats of every source."""
    return [
        [payload for each in transactions for payload in each[f"request_{source}"]]
        for source in range(parameters.sources)
    ]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """All beats, source by source: there is no arithmetic for golden to say."""
    return {
        "granted": [
            pack_granted(parameters, payload, source)
            for source, payloads in enumerate(_beats(parameters, transactions))
            for payload in payloads
        ]
    }


UNIT = Unit(
    name="kit.arbiter",
    sentence="Round-robin arbiter: many streams into one, none of them starved",
    presets=unit.PRESETS,
    component=Arbiter,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(_beats(parameters, transactions)),
    latency=lambda parameters: {"latency_cycles": 0, "hand_on_cycles": 1, "beats_per_clock": 1},
    merged=lambda parameters: {"granted": (parameters.bits, (parameters.sources - 1).bit_length())},
)
