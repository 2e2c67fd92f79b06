"""Exp and softmax in integers: the bit format of every step, and a bound on the error.

    d = max - score                     exact, unsigned, saturated where exp(-d) rounds to 0
    h = round(d / ln 2)                 halvings, half up, from a constant with W fraction bits
    r = h * ln 2 - d                    |r| <= ln2 / 2 up to rounding, rounded to W fraction bits
    e = 2^-h * (Taylor polynomial of exp at r)     Horner, every product rounded to W fraction bits
    p = e / sum(e)                      rounded to P fraction bits

W is `exp_fraction_bits`, P `probability_fraction_bits`. Sums of e are exact. The published design leaves
range reduction and widths open (SpAtten, section 4: a fifth-order Taylor expansion on floating point).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, factorial, log

import numpy as np
import numpy.typing as npt

from accelsim.golden.fixed import Raw, Rounding, check_between, check_rounding, divide, shift_right

LN2_EXTRA_BITS = 8
"""Fraction bits of the constant ln 2 beyond W: it is multiplied by up to W + 3 halvings."""


@dataclass(frozen=True, kw_only=True)
class SoftmaxFormat:
    """Widths and rounding of the integer softmax.

    score_fraction_bits: of the signed scores that come in. `degree`: of the Taylor polynomial.
    reciprocal_bits: None divides exactly, then rounds. Otherwise the sum, scaled into [1, 2), and its
    reciprocal are each rounded to that many fraction bits, every power is multiplied by the reciprocal,
    and the probability saturates at 1.0.
    `rounding` serves every step. Probabilities are unsigned; 1.0 is 2^P, so a word has P + 1 bits.
    """

    score_fraction_bits: int = 8
    exp_fraction_bits: int = 24
    degree: int = 5
    probability_fraction_bits: int = 12
    reciprocal_bits: int | None = None
    rounding: Rounding = "half_even"

    def __post_init__(self) -> None:
        check_between("exp_fraction_bits", self.exp_fraction_bits, 8, 28)
        check_between("score_fraction_bits", self.score_fraction_bits, 0, self.exp_fraction_bits)
        check_between("degree", self.degree, 1, 8)
        check_between("probability_fraction_bits", self.probability_fraction_bits, 1, 16)
        if self.reciprocal_bits is not None:
            check_between("reciprocal_bits", self.reciprocal_bits, self.probability_fraction_bits, 24)
        check_rounding(self.rounding)

    @property
    def one(self) -> int:
        """The raw probability 1.0."""
        return 1 << self.probability_fraction_bits


DEFAULT_FORMAT = SoftmaxFormat()


def exp_negative(distance: Raw, form: SoftmaxFormat = DEFAULT_FORMAT) -> Raw:
    """exp(-distance) with W fraction bits, for distance >= 0 with `score_fraction_bits`."""
    bits, rounding = form.exp_fraction_bits, form.rounding
    constant_bits = bits + LN2_EXTRA_BITS
    # From here on the result rounds to 0 anyway, and no product below leaves 63 bits.
    distance = np.minimum(distance, (bits + 2) << form.score_fraction_bits)
    inverse = round(2.0**bits / log(2))
    halvings = shift_right(distance * inverse, form.score_fraction_bits + bits, "half_up")
    whole = shift_right(halvings * round(log(2) * 2.0**constant_bits), LN2_EXTRA_BITS, rounding)
    rest = whole - (distance << (bits - form.score_fraction_bits))
    return _shift_each(_taylor(rest, form), halvings, rounding)


def softmax(
    scores: Raw, form: SoftmaxFormat = DEFAULT_FORMAT, valid: npt.NDArray[np.bool_] | None = None
) -> Raw:
    """Probabilities with P fraction bits of each row of scores along the last axis.

    valid: broadcasts to the scores; elements outside (a causal mask) get probability 0. A row without a
    valid element is refused. |probability - exact softmax| <= softmax_error_bound(form, keys).
    """
    scores = scores.astype(np.int64)
    inside = np.broadcast_to(np.bool_(True) if valid is None else valid, scores.shape)
    if scores.shape[-1] == 0 or not inside.any(axis=-1).all():
        raise ValueError("every row of a softmax must have at least one valid score")
    highest = np.where(inside, scores, np.iinfo(np.int64).min).max(axis=-1, keepdims=True)
    # An invalid score may lie above the highest valid one: its distance is not used.
    powers = np.where(inside, exp_negative(np.maximum(highest - scores, 0), form), 0)
    return _normalise(powers, powers.sum(axis=-1, keepdims=True), form)


def exp_error_bound(form: SoftmaxFormat = DEFAULT_FORMAT) -> tuple[float, float]:
    """(relative, absolute) bounds: |result - exp(-d)| <= relative * exp(-d) + absolute.

    One unit u is 2^-W (rounding by floor) or half of it. Relative, at |r| <= R = ln2 / 2 + (W + 3) 2^-W:
    Taylor's rest R^(degree+1) / (degree+1)! * exp(R); the argument, off by u + (W + 3) 2^-W / 2^9;
    Horner's products and coefficients, (u + 2^-W / 2) / (1 - R); all over exp(-R). Absolute: the last
    shift, u, or what saturation drops, exp(-(W + 2)), which is less.
    """
    bits = form.exp_fraction_bits
    step = 2.0**-bits
    unit = step if form.rounding == "floor" else step / 2
    reach = log(2) / 2 + (bits + 3) * step
    rest = reach ** (form.degree + 1) / factorial(form.degree + 1) * exp(reach)
    argument = (unit + (bits + 3) * step / 2 ** (LN2_EXTRA_BITS + 1)) * exp(reach)
    horner = (unit + step / 2) / (1 - reach)
    return (rest + argument + horner) * exp(reach), unit


def softmax_error_bound(form: SoftmaxFormat, keys: int) -> float:
    """Largest difference from the exact softmax of the same scores, over all rows of `keys` scores.

    Relative errors up to q of the powers move a probability by at most 2 q p (1 - p) <= q / 2, absolute ones
    up to a by keys * a (the sum is at least 1); then the roundings of quotient, scaled sum and reciprocal.
    """
    relative, absolute = exp_error_bound(form)
    if relative + keys * absolute >= 1:
        return 1.0
    moved = (relative / 2 + keys * absolute) / (1 - relative - keys * absolute)
    ulp = 1.0 if form.rounding == "floor" else 0.5
    reciprocal = 0.0 if form.reciprocal_bits is None else 4 * ulp * 2.0**-form.reciprocal_bits
    return moved + reciprocal + ulp / form.one


def _taylor(argument: Raw, form: SoftmaxFormat) -> Raw:
    """1 + x + x^2 / 2! + ... by Horner, argument and result with W fraction bits."""
    bits = form.exp_fraction_bits
    value = np.full_like(argument, round(2.0**bits / factorial(form.degree)))
    for power in range(form.degree - 1, -1, -1):
        product = shift_right(value * argument, bits, form.rounding)
        value = product + round(2.0**bits / factorial(power))
    return value


def _normalise(powers: Raw, total: Raw, form: SoftmaxFormat) -> Raw:
    """powers / total with P fraction bits."""
    if form.reciprocal_bits is None:
        return divide(powers << form.probability_fraction_bits, total, form.rounding)
    bits = form.reciprocal_bits
    logarithm = np.frexp(total.astype(np.float64))[1].astype(np.int64) - 1
    narrowed = _shift_each(total, np.maximum(logarithm - bits, 0), form.rounding)
    scaled = narrowed << np.maximum(bits - logarithm, 0)
    reciprocal = divide(np.full_like(scaled, 1 << (2 * bits)), scaled, form.rounding)
    shift = np.broadcast_to(bits + logarithm - form.probability_fraction_bits, powers.shape)
    return np.minimum(_shift_each(powers * reciprocal, shift, form.rounding), form.one)


def _shift_each(raw: Raw, bits: Raw, rounding: Rounding) -> Raw:
    """shift_right with a distance for each element."""
    result = np.zeros_like(raw)
    for distance in np.unique(bits):
        chosen = bits == distance
        result[chosen] = shift_right(raw[chosen], int(distance), rounding)
    return result
