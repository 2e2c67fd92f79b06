"""Floating-point words taken apart, and numbers of any width rounded to a word: what all operations share."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Mux, Signal, Value

ROUNDED_CUTS = 3
"""Places for registers in `rounded`."""


@dataclass(frozen=True)
class Number:
    """A word's parts; `exponent` is the field, 1 for subnormals, `significand` has its hidden bit."""

    sign: Value
    exponent: Value
    significand: Value
    zero: Value
    infinite: Value
    nan: Value


def number(m, word, form, *, name):
    """The parts of a word."""
    fraction = word[: form.fraction_bits]
    field = word[form.fraction_bits : form.bits - 1]
    normal = Signal(name=f"{name}_normal")
    top = Signal(name=f"{name}_top")
    whole = Signal(name=f"{name}_whole")
    m.d.comb += [normal.eq(field.any()), top.eq(field.all()), whole.eq(~fraction.any())]
    return Number(
        sign=word[-1],
        exponent=Cat(field[0] | ~normal, field[1:]),
        significand=Cat(fraction, normal),
        zero=whole & ~normal,
        infinite=top & whole,
        nan=top & ~whole,
    )


def rounded(m, stages, form, *, sign, magnitude, place, least_place, nan, infinite):
    """The word of `form` nearest to a number, ties to even; ROUNDED_CUTS places for registers.

    magnitude: an integer. place: signed, the exponent field of the number if its second highest bit were its
    first one, so that a number of `zeros` leading zeros has the field place + 1 - zeros; `least_place` bounds
    it from below. nan, infinite: the result, whatever the number is.
    """
    width = max(len(magnitude), form.significand_bits + 2)
    magnitude = Cat(Const(0, width - len(magnitude)), magnitude)

    # How far the highest one can go up before the exponent is that of subnormals; or how far it must go down.
    zeros = leading_zeros(m, magnitude, name="zeros")
    left = Signal(range(width + 1))
    right = Signal(range(form.significand_bits + 2))
    if least_place >= width:
        m.d.comb += left.eq(zeros)
    else:
        m.d.comb += left.eq(Mux(place < 0, 0, Mux(zeros < place, zeros, place)))
    if least_place < 0:
        beyond = form.significand_bits + 1
        m.d.comb += right.eq(Mux(place < 0, Mux(place < -beyond, beyond, -place), 0))
    field = place + 1 - zeros
    sign, magnitude, left, right, field, nan, infinite = stages.cut(
        sign=sign, magnitude=magnitude, left=left, right=right, field=field, nan=nan, infinite=infinite
    )

    # Up, with all bits; or down, with whatever is lost as a one at the end.
    shifted = (magnitude << left)[:width]
    if least_place < 0:
        shifted = jammed(m, shifted, right, name="down")
    sign, shifted, field, nan, infinite = stages.cut(
        sign=sign, shifted=shifted, field=field, nan=nan, infinite=infinite
    )

    # Half of the last place and more goes up; the carry runs into the exponent, as it should.
    keep = form.significand_bits
    kept, guard, sticky = shifted[-keep:], shifted[-keep - 1], shifted[: -keep - 1].any()
    most = (1 << form.exponent_bits) - 1
    whole = Signal(form.bits - 1)
    beyond = kept[-1] & (field >= most)
    exponent = Mux(kept[-1], field, 0)[: form.exponent_bits]
    m.d.comb += whole.eq(Cat(kept[:-1], exponent) + (guard & (sticky | kept[0])))
    word = Mux(infinite | beyond, Const(form.infinity, form.bits - 1), whole)
    (result,) = stages.cut(result=Mux(nan, Const(form.nan, form.bits), Cat(word, sign)))
    return result


def leading_zeros(m, value, *, name):
    """How many zeros stand above the highest one; all bits if there is none."""
    width = 1 << (len(value) - 1).bit_length()
    # Ones below stop the count at the width.
    parts = [(~bit, []) for bit in Cat(Const(-1, width - len(value)), value)]
    level = 0
    while len(parts) > 1:
        joined = []
        for (low, below), (high, above) in zip(parts[::2], parts[1::2], strict=True):
            count = [Mux(high, one, other) for one, other in zip(below, above, strict=True)]
            pair = Signal(len(count) + 2, name=f"{name}_{level}_{len(joined)}")
            m.d.comb += pair.eq(Cat(low & high, *count, high))
            joined.append((pair[0], list(pair[1:])))
        parts, level = joined, level + 1
    empty, count = parts[0]
    # A power of two of bits, all of them zero: the count alone does not say it.
    return Mux(empty, width, Cat(*count)) if width == len(value) else Cat(*count)


def jammed(m, value, distance, *, name):
    """value >> distance; the lowest bit is also one if a one was lost."""
    for bit in range(len(distance)):
        step = min(1 << bit, len(value))
        moved = Signal(len(value), name=f"{name}_{bit}")
        shorter = value[step:]
        lost = value[: step + 1].any()
        down = Cat(lost, shorter[1:]) if len(shorter) else value.any()
        m.d.comb += moved.eq(Mux(distance[bit], down, value))
        value = moved
    return value
