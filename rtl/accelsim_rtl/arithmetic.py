"""Pipelined pieces of integer arithmetic: products of multipliers' width, and golden's roundings."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, signed

from accelsim.units.products import PIECE_BITS

BLOCK_BITS = PIECE_BITS + 1
"""Of an operand of an ECP5's multiplier."""


def product_of(m, first, second, *, name, target=None):
    """Product of two signed values, PRODUCT_CYCLES later: operands in registers, then the product.

    target "ecp5": a MULT18X18D with those registers inside, which Yosys leaves unused: around it they cost
    the way to the block and back in each clock. None: a description for simulation and any other tool.
    """
    product = Signal(signed(len(first) + len(second)), name=f"{name}_product", reset_less=True)
    if target == "ecp5" and max(len(first), len(second)) <= BLOCK_BITS:
        m.submodules[f"{name}_block"] = _block(first, second, product)
        return product
    operands = []
    for place, value in (("first", first), ("second", second)):
        operand = Signal(signed(len(value)), name=f"{name}_{place}", reset_less=True)
        m.d.sync += operand.eq(value)
        operands.append(operand)
    m.d.sync += product.eq(operands[0] * operands[1])
    return product


def _block(first, second, product):
    """A MULT18X18D with registers at its operands and its product."""
    words = {}
    for port, value in (("A", first), ("B", second)):
        whole = Cat(value, value[-1].replicate(BLOCK_BITS - len(value)))
        words |= {f"i_{port}{bit}": whole[bit] for bit in range(BLOCK_BITS)}
    given = Cat(product, Signal(2 * BLOCK_BITS - len(product), name="unused"))
    words |= {f"o_P{bit}": given[bit] for bit in range(2 * BLOCK_BITS)}
    for register in ("INPUTA", "INPUTB", "OUTPUT"):
        words |= {f"p_REG_{register}_CLK": "CLK0", f"p_REG_{register}_CE": "CE0"}
        words |= {f"p_REG_{register}_RST": "RST0"}
    ones, zeros = ("CE0", "SIGNEDA", "SIGNEDB"), ("RST0", "SOURCEA", "SOURCEB")
    words |= {f"i_{port}": Const(1, 1) for port in ones} | {f"i_{port}": Const(0, 1) for port in zeros}
    return Instance("MULT18X18D", i_CLK0=ClockSignal(), **words)


def multiplied(m, first, second, *, name, target=None):
    """Product of two signed values, `multiply_cycles` of their widths later."""
    terms = [
        product_of(m, left, right, name=f"{name}_{left_place}_{right_place}", target=target)
        << (left_place + right_place)
        for left_place, left in _pieces(first)
        for right_place, right in _pieces(second)
    ]
    return added(m, terms, name=name)[: len(first) + len(second)].as_signed()


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
