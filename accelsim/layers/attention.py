"""Attention, and what cascade pruning decided in it."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.layers.base import LARGEST_COUNT, MOST_BITS, LayerBase, part
from accelsim.layers.decisions import DECISIONS, SEEN
from accelsim.plain import check_plain, is_whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Attention(LayerBase):
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
    `value_bits`: of a quantised V; 0: the machine's choice
    `dense_queries`, `dense_keys`, `dense_heads`, `dense_dim`: sizes in the unpruned model; 0 means the same.
    `dim` is less than `dense_dim` where K lost channels.
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
    value_bits: int = 0
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
    dense_dim: int = 0

    def __post_init__(self) -> None:
        check_plain(self, self._refusal)
        self._check_unpruned("queries", "keys", "heads", "dim")
        if self.kv_heads > self.heads:
            raise self._refusal(f"kv_heads must be <= heads ({self.heads}), not {self.kv_heads}")
        rows = self.batch * self._unpruned("heads") * self._unpruned("queries")
        if rows * self._unpruned("keys") * (self._unpruned("dim") + self.value_dim) > LARGEST_COUNT:
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
        if self.value_bits > (0 if bits is None else MOST_BITS):
            raise self._refusal(f"value_bits must be 0 without bits, <= {MOST_BITS}, not {self.value_bits}")
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
    def lost_heads(self) -> int:
        """Heads that left with their weights, before anything was decided: no scores chose those here."""
        lost = self.head_ids is not None and self.head_scores is None
        return self._unpruned("heads") - self.heads if lost else 0

    @property
    def is_dense(self) -> bool:
        """No token or head is missing, nothing was decided, nothing is quantised."""
        here = self._changed(dense_queries=0, dense_keys=0, dense_heads=0, dense_dim=0)
        return here == self.dense()

    def dense(self) -> Attention:
        """The layer of the unpruned model: every token and head, no decision, not quantised.

        With as many K/V heads as heads, both are restored; grouped K/V heads are never pruned.
        """
        heads = self._unpruned("heads")
        sizes = ("queries", "keys", "heads", "dim")
        whole = all(self._unpruned(size) == getattr(self, size) for size in sizes)
        stays = SEEN if whole and self.bits is None and self.values is None else ()
        return self._changed(
            heads=heads,
            kv_heads=heads if self.kv_heads == self.heads else self.kv_heads,
            queries=self._unpruned("queries"),
            keys=self._unpruned("keys"),
            dim=self._unpruned("dim"),
            bits=None,
            value_bits=0,
            token_keep=0,
            head_keep=0,
            dense_queries=0,
            dense_keys=0,
            dense_heads=0,
            dense_dim=0,
            **dict.fromkeys(DECISIONS.keys() - set(stays)),
        )

    def columns(self) -> tuple[str, str, str]:
        """Shape (queries x keys x dim), density of V and kept tokens of a table's line."""
        heads = part(self.heads, self._unpruned("heads"))
        dim = part(self.dim, self._unpruned("dim"))
        shape = f"{self.batch} x {heads} heads, {self.queries} x {self.keys} x {dim}"
        return shape, f"{self.density:.3f}", part(self.keys, self._unpruned("keys"))
