"""WUVE by its step model: the numbers of golden, the clocks of its formula."""

import numpy as np
import pytest

from accelsim.golden.momentum import Momentum, is_finite, step
from accelsim.units.wuve import Model, Wuve, cycles, pack_beat, unpack_result


def words(array):
    return array.astype(np.float32).view(np.uint32).tolist()


def run(parameters, gradients, weights, velocities, kept, ready=lambda clock: True):
    """(clocks until the last result was taken, results, infinite)."""
    lanes = parameters.lanes
    beats = [
        pack_beat(
            *(words(array[start : start + lanes]) for array in (gradients, weights, velocities)),
            sum(int(bit) << lane for lane, bit in enumerate(kept[start : start + lanes])),
        )
        for start in range(0, len(gradients), lanes)
    ]
    model, found, clock, wanted = Model(parameters), [], 0, len(beats)
    while len(found) < wanted:
        takes = int(ready(clock))
        inputs = {"beats_valid": int(bool(beats)), "beats_payload": beats[0] if beats else 0}
        row = model.step(inputs | {"updated_ready": takes})
        if beats and row["beats_ready"]:
            beats.pop(0)
        if row["updated_valid"] and takes:
            found.append(unpack_result(lanes, row["updated_payload"]))
        clock += 1
    return clock, found, row["infinite"]


CONSTANTS = [
    Momentum(rate=0.1, momentum=0.9),
    Momentum(rate=0.05, momentum=0.0, weight_decay=5e-4, loss_scale=1024),
    Momentum(rate=0.1, momentum=0.9, weight_decay=1e-4, decay=2e-4, loss_scale=2**15),
]


@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("stalls", [False, True])
def test_the_steps_give_what_golden_gives_in_the_clocks_of_the_formula(constants, stalls):
    rng = np.random.default_rng(7)
    parameters = Wuve(lanes=4, multiplier_latency=3, adder_latency=5, constants=constants)
    size = 4 * 9
    gradients, weights, velocities = (rng.standard_normal(size).astype(np.float32) for _ in range(3))
    gradients[3] = np.float32(1e-41)
    kept = rng.random(size) < 0.5
    pauses = rng.random(1000) < 0.4
    clocks, found, infinite = run(
        parameters, gradients, weights, velocities, kept, lambda clock: not (stalls and pauses[clock])
    )
    expected = step(constants, gradients, weights, velocities, kept)
    for place, wanted in enumerate(expected):
        bits = wanted.view(np.uint16 if wanted.dtype == np.float16 else np.uint32)
        assert [bit for beat in found for bit in beat[place]] == bits.tolist()
    assert not infinite
    if stalls:
        assert clocks > cycles(parameters, size)
    else:
        assert clocks == cycles(parameters, size)


def test_golden_rounds_after_every_operation():
    rng = np.random.default_rng(1)
    g, w, v = (rng.standard_normal(50).astype(np.float32) for _ in range(3))
    constants = Momentum(rate=0.1, momentum=0.9, weight_decay=1e-3)
    weight, velocity, copy = step(constants, g, w, v, np.ones(50, np.bool_))
    for i in range(50):
        gradient = np.float32(g[i] + np.float32(np.float32(1e-3) * w[i]))
        moved = np.float32(np.float32(np.float32(0.9) * v[i]) + gradient)
        assert velocity[i] == moved
        assert weight[i] == np.float32(w[i] - np.float32(np.float32(0.1) * moved))
        assert copy[i] == np.float16(weight[i])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_gradient_that_is_not_finite_is_seen(value):
    gradients = np.zeros(4, np.float32)
    assert is_finite(gradients)
    gradients[2] = value
    assert not is_finite(gradients)
    zeros = np.zeros(4, np.float32)
    parameters = Wuve(lanes=4, constants=Momentum())
    _, _, infinite = run(parameters, gradients, zeros, zeros, [True] * 4)
    assert infinite


def test_wrong_constants_are_refused_by_name():
    with pytest.raises(ValueError, match="loss_scale must be a power of two, not 3"):
        Momentum(loss_scale=3)
    with pytest.raises(ValueError, match="rate must be >= 0, not nan"):
        Momentum(rate=float("nan"))
    with pytest.raises(ValueError, match="lanes must be from 1 to 1024, not 0"):
        Wuve(lanes=0)
