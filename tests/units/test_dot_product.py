"""The dot-product array by its step model: scores of vectors of every length, their time, and refusals."""

from typing import Any

import numpy as np
import pytest

from accelsim.units.dot_product import (
    PRESETS,
    DotProduct,
    Model,
    Query,
    cycles,
    pack_keys,
    pack_query,
    unpack_signed,
)


def run(parameters: DotProduct, query: np.ndarray, keys: np.ndarray) -> tuple[list[int], int]:
    """Scores of all keys (count, D), and clocks until the last line of them."""
    level = (keys.shape[1] - 1).bit_length()
    lines = keys.reshape(-1, parameters.multipliers).tolist()
    model, scores, clocks = Model(parameters), [], 0
    beats = [pack_keys(parameters, line, last=line is lines[-1]) for line in lines]
    asks, left = True, len(lines)
    while left:
        row = model.step(
            {
                "queries_valid": int(asks),
                "queries_payload": pack_query(parameters, Query(operands=tuple(query.tolist()), level=level)),
                "keys_valid": int(bool(beats)),
                "keys_payload": beats[0] if beats else 0,
                "scores_ready": 1,
            }
        )
        clocks += 1
        asks &= not row["queries_ready"]
        if beats and row["keys_ready"]:
            beats.pop(0)
        if row["scores_valid"]:
            left -= 1
            line = unpack_signed(row["scores_payload"], parameters.sum_bits, parameters.tree_outputs)
            scores += line[: parameters.multipliers >> level]
            assert not any(line[parameters.multipliers >> level :])
    return scores, clocks


@pytest.mark.parametrize("dim", [64, 128, 256, 512])
def test_scores_are_the_products_of_the_query_with_each_key(dim: int) -> None:
    full, rng = PRESETS["full"], np.random.default_rng(dim)
    query, keys = rng.integers(-2048, 2048, dim), rng.integers(-2048, 2048, (40 * 512 // dim, dim))
    keys[0], query[:] = -2048, -2048
    scores, clocks = run(full, query, keys)
    assert scores == (keys @ query).tolist()
    assert clocks == cycles(full, [40]) == 1 + 40 + full.latency_cycles


def test_the_largest_sum_fits() -> None:
    for parameters in PRESETS.values():
        lowest = -(1 << (parameters.operand_bits - 1))
        keys = np.full((3, parameters.multipliers), lowest)
        assert run(parameters, keys[0], keys)[0] == [lowest**2 * parameters.multipliers] * 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"multipliers": 96}, "multipliers must be a power of two from 1 to 1024, not 96"),
        ({"multipliers": 4}, "tree_outputs must be a power of two from 1 to 4, not 8"),
        ({"operand_bits": 19}, "operand_bits must be from 2 to 18, not 19"),
    ],
)
def test_an_array_that_cannot_be_built_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DotProduct(**changes)


def test_a_level_that_the_tree_does_not_give_is_refused() -> None:
    with pytest.raises(ValueError, match="level must be from 6 to 9, not 5"):
        run(PRESETS["full"], np.zeros(32, np.int64), np.zeros((16, 32), np.int64))
