"""Exponent unit and softmax by their step models: golden's numbers, the clocks that a row takes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelsim.golden.softmax import SoftmaxFormat, exp_negative, softmax
from accelsim.units.exponent import PRESETS as EXPONENTS
from accelsim.units.exponent import Exponent
from accelsim.units.products import multiply_cycles
from accelsim.units.promises import Promises, store_depth
from accelsim.units.softmax import PRESETS, Model, Softmax, cycles, pack_scores, unpack_scores
from accelsim.units.step import unpack

TINY = PRESETS["tiny"]


def run(parameters: Softmax, rows: list[np.ndarray], ready: float = 1.0) -> tuple[list[list[int]], int]:
    """Probabilities of each row, and clocks until the last; a sink that is ready with that chance."""
    rng, model = np.random.default_rng(0), Model(parameters)
    beats = []
    for row in rows:
        lines = np.resize(row, (-(-row.size // parameters.lanes), parameters.lanes))
        counts = (np.arange(lines.size) < row.size).reshape(lines.shape)
        beats += [
            pack_scores(parameters, line.tolist(), valid.tolist(), last=number == len(lines) - 1)
            for number, (line, valid) in enumerate(zip(lines, counts, strict=True))
        ]
    found: list[list[int]] = [[]]
    clocks = 0
    while len(found) <= len(rows):
        inputs = {"scores_valid": int(bool(beats)), "scores_payload": beats[0] if beats else 0}
        taken = int(rng.random() < ready)
        row_out = model.step(inputs | {"probabilities_ready": taken})
        clocks += 1
        if beats and row_out["scores_ready"]:
            beats.pop(0)
        if row_out["probabilities_valid"] and taken:
            payload, bits = row_out["probabilities_payload"], parameters.probability_bits
            above = payload >> parameters.lanes * bits
            line = unpack(payload, bits, parameters.lanes)
            found[-1] += [value for lane, value in enumerate(line) if above >> lane & 1]
            if above >> parameters.lanes:
                found.append([])
        assert clocks < 10_000
    return found[:-1], clocks


@pytest.mark.parametrize("ready", [1.0, 0.3])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_rows_of_any_length_are_those_of_golden(preset: str, ready: float) -> None:
    parameters = PRESETS[preset]
    rng = np.random.default_rng(1)
    longest = parameters.lanes * parameters.row_lines
    rows = [rng.integers(-90, 90, size) for size in (1, 2, longest, longest - 1, 5, *[1] * 50, 7)]
    found, _ = run(parameters, rows, ready)
    for row, probabilities in zip(rows, found, strict=True):
        assert probabilities == softmax(row, parameters.form).tolist()


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_row_passes_three_times_and_waits_for_three_latencies(preset: str) -> None:
    parameters = PRESETS[preset]
    row = np.arange(parameters.lanes * 5)
    latencies = parameters.largest_cycles + parameters.sum_cycles + parameters.divide_cycles
    # Five lines each time; the first of the next pass follows the last of the one before by the latency.
    alone = 3 * (5 - 1) + latencies + 1
    assert run(parameters, [row])[1] == cycles(parameters, [5]) == alone


def test_rows_follow_one_another_at_a_line_a_clock() -> None:
    full = PRESETS["full"]
    assert cycles(full, [128] * 20) - cycles(full, [128] * 10) == 10 * 128
    assert cycles(full, [1] * 400) - cycles(full, [1] * 300) == 100


def test_scores_are_packed_with_their_signs() -> None:
    scores, valid = [-256, 255], [True, False]
    payload = pack_scores(TINY, scores, valid, last=True)
    assert unpack_scores(TINY, payload) == (scores, valid, True)


@pytest.mark.parametrize("preset", list(EXPONENTS))
def test_every_power_fits_its_bits_and_beyond_the_farthest_distance_is_none(preset: str) -> None:
    parameters = EXPONENTS[preset]
    distances = np.arange(parameters.farthest + 1)
    powers = exp_negative(distances, parameters.form)
    assert powers.min() >= 0
    assert powers.max() == 1 << parameters.form.exp_fraction_bits
    assert exp_negative(distances[-1:] + 1, parameters.form) == powers[-1]


def test_a_product_takes_a_clock_and_the_levels_of_its_sum() -> None:
    assert multiply_cycles(18, 18) == 2
    assert multiply_cycles(19, 18) == 3
    assert multiply_cycles(26, 24) == 4
    assert multiply_cycles(36, 35) == 5


def test_promises_give_a_beat_a_clock_and_never_more_than_their_room() -> None:
    latency = 7
    promises = Promises(latency, store_depth(latency))
    offered = []
    for clock in range(100):
        assert promises.room
        offered.append(promises.offered)
        promises.step(clock, ready=1)
    assert offered == [None] * latency + list(range(100 - latency))
    while promises.room:
        promises.step(0, ready=0)
    assert promises.promised == store_depth(latency)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lanes": 6}, "lanes must be a power of two from 1 to 64, not 6"),
        ({"row_lines": 100}, "row_lines must be a power of two from 1 to 4096, not 100"),
        ({"store_rows": 0}, "store_rows must be a power of two from 1 to 8, not 0"),
        ({"score_bits": 33}, "score_bits must be from 2 to 32, not 33"),
        ({"form": SoftmaxFormat(reciprocal_bits=16)}, "form.reciprocal_bits must be none"),
    ],
)
def test_a_softmax_that_cannot_be_built_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Softmax(**changes)


def test_rows_beyond_the_store_and_distances_of_no_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="a row must be of 8 lines at most"):
        run(TINY, [np.zeros(TINY.lanes * TINY.row_lines + 1, np.int64)])
    with pytest.raises(ValueError, match="distance_bits must be from 1 to 32, not 0"):
        Exponent(distance_bits=0)
