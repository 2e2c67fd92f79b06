"""One GEMM and one array: the shapes, widths and buffers that `folds` cuts work by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.plan import Buffer, Integers, Layout, Stage


@dataclass(frozen=True, kw_only=True)
class Gemm:
    """m x k activations times n x k weights, of which `kept` in every `group` along k are stored.

    Dense is 1 of 1. Groups do not straddle spans of `span` elements (0: all of k). `held`: kept weights
    that share a processing element when weights are stationary.
    Widths in bits; `weight_bits` includes the index of a kept weight. `fetch_share`: bytes fetched for a
    byte of activations that the array reads, below 1 where a convolution is lowered on chip and one
    input serves several taps.
    """

    m: int
    n: int
    k: int
    kept: int = 1
    group: int = 1
    span: int = 0
    held: int = 1
    activation_bits: int = 16
    weight_bits: float = 16
    output_bits: float = 16
    fetch_share: float = 1.0

    @property
    def fetched_bits(self) -> float:
        """Bits of an element of the activations as they are fetched and held."""
        return self.activation_bits * self.fetch_share

    @property
    def stream(self) -> int:
        """Stored weights of one output; a ragged last group of a span is padded."""
        return self.k // (self.span or self.k) * self._stored_span

    @property
    def _stored_span(self) -> int:
        return -(-(self.span or self.k) // self.group) * self.kept

    def covered(self, begin: Integers, end: Integers) -> Integers:
        """How many elements of k the stored weights begin..end choose from."""
        return self._position(end + self.kept - 1) - self._position(begin)

    def _position(self, stored: Integers) -> Integers:
        """First element of k of the group that a stored weight belongs to."""
        span = self.span or self.k
        inside = stored % self._stored_span // self.kept * self.group
        return stored // self._stored_span * span + np.minimum(inside, span)


@dataclass(frozen=True, kw_only=True)
class Array:
    """The array and its buffers, in bytes.

    `interval` cycles between two products that meet in one accumulator, times `interleave` sums in turn;
    `latency` cycles of the arithmetic, paid with every drain. `overlapped`: fill and drain hide
    behind the neighbouring fold, only the first and the last are paid.
    """

    rows: int
    cols: int
    activation_buffer: int
    weight_buffer: int
    output_buffer: int
    interval: int = 1
    interleave: int = 1
    latency: int = 0
    overlapped: bool = False

    def layout(self) -> Layout:
        """Fetch, array, store: each operand is refilled while the array works."""
        return Layout(
            stages=(
                Stage(name="fetch", port="read"),
                Stage(name="array"),
                Stage(name="store", port="write", write=True),
            ),
            buffers=(
                Buffer(name="activations", capacity=self.activation_buffer, take="fetch", give="array"),
                Buffer(name="weights", capacity=self.weight_buffer, take="fetch", give="array"),
                Buffer(name="outputs", capacity=self.output_buffer, take="array", give="store"),
            ),
        )

    def steps(self, begin: Integers, end: Integers, recurrent: bool) -> Integers:
        """Cycles from step `begin` to step `end` of a stream; a recurrent sum waits for its adder."""
        if not recurrent or self.interval <= self.interleave:
            return end - begin
        paced = -(-np.stack([begin, end]) * self.interval // self.interleave)
        return np.asarray(paced[1] - paced[0], np.int64)

    @property
    def drain(self) -> int:
        """Cycles until the last product of a fold has left the array."""
        return self.rows + self.cols - 2 + self.latency

    @property
    def column_drain(self) -> int:
        """Likewise where a sum travels down its column, through the adder of every row."""
        return self.drain + (self.rows - 1) * (self.interval - 1)
