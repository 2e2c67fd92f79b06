"""The layers of a workload: shapes, real masks, real decisions, each checked once, where it is made.

Read them through `accelsim.workload`. Whole numbers become int, arrays become read-only views, and what is
wrong is refused in one line that names the layer.
"""

from __future__ import annotations

import copy
import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from accelsim.decisions import DECISIONS, SEEN
from accelsim.golden.formats import Bitmap
from accelsim.plain import check_plain, field_names, is_text, is_whole

LARGEST_COUNT = 2**63 - 1
MOST_BITS = 32


class _Layer:
    """What layers share: the place that errors name, and equality by content."""

    name: str

    def renamed(self, name: str) -> Self:
        """The same layer under another name. Nothing but the name is checked again."""
        if not (is_text(name) and name):
            raise ValueError(f"name must be one printable line, not {reprlib.repr(name)}")
        return self._changed(name=name)

    def _changed(self, **values: Any) -> Self:
        """A copy with other values that are known to be right: arrays of millions are not read over again."""
        other = copy.copy(self)
        other.__dict__.update(values)
        return other

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, _Layer):
            return NotImplemented
        (plain, arrays), (other_plain, other_arrays) = split(self), split(other)
        same = plain == other_plain and arrays.keys() == other_arrays.keys()
        return same and all(np.array_equal(array, other_arrays[key]) for key, array in arrays.items())

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def _refusal(self, must: str) -> ValueError:
        return ValueError(f"{type(self).__name__.lower()} {reprlib.repr(self.name)}: {must}")

    def _unpruned(self, name: str) -> int:
        """A size in the unpruned model."""
        return int(getattr(self, f"dense_{name}") or getattr(self, name))

    def _check_unpruned(self, *names: str) -> None:
        for name in names:
            if self._unpruned(name) < getattr(self, name):
                must = f"dense_{name} must be 0 or >= {name} ({getattr(self, name)})"
                raise self._refusal(f"{must}, not {self._unpruned(name)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Matmul(_Layer):
    """`count` products of m x k activations with an n x k operand, reduced over k.

    `weights`: the n x k operand is a weight (then `mask`, one bit per weight, may say which are kept: its
    shape is (n, k), or (count, n, k) where each product has weights of its own, as in a grouped
    convolution); otherwise both operands are activations. A convolution is lowered to this form and keeps its
    `geometry` (kernel, stride, padding, dilation, groups, input and output sizes).
    `dense_m`: the rows that the unpruned model has (token pruning removes rows); 0 means m.
    `dense_count` likewise (head pruning removes products); 0 means count.
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

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_unpruned("m", "count")
        if self._unpruned("m") * self.n * self.k * self._unpruned("count") > LARGEST_COUNT:
            raise self._refusal(f"multiply-accumulates must be <= {LARGEST_COUNT}")
        if not isinstance(self.geometry, Mapping):
            raise self._refusal(f"geometry must be a mapping, not {reprlib.repr(self.geometry)}")
        for key, value in self.geometry.items():
            if not (is_text(key) and (is_whole(value) or is_text(value))):
                shown = f"{reprlib.repr(key)} to {reprlib.repr(value)}"
                raise self._refusal(f"geometry must map text to whole numbers or text, not {shown}")
        plain = {key: value if isinstance(value, str) else int(value) for key, value in self.geometry.items()}
        object.__setattr__(self, "geometry", plain)
        if self.mask is not None:
            self._check_mask(self.mask)

    def _check_mask(self, mask: Bitmap) -> None:
        if not isinstance(mask, Bitmap):
            raise self._refusal(f"mask must be a Bitmap, not {reprlib.repr(mask)}")
        if not self.weights:
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
    def group_span(self) -> int:
        """Elements of k that N:M groups may not straddle: a convolution's channels at one tap, else k."""
        channels, groups = self.geometry.get("input_channels"), self.geometry.get("groups")
        if isinstance(channels, int) and isinstance(groups, int) and channels >= groups > 0:
            span = channels // groups
            return span if self.k % span == 0 else self.k
        return self.k

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
        return shape, f"{self.density:.3f}", _part(self.m, self._unpruned("m"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention(_Layer):
    """Scaled dot-product attention of `batch` sequences, and what pruning decided in it.

    Shapes of the decisions (None: no such decision, nothing pruned):
    `values`  (batch, heads, queries)        V vectors kept for each row by local value pruning
    `refetch` (batch, heads, queries)  bool  rows that fetched their LSBs and were recomputed
    `scores`  (batch, heads, queries, keys)  uint16, probabilities x 4096 (rounded), on which local values
                                             and the re-fetch were decided; with `score_rows` of those
                                             queries alone
    `score_rows` (scored,)                   queries whose scores are here, rising; None: all. Each other
                                             one is stood for by the nearest (`accelsim.sampling`)
    `tokens`  (batch, keys)                  positions, in the unpruned sequence, of the keys that are here
                                             (rising)
    `token_scores` (batch, keys)             uint32, cumulative importance x 4096 after this layer; the next
                                             layer keeps the `token_keep` best of them
    `head_ids` (heads,), `head_scores` (heads,), `head_keep`: the same for heads
    `query_vectors` (batch, heads, scored, dim), `key_vectors` (batch, kv_heads, keys, dim)
                                             int16, x 256 (rounded): Q and K as the model made them, for
                                             machines that decide on them; with the scores they stay where
                                             nothing else was decided
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
    score_rows: npt.NDArray[np.int32] | None = None
    tokens: npt.NDArray[np.int32] | None = None
    token_scores: npt.NDArray[np.uint32] | None = None
    token_keep: int = 0
    head_ids: npt.NDArray[np.int32] | None = None
    head_scores: npt.NDArray[np.uint32] | None = None
    head_keep: int = 0
    query_vectors: npt.NDArray[np.int16] | None = None
    key_vectors: npt.NDArray[np.int16] | None = None
    dense_queries: int = 0
    dense_keys: int = 0
    dense_heads: int = 0

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_unpruned("queries", "keys", "heads")
        if self.kv_heads > self.heads:
            raise self._refusal(f"kv_heads must be <= heads ({self.heads}), not {self.kv_heads}")
        rows = self.batch * self._unpruned("heads") * self._unpruned("queries")
        if rows * self._unpruned("keys") * (self.dim + self.value_dim) > LARGEST_COUNT:
            raise self._refusal(f"multiply-accumulates must be <= {LARGEST_COUNT}")
        self._check_bits()
        for name in DECISIONS:
            if getattr(self, name) is not None:
                self._check_decision(name)
        kept = self.score_rows
        if kept is not None and (
            self.scores is None or kept[-1] >= self.queries or (kept[1:] <= kept[:-1]).any()
        ):
            raise self._refusal(f"score_rows must rise and be < queries ({self.queries}), and have scores")
        if (self.query_vectors is None) != (self.key_vectors is None) or (
            self.query_vectors is not None and self.scores is None
        ):
            raise self._refusal("query_vectors must come with key_vectors and scores")
        self._check_cascade("token", self.tokens, "keys")
        self._check_cascade("head", self.head_ids, "heads")

    def _check_bits(self) -> None:
        bits: Any = self.bits
        if bits is not None:
            if not isinstance(bits, tuple) or len(bits) != 2 or not all(is_whole(part) for part in bits):
                raise self._refusal(f"bits must be two whole numbers (MSB, LSB), not {reprlib.repr(bits)}")
            bits = (int(bits[0]), int(bits[1]))
            if bits[0] < 1 or bits[1] < 0 or sum(bits) > MOST_BITS:
                raise self._refusal(f"bits must be MSB >= 1, LSB >= 0, together <= {MOST_BITS}, not {bits}")
            object.__setattr__(self, "bits", bits)
        if (bits is None or not bits[1]) and self.refetch is not None and np.any(self.refetch):
            raise self._refusal("refetch must be all False without LSBs to fetch")

    def _check_decision(self, name: str) -> None:
        """Type, shape and range; then kept read-only, since a workload's hash is its content."""
        array = getattr(self, name)
        dtype, axes, limit = DECISIONS[name]
        shape = tuple(getattr(self, axis) for axis in axes)
        if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != shape:
            found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else reprlib.repr(array)
            raise self._refusal(f"{name} must be {np.dtype(dtype)} {shape}, not {found}")
        largest = getattr(self, limit) if isinstance(limit, str) else limit
        if not array.size:
            raise self._refusal(f"{name} must not be empty")
        if array.dtype == np.int32 and array.min() < 0:
            raise self._refusal(f"{name} must be >= 0, not {array.min()}")
        if largest is not None and array.max() > largest:
            raise self._refusal(f"{name} must be <= {largest}, not {array.max()}")
        view = np.ascontiguousarray(array).view()
        view.flags.writeable = False
        object.__setattr__(self, name, view)

    def _check_cascade(self, kind: str, ids: npt.NDArray[np.int32] | None, size: str) -> None:
        """What tokens and heads have in common: `ids` of the survivors, how many the next layer keeps."""
        keep, here, unpruned = getattr(self, f"{kind}_keep"), getattr(self, size), self._unpruned(size)
        if keep > here:
            raise self._refusal(f"{kind}_keep must be <= {size} ({here}), not {keep}")
        if keep and getattr(self, f"{kind}_scores") is None:
            raise self._refusal(f"{kind}_keep must be 0 without {kind}_scores, not {keep}")
        if ids is not None and (ids.max() >= unpruned or (ids[..., 1:] <= ids[..., :-1]).any()):
            raise self._refusal(f"{kind} positions must rise and be < dense_{size} ({unpruned})")

    @property
    def op(self) -> str:
        """`attention`."""
        return "attention"

    @property
    def scored(self) -> int:
        """Queries of each head whose scores are here, if any are."""
        return self.queries if self.score_rows is None else int(np.size(self.score_rows))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of Q K^T and P V at this shape, with no causal mask and every V."""
        return self.batch * self.heads * self.queries * self.keys * (self.dim + self.value_dim)

    @property
    def kept(self) -> int:
        """(row, V vector) pairs kept after local value pruning."""
        if self.values is None:
            return self.batch * self.heads * self.queries * self.keys
        return int(self.values.sum(dtype=np.int64))

    @property
    def density(self) -> float:
        """Fraction of the (row, V vector) pairs that is kept."""
        return self.kept / (self.batch * self.heads * self.queries * self.keys)

    @property
    def is_dense(self) -> bool:
        """No token or head is missing, nothing was decided, nothing is quantised."""
        return replace(self, dense_queries=0, dense_keys=0, dense_heads=0) == self.dense()

    def dense(self) -> Attention:
        """The layer of the unpruned model: every token and head, no decision, not quantised.

        With as many K/V heads as heads, both are restored; grouped K/V heads are never pruned.
        """
        heads = self._unpruned("heads")
        sizes = ("queries", "keys", "heads")
        whole = all(self._unpruned(size) == getattr(self, size) for size in sizes)
        stays = SEEN if whole and self.bits is None and self.values is None else ()
        return self._changed(
            heads=heads,
            kv_heads=heads if self.kv_heads == self.heads else self.kv_heads,
            queries=self._unpruned("queries"),
            keys=self._unpruned("keys"),
            bits=None,
            token_keep=0,
            head_keep=0,
            dense_queries=0,
            dense_keys=0,
            dense_heads=0,
            **dict.fromkeys(DECISIONS.keys() - set(stays)),
        )

    def columns(self) -> tuple[str, str, str]:
        """Shape (queries x keys x dim), density of V and kept tokens of a table's line."""
        heads = _part(self.heads, self._unpruned("heads"))
        shape = f"{self.batch} x {heads} heads, {self.queries} x {self.keys} x {self.dim}"
        return shape, f"{self.density:.3f}", _part(self.keys, self._unpruned("keys"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Unknown(_Layer):
    """An operator that no machine here understands, with its multiply-accumulates (0: not countable)."""

    name: str
    op: str
    macs: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        check_plain(self, self._refusal, largest=LARGEST_COUNT)

    @property
    def is_dense(self) -> bool:
        """Always: what is not understood is not known to be pruned."""
        return True

    def dense(self) -> Unknown:
        """The same."""
        return self

    def columns(self) -> tuple[str, str, str]:
        """Nothing is known for a table's line."""
        return "-", "-", "-"


Layer = Matmul | Attention | Unknown
LAYERS: dict[str, type[Layer]] = {"matmul": Matmul, "attention": Attention, "unknown": Unknown}


def split(layer: _Layer) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """A layer as JSON values and arrays. A mask goes as its packed bits, with its shape in the values."""
    plain: dict[str, Any] = {"kind": type(layer).__name__.lower()}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in field_names(type(layer)):
        value = getattr(layer, name)
        if isinstance(value, Bitmap):
            plain[name], arrays[name] = list(value.shape), value.bits
        elif name not in DECISIONS:
            plain[name] = list(value) if isinstance(value, tuple) else value
        elif value is not None:
            arrays[name] = value
    return plain, arrays


def _part(here: int, unpruned: int) -> str:
    return str(here) if here == unpruned else f"{here}/{unpruned}"
