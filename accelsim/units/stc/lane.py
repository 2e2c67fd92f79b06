"""What the units of the sparse tensor core share: element types, forms of codes, the lane's pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelsim.golden.elements import ELEMENTS
from accelsim.golden.tensor_lane import form_of
from accelsim.golden.two_four import Format

CodeForm = Literal["ordered", "any"]
"""Six codes of two ascending positions, or twelve of two different ones: multiplexers of 3 or 4 inputs."""

TYPES = ("s8", "u8")
"""Element types that a lane multiplies, named as PTX names them."""

WORD_BITS = 32
ACCUMULATOR_BITS = 32

DENSE_CODE = 0x4
"""Positions 0 and 1: what steers the multiplexers of a dense step."""


@dataclass(frozen=True, kw_only=True)
class Types:
    """Types of the elements of A and B, of one width."""

    a_type: str = "s8"
    b_type: str = "s8"

    def __post_init__(self) -> None:
        for name, value in (("a_type", self.a_type), ("b_type", self.b_type)):
            if value not in TYPES:
                raise ValueError(f"{name} must be one of {', '.join(TYPES)}, not {value!r}")

    @property
    def form(self) -> Format:
        """The 2:4 format of both."""
        return form_of(self.a_type)

    @property
    def element_bits(self) -> int:
        """Of an element of A or B."""
        return self.form.element_bits

    @property
    def a_signed(self) -> bool:
        """Whether elements of A have a sign."""
        return ELEMENTS[self.a_type].signed

    @property
    def b_signed(self) -> bool:
        """Whether elements of B have a sign."""
        return ELEMENTS[self.b_type].signed

    def sum_cycles(self, products: int) -> int:
        """From the operands of a step to the sum of its products.

        The chosen operands; the products; each level of the tree.
        """
        return 1 + 1 + (products - 1).bit_length()


def check_codes(codes: str) -> None:
    """Refuse another word than those of `CodeForm`."""
    if codes not in ("ordered", "any"):
        raise ValueError(f"codes must be ordered or any, not {codes!r}")
