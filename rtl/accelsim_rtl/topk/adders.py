"""Sums and comparisons of a few bits as plain logic: a chain of carries starts too slowly."""

from amaranth import Cat, Const, Signal


def counted(marks):
    """How many of up to four bits are set, in three bits: each is a function of four inputs."""
    a, b, c, d = (*marks, *(Const(0, 1),) * (4 - len(marks)))
    pairs = (a & b) | (c & d) | ((a | b) & (c | d))
    return Cat(a ^ b ^ c ^ d, pairs & ~(a & b & c & d), a & b & c & d)


def added(m, one, other, bits):
    """The sum of two numbers, modulo 2^bits."""
    carry, total = Const(0, 1), []
    for place in range(bits):
        a, b = (value[place] if place < len(value) else Const(0, 1) for value in (one, other))
        total.append(a ^ b ^ carry)
        above = Signal(name="carry")
        m.d.comb += above.eq((a & b) | (carry & (a | b)))
        carry = above
    result = Signal(bits, name="sum")
    m.d.comb += result.eq(Cat(total))
    return result


def summed(m, values, most):
    """A balanced sum that is known not to exceed `most`."""
    values = list(values) or [Const(0, 1)]
    bits = most.bit_length()
    while len(values) > 1:
        values = [
            added(m, values[i], values[i + 1], min(bits, max(len(values[i]), len(values[i + 1])) + 1))
            if i + 1 < len(values)
            else values[i]
            for i in range(0, len(values), 2)
        ]
    return values[0]


def incremented(number):
    """A number plus one, in as many bits: a bit turns where all below it are set."""
    return Cat(number[place] ^ number[:place].all() for place in range(len(number)))


def reaches(number, least):
    """Whether a number is at least a constant, bit by bit from the lowest one."""
    reached = Const(1, 1)
    for place in range(len(number)):
        reached = number[place] & reached if least >> place & 1 else number[place] | reached
    return reached
