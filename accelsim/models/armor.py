"""ARMOR's way to keep accuracy at 2:4, as work: y = A ((S o M) (B x)), A and B of small dense blocks.

Source: "ARMOR" (arXiv 2510.05528): a block-diagonal product before each 2:4 core and one behind it, blocks of
128 x 128. Its share of the dense products is block (1 / inputs + 1 / outputs).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeGuard

from accelsim.layers import Layer
from accelsim.workload import Matmul, Workload

BLOCK = 128


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """MACs of the dense matrices that were pruned, and of the blocks around their cores; so of parameters."""

    dense: int
    blocks: int

    @property
    def share(self) -> float:
        """Blocks beside the dense matrices."""
        return self.blocks / self.dense

    def bound(self, core: float = 0.5) -> float:
        """The most that is gained where a core takes `core` of the dense time (9/16: bytes of 16-bit 2:4)."""
        return 1 / (core + self.share)


def with_cores(workload: Workload, block: int = BLOCK) -> Workload:
    """The workload with both block-diagonal products around each pruned matrix.

    ValueError for a matrix that is not cut into whole blocks, or where none is pruned. The result has no
    meaningful `dense()`: the unpruned model is that of the workload before.
    """
    if block < 1:
        raise ValueError(f"block must be >= 1, not {block}")
    layers: list[Layer] = []
    for layer in workload.layers:
        if not _is_core(layer):
            layers.append(layer)
            continue
        before, behind = _blocks(layer, block)
        layers += [before, layer, behind]
    if len(layers) == len(workload.layers):
        raise ValueError(f"{workload.model} must have a pruned matrix to put blocks around, and has none")
    note = f"ARMOR: blocks of {block} x {block} before and behind each 2:4 core"
    return replace(workload, layers=tuple(layers), notes=(*workload.notes, note))


def overhead(workload: Workload, block: int = BLOCK) -> Overhead:
    """What `with_cores` adds. ValueError as there."""
    around = with_cores(workload, block)
    before = sum(layer.macs for layer in workload.layers)
    dense = sum(layer.macs for layer in workload.layers if _is_core(layer))
    return Overhead(dense=dense, blocks=around.macs - before)


def _is_core(layer: Layer) -> TypeGuard[Matmul]:
    """A pruned matrix of its own (no convolution, no batch of matrices)."""
    return isinstance(layer, Matmul) and layer.op == "matmul" and layer.count == 1 and layer.mask is not None


def _blocks(layer: Matmul, block: int) -> tuple[Matmul, Matmul]:
    """The products with B, over the inputs, and with A, over the outputs."""
    if layer.n % block or layer.k % block:
        raise ValueError(
            f"layer {layer.name!r}: block must divide its {layer.k} inputs and {layer.n} outputs, not {block}"
        )
    made = Matmul(name=layer.name, m=layer.m, n=block, k=block, dtype=layer.dtype)
    return (
        replace(made, name=f"{layer.name}.before", count=layer.k // block),
        replace(made, name=f"{layer.name}.behind", count=layer.n // block),
    )
