"""Pruned attention of one new token on a GPU, in Triton: kept keys alone, MSBs first, LSBs for flat rows only.

Scores are golden's integers, to the bit; exponents and sums are float32. Keys are split among programs, which
leave their largest score, their sum and their weighted V; a second launch reads LSBs for the heads whose
largest probability is below the threshold and is over at once for all others; a third one puts them together.
Runs on any machine under TRITON_INTERPRET=1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from accelsim.golden.integer_attention import AttentionFormat, score_scaling

KEYS_AT_ONCE = 64
KEYS_OF_A_PROGRAM = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyCache:
    """K and V of all tokens: msb (KV heads, tokens, dim) int8, lsb the same in uint8, value in int8 or int16.

    Of K the bytes that a flat row alone needs lie apart, so that others never fetch them.
    """

    msb: torch.Tensor
    lsb: torch.Tensor
    value: torch.Tensor


def split_keys(key: torch.Tensor, value: torch.Tensor, form: AttentionFormat) -> KeyCache:
    """Quantised K and V as the cache holds them; MSBs must fit a byte."""
    if form.msb_bits > 8:
        raise ValueError(f"msb_bits must be at most 8, not {form.msb_bits}")
    mask = (1 << form.lsb_bits) - 1
    kind = torch.int8 if form.value_bits <= 8 else torch.int16
    return KeyCache(
        msb=(key >> form.lsb_bits).to(torch.int8).contiguous(),
        lsb=(key & mask).to(torch.uint8).contiguous(),
        value=value.to(kind).contiguous(),
    )


def decode_attention(
    query: torch.Tensor,
    cache: KeyCache,
    kept: torch.Tensor,
    score_scale: float,
    form: AttentionFormat,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One query (heads, dim), quantised, over the tokens `kept` (int32, ascending): outputs and re-fetches.

    Returns (heads, value_dim) float32 in steps of V, and (heads,) bool. The query heads of a KV head lie side
    by side. ValueError where nothing is kept, or where scores are not rounded half to even.
    """
    heads, dim = query.shape
    if not len(kept):
        raise ValueError("at least one token must be kept")
    if form.softmax.rounding != "half_even":
        raise ValueError(f"scores must be rounded half_even, not {form.softmax.rounding}")
    factor, shift = score_scaling(score_scale, form)
    splits = triton.cdiv(len(kept), KEYS_OF_A_PROGRAM)
    value_dim = cache.value.shape[2]
    partial = torch.empty((2, heads, splits, value_dim + 2), dtype=torch.float32, device=query.device)
    output = torch.empty((heads, value_dim), dtype=torch.float32, device=query.device)
    refetch = torch.zeros(heads, dtype=torch.int8, device=query.device)
    tokens = cache.msb.shape[1]
    words = query.to(torch.int16).contiguous()
    for whole in (False, True) if form.lsb_bits else (False,):
        _partial[(heads, splits)](
            words, cache.msb, cache.lsb, cache.value, kept, partial, refetch,
            len(kept), tokens, heads // cache.msb.shape[0], factor, form.threshold,
            SHIFT=shift, LOWEST=form.score.lowest, HIGHEST=form.score.highest,
            STEP=2.0**-form.score.fraction_bits, LSB_BITS=form.lsb_bits, WHOLE=whole, DIM=dim,
            VALUE_DIM=value_dim, DIM_WIDTH=triton.next_power_of_2(dim),
            VALUE_WIDTH=triton.next_power_of_2(value_dim), SPLITS=splits,
            SPLIT_WIDTH=triton.next_power_of_2(splits), KEYS=KEYS_AT_ONCE, PART=KEYS_OF_A_PROGRAM,
        )  # fmt: skip
    _together[(heads,)](
        partial, refetch, output, VALUE_DIM=value_dim, VALUE_WIDTH=triton.next_power_of_2(value_dim),
        SPLITS=splits, SPLIT_WIDTH=triton.next_power_of_2(splits),
    )  # fmt: skip
    return output, refetch.bool()


@triton.jit
def _sum_of_all(partial, head, VALUE_DIM: tl.constexpr, SPLITS: tl.constexpr, SPLIT_WIDTH: tl.constexpr):
    """Largest score of a head, and the sum of its exponents, from all splits."""
    split = tl.arange(0, SPLIT_WIDTH)
    place = partial + (head * SPLITS + split) * (VALUE_DIM + 2)
    most = tl.load(place, mask=split < SPLITS, other=float("-inf"))
    sums = tl.load(place + 1, mask=split < SPLITS, other=0.0)
    largest = tl.max(most, axis=0)
    return largest, tl.sum(sums * tl.exp(most - largest), axis=0)


