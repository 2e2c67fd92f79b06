"""`spatten.crossbar` for the kit: every beat comes out where it belongs."""

from __future__ import annotations

import numpy as np

from accelsim.units import crossbar as unit
from accelsim.units.crossbar import Crossbar as Parameters
from accelsim_rtl.crossbar import Crossbar
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_BEATS = 160
"""Of all inputs, in each transaction."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Beats anywhere, neighbours to all outputs in turn, all to one output, one input alone."""
    most = max(2, MOST_BEATS // parameters.inputs)
    ports, one = np.arange(parameters.inputs), int(generator.integers(parameters.outputs))
    counts = generator.integers(0, most, parameters.inputs)
    alone = np.where(ports == generator.integers(parameters.inputs), most, 0)
    return [
        _transaction(parameters, counts, None, generator),
        _transaction(parameters, counts + 1, lambda port, beat: beat * parameters.inputs + port, generator),
        _transaction(
            parameters,
            counts // 4 + 1,
            lambda port, beat: one,
            generator,
        ),
        _transaction(parameters, alone, lambda port, beat: beat, generator),
    ]


def _transaction(parameters, counts, goal, generator) -> Transaction:
    """`counts` drawn beats of each input; `goal`: by port and number, the output that a beat names."""
    field = (1 << (parameters.outputs - 1).bit_length()) - 1
    ones, length = (1 << parameters.bits) - 1, -(-parameters.bits // 8)

    def beat(port: int, number: int) -> int:
        drawn = int.from_bytes(generator.bytes(length), "little")
        if goal is not None:
            chosen = goal(port, number) % parameters.outputs
            drawn = drawn & ~(field << parameters.position) | chosen << parameters.position
        return drawn & ones

    return {
        f"request_{port}": [beat(port, number) for number in range(int(count))]
        for port, count in enumerate(counts)
    }


def _beats(parameters: Parameters, transactions: list[Transaction]) -> list[list[int]]:
    """The beats of every input."""
    return [
        [payload for each in transactions for payload in each[f"request_{port}"]]
        for port in range(parameters.inputs)
    ]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """All beats by the output that they name, input by input: there is no arithmetic for golden to say."""
    leaving: dict[str, list[int]] = {f"granted_{output}": [] for output in range(parameters.outputs)}
    for port, payloads in enumerate(_beats(parameters, transactions)):
        for payload in payloads:
            named = payload >> parameters.position & (1 << (parameters.outputs - 1).bit_length()) - 1
            leaving[f"granted_{named % parameters.outputs}"].append(payload | port << parameters.bits)
    return leaving


UNIT = Unit(
    name="spatten.crossbar",
    sentence="Crossbar of SpAtten's fetcher: a beat keeps the output that it names while it waits",
    presets=unit.PRESETS,
    component=Crossbar,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, _beats(parameters, transactions)),
    latency=lambda parameters: {
        "latency_cycles": bool(parameters.input_depth) + bool(parameters.output_depth),
        "beats_per_clock": min(parameters.inputs, parameters.outputs),
    },
    merged=lambda parameters: {
        f"granted_{output}": (parameters.bits, (parameters.inputs - 1).bit_length())
        for output in range(parameters.outputs)
    },
)
