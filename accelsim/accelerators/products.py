"""Layers as matrix products: what the machines that multiply matrices have in common."""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.golden.formats import mostly_keeps, nm_pattern
from accelsim.workload import Attention, Layer, Matmul, Unknown, Update

ELEMENT_BITS = {"fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4, "int32": 32}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """`kept` of every `group` weights along the reduction; 1 of 1 is dense. `note`: why, in words."""

    kept: int = 1
    group: int = 1
    note: str = ""

    @property
    def is_dense(self) -> bool:
        """Nothing is left out."""
        return self.kept == self.group

    def __str__(self) -> str:
        return "dense" if self.is_dense else f"{self.kept}:{self.group}"


def refuse(layer: Layer) -> str:
    """Why a machine for matrix products cannot run this layer; empty if it can."""
    if isinstance(layer, Unknown):
        return layer.reason or f"{layer.op} is not a matrix product"
    if isinstance(layer, Update):
        return "the optimiser's update is not a matrix product"
    return ""


def products(layer: Layer) -> tuple[Matmul, ...]:
    """The layer as matrix products; attention is QK^T and PV for every head (its softmax is not counted)."""
    if isinstance(layer, Matmul):
        return (layer,)
    if isinstance(layer, Attention):
        heads, dense_heads = layer.batch * layer.heads, layer.batch * layer.dense_heads
        return (
            Matmul(
                name=f"{layer.name}.qk",
                m=layer.queries,
                n=layer.keys,
                k=layer.dim,
                count=heads,
                dense_m=layer.dense_queries,
                dense_n=layer.dense_keys,
                dense_k=layer.dense_dim,
                dense_count=dense_heads,
                weights=False,
            ),
            Matmul(
                name=f"{layer.name}.pv",
                m=layer.queries,
                n=layer.value_dim,
                k=layer.keys,
                count=heads,
                dense_m=layer.dense_queries,
                dense_k=layer.dense_keys,
                dense_count=dense_heads,
                weights=False,
            ),
        )
    raise ValueError(refuse(layer))


def find_pattern(matmul: Matmul, group_limit: int) -> Pattern:
    """The N:M that the mask was pruned to, with the fewest stored weights, M up to `group_limit`.

    M runs over the powers of two; N is the most that a group keeps, and at least half of the groups
    must keep just that many: zeros that fell anywhere are no pattern. Of equals the smallest M is taken. A
    pattern stated with the layer (`geometry["pattern"]`) is taken as it is. All kept is dense.
    """
    if matmul.mask is None:
        return Pattern()
    kept = matmul.mask.unpack()
    # Groups of a convolution lie along its channels, at one tap each.
    kept = kept.reshape(*kept.shape[:-1], -1, matmul.group_span)
    if kept.all():
        return Pattern(note="all weights are kept: dense mode")
    stated = int(str(matmul.geometry.get("pattern", "0:0")).split(":")[1])
    if 1 < stated <= group_limit:
        return Pattern(kept=max(1, nm_pattern(kept, [stated])[stated]), group=stated)
    groups = [2**i for i in range(1, group_limit.bit_length())]
    # A few rows rule out most groups of an unstructured mask before all rows are read.
    few = nm_pattern(kept[..., :64, :, :], groups)
    found = nm_pattern(kept, [group for group in groups if few[group] < group])
    stored = {
        group: -(-matmul.group_span // group) * max(1, most)
        for group, most in found.items()
        if most < group and mostly_keeps(kept, most, group)
    }
    if not stored:
        limit = f" of M <= {group_limit} (group_limit)" if stated > group_limit else ""
        zeros = f"{1 - kept.mean():.1%} of the weights are zero, in no N:M pattern{limit}"
        return Pattern(note=f"{zeros}: dense cycles")
    group = min(stored, key=lambda candidate: (stored[candidate], candidate))
    return Pattern(kept=max(1, found[group]), group=group)