@triton.jit
def _partial(
    query, msb, lsb, value, kept, partial, refetch, count, tokens, group, factor, threshold,
    SHIFT: tl.constexpr, LOWEST: tl.constexpr, HIGHEST: tl.constexpr, STEP: tl.constexpr,
    LSB_BITS: tl.constexpr, WHOLE: tl.constexpr, DIM: tl.constexpr, VALUE_DIM: tl.constexpr,
    DIM_WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, SPLITS: tl.constexpr, SPLIT_WIDTH: tl.constexpr,
    KEYS: tl.constexpr, PART: tl.constexpr,
):  # fmt: skip
    """Scores, softmax and weighted V of some keys of a head, with a running largest score."""
    head, split = tl.program_id(0), tl.program_id(1)
    heads = tl.num_programs(0)
    flat = True
    if WHOLE:
        # The largest probability is exp(0) over the sum.
        _, sums = _sum_of_all(partial, head, VALUE_DIM, SPLITS, SPLIT_WIDTH)
        flat = threshold * sums > 1.0
    if flat:
        channel, lane = tl.arange(0, DIM_WIDTH), tl.arange(0, VALUE_WIDTH)
        asked = tl.load(query + head * DIM + channel, mask=channel < DIM, other=0).to(tl.int32)
        if not WHOLE:
            asked = (asked >> LSB_BITS) << LSB_BITS
        most, total = float("-inf"), 0.0
        weighted = tl.zeros((VALUE_WIDTH,), dtype=tl.float32)
        for first in range(split * PART, min(count, split * PART + PART), KEYS):
            number = first + tl.arange(0, KEYS)
            here = number < count
            token = (head // group) * tokens + tl.load(kept + number, mask=here, other=0).to(tl.int64)
            inside = here[:, None] & (channel < DIM)[None, :]
            place = token[:, None] * DIM + channel[None, :]
            key = tl.load(msb + place, mask=inside, other=0).to(tl.int32) << LSB_BITS
            if WHOLE:
                key += tl.load(lsb + place, mask=inside, other=0).to(tl.int32)
            raw = tl.sum(key * asked[None, :], axis=1).to(tl.int64) * factor
            if SHIFT > 0:
                raw = (raw + ((1 << (SHIFT - 1)) - 1) + ((raw >> SHIFT) & 1)) >> SHIFT
            raw = tl.minimum(tl.maximum(raw, LOWEST), HIGHEST)
            score = tl.where(here, raw.to(tl.float32) * STEP, float("-inf"))
            highest = tl.maximum(most, tl.max(score, axis=0))
            power = tl.exp(score - highest)
            shrunk = tl.exp(most - highest)
            read = here[:, None] & (lane < VALUE_DIM)[None, :]
            values = tl.load(value + token[:, None] * VALUE_DIM + lane[None, :], mask=read, other=0)
            weighted = weighted * shrunk + tl.sum(values.to(tl.float32) * power[:, None], axis=0)
            total = total * shrunk + tl.sum(power, axis=0)
            most = highest
        if WHOLE:
            tl.store(refetch + head, 1)
        place = partial + ((WHOLE * heads + head) * SPLITS + split) * (VALUE_DIM + 2)
        tl.store(place, most)
        tl.store(place + 1, total)
        tl.store(place + 2 + lane, weighted, mask=lane < VALUE_DIM)


@triton.jit
def _together(
    partial, refetch, output, VALUE_DIM: tl.constexpr, VALUE_WIDTH: tl.constexpr, SPLITS: tl.constexpr,
    SPLIT_WIDTH: tl.constexpr,
):  # fmt: skip
    """The pass that counts, over its sum."""
    head = tl.program_id(0)
    again = tl.load(refetch + head).to(tl.int32)
    place = again * tl.num_programs(0) + head
    largest, sums = _sum_of_all(partial, place, VALUE_DIM, SPLITS, SPLIT_WIDTH)
    split, lane = tl.arange(0, SPLIT_WIDTH)[:, None], tl.arange(0, VALUE_WIDTH)[None, :]
    start = partial + (place * SPLITS + split) * (VALUE_DIM + 2)
    most = tl.load(start, mask=split < SPLITS, other=float("-inf"))
    inside = (split < SPLITS) & (lane < VALUE_DIM)
    weighted = tl.load(start + 2 + lane, mask=inside, other=0.0) * tl.exp(most - largest)
    index = tl.arange(0, VALUE_WIDTH)
    tl.store(output + head * VALUE_DIM + index, tl.sum(weighted, axis=0) / sums, mask=index < VALUE_DIM)
