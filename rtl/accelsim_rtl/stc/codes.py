"""Codes of 2:4 in logic: what they name, which are none, and the multiplexers that they steer."""

from amaranth.hdl import Mux

from accelsim.golden.two_four import BITS_OF_A_CODE


def positions(code, codes):
    """The two positions that the multiplexers for `codes` pick; what they cannot is taken for the nearest."""
    first, second = code[:2], code[2:]
    if codes == "any":
        return first, second
    return Mux(first == 3, 2, first), Mux(second == 0, 1, second)


def undefined(code, codes):
    """Whether a code names no two positions; of ordered codes: none that ascend."""
    first, second = code[:2], code[2:]
    return first == second if codes == "any" else first >= second


def picked(code, elements, codes):
    """The two of four elements: two multiplexers of three inputs if codes ascend, else two of four.

    An ordered code steers them as it is: the high bit of the first position is that of element 2, the high
    bit of the second that of elements 2 and 3.
    """
    first, second = code[:2], code[2:]
    if codes == "any":
        return _of_four(first, elements), _of_four(second, elements)
    return (
        Mux(first[1], elements[2], Mux(first[0], elements[1], elements[0])),
        Mux(second[1], Mux(second[0], elements[3], elements[2]), elements[1]),
    )


def row_words(registers, selector, element_bits):
    """Codes of rows g and g + 8 among the registers of a quad's lanes, as the selector says."""
    if element_bits == 8:
        return [Mux(selector, registers[2 + row], registers[row]) for row in range(2)]
    word = _of_four(selector, registers)
    return [word[:16], word[16:]]


def split(word):
    """The codes of a word, the first one lowest."""
    return [word[place : place + BITS_OF_A_CODE] for place in range(0, len(word), BITS_OF_A_CODE)]


def _of_four(position, elements):
    low = [Mux(position[0], elements[2 * half + 1], elements[2 * half]) for half in range(2)]
    return Mux(position[1], low[1], low[0])
