"""The operand selector of a sparse tensor core: of every four elements of B the two that a code names.

Codes that ascend need two multiplexers of three inputs, positions 0 to 2 and 1 to 3; codes in any order two
of four inputs. What is no code of the form is flagged; the multiplexers then pick the nearest that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.tensor_lane import picked_positions, undefined
from accelsim.golden.two_four import BITS_OF_A_CODE
from accelsim.units.checks import require_range
from accelsim.units.stc.lane import CodeForm, check_codes
from accelsim.units.stc.stage import StageModel
from accelsim.units.step import pack, unpack

GROUP = 4
KEPT = 2
LARGEST_GROUPS = 64


@dataclass(frozen=True, kw_only=True)
class Selector:
    """`groups` of four operands of `operand_bits` bits side by side, each with its code."""

    operand_bits: int = 8
    groups: int = 2
    codes: CodeForm = "ordered"

    def __post_init__(self) -> None:
        require_range("operand_bits", self.operand_bits, 1, 64)
        require_range("groups", self.groups, 1, LARGEST_GROUPS)
        check_codes(self.codes)


PRESETS = {
    "int8": Selector(),
    "fp16": Selector(operand_bits=16, groups=1),
    "any": Selector(codes="any"),
    "tiny": Selector(operand_bits=4, groups=2),
}


def pack_groups(parameters: Selector, elements: Sequence[int], codes: Sequence[int]) -> int:
    """Payload of `groups`: GROUP elements a group, the first lowest; above them a code a group."""
    operands = pack(elements, parameters.operand_bits)
    return operands | pack(codes, BITS_OF_A_CODE) << GROUP * parameters.groups * parameters.operand_bits


def unpack_groups(parameters: Selector, payload: int) -> tuple[list[int], list[int]]:
    """Elements and codes of a payload of `groups`."""
    count = GROUP * parameters.groups
    codes = unpack(payload >> count * parameters.operand_bits, BITS_OF_A_CODE, parameters.groups)
    return unpack(payload, parameters.operand_bits, count), codes


def pack_picked(parameters: Selector, operands: Sequence[int], flags: Sequence[int]) -> int:
    """Payload of `picked`: KEPT operands a group; above them whether its code is none."""
    return pack(operands, parameters.operand_bits) | pack(flags, 1) << (
        KEPT * parameters.groups * parameters.operand_bits
    )


def picked(parameters: Selector, payload: int) -> int:
    """The payload of `picked` for one of `groups`."""
    elements, codes = unpack_groups(parameters, payload)
    ordered = parameters.codes == "ordered"
    positions = picked_positions(np.array(codes), ordered=ordered) + GROUP * np.arange(len(codes))[:, None]
    flags = undefined(np.array(codes), ordered=ordered)
    return pack_picked(
        parameters, [elements[int(place)] for place in positions.ravel()], flags.astype(int).tolist()
    )


class Model(StageModel):
    """Streams: `groups` in, `picked` out."""

    def __init__(self, parameters: Selector) -> None:
        super().__init__("groups", "picked", lambda payload: picked(parameters, payload))
