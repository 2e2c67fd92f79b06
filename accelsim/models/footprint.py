"""What a network's parameters take in memory, dense or 2:4, at any width, and how many of its MACs are left.

A 2:4 weight takes half its bits and its share of the indices: 5 bits at int8, 2.5 at int4 (pairs in 4:8).
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.accelerators.products import ELEMENT_BITS
from accelsim.golden.two_four import FORMATS
from accelsim.models.networks import NETWORKS
from accelsim.models.shapes import Swin, Vit
from accelsim.words import unknown
from accelsim.workload import Matmul, Workload

DENSE_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Parameters by what becomes of them.

    `pruned`: weights of matrices that are 2:4; `whole`: of matrices that stay dense; `beside`: biases, norms,
    positions, class tokens, whatever multiplies no activation.
    """

    pruned: int
    whole: int
    beside: int

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.pruned + self.whole + self.beside

    def bits(self, dtype: str, beside_bits: int = DENSE_BITS) -> float:
        """Bits with matrices in `dtype`, all else in `beside_bits`. ValueError for a type unknown."""
        if dtype not in FORMATS:
            raise ValueError(unknown("dtype", dtype, FORMATS))
        sparse = ELEMENT_BITS[dtype] / 2 + FORMATS[dtype].metadata_bits
        return self.pruned * sparse + self.whole * ELEMENT_BITS[dtype] + self.beside * beside_bits

    def reduction(self, dtype: str, beside_bits: int = DENSE_BITS) -> float:
        """How many times smaller than the dense model in FP32."""
        return self.parameters * DENSE_BITS / self.bits(dtype, beside_bits)


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Multiply-accumulates of the dense model, and those that are left, with weights and without."""

    dense: int
    weighted: int
    activations: int

    @property
    def done(self) -> int:
        """All that are left."""
        return self.weighted + self.activations

    @property
    def reduction(self) -> float:
        """How many times fewer."""
        return self.dense / self.done


def footprint(workload: Workload, parameters: int) -> Footprint:
    """Of a traced or drawn forward pass, of a model that has `parameters` in all.

    ValueError if the workload holds more weights than that.
    """
    pruned = whole = 0
    for layer in workload.layers:
        if isinstance(layer, Matmul) and layer.weights:
            own, dense = bool(layer.mask and len(layer.mask.shape) == 3), layer.dense()
            weights = dense.n * dense.k * (layer.count if own else 1)
            if layer.is_dense:
                whole += weights
            else:
                pruned += weights
    if parameters < pruned + whole:
        raise ValueError(f"parameters must be >= the {pruned + whole} of the matrices, not {parameters}")
    return Footprint(pruned=pruned, whole=whole, beside=parameters - pruned - whole)


def operations(workload: Workload) -> Operations:
    """MACs by rule: a product keeps as many as its weights are kept."""
    weighted = activations = 0
    for layer in workload.layers:
        if isinstance(layer, Matmul) and layer.weights:
            weighted += layer.m * layer.kept
        else:
            activations += layer.macs
    return Operations(dense=workload.dense().macs, weighted=weighted, activations=activations)


def parameters(name: str) -> int:
    """All parameters of a vision transformer of `accelsim models`. ValueError for any other name."""
    sizes = NETWORKS[name].sizes if name in NETWORKS else None
    if not isinstance(sizes, Vit | Swin):
        known = [name for name, network in NETWORKS.items() if isinstance(network.sizes, Vit | Swin)]
        raise ValueError(unknown("vision transformer", name, known))
    layers = [part.layer for part in sizes.parts(1, sizes.size)]
    matrices = [layer for layer in layers if isinstance(layer, Matmul)]
    beside = _beside_vit(sizes) if isinstance(sizes, Vit) else _beside_swin(sizes)
    return sum(layer.n * layer.k for layer in matrices) + beside


def _beside_vit(sizes: Vit) -> int:
    """Biases, the two norms of a block, the class token, positions, the last norm and the classifier."""
    width = sizes.width
    tokens = (sizes.size[0] // sizes.patch) * (sizes.size[1] // sizes.patch) + 1
    block = 4 * width + 4 * width + sizes.inner + width
    return sizes.layers * block + (1 + 1 + tokens + 2) * width + sizes.classes


def _beside_swin(sizes: Swin) -> int:
    """Likewise, with a table of relative positions for each head, and a norm at each merge of patches."""
    width, heads, total = sizes.width, sizes.heads, 3 * sizes.width
    for stage, blocks in enumerate(sizes.layers):
        block = 4 * width + 4 * width + 4 * width + width + (2 * sizes.window - 1) ** 2 * heads
        total += blocks * block
        if stage + 1 < len(sizes.layers):
            total += 2 * 4 * width
            width, heads = 2 * width, 2 * heads
    return total + 2 * width + sizes.classes
