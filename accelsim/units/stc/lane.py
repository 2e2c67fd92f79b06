"""What the units of the sparse tensor core share: element types, forms of codes, the lane's pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelsim.golden.elements import ELEMENTS
from accelsim.golden.tensor_lane import form_of
from accelsim.golden.two_four import Format

CodeForm = Literal["ordered", "any"]
"""Six codes of two ascending positions, or twelve of two different ones: multiplexers of 3 or 4 inputs."""

TYPES = {"s8": ("s8", "u8"), "u8": ("s8", "u8"), "f16": ("f16",)}
"""Element types of A that a lane multiplies, by PTX's names, and what B may then be. Sums are s32 or f32."""

MOST_LATENCY = 7

WORD_BITS = 32
ACCUMULATOR_BITS = 32

DENSE_CODE = 0x4
"""Positions 0 and 1: what steers the multiplexers of a dense step."""


@dataclass(frozen=True, kw_only=True)
class Types:
    """Types of the elements of A and B, of one width; registers of a floating multiplier and adder.

    Integers have one each, and a sum is in its accumulator in the clock in which it is added.
    """

    a_type: str = "s8"
    b_type: str = "s8"
    multiplier_latency: int = 1
    adder_latency: int = 1

    def __post_init__(self) -> None:
        if self.a_type not in TYPES:
            raise ValueError(f"a_type must be one of {', '.join(TYPES)}, not {self.a_type!r}")
        if self.b_type not in TYPES[self.a_type]:
            allowed = " or ".join(TYPES[self.a_type])
            raise ValueError(f"b_type must be {allowed} for {self.a_type}, not {self.b_type!r}")
        for name, latency in (
            ("multiplier_latency", self.multiplier_latency),
            ("adder_latency", self.adder_latency),
        ):
            most = MOST_LATENCY if self.floating else 1
            if not 1 <= latency <= most:
                raise ValueError(f"{name} must be from 1 to {most} for {self.a_type}, not {latency}")

    @property
    def floating(self) -> bool:
        """Whether elements are fp16 and sums fp32."""
        return ELEMENTS[self.a_type].exponent > 0

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
        return 1 + self.multiplier_latency + (products - 1).bit_length() * self.adder_latency

    @property
    def accumulate_cycles(self) -> int:
        """From the sum of a step's products to the accumulator."""
        return self.adder_latency if self.floating else 0


def check_codes(codes: str) -> None:
    """Refuse another word than those of `CodeForm`."""
    if codes not in ("ordered", "any"):
        raise ValueError(f"codes must be ordered or any, not {codes!r}")
