"""What to compute: layers with their shapes, real masks and real decisions, as one portable file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import Bitmap


@dataclass(frozen=True, kw_only=True)
class Matmul:
    """`count` products of m x k activations with an n x k operand, reduced over k.

    `weights`: the n x k operand is a weight (then `mask`, one bit per weight, may say which are kept);
    otherwise both operands are activations. A convolution is lowered to this form and keeps its
    `geometry` (kernel, stride, padding, dilation, groups, input and output sizes).
    `dense_m`: the rows that the unpruned model has (token pruning removes rows); 0 means m.
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


@dataclass(frozen=True, kw_only=True)
class Attention:
    """Scaled dot-product attention of `batch` sequences, and what pruning decided in it.

    Shapes of the decisions (None: no such decision, nothing pruned):
    `values`  (batch, heads, queries)        V vectors kept for each row by local value pruning
    `refetch` (batch, heads, queries)  bool  rows that fetched their LSBs and were recomputed
    `scores`  (batch, heads, queries, keys)  uint16, probabilities x 4096 (rounded), on which local values
                                             and the re-fetch were decided
    `tokens`  (batch, keys)                  positions, in the unpruned sequence, of the keys that are here
    `token_scores` (batch, keys)             uint32, cumulative importance x 4096 after this layer; the next
                                             layer keeps the `token_keep` best of them
    `head_ids` (heads,), `head_scores` (heads,), `head_keep`: the same for heads
    `bits`: (MSB, LSB) of the quantised Q, K, V; LSB 0 is static quantisation; None: not quantised
    `dense_queries`, `dense_keys`, `dense_heads`: sizes in the unpruned model; 0 means the same.
    """

    name: str
    heads: int
    kv_heads: int
    queries: int
    keys: int
    dim: int
    value_dim: int
    batch: int = 1
    dtype: str = "fp32"
    causal: bool = False
    bits: tuple[int, int] | None = None
    values: npt.NDArray[np.int32] | None = None
    refetch: npt.NDArray[np.bool_] | None = None
    scores: npt.NDArray[np.uint16] | None = None
    tokens: npt.NDArray[np.int32] | None = None
    token_scores: npt.NDArray[np.uint32] | None = None
    token_keep: int = 0
    head_ids: npt.NDArray[np.int32] | None = None
    head_scores: npt.NDArray[np.uint32] | None = None
    head_keep: int = 0
    dense_queries: int = 0
    dense_keys: int = 0
    dense_heads: int = 0


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """An operator that no machine here understands, with its multiply-accumulates (0: not countable)."""

    name: str
    op: str
    macs: int = 0
    reason: str = ""


Layer = Matmul | Attention | Unknown


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers in execution order. `synthetic`: the weights or decisions are drawn, not a model's own.

    `notes` are lines that every report prints (input sizes, layers that a recipe left dense and why).
    """

    model: str
    layers: tuple[Layer, ...]
    synthetic: bool = False
    notes: tuple[str, ...] = ()
