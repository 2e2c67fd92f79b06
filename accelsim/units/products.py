"""Clocks of products and sums: what units with multipliers and adder trees share.

A product has a register at its operands and one behind it, as the multipliers of FPGAs have them inside.
"""

from __future__ import annotations

PIECE_BITS = 17
"""Of an operand that one multiplier takes, beside the sign: those of FPGAs have 18 bits."""

PRODUCT_CYCLES = 2
"""Of one multiplier: its operands, its product."""


def tree_cycles(terms: int) -> int:
    """Of a tree of registered additions of pairs."""
    return (terms - 1).bit_length()


def multiply_cycles(first_bits: int, second_bits: int) -> int:
    """Of a product of signed numbers: pieces that fit a multiplier, and a tree that adds them."""
    pieces = 1
    for bits in (first_bits, second_bits):
        pieces *= max(1, -(-(bits - 1) // PIECE_BITS))
    return PRODUCT_CYCLES + tree_cycles(pieces)
