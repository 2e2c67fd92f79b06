"""The end of a training step: the optimiser's update of one weight."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from accelsim.layers.base import LARGEST_COUNT, LayerBase, channels_of_a_group
from accelsim.plain import check_plain

MASTER_BYTES = 4
PATTERN = re.compile(r"([1-9]\d*):([1-9]\d*)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Update(LayerBase):
    """The optimiser's step on `count` weights of n x k, kept in FP32: element by element, no products.

    n, k and count as in the forward product. `forward`, `backward`: the pattern "N:M" of the FP16 copies that
    the next forward and backward products read, or "dense"; groups lie along k inside `group_span`, and along
    n inside `backward_span`. `state`: FP32 words of the optimiser a weight (1 momentum, 2 Adam).
    `weight_decay`, `decay`: a term in the gradient of every weight, or of those that are pruned forward
    (SR-STE). `loss_scale`: gradients are divided by it. `skipped`: they had Inf or NaN, so that nothing
    is written.
    """

    name: str
    n: int
    k: int
    count: int = 1
    forward: str = "dense"
    backward: str = "dense"
    state: int = 0
    weight_decay: bool = False
    decay: bool = False
    loss_scale: int = 1
    skipped: bool = False
    geometry: Mapping[str, int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_geometry(self.geometry)
        if self.parameters > LARGEST_COUNT:
            raise self._refusal(f"weights must be <= {LARGEST_COUNT}")
        for name in ("forward", "backward"):
            self._check_pattern(name)

    def _check_pattern(self, name: str) -> None:
        pattern = getattr(self, name)
        found = PATTERN.fullmatch(pattern)
        if pattern != "dense" and not (found and int(found[1]) <= int(found[2])):
            raise self._refusal(f"{name} must be dense or N:M with N <= M, not {reprlib.repr(pattern)}")

    @property
    def op(self) -> str:
        """`update`."""
        return "update"

    @property
    def layer(self) -> str:
        """Name of the layer that is updated."""
        return self.name.removesuffix(".update")

    @property
    def parameters(self) -> int:
        """How many weights there are."""
        return self.n * self.k * self.count

    @property
    def group_span(self) -> int:
        """Elements of k that the forward groups may not straddle."""
        return channels_of_a_group(self.geometry, "input_channels", self.k)

    @property
    def backward_span(self) -> int:
        """Elements of n that the backward groups may not straddle: output channels at one tap."""
        return channels_of_a_group(self.geometry, "output_channels", self.n)

    @property
    def read_bytes(self) -> int:
        """Masters and state that are read; of a step that is skipped, none."""
        return 0 if self.skipped else MASTER_BYTES * (1 + self.state) * self.parameters

    @property
    def write_bytes(self) -> int:
        """Masters and state that are written."""
        return self.read_bytes

    @property
    def macs(self) -> int:
        """None: it is no product of matrices."""
        return 0

    @property
    def is_dense(self) -> bool:
        """No copy is pruned."""
        return self.forward == self.backward == "dense"

    def dense(self) -> Update:
        """The update of the unpruned model, which has no decay of pruned weights."""
        return replace(self, forward="dense", backward="dense", decay=False)

    def columns(self) -> tuple[str, str, str]:
        """Weights, and the patterns of their copies, of a table's line."""
        times = f"{self.count} x " if self.count > 1 else ""
        return f"{times}{self.n} x {self.k}", f"{self.forward}/{self.backward}", "-"
