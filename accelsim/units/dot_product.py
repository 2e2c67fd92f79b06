"""SpAtten's QxK: an array of multipliers and a tree of adders that ends wherever a vector does.

A line of keys comes each clock: `multipliers` operands, so vectors of D operands side by side, and as many
scores leave. The tree gives its sums of every level from `tree_outputs` sums on. Sums are exact.
Source: HPCA 2021 SpAtten, section 4 and Table I (512 multipliers of 12 bits, at most 8 outputs a cycle).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.golden.matmul import matmul_integer
from accelsim.units.checks import require_power_of_two, require_range
from accelsim.units.products import PRODUCT_CYCLES
from accelsim.units.promises import Promises, store_depth
from accelsim.units.step import Row, pack, unpack

LARGEST_MULTIPLIERS = 1024


@dataclass(frozen=True, kw_only=True)
class DotProduct:
    """`multipliers` of two signed operands of `operand_bits` bits; at most `tree_outputs` sums a clock.

    Both are powers of two. A vector has as many operands as a multiplier for each of `tree_outputs` vectors
    leaves it, or twice as many, or four times, up to all; a shorter one is padded with zeros.
    """

    multipliers: int = 512
    operand_bits: int = 12
    tree_outputs: int = 8

    def __post_init__(self) -> None:
        require_power_of_two("multipliers", self.multipliers, 1, LARGEST_MULTIPLIERS)
        require_power_of_two("tree_outputs", self.tree_outputs, 1, self.multipliers)
        require_range("operand_bits", self.operand_bits, 2, 18)

    @property
    def levels(self) -> int:
        """Of the whole tree."""
        return (self.multipliers - 1).bit_length()

    @property
    def least_level(self) -> int:
        """The first one whose sums can leave."""
        return self.levels - (self.tree_outputs - 1).bit_length()

    @property
    def level_bits(self) -> int:
        """Of a level's number."""
        return max(1, self.levels.bit_length())

    @property
    def sum_bits(self) -> int:
        """Of a sum of all products."""
        return 2 * self.operand_bits + self.levels

    @property
    def latency_cycles(self) -> int:
        """From a line of keys to its scores.

        The line; operands; product; a clock for each level; the choice of the level; the store of the output.
        """
        return 1 + 1 + PRODUCT_CYCLES + self.levels + 1 + 1


PRESETS = {
    "full": DotProduct(),
    "eighth": DotProduct(multipliers=64),
    "tiny": DotProduct(multipliers=8, operand_bits=5, tree_outputs=4),
}


@dataclass(frozen=True, kw_only=True)
class Query:
    """A payload of `queries`: operands (D of them, the rest of `multipliers` anything), D = 2^level."""

    operands: tuple[int, ...]
    level: int


def pack_signed(values: Sequence[int], bits: int) -> int:
    """Signed values of `bits` bits each as one integer, the first one lowest."""
    return pack([value & (1 << bits) - 1 for value in values], bits)


def unpack_signed(packed: int, bits: int, count: int) -> list[int]:
    """The `count` lowest fields of `bits` bits each, signed."""
    sign = 1 << (bits - 1)
    return [(word ^ sign) - sign for word in unpack(packed, bits, count)]


def pack_query(parameters: DotProduct, query: Query) -> int:
    """Payload of `queries`."""
    operands = pack_signed(query.operands, parameters.operand_bits)
    return operands | query.level << parameters.multipliers * parameters.operand_bits


def unpack_query(parameters: DotProduct, payload: int) -> Query:
    """The fields of a payload of `queries`. ValueError for a level that the tree does not give."""
    level = payload >> parameters.multipliers * parameters.operand_bits
    require_range("level", level, parameters.least_level, parameters.levels)
    return Query(operands=tuple(unpack_signed(payload, parameters.operand_bits, 1 << level)), level=level)


def pack_keys(parameters: DotProduct, operands: Sequence[int], *, last: bool) -> int:
    """Payload of `keys`: a line of operands, and whether it is the last one for its query."""
    line = pack_signed(operands, parameters.operand_bits)
    return line | int(last) << parameters.multipliers * parameters.operand_bits


def unpack_keys(parameters: DotProduct, payload: int) -> tuple[list[int], bool]:
    """The fields of a payload of `keys`."""
    operands = unpack_signed(payload, parameters.operand_bits, parameters.multipliers)
    return operands, bool(payload >> parameters.multipliers * parameters.operand_bits)


def pack_scores(parameters: DotProduct, scores: Sequence[int], *, last: bool) -> int:
    """Payload of `scores`: a line of sums, those that no vector has are zero."""
    line = pack_signed(scores, parameters.sum_bits)
    return line | int(last) << parameters.tree_outputs * parameters.sum_bits


class Model:
    """Streams: `queries`, `keys` in, `scores` out; probe `promised`: lines on their way or at the output.

    A line of keys is taken after its query; the next query comes with the last line of the one before it.
    """

    def __init__(self, parameters: DotProduct) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """No query, nothing under way."""
        self._query: Query | None = None
        latency = self.parameters.latency_cycles
        self._promises = Promises(latency, store_depth(latency))

    def shown(self) -> Row:
        """What follows from the state alone; `queries_ready` may also follow from a line of keys."""
        promises = self._promises
        return {
            "queries_ready": int(self._query is None),
            "keys_ready": int(self._query is not None and promises.room),
            "scores_valid": int(promises.offered is not None),
            "scores_payload": promises.offered or 0,
            "promised": promises.promised,
        }

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        row, parameters, query = self.shown(), self.parameters, self._query
        entering = None
        if query is not None and row["keys_ready"] and inputs["keys_valid"]:
            operands, last = unpack_keys(parameters, inputs["keys_payload"])
            entering = pack_scores(parameters, line_scores(query, operands), last=last)
            row["queries_ready"] = int(last)
        self._promises.step(entering, inputs["scores_ready"])
        if row["queries_ready"]:
            valid, payload = inputs["queries_valid"], inputs["queries_payload"]
            self._query = unpack_query(parameters, payload) if valid else None
        return row


def line_scores(query: Query, operands: Sequence[int]) -> list[int]:
    """The exact products of a query with the vectors of a line."""
    keys = np.array(operands, np.int32).reshape(-1, 1 << query.level)
    scores: list[int] = matmul_integer(np.array([query.operands], np.int32), keys)[0].tolist()
    return scores


def cycles(parameters: DotProduct, lines: Sequence[int]) -> int:
    """Clocks from the first query offered to the last line of scores taken; nobody ever waits.

    lines: of keys, of each query. A line a clock; only the first query takes a clock of its own.
    """
    return 1 + sum(lines) + parameters.latency_cycles if lines else 0
