"""Pipelined pieces of integer arithmetic: products of multipliers' width, and golden's roundings."""

from amaranth.hdl import Cat, Signal

from accelsim.units.exponent import PIECE_BITS, multiply_cycles


def multiplied(m, first, second, *, name):
    """Product of two signed values, `multiply_cycles` of their widths later."""
    pieces = [
        (left.as_signed() * right.as_signed()) << (left_place + right_place)
        for left_place, left in _pieces(first)
        for right_place, right in _pieces(second)
    ]
    width = len(first) + len(second)
    terms = []
    for number, piece in enumerate(pieces):
        product = Signal(len(piece), name=f"{name}_piece_{number}", reset_less=True)
        m.d.sync += product.eq(piece)
        terms.append(product.as_signed())
    return added(m, terms, name=name)[:width].as_signed()


def _pieces(value):
    """(place, piece) of a signed value; all but the highest have a zero for their sign."""
    count = max(1, -(-(len(value) - 1) // PIECE_BITS))
    pieces = [
        (place * PIECE_BITS, Cat(value[place * PIECE_BITS :][:PIECE_BITS], 0)) for place in range(count - 1)
    ]
    return [*pieces, ((count - 1) * PIECE_BITS, value[(count - 1) * PIECE_BITS :])]


def added(m, terms, *, name):
    """Sum of values, as many clocks later as a tree of registered additions has levels."""
    level = 0
    while len(terms) > 1:
        pairs = []
        for number in range(0, len(terms) - 1, 2):
            exact = terms[number] + terms[number + 1]
            pair = Signal(exact.shape(), name=f"{name}_sum_{level}_{number}", reset_less=True)
            m.d.sync += pair.eq(exact)
            pairs.append(pair)
        if len(terms) % 2:
            odd = Signal.like(terms[-1], name=f"{name}_sum_{level}_odd", reset_less=True)
            m.d.sync += odd.eq(terms[-1])
            pairs.append(odd)
        terms, level = pairs, level + 1
    return terms[0]


def rounds_up(odd, guard, sticky, rounding):
    """Whether a number is rounded up of which `guard` is the highest bit dropped, `sticky` any other one."""
    if rounding == "floor":
        return 0
    return guard if rounding == "half_up" else guard & (sticky | odd)


__all__ = ["added", "multiplied", "multiply_cycles", "rounds_up"]
