"""A3's candidates and MnnFast's lazy softmax against searches and sums written out by hand."""

import numpy as np
import pytest

from accelsim.golden.approximate import greedy_candidates, lazy_softmax, post_scored


def searched(query: list[int], key: list[list[int]], iterations: int) -> list[bool]:
    """Every product in a list, the largest and the smallest taken out in turn; the products must differ."""
    products = [(q * row[j], i) for j, q in enumerate(query) for i, row in enumerate(key)]
    estimate = [0] * len(key)
    for _ in range(iterations):
        for best in (max, min):
            if products:
                taken = best(products)
                products.remove(taken)
                estimate[taken[1]] += taken[0]
    if all(each <= 0 for each in estimate):
        return [i == estimate.index(max(estimate)) for i in range(len(key))]
    return [each > 0 for each in estimate]


def test_two_iterations_by_hand() -> None:
    # Products: key 0: 6, -4; key 1: 2, 5; key 2: -8, 1.
    # The largest are 6 (key 0) and 5 (key 1), the smallest -8 (key 2) and -4 (key 0).
    query, key = np.array([[2, 1]]), np.array([[3, -4], [1, 5], [-4, 1]])
    assert greedy_candidates(query, key, 1).tolist() == [[True, False, False]]
    assert greedy_candidates(query, key, 2).tolist() == [[True, True, False]]


@pytest.mark.parametrize("seed", range(20))
def test_candidates_are_those_of_a_search_through_all_products(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys, columns = int(rng.integers(1, 12)), int(rng.integers(1, 7))
    # Distinct primes as queries and keys: no two products are equal.
    sieve = [p for p in range(2, 1000) if all(p % d for d in range(2, int(p**0.5) + 1))]
    chosen = rng.permutation(sieve)[: columns + keys * columns] * rng.choice([-1, 1], columns * (keys + 1))
    query, key = chosen[:columns], chosen[columns:].reshape(keys, columns)
    for iterations in range(keys * columns + 2):
        found = greedy_candidates(query[None, :], key, iterations)
        assert found.tolist() == [searched(query.tolist(), key.tolist(), iterations)], iterations


def test_after_all_products_the_estimate_is_the_score() -> None:
    rng = np.random.default_rng(1)
    query, key = rng.integers(-9, 10, (30, 5)), rng.integers(-9, 10, (13, 5))
    scores = query @ key.T
    some = (scores > 0).any(axis=1)
    assert np.array_equal(greedy_candidates(query, key, 13 * 5)[some], scores[some] > 0)


def test_every_query_is_searched_alone() -> None:
    rng = np.random.default_rng(2)
    query, key = rng.normal(size=(9, 8)), rng.normal(size=(21, 8))
    together = greedy_candidates(query, key, 10)
    assert all(
        np.array_equal(together[i : i + 1], greedy_candidates(query[i : i + 1], key, 10)) for i in range(9)
    )


def test_a_query_without_a_positive_estimate_keeps_one_key() -> None:
    query, key = np.array([[1.0, 1.0]]), np.array([[-2.0, -3.0], [-1.0, -5.0]])
    assert greedy_candidates(query, key, 4).sum() == 1
    assert greedy_candidates(query, key, 0).tolist() == [[True, False]]


def test_keys_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match="keys must be 2 wide, and iterations >= 0, not 3 and 1"):
        greedy_candidates(np.ones((1, 2)), np.ones((4, 3)), 1)


def test_post_scoring_keeps_candidates_near_the_largest_of_them() -> None:
    probabilities = np.array([[0.5, 0.3, 0.15, 0.05]])
    candidates = np.array([[False, True, True, True]])
    assert post_scored(probabilities, candidates, 0.5).tolist() == [[False, True, True, False]]
    assert post_scored(probabilities, candidates, 0.0).tolist() == candidates.tolist()
    assert post_scored(0 * probabilities, candidates, 0.1).tolist() == candidates.tolist()


@pytest.mark.parametrize("chunk", [1, 3, 8, 20, 64])
@pytest.mark.parametrize("threshold", [0.0, 0.04, 0.1, 1.0])
def test_lazy_softmax_is_attention_without_the_values_below_the_threshold(
    chunk: int, threshold: float
) -> None:
    rng = np.random.default_rng(3)
    query, key, value = rng.normal(size=(7, 6)), rng.normal(size=(20, 6)), rng.normal(size=(20, 4))
    scores = query @ key.T
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    output, used = lazy_softmax(query, key, value, chunk=chunk, threshold=threshold)
    assert np.array_equal(used, probabilities >= threshold)
    assert np.allclose(output, np.where(probabilities >= threshold, probabilities, 0) @ value, atol=1e-12)


def test_a_chunk_holds_at_least_one_key() -> None:
    with pytest.raises(ValueError, match="chunk must be >= 1 keys, not 0"):
        lazy_softmax(np.ones((1, 2)), np.ones((4, 2)), np.ones((4, 2)), chunk=0)
