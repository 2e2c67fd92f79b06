"""Floating point in hardware: 100,000 operands of each unit in a compiled simulation, and any latency."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("amaranth")
pytest.importorskip("cocotb")

from accelsim.units import floating
from accelsim_rtl.float import trial
from accelsim_rtl.kit.verify import verify
from accelsim_rtl.units import find

pytestmark = pytest.mark.rtl

COUNT = 100_000
OPERATIONS = [
    floating.HalfMultiplier(latency=1),
    floating.HalfMultiplier(product="fp16", latency=3),
    floating.SingleMultiplier(latency=5),
    floating.SingleAdder(latency=2),
    floating.Widening(latency=0),
    floating.Narrowing(latency=1),
    floating.MultiplyAdd(multiplier_latency=2, adder_latency=8),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Operands, and what the compiled simulation makes of them by operation."""
    operands = trial.drawn_operands(0, COUNT, np.random.default_rng(5))
    program = trial.build(OPERATIONS, tmp_path_factory.mktemp("trial"))
    return operands, trial.run(program, OPERATIONS, operands)


@pytest.mark.parametrize("number", range(len(OPERATIONS)), ids=lambda number: str(OPERATIONS[number]))
def test_a_hundred_thousand_results_are_numpys(found, number):
    operands, results = found
    golden = trial.golden(OPERATIONS[number], operands)
    wrong = np.flatnonzero(results[number] != golden)
    assert wrong.size == 0, [
        (operands[place].tolist(), hex(results[number][place]), hex(golden[place])) for place in wrong[:5]
    ]


def test_the_operands_hold_every_half_and_every_kind_of_single(found):
    operands, _ = found
    assert np.unique(operands[:, 0]).size == 1 << 16
    magnitudes = operands[:, trial.HALVES :].ravel() & 0x7FFFFFFF
    kinds = [0, 1 << 22, (1 << 23) - 1, 0x7F7FFFFF, 0x7F800000, 0x7FC00000]
    assert all(np.count_nonzero(magnitudes == word) > 100 for word in kinds)


def test_a_wrong_result_is_noticed(found):
    operands, results = found
    assert np.any(results[2] != trial.golden(OPERATIONS[3], operands))


@pytest.mark.parametrize("latencies", [(0, 0), (3, 7), (9, 1)])
def test_every_latency_is_the_models(latencies):
    unit = find("kit.fp32_multiply_add")
    parameters = floating.MultiplyAdd(multiplier_latency=latencies[0], adder_latency=latencies[1])
    for verdict in verify(unit, parameters, simulator="icarus", seeds=[3]):
        assert verdict.passed, "\n".join([str(verdict.as_dict()), *verdict.complaints[:10]])
