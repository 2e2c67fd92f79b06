"""Pipelined floating-point units: what each computes, and its clocks.

`latency` registers stand between operands and result, spread over the arithmetic, and behind them a store in
which every result was promised room. Numbers are those of `accelsim.golden.floating`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from accelsim.golden.floating import FP16, FP32, Format, Words, add, convert, multiply, multiply_add
from accelsim.units.checks import require_range
from accelsim.units.promises import Promises, store_depth
from accelsim.units.step import Row

LARGEST_LATENCY = 64


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation by its operands and its result; of a payload of `operands` the first is lowest."""

    arithmetic: ClassVar[Literal["multiply", "add", "convert", "multiply_add"]]
    operands: ClassVar[tuple[Format, ...]]

    @property
    def result(self) -> Format:
        """Format of the result."""
        return FP32

    @property
    def clocks(self) -> int:
        """Registers between operands and result."""
        raise NotImplementedError

    @property
    def latency_cycles(self) -> int:
        """From the clock that takes the operands to the first that offers the result."""
        return self.clocks + 1

    def compute(self, *operands: Words) -> Words:
        """Golden's results of arrays of operands."""
        raise NotImplementedError

    def pack(self, words: Sequence[int]) -> int:
        """A payload of `operands`."""
        payload = place = 0
        for word, form in zip(words, self.operands, strict=True):
            payload |= int(word) << place
            place += form.bits
        return payload

    def unpack(self, payload: int) -> list[int]:
        """The words of a payload of `operands`."""
        words = []
        for form in self.operands:
            words.append(payload & (1 << form.bits) - 1)
            payload >>= form.bits
        return words

    def results(self, payloads: Sequence[int]) -> list[int]:
        """Golden's words for payloads of `operands`."""
        columns = zip(*map(self.unpack, payloads), strict=True)
        arrays = [np.array(words, form.word) for words, form in zip(columns, self.operands, strict=True)]
        return [int(word) for word in self.compute(*arrays)] if arrays else []


@dataclass(frozen=True, kw_only=True)
class _Single(Operation):
    """One piece of arithmetic of `latency` clocks; 0: none of its registers."""

    latency: int = 4

    def __post_init__(self) -> None:
        require_range("latency", self.latency, 0, LARGEST_LATENCY)

    @property
    def clocks(self) -> int:
        """See `Operation`."""
        return self.latency


@dataclass(frozen=True, kw_only=True)
class HalfMultiplier(_Single):
    """Product of two FP16 numbers, exact in FP32, or rounded to FP16."""

    arithmetic = "multiply"
    operands = (FP16, FP16)
    product: Literal["fp32", "fp16"] = "fp32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.product not in ("fp32", "fp16"):
            raise ValueError(f"product must be fp32 or fp16, not {self.product!r}")

    @property
    def result(self) -> Format:
        """See `Operation`."""
        return FP32 if self.product == "fp32" else FP16

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        first, second = operands
        return multiply(first, second, FP16, self.result)


@dataclass(frozen=True, kw_only=True)
class SingleMultiplier(_Single):
    """Product of two FP32 numbers."""

    arithmetic = "multiply"
    operands = (FP32, FP32)

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        first, second = operands
        return multiply(first, second, FP32, FP32)


@dataclass(frozen=True, kw_only=True)
class SingleAdder(_Single):
    """Sum of two FP32 numbers."""

    arithmetic = "add"
    operands = (FP32, FP32)

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        return add(*operands)


@dataclass(frozen=True, kw_only=True)
class Widening(_Single):
    """FP16 to FP32, exact."""

    arithmetic = "convert"
    operands = (FP16,)
    latency: int = 1

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        return convert(operands[0], FP16, FP32)


@dataclass(frozen=True, kw_only=True)
class Narrowing(_Single):
    """FP32 to FP16, rounded."""

    arithmetic = "convert"
    operands = (FP32,)
    latency: int = 2

    @property
    def result(self) -> Format:
        """See `Operation`."""
        return FP16

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        return convert(operands[0], FP32, FP16)


@dataclass(frozen=True, kw_only=True)
class MultiplyAdd(Operation):
    """first * second + third in FP32, rounded twice: a multiplier and an adder behind it."""

    arithmetic = "multiply_add"
    operands = (FP32, FP32, FP32)
    multiplier_latency: int = 4
    adder_latency: int = 4

    def __post_init__(self) -> None:
        require_range("multiplier_latency", self.multiplier_latency, 0, LARGEST_LATENCY)
        require_range("adder_latency", self.adder_latency, 0, LARGEST_LATENCY)

    @property
    def clocks(self) -> int:
        """See `Operation`."""
        return self.multiplier_latency + self.adder_latency

    def compute(self, *operands: Words) -> Words:
        """See `Operation`."""
        return multiply_add(*operands)


class Model:
    """Streams: `operands` in, `results` out; probe `promised`: operations on their way or at the output."""

    def __init__(self, parameters: Operation) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Nothing under way."""
        latency = self.parameters.latency_cycles
        self._promises = Promises(latency, store_depth(latency))

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        promises = self._promises
        row = {
            "operands_ready": int(promises.room),
            "results_valid": int(promises.offered is not None),
            "results_payload": promises.offered or 0,
            "promised": promises.promised,
        }
        takes = row["operands_ready"] and inputs["operands_valid"]
        entering = self.parameters.results([inputs["operands_payload"]])[0] if takes else None
        promises.step(entering, inputs["results_ready"])
        return row


def cycles(parameters: Operation, operations: int) -> int:
    """Clocks from the first operands offered to the last result taken; nobody ever waits."""
    return operations + parameters.latency_cycles if operations else 0
