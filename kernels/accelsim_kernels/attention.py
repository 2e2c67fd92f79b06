"""Pruned attention in fixed point, bit for bit as `accelsim.golden.integer_attention`, on all threads.

A row: MSB scores, softmax, test of the largest probability, perhaps scores and softmax with LSBs, importance
of the tokens, local value pruning, probabilities times values, importance of the head. Exponents come from a
table that golden fills, as in hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange

from accelsim.golden.attention import keep_count
from accelsim.golden.fixed import Raw, Rounding
from accelsim.golden.integer_attention import AttentionFormat, score_scaling
from accelsim.golden.softmax import SoftmaxFormat, exp_negative
from accelsim_kernels.compiled import inlined, parallel, threads
from accelsim_kernels.fixed_products import ONE, dot, pack_pairs, pairs_of, safe_pairs
from accelsim_kernels.lanes import WIDTH
from accelsim_kernels.packing import READABLE
from accelsim_kernels.selection import DIGIT_BITS, DIGITS, kth_and_quota

Array = npt.NDArray[Any]

LARGEST_TABLE = 1 << 21
"""Exponents of a table: up to 16 fraction bits of the scores at the default 24 of the exponents."""

ROUNDINGS: dict[Rounding, int] = {"half_even": 0, "half_up": 1, "floor": 2}

FULL_WIDTH = 15
"""Bits of a magnitude that fit the words of Q, K and V."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attended:
    """What a layer computed and decided.

    outputs (heads, queries, value_dim), raw; refetch (heads, queries); token_importance (keys,) and
    head_importance (heads,): what golden's `Cascade.account` adds. With `decisions`, probabilities and
    values_kept (heads, queries, keys), else None.
    """

    outputs: Raw
    refetch: npt.NDArray[np.bool_]
    token_importance: Raw
    head_importance: Raw
    probabilities: Raw | None
    values_kept: npt.NDArray[np.bool_] | None


