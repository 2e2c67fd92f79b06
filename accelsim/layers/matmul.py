"""Matrix products: linear layers, convolutions lowered to products, and the three products of training."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from accelsim.golden.formats import Bitmap
from accelsim.layers.base import LARGEST_COUNT, LayerBase, channels_of_a_group, part
from accelsim.plain import check_plain

STAGES = ("", "ff", "bp", "wu")


@dataclass(frozen=True, kw_only=True, eq=False)
class Matmul(LayerBase):
    """`count` products of m x k activations with an n x k operand, reduced over k.

    `weights`: the n x k operand is a weight (then `mask`, one bit per weight, may say which are kept: its
    shape is (n, k), or (count, n, k) where each product has weights of its own, as in a grouped
    convolution); otherwise both operands are activations. A convolution is lowered to this form and keeps its
    `geometry` (kernel, stride, padding, dilation, groups, input and output sizes).
    `dense_m`: the rows that the unpruned model has (token pruning removes rows); 0 means m.
    `dense_count` likewise (head pruning removes products); 0 means count.
    `stage`: which product of a training step it is, "ff" forward, "bp" backward (the gradient of the input),
    "wu" the gradient of the weight; empty in inference. In "bp" the pruned operand may be an output gradient.
    """

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
    stage: str = ""

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_unpruned("m", "count")
        if self._unpruned("m") * self.n * self.k * self._unpruned("count") > LARGEST_COUNT:
            raise self._refusal(f"multiply-accumulates must be <= {LARGEST_COUNT}")
        self._check_geometry(self.geometry)
        if self.stage not in STAGES:
            words = f"one of {', '.join(STAGES[1:])} or empty"
            raise self._refusal(f"stage must be {words}, not {reprlib.repr(self.stage)}")
        if self.mask is not None:
            self._check_mask(self.mask)

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
    def density(self) -> float:
        """Fraction of the n x k operands that is kept."""
        return self.kept / (self.n * self.k * self.count)

    @property
    def is_dense(self) -> bool:
        """No weight, row or product is missing; a mask of ones is dense."""
        whole = self._unpruned("m") == self.m and self._unpruned("count") == self.count
        return whole and self.kept == self.n * self.k * self.count

    def dense(self) -> Matmul:
        """The layer of the unpruned model."""
        m, count = self._unpruned("m"), self._unpruned("count")
        return self._changed(m=m, count=count, mask=None, dense_m=0, dense_count=0)

    def columns(self) -> tuple[str, str, str]:
        """Shape, density and kept tokens of a table's line."""
        times = f"{self.count} x " if self.count > 1 else ""
        shape = f"{times}{self.m} x {self.n} x {self.k}"
        return shape, f"{self.density:.3f}", part(self.m, self._unpruned("m"))
