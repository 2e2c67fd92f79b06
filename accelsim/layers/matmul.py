"""Matrix products: linear layers, convolutions lowered to products, and the three products of training."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from accelsim.golden.formats import Bitmap
from accelsim.layers.base import LARGEST_COUNT, LayerBase, channels_of_a_group, part
from accelsim.plain import check_plain

STAGES = ("", "ff", "bp", "wu")

SIZES = ("m", "n", "k", "count")

CHANNELS = (("input_channels", "k"), ("output_channels", "n"))
"""What a convolution's geometry counts, and the size of its product that grows with it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matmul(LayerBase):
    """`count` products of m x k activations with an n x k operand, reduced over k.

    `weights`: the n x k operand is a weight (then `mask`, one bit per weight, may say which are kept: its
    shape is (n, k), or (count, n, k) where each product has weights of its own, as in a grouped
    convolution); otherwise both operands are activations. A convolution is lowered to this form and keeps its
    `geometry` (kernel, stride, padding, dilation, groups, input and output sizes).
    `dense_m`: the rows that the unpruned model has (token pruning removes rows); 0 means m.
    `dense_n`, `dense_k`, `dense_count` likewise: outputs, inputs (`accelsim.layers.shrinking` takes out whole
    rows and columns of a weight) and products (of heads that left). Of a convolution n and k shrink by whole
    channels, and `geometry` has those that are left; in a training step n and k never shrink.
    `stage`: which product of a training step it is, "ff" forward, "bp" backward (the gradient of the input),
    "wu" the gradient of the weight; empty in inference. In "bp" the pruned operand may be an output gradient.
    """

    later: ClassVar[tuple[str, ...]] = ("dense_n", "dense_k")

    name: str
    m: int
    n: int
    k: int
    count: int = 1
    dtype: str = "fp32"
    weights: bool = True
    mask: Bitmap | None = None
    geometry: Mapping[str, int | str] = field(default_factory=dict)
    dense_m: int = 0
    dense_count: int = 0
    dense_n: int = 0
    dense_k: int = 0
    stage: str = ""

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_unpruned(*SIZES)
        if math.prod(map(self._unpruned, SIZES)) > LARGEST_COUNT:
            raise self._refusal(f"multiply-accumulates must be <= {LARGEST_COUNT}")
        self._check_geometry(self.geometry)
        self._check_channels()
        if self.stage not in STAGES:
            words = f"one of {', '.join(STAGES[1:])} or empty"
            raise self._refusal(f"stage must be {words}, not {reprlib.repr(self.stage)}")
        if self.mask is not None:
            self._check_mask(self.mask)

    def _check_channels(self) -> None:
        """Outputs and inputs that left: none in a training step, of a convolution whole channels."""
        for name, size in CHANNELS:
            left = self._unpruned(size) - getattr(self, size)
            if left and self.stage:
                raise self._refusal(f"dense_{size} must be 0 or {size} in a training step ({self.stage})")
            channels = self.geometry.get(name)
            if left and isinstance(channels, int) and channels * left % getattr(self, size):
                must = f"dense_{size} must be {size} and whole channels ({name} {channels})"
                raise self._refusal(f"{must}, not {self._unpruned(size)}")

    def _check_mask(self, mask: Bitmap) -> None:
        if not isinstance(mask, Bitmap):
            raise self._refusal(f"mask must be a Bitmap, not {reprlib.repr(mask)}")
        if not self.weights and self.stage != "bp":
            raise self._refusal("a mask must be on weights, not on activations")
        if mask.shape not in ((self.n, self.k), own := (self.count, self.n, self.k)):
            raise self._refusal(f"mask must have shape {own[1:]} or {own}, not {reprlib.repr(mask.shape)}")
        if (used := math.prod(mask.shape) % 8) and mask.bits[-1] >> used:
            raise self._refusal("the bits after the last weight of a mask must be 0")

    @property
    def op(self) -> str:
        """`matmul`, or `convolution` if it was lowered from one."""
        return "convolution" if "kernel" in self.geometry else "matmul"

    @property
    def layer(self) -> str:
        """Name of the layer that the product is a stage of."""
        return self.name.removesuffix(f".{self.stage}") if self.stage else self.name

    @property
    def group_span(self) -> int:
        """Elements of k that N:M groups may not straddle: a convolution's channels at one tap, else k.

        Forward these are input channels, backward output channels.
        """
        summed = "output_channels" if self.stage == "bp" else "input_channels"
        return channels_of_a_group(self.geometry, summed, self.k)

    @property
    def macs(self) -> int:
        """Multiply-accumulates at this shape with every weight present."""
        return self.m * self.n * self.k * self.count

    @property
    def kept(self) -> int:
        """Elements of the n x k operand that are kept, over all `count` products: m x kept MACs are left."""
        if self.mask is None:
            return self.n * self.k * self.count
        return self.mask.kept if len(self.mask.shape) == 3 else self.mask.kept * self.count

    @property
    def is_shrunk(self) -> bool:
        """Outputs or inputs have left."""
        return self._unpruned("n") > self.n or self._unpruned("k") > self.k

    @property
    def zeros(self) -> int:
        """Elements of the n x k operands at this shape that are not kept."""
        return self.n * self.k * self.count - self.kept

    @property
    def density(self) -> float:
        """Fraction of the unpruned n x k operands that is kept, over `count` products."""
        return self.kept / (self._unpruned("n") * self._unpruned("k") * self.count)

    @property
    def is_dense(self) -> bool:
        """No weight, row, output, input or product is missing; a mask of ones is dense."""
        return not self.zeros and all(self._unpruned(size) == getattr(self, size) for size in SIZES)

    def dense(self) -> Matmul:
        """The layer of the unpruned model."""
        whole = {size: self._unpruned(size) for size in SIZES}
        return self._changed(
            **whole,
            mask=None,
            geometry={**self.geometry, **self._unpruned_channels()},
            **{f"dense_{size}": 0 for size in SIZES},
        )

    def _unpruned_channels(self) -> dict[str, int]:
        """A convolution's channels before whole ones left; nothing where none did."""
        return {
            name: channels * self._unpruned(size) // getattr(self, size)
            for name, size in CHANNELS
            if isinstance(channels := self.geometry.get(name), int)
            and self._unpruned(size) != getattr(self, size)
        }

    def columns(self) -> tuple[str, str, str]:
        """Shape, density and kept tokens of a table's line."""
        times = f"{self.count} x " if self.count > 1 else ""
        n, k = (part(getattr(self, size), self._unpruned(size)) for size in "nk")
        shape = f"{times}{self.m} x {n} x {k}"
        return shape, f"{self.density:.3f}", part(self.m, self._unpruned("m"))