def attend(
    query: Array,
    key: Array,
    value: Array,
    score_scale: float | Array,
    form: AttentionFormat,
    value_keep: float = 1.0,
    valid: npt.NDArray[np.bool_] | None = None,
    *,
    decisions: bool = False,
) -> Attended:
    """One layer on quantised Q (heads, queries, dim), K (KV heads, keys, dim), V (KV heads, keys, value_dim).

    score_scale: one for all heads, or (heads,); the rest is as `golden.integer_attention.attend` has it.
    Query heads of one KV head lie side by side. ValueError for shapes or widths that do not fit, and for a
    row that may see no key.
    """
    heads, queries, keys = query.shape[0], query.shape[1], key.shape[1]
    _check(query, key, value, form)
    inside = np.broadcast_to(np.bool_(True) if valid is None else valid, (heads, queries, keys)).copy()
    kept = keep_count(keys, value_keep)
    options = _options(form, keys if kept >= keys else kept)
    scales = np.broadcast_to(score_scale, (heads,))
    factors = np.array([score_scaling(float(scale), form) for scale in scales], np.int64).reshape(heads, 2)
    outputs = np.zeros((heads, queries, value.shape[2]), np.int64)
    refetch = np.zeros((heads, queries), np.bool_)
    recorded = (heads, queries, keys) if decisions else (0, 0, 0)
    probabilities, values_kept = np.zeros(recorded, np.int32), np.zeros(recorded, np.bool_)
    parts = max(1, min(queries, -(-4 * threads() // max(heads, 1))))
    importance = np.zeros((heads * parts, keys), np.int64)
    coarse_query, coarse_key = (each >> form.lsb_bits for each in (query, key))
    safe = min(safe_pairs(query, key), safe_pairs(coarse_query, coarse_key))
    empty = np.zeros(heads * parts, np.bool_)
    _attend(
        pairs_of(coarse_query), pairs_of(query), pack_pairs(coarse_key), pack_pairs(key),
        np.require(value, np.int16, READABLE), inside, factors, exponents(form.softmax), options, safe,
        outputs, refetch, probabilities, values_kept, importance, empty,
    )  # fmt: skip
    if empty.any():
        raise ValueError("every row of a softmax must have at least one valid score")
    return Attended(
        outputs=outputs,
        refetch=refetch,
        token_importance=importance.sum(axis=0),
        head_importance=np.abs(outputs).sum(axis=(1, 2)),
        probabilities=probabilities.astype(np.int64) if decisions else None,
        values_kept=values_kept if decisions else None,
    )


@lru_cache(maxsize=8)
def exponents(form: SoftmaxFormat) -> npt.NDArray[np.int64]:
    """exp(-d) for every distance d up to where golden saturates it, with `exp_fraction_bits`."""
    count = ((form.exp_fraction_bits + 2) << form.score_fraction_bits) + 1
    if count > LARGEST_TABLE:
        raise ValueError(
            f"a table of exponents must have at most {LARGEST_TABLE} entries, not {count} "
            f"(score_fraction_bits {form.score_fraction_bits})"
        )
    return exp_negative(np.arange(count), form)


class _Options(NamedTuple):
    """The format as numbers. reciprocal: bits, 0 divides exactly. kept: V of a row."""

    rounding: int
    lowest: int
    highest: int
    probability_bits: int
    reciprocal: int
    lsb_bits: int
    threshold: float
    kept: int
    dropped_bits: int


def _options(form: AttentionFormat, kept: int) -> _Options:
    softmax = form.softmax
    return _Options(
        rounding=ROUNDINGS[softmax.rounding],
        lowest=form.score.lowest,
        highest=form.score.highest,
        probability_bits=softmax.probability_fraction_bits,
        reciprocal=softmax.reciprocal_bits or 0,
        lsb_bits=form.lsb_bits,
        threshold=float(form.threshold * softmax.one),
        kept=kept,
        dropped_bits=softmax.probability_fraction_bits - form.output_fraction_bits,
    )


def _check(query: Array, key: Array, value: Array, form: AttentionFormat) -> None:
    shapes = f"{query.shape}, {key.shape} and {value.shape}"
    if not (query.ndim == key.ndim == value.ndim == 3):
        raise ValueError(f"Q, K and V must have three axes, not shapes {shapes}")
    alike = query.shape[2] == key.shape[2] and key.shape[:2] == value.shape[:2]
    if not alike or not key.shape[0] or query.shape[0] % key.shape[0]:
        raise ValueError(f"Q, K and V must fit each other, not have shapes {shapes}")
    for name, array in (("Q", query), ("K", key), ("V", value)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"{name} must be integers, not {array.dtype}")
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) >> FULL_WIDTH:
            raise ValueError(f"{name} must be within 16 bits, not up to {np.abs(array).max()}")


@parallel
def _attend(
    coarse_query, query, coarse_key, key, value, inside, factors, table, options, safe,
    outputs, refetch, probabilities, values_kept, importance, empty,
):  # fmt: skip
    heads, queries, _ = query.shape
    keys = value.shape[1]
    group = max(heads // value.shape[0], 1)
    parts = importance.shape[0] // max(heads, 1)
    for part in prange(importance.shape[0]):
        head = part // parts
        shared, totals = head // group, importance[part]
        sums = np.empty(key.shape[1] * WIDTH, np.int64)
        row = np.empty(keys, np.int64)
        counts, kept = np.empty(DIGITS, np.int64), np.empty(keys, np.bool_)
        # Rows are dealt in turn: under a causal mask the later ones are longer.
        for number in range(part % parts, queries, parts):
            first, end = _reach(inside[head, number])
            if first == end:
                empty[part] = True
                continue
            mask = inside[head, number]
            place = (first, end)
            _scores(coarse_query[head, number], coarse_key[shared], sums, place, safe)
            most = _softmax(sums, 2 * options.lsb_bits, row, mask, place, factors[head], table, options)
            if options.lsb_bits and most < options.threshold:
                refetch[head, number] = True
                _scores(query[head, number], key[shared], sums, place, safe)
                _softmax(sums, 0, row, mask, place, factors[head], table, options)
            for index in range(first, end):
                totals[index] += row[index]
            if probabilities.shape[0]:
                probabilities[head, number, :] = 0
                probabilities[head, number, first:end] = row[first:end]
            row[:first] = 0
            row[end:] = 0
            _drop_values(row, kept, counts, options)
            if values_kept.shape[0]:
                values_kept[head, number] = kept
            _weighted(row, value[shared], outputs[head, number], first, end)
            for index in range(outputs.shape[2]):
                outputs[head, number, index] = shift_right(
                    outputs[head, number, index], options.dropped_bits, options.rounding
                )


@inlined
def _reach(mask):
    """First and behind the last key that a row sees; equal where it sees none."""
    first, end = 0, mask.shape[0]
    while end > 0 and not mask[end - 1]:
        end -= 1
    while first < end and not mask[first]:
        first += 1
    return first, end


@inlined
def _scores(query, words, sums, place, safe):
    """Products of one query (pairs,) and the keys of a head (blocks, pairs, 16) in reach."""
    pairs = query.shape[0]
    for block in range(place[0] // WIDTH, (place[1] + WIDTH - 1) // WIDTH):
        sums[block * WIDTH : (block + 1) * WIDTH] = 0
        dot(query, 0, words.reshape(-1), block * pairs * WIDTH, sums, block * WIDTH, pairs, safe, 0, ONE)


@inlined
def _softmax(sums, missing_bits, row, mask, place, factor, table, options):
    """Probabilities of one row, and the largest of them. missing_bits: of the products, zeros."""
    first, end = place
    most = np.int64(np.iinfo(np.int64).min)
    multiplier, shift = factor[0], factor[1]
    for index in range(first, end):
        score = shift_right((sums[index] << missing_bits) * multiplier, shift, options.rounding)
        score = min(max(score, options.lowest), options.highest)
        row[index] = score
        if mask[index]:
            most = max(most, score)
    total, last = np.int64(0), table.shape[0] - 1
    for index in range(first, end):
        power = np.int64(0)
        if mask[index]:
            power = table[min(most - row[index], last)]
        row[index] = power
        total += power
    return _normalise(row, first, end, total, options)


@inlined
def _normalise(row, first, end, total, options):
    """Powers over their sum, in place; the largest of them."""
    largest = np.int64(0)
    if options.reciprocal == 0:
        inverse = 1.0 / total
        for index in range(first, end):
            row[index] = _divided(row[index] << options.probability_bits, total, inverse, options.rounding)
            largest = max(largest, row[index])
        return largest
    bits = options.reciprocal
    logarithm = 0
    while total >> (logarithm + 1):
        logarithm += 1
    narrowed = shift_right(total, max(logarithm - bits, 0), options.rounding) << max(bits - logarithm, 0)
    one = np.int64(1) << np.int64(2 * bits)
    reciprocal = _divided(one, narrowed, 1.0 / narrowed, options.rounding)
    shift = bits + logarithm - options.probability_bits
    for index in range(first, end):
        product = shift_right(row[index] * reciprocal, shift, options.rounding)
        row[index] = min(product, np.int64(1) << np.int64(options.probability_bits))
        largest = max(largest, row[index])
    return largest


@inlined
def _divided(numerator, denominator, inverse, rounding):
    """numerator / denominator, rounded: by a float estimate that is off by one at most, then exactly."""
    quotient = np.int64(numerator * inverse)
    rest = numerator - quotient * denominator
    low, high = rest < 0, rest >= denominator
    quotient += np.int64(high) - np.int64(low)
    rest += (np.int64(low) - np.int64(high)) * denominator
    if rounding == 2:
        return quotient
    twice = 2 * rest
    tie = twice == denominator and (rounding == 1 or quotient & 1 == 1)
    return quotient + np.int64(twice > denominator or tie)


@inlined
def shift_right(raw, bits, rounding):
    """`golden.fixed.shift_right` of one number."""
    if bits == 0 or rounding == 2:
        return raw >> bits
    half = np.int64(1) << np.int64(bits - 1)
    if rounding == 1:
        return (raw + half) >> bits
    return (raw + (half - 1) + ((raw >> bits) & 1)) >> bits


@inlined
def _drop_values(row, kept, counts, options):
    """Zeros for the probabilities whose V the row does not fetch; which it does, in `kept`."""
    if options.kept >= row.shape[0]:
        kept[:] = True
        return
    digits = (options.probability_bits + DIGIT_BITS) // DIGIT_BITS
    kth, quota = kth_and_quota(row, options.kept, digits, counts)
    for index in range(row.shape[0]):
        probability = np.uint64(row[index])
        stays = probability > kth
        if probability == kth and quota > 0:
            stays = True
            quota -= 1
        if not stays:
            row[index] = 0
        kept[index] = stays


@inlined
def _weighted(row, value, output, first, end):
    """Sum of the values, weighted."""
    for index in range(first, end):
        probability = row[index]
        if probability:
            column = value[index]
            for channel in range(output.shape[0]):
                output[channel] += probability * column[channel]
