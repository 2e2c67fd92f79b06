"""One attention layer in integers with pruning and progressive quantisation, and the cascade over layers.

Order of operations (SpAtten, HPCA 2021, sections 3 and 4), for every query row of every head:
MSB scores, softmax, test of the largest probability, maybe scores and softmax again with LSBs, importance
of the tokens, local value pruning, probabilities times values, importance of the head. Rows are not
renormalised after values are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import frexp, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import (
    head_importance,
    keep_count,
    local_values,
    needs_lsb,
    select,
    token_importance,
)
from accelsim.golden.fixed import (
    Fixed,
    Raw,
    check_between,
    join_lsb,
    shift_right,
    split_lsb,
    symmetric_quantise,
)
from accelsim.golden.softmax import SoftmaxFormat, softmax

SCALE_BITS = 16
"""Bits of the integer that multiplies an accumulated score to dequantise it."""

MOST_SHIFT = 62
"""Bits that are dropped behind the multiplication, at most."""


@dataclass(frozen=True, kw_only=True)
class AttentionFormat:
    """Widths of one attention layer.

    msb_bits, lsb_bits: of Q and K; LSB 0 is static quantisation. value_bits: of V, which is fetched once.
    threshold: a row whose largest probability is below it fetches its LSBs. Scores are fixed point with the
    fraction bits that the softmax expects. Outputs are V's integers with `output_fraction_bits` more.
    """

    msb_bits: int = 6
    lsb_bits: int = 4
    value_bits: int = 6
    threshold: float = 0.1
    score_integer_bits: int = 7
    output_fraction_bits: int = 4
    softmax: SoftmaxFormat = field(default_factory=SoftmaxFormat)

    def __post_init__(self) -> None:
        check_between("msb_bits", self.msb_bits, 2, 12)
        check_between("lsb_bits", self.lsb_bits, 0, 4)
        check_between("value_bits", self.value_bits, 2, 16)
        check_between("score_integer_bits", self.score_integer_bits, 1, 16)
        probability_bits = self.softmax.probability_fraction_bits
        check_between("output_fraction_bits", self.output_fraction_bits, 0, probability_bits)
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, not {self.threshold}")

    @property
    def score(self) -> Fixed:
        """Format of the scores between the product and the softmax."""
        return Fixed(
            integer_bits=self.score_integer_bits,
            fraction_bits=self.softmax.score_fraction_bits,
            rounding=self.softmax.rounding,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Operands:
    """Quantised Q (heads, queries, dim), K (heads, keys, dim), V (heads, keys, value_dim) and their scales.

    score_scale: a product of Q and K in real units, 1 / sqrt(dim) included; value_scale: one step of V.
    """

    query: Raw
    key: Raw
    value: Raw
    score_scale: float
    value_scale: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerResult:
    """What a layer computed and decided.

    probabilities (heads, queries, keys), raw, of the pass that counts; refetch (heads, queries);
    values_kept as probabilities; outputs (heads, queries, value_dim), raw, times output_scale in real units.
    """

    probabilities: Raw
    refetch: npt.NDArray[np.bool_]
    values_kept: npt.NDArray[np.bool_]
    outputs: Raw
    output_scale: float


def quantise(
    query: npt.NDArray[Any], key: npt.NDArray[Any], value: npt.NDArray[Any], form: AttentionFormat
) -> Operands:
    """Linear symmetric quantisation of real Q, K and V, one scale for each of the three."""
    width = form.msb_bits + form.lsb_bits
    query_raw, query_scale = symmetric_quantise(query, width)
    key_raw, key_scale = symmetric_quantise(key, width)
    value_raw, value_scale = symmetric_quantise(value, form.value_bits)
    score_scale = query_scale * key_scale / sqrt(query.shape[-1])
    return Operands(
        query=query_raw, key=key_raw, value=value_raw, score_scale=score_scale, value_scale=value_scale
    )


def attend(
    operands: Operands,
    form: AttentionFormat,
    value_keep: float = 1.0,
    valid: npt.NDArray[np.bool_] | None = None,
) -> LayerResult:
    """One layer on the heads and tokens that are left.

    value_keep: fraction of the keys whose V each row fetches. valid: keys a row may see (causal mask),
    broadcast to (heads, queries, keys).
    """
    probabilities, refetch = _probabilities(operands, form, valid)
    kept = local_values(probabilities, keep_count(probabilities.shape[-1], value_keep))
    sums = np.where(kept, probabilities, 0) @ operands.value
    dropped_bits = form.softmax.probability_fraction_bits - form.output_fraction_bits
    return LayerResult(
        probabilities=probabilities,
        refetch=refetch,
        values_kept=kept,
        outputs=shift_right(sums, dropped_bits, form.softmax.rounding),
        output_scale=operands.value_scale / (1 << form.output_fraction_bits),
    )


def score_rows(query: Raw, key: Raw, score_scale: float, form: AttentionFormat) -> Raw:
    """Dequantised scores (heads, queries, keys): exact sums, one multiplication, one rounding, saturation.

    The scale becomes an integer of up to 2^SCALE_BITS and a shift. ValueError when even a product of 1 would
    need no shift: then the operands are far too large for the score's format.
    """
    return scaled_scores(query @ key.swapaxes(-1, -2), *score_scaling(score_scale, form), form.score)


def score_scaling(score_scale: float, form: AttentionFormat) -> tuple[int, int]:
    """The integer that multiplies a sum of products, and the shift behind it. ValueError as `score_rows`."""
    mantissa, exponent = frexp(score_scale * 2.0**form.score.fraction_bits)
    shift = SCALE_BITS - exponent
    if shift < 0:
        raise ValueError(
            f"score scale must be below 2^{SCALE_BITS - form.score.fraction_bits}, not {score_scale:g}"
        )
    # Beyond 62 bits every score has long rounded to zero.
    return round(mantissa * 2.0**SCALE_BITS), min(shift, MOST_SHIFT)


def scaled_scores(sums: Raw, scale: int, shift: int, score: Fixed) -> Raw:
    """Sums of products as scores: one multiplication, one rounding, saturation."""
    return score.fit(shift_right(sums * scale, shift, score.rounding))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cascade:
    """Which tokens and heads are left after some layers, and the scores that decide who goes next.

    tokens, heads: ascending positions in the unpruned model. Scores are cumulative, one per unpruned token
    or head; those of the pruned stand still. Integers: probabilities and outputs in their raw units.
    """

    tokens: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]
    token_scores: Raw
    head_scores: Raw

    @classmethod
    def start(cls, tokens: int, heads: int) -> Cascade:
        """Everything is here and nothing has a score."""
        return cls(
            tokens=np.arange(tokens),
            heads=np.arange(heads),
            token_scores=np.zeros(tokens, dtype=np.int64),
            head_scores=np.zeros(heads, dtype=np.int64),
        )

    def prune(self, token_keep: float, head_keep: float) -> Cascade:
        """Before a layer: the best of the survivors, as many as these fractions of the unpruned model."""
        return replace(
            self,
            tokens=_best(self.tokens, self.token_scores, token_keep),
            heads=_best(self.heads, self.head_scores, head_keep),
        )

    def account(self, result: LayerResult) -> Cascade:
        """After a layer on exactly these heads and tokens: its probabilities and outputs are added."""
        token_scores, head_scores = self.token_scores.copy(), self.head_scores.copy()
        token_scores[self.tokens] = token_importance(token_scores[self.tokens], result.probabilities)
        head_scores[self.heads] = head_importance(head_scores[self.heads], result.outputs)
        return replace(self, token_scores=token_scores, head_scores=head_scores)


def _probabilities(
    operands: Operands, form: AttentionFormat, valid: npt.NDArray[np.bool_] | None
) -> tuple[Raw, npt.NDArray[np.bool_]]:
    """Probabilities of the pass that counts, and the rows that needed the second one."""
    query, key, scale = operands.query, operands.key, operands.score_scale
    if form.lsb_bits == 0:
        probabilities = softmax(score_rows(query, key, scale, form), form.softmax, valid)
        return probabilities, np.zeros(probabilities.shape[:-1], dtype=np.bool_)
    coarse_query, coarse_key = (
        join_lsb(split_lsb(part, form.lsb_bits)[0], 0, form.lsb_bits) for part in (query, key)
    )
    coarse = softmax(score_rows(coarse_query, coarse_key, scale, form), form.softmax, valid)
    refetch = needs_lsb(coarse, form.threshold * form.softmax.one)
    whole = softmax(score_rows(query, key, scale, form), form.softmax, valid)
    return np.where(refetch[..., None], whole, coarse), refetch


def _best(survivors: npt.NDArray[np.int64], scores: Raw, keep: float) -> npt.NDArray[np.int64]:
    """The survivors with the highest scores; all of them where no more are here than may stay."""
    count = keep_count(len(scores), keep)
    if count >= len(survivors):
        return survivors
    return survivors[select(scores[survivors], count)]
