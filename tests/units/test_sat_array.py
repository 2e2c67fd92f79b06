"""SAT's array by its clocks: the folds of `accelsim.accelerators`, SCALE-Sim's closed forms, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.folds import output_stationary, weight_stationary
from accelsim.accelerators.gemm import Array, Gemm
from accelsim.accelerators.sat import Sat
from accelsim.units.sat_array import Fold, SatArray, cycles, fold_cycles, pack_fold, unpack_fold

SHAPES = [(5, 7, 24), (16, 9, 64), (1, 1, 8), (33, 20, 40)]
PATTERNS = [(1, 1), (2, 8), (2, 4), (1, 8), (3, 5)]


def array_of(parameters: SatArray) -> Array:
    """The machine's model of this array."""
    machine = Sat(
        rows=parameters.rows,
        cols=parameters.cols,
        adder_latency=parameters.adder_latency,
        multiplier_latency=parameters.multiplier_latency,
        interleave=parameters.interleave,
    )
    return machine.array()


def folds_of(parameters: SatArray, gemm: Gemm, stationary: bool) -> list[Fold]:
    """All folds of a product: (rows of m or of stored weights) x columns, `interleave` of them in one."""
    columns = -(-gemm.n // parameters.cols)
    if stationary:
        number = -(-gemm.stream // parameters.rows) * columns
        return [Fold(stationary=True, beats=gemm.m)] * number
    number = -(-gemm.m // parameters.rows) * -(-columns // parameters.interleave)
    return [Fold(stationary=False, beats=gemm.stream // gemm.kept, kept=gemm.kept)] * number


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("stationary", [False, True])
@pytest.mark.parametrize(("adder", "multiplier"), [(1, 0), (4, 3)])
def test_folds_take_the_cycles_of_the_machines_model(shape, pattern, stationary, adder, multiplier):
    parameters = SatArray(rows=4, cols=3, adder_latency=adder, multiplier_latency=multiplier)
    m, n, k = shape
    gemm = Gemm(m=m, n=n, k=k, kept=pattern[0], group=pattern[1])
    make = weight_stationary if stationary else output_stationary
    model = make(gemm, array_of(parameters)).compute_cycles
    folds = folds_of(parameters, gemm, stationary)
    assert sum(fold_cycles(parameters, fold) for fold in folds) == model
    if adder == 1 and multiplier == 0:
        tall, wide = -(-(gemm.stream if stationary else m) // 4), -(-n // 3)
        along = m + 2 * 4 + 3 - 2 if stationary else gemm.stream + 4 + 3 - 2
        assert model == tall * wide * along


@pytest.mark.parametrize("interleave", [2, 4, 8])
@pytest.mark.parametrize("adder", [1, 3, 4, 8])
def test_sums_that_take_turns_save_the_fills_of_all_but_one(interleave, adder):
    parameters = SatArray(rows=4, cols=3, adder_latency=adder, interleave=interleave)
    gemm = Gemm(m=8, n=3 * interleave * 2, k=64, kept=2, group=8)
    model = output_stationary(gemm, array_of(parameters)).compute_cycles
    folds = folds_of(parameters, gemm, stationary=False)
    own = sum(fold_cycles(parameters, fold) for fold in folds)
    saved = (interleave - 1) * parameters.fill_clocks(stationary=False)
    rounding = interleave * -(-gemm.stream * max(1, adder / interleave) // 1) - gemm.stream * max(
        adder, interleave
    )
    assert model - own == len(folds) * (saved + rounding)
    assert 0 <= rounding < interleave


def test_a_run_of_folds_adds_what_is_before_the_first_and_behind_the_last():
    parameters = SatArray(rows=4, cols=3, adder_latency=2, interleave=2)
    still = [Fold(stationary=False, beats=20, kept=2)] * 3
    moving = [Fold(stationary=True, beats=20)] * 3
    one, other = (fold_cycles(parameters, folds[0]) for folds in (still, moving))
    assert cycles(parameters, still) == 1 + 3 * one + 2 * 4 + 2
    assert cycles(parameters, moving) == 1 + 3 * other + 2
    assert cycles(parameters, []) == 0


def test_a_fold_ends_no_sooner_than_the_sums_before_it_have_left():
    parameters = SatArray(rows=8, cols=1, interleave=4)
    short = Fold(stationary=False, beats=1)
    assert fold_cycles(parameters, short) < parameters.interleave * parameters.rows
    drain = parameters.interleave * parameters.rows + 1
    assert cycles(parameters, [short] * 3) - cycles(parameters, [short] * 2) == drain


def test_a_fold_is_its_payload():
    parameters = SatArray(group=5, longest=9)
    rng = np.random.default_rng(3)
    for _ in range(20):
        fold = Fold(
            stationary=bool(rng.integers(2)),
            continued=bool(rng.integers(2)),
            kept=int(rng.integers(1, 6)),
            beats=int(rng.integers(1, 10)),
        )
        assert unpack_fold(parameters, pack_fold(parameters, fold)) == fold


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": 0}, "rows must be from 1 to 256, not 0"),
        ({"adder_latency": 0}, "adder_latency must be from 1 to 32, not 0"),
        ({"group": 33}, "group must be from 1 to 32, not 33"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        replace(SatArray(), **changes)
    with pytest.raises(ValueError, match="beats must be from 1 to 4096, not 5000"):
        pack_fold(SatArray(), Fold(stationary=True, beats=5000))
