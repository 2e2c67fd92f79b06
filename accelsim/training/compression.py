"""A module whose linear and convolution layers are 2:4 with a fixed mask, quantised, or both, as it trains.

Symmetric integers: weights with one scale for each output, activations with one for each layer. Gradients
pass rounding as if it were not there, and stop at what is clipped or pruned. For int4, aligned pairs are kept
or dropped (4:8 in pairs), as tensor cores take them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from accelsim.prune.magnitude import prunable
from accelsim.prune.nm_masks import keep_largest
from accelsim.words import by_reason, unknown

BITS = {"fp32": 0, "int8": 8, "int4": 4}
MOMENTUM = 0.9  # of the largest activation seen
SMALLEST = 1e-8  # scale


@dataclass
class Compressed:
    """One layer: its mask (None: dense), bits (0: not quantised), and the largest activation seen so far."""

    name: str
    layer: Any
    bits: int
    mask: torch.Tensor | None = None
    largest: float = 0.0

    def weight(self) -> torch.Tensor:
        """What the product reads, with the gradients of the layer's own weight."""
        weight: torch.Tensor = self.layer.weight
        if self.mask is not None:
            weight = weight * self.mask
        if not self.bits:
            return weight
        scale = weight.detach().abs().flatten(1).amax(1) / top(self.bits)
        return rounded(weight, scale.reshape(-1, *[1] * (weight.dim() - 1)), self.bits)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        """The layer's own product on compressed operands."""
        layer = self.layer
        if self.bits:
            given = rounded(given, torch.tensor(self._seen(given) / top(self.bits)), self.bits)
        if isinstance(layer, nn.Linear):
            return nn.functional.linear(given, self.weight(), layer.bias)
        result: torch.Tensor = layer._conv_forward(given, self.weight(), layer.bias)
        return result

    def _seen(self, given: torch.Tensor) -> float:
        """The largest magnitude: a running mean while training, kept as it is afterwards."""
        if self.layer.training or not self.largest:
            now = float(given.detach().abs().amax())
            self.largest = MOMENTUM * self.largest + (1 - MOMENTUM) * now if self.largest else now
        return self.largest


class Compression:
    """A context in which the layers of `module` run compressed; afterwards it is as before, but for `write`.

    `dtype`: fp32, int8 or int4; `sparse`: 2:4 by magnitude, chosen now, in `pairs` if int4 is to follow.
    Layers whose reduction is not whole groups stay dense, and are named in `left_dense`. ValueError if there
    is nothing to compress.
    """

    def __init__(self, module: nn.Module, dtype: str, *, sparse: bool = True, pairs: bool = False) -> None:
        if dtype not in BITS:
            raise ValueError(unknown("dtype", dtype, BITS))
        pairs = pairs or dtype == "int4"
        self.layers: list[Compressed] = []
        self.left_dense: dict[str, str] = {}
        modules = dict(module.named_modules())
        for candidate in prunable(module):
            layer = modules.get(candidate.name, module)
            if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) or candidate.obstacle:
                self.left_dense[candidate.name] = (
                    candidate.obstacle or f"{type(layer).__name__} stays as it is"
                )
                continue
            found = Compressed(name=candidate.name, layer=layer, bits=BITS[dtype])
            group = 8 if pairs else 4
            if sparse and candidate.along % group:
                words = f"no multiple of {group}"
                self.left_dense[candidate.name] = f"{candidate.along} weights along the reduction are {words}"
            elif sparse:
                found.mask = two_four(layer.weight, pairs=pairs)
            self.layers.append(found)
        if not any(found.bits or found.mask is not None for found in self.layers):
            reasons = by_reason(self.left_dense)
            raise ValueError(f"compression must fit at least one layer ({reasons or 'none here'})")

    def __enter__(self) -> Compression:
        for found in self.layers:
            found.layer.forward = found.forward
        return self

    def __exit__(self, *error: object) -> None:
        for found in self.layers:
            del found.layer.forward

    @torch.no_grad()
    def write(self) -> None:
        """Put what the products read into the module's own weights: zeros, and multiples of the scales."""
        for found in self.layers:
            found.layer.weight.copy_(found.weight())

    def keep_masks_of(self, other: Compression) -> None:
        """Take the masks of an earlier compression of the same layers, whose weights have changed since."""
        masks = {found.name: found.mask for found in other.layers}
        for found in self.layers:
            found.mask = masks.get(found.name)


def two_four(weight: torch.Tensor, *, pairs: bool = False) -> torch.Tensor:
    """The mask that keeps the two largest of every four along axis 1, or pairs of every four pairs."""
    if not pairs:
        return keep_largest(weight.detach(), 2, 4, axis=1)
    moved = weight.detach().abs().movedim(1, -1)
    summed = moved.reshape(*moved.shape[:-1], -1, 2).sum(-1)
    kept = keep_largest(summed, 2, 4).repeat_interleave(2, dim=-1)
    return kept.movedim(-1, 1)


def top(bits: int) -> int:
    """The largest integer; the smallest is its negative."""
    return int(2 ** (bits - 1)) - 1


def rounded(values: torch.Tensor, scale: torch.Tensor, bits: int) -> torch.Tensor:
    """The nearest multiple of `scale` that `bits` can say; the gradient is 1 inside, 0 where it clips."""
    scale = scale.clamp_min(SMALLEST).to(values.dtype)
    inside = values.clamp(-scale * top(bits), scale * top(bits))
    exact = (inside.detach() / scale).round() * scale
    return inside + (exact - inside).detach()
