"""Attention that skips what will hardly count: A3's search for candidates, MnnFast's lazy softmax.

A3 (HPCA 2020, arXiv 2002.10941) guesses which keys will have a large product with the query, and drops, of
these, what the softmax makes small. MnnFast (ISCA 2019) reads K and V column by column, divides at the end
and skips the V of small weights. These are the definitions that machines and tests are held against.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]


def greedy_candidates(query: Array, key: Array, iterations: int) -> Flags:
    """Which keys A3 takes as candidates for each query: (rows, n), at least one in a row.

    query: (rows, d); key: (n, d). An iteration takes the largest and then the smallest component product
    query[j] x key[i, j] that is left, and adds each to the estimate of its key i; keys with a positive
    estimate are candidates. Where no key has one (no rule is published), the largest estimate is. Of equal
    products the lowest column is first; in a column, for the largest, the last of equal keys where query[j]
    is not negative and the first where it is. All products are taken after n x d of them.
    """
    (rows, columns), keys = query.shape, key.shape[0]
    if key.shape[1] != columns or iterations < 0:
        raise ValueError(
            f"keys must be {columns} wide, and iterations >= 0, not {key.shape[1]} and {iterations}"
        )
    columns_of = _Columns(query.astype(np.float64), key.astype(np.float64))
    estimate = np.zeros((rows, keys))
    every = np.arange(rows)
    for _ in range(min(iterations, keys * columns)):
        for largest in (True, False):
            taken, product = columns_of.take(largest=largest)
            estimate[every, taken] += product
    found: Flags = estimate > 0
    none = ~found.any(axis=1)
    found[none, estimate[none].argmax(axis=1)] = True
    return found


class _Columns:
    """The sorted key columns, with a pointer at each end of each column for every query."""

    def __init__(self, query: Array, key: Array) -> None:
        self._query, self._keys = query, key.shape[0]
        self._order = np.argsort(key, axis=0, kind="stable")
        self._sorted = np.take_along_axis(key, self._order, axis=0)
        self._rows = np.arange(len(query))
        # Taken from the low and from the high end.
        self._taken = np.zeros((2, *query.shape), np.int64)
        self._rises = query >= 0
        low, high = query * self._sorted[0], query * self._sorted[-1]
        self._largest = np.where(self._rises, high, low)
        self._smallest = np.where(self._rises, low, high)

    def take(self, *, largest: bool) -> tuple[npt.NDArray[np.int64], Array]:
        """Key and product of the next step of each query; a product of 0 where none is left."""
        rows = self._rows
        offered = self._largest if largest else self._smallest
        column = offered.argmax(axis=1) if largest else offered.argmin(axis=1)
        product = offered[rows, column]
        left = np.isfinite(product)
        end = (self._rises[rows, column] == largest).astype(np.int64)
        taken = self._taken[end, rows, column]
        place = np.where(end == 1, self._keys - 1 - taken, taken).clip(0, self._keys - 1)
        self._taken[end, rows, column] += left
        self._offer(column, end)
        return self._order[place, column], np.where(left, product, 0)

    def _offer(self, column: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> None:
        """The next product at the end of a column that was taken from; none at both once it is empty."""
        rows = self._rows
        taken = self._taken[end, rows, column]
        place = np.where(end == 1, self._keys - 1 - taken, taken).clip(0, self._keys - 1)
        product = self._query[rows, column] * self._sorted[place, column]
        empty = self._taken[:, rows, column].sum(axis=0) >= self._keys
        from_large = self._rises[rows, column] == (end == 1)
        for offered, mine, nothing in (
            (self._largest, from_large, -np.inf),
            (self._smallest, ~from_large, np.inf),
        ):
            offered[rows[mine], column[mine]] = product[mine]
            offered[rows[empty], column[empty]] = nothing


def post_scored(probabilities: Array, candidates: Flags, threshold: float) -> Flags:
    """Of the candidates, those that A3 multiplies with V: at least `threshold` times the largest of the row.

    probabilities: (..., n), any positive multiple of the weights, 0 or more.
    """
    weights = np.where(candidates, probabilities, -1.0)
    kept: Flags = candidates & (weights >= threshold * weights.max(axis=-1, keepdims=True))
    return kept


def above(probabilities: Array, threshold: float) -> Flags:
    """Which V MnnFast uses: those whose probability is at least `threshold`."""
    used: Flags = probabilities >= threshold
    return used


def lazy_softmax(
    query: Array, key: Array, value: Array, *, chunk: int, threshold: float = 0.0
) -> tuple[Array, Flags]:
    """MnnFast's attention: (rows, value_dim) outputs, and which V were used (rows, n).

    query: (rows, d), scaled already; key: (n, d); value: (n, value_dim). Keys come in chunks; a row keeps
    its largest score so far, the sum of its exponents and of the weighted V, and is divided behind the last
    chunk. `threshold` is of the probability, which is known only then: a first pass finds the sums.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be >= 1 keys, not {chunk}")
    largest = np.full((len(query), 1), -np.inf)
    total = np.zeros((len(query), 1))
    for first in range(0, len(key), chunk):
        scores = query @ key[first : first + chunk].T
        highest = np.maximum(largest, scores.max(axis=1, keepdims=True))
        total = total * np.exp(largest - highest) + np.exp(scores - highest).sum(axis=1, keepdims=True)
        largest = highest
    output = np.zeros((len(query), value.shape[1]))
    used = np.zeros((len(query), len(key)), np.bool_)
    for first in range(0, len(key), chunk):
        several = slice(first, first + chunk)
        weights = np.exp(query @ key[several].T - largest)
        used[:, several] = above(weights / total, threshold)
        output += np.where(used[:, several], weights, 0) @ value[several]
    return output / total, used
