"""Attention as machines without a cascade take it: every token and head, all of Q, K and V from memory.

`Whole` numbers the rows and says which scores are theirs; `fetches` are the bursts that bring them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from accelsim.accelerators.spatten.fetch import Region
from accelsim.accelerators.spatten.parameters import HBM2_X16
from accelsim.plan import Flags, Integers, Plan
from accelsim.sampling import standing
from accelsim.words import unknown
from accelsim.workload import Attention, Layer

# The SpAtten paper compares these machines at the memory of SpAtten-1/8 (section 5).
HBM2_X2 = replace(HBM2_X16, device="HBM2-2000", channels=2)

Arrays = Literal["together", "in_turn"]
"""Whether the arrays of both products work at once."""


def check_arrays(arrays: str) -> None:
    """Refuse another word than those of `Arrays`."""
    if arrays not in get_args(Arrays):
        raise ValueError(unknown("arrays", arrays, get_args(Arrays)))


def refuse(layer: Layer, name: str, lanes: int) -> str:
    """Why an array of so many lanes, a parameter of that name, cannot run the layer; empty if it can."""
    if not isinstance(layer, Attention):
        return f"attention only, not {layer.op}"
    whole = layer.dense()
    for size in ("dim", "value_dim"):
        if getattr(whole, size) > lanes:
            return f"{size} must be <= {lanes} ({name}), not {getattr(whole, size)}"
    return ""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A layer at the sizes that no cascade has changed, row by row: sequences, heads, queries in this order.

    `seen`: the layer as it came, whose scores may be fewer. `share_kv`: query heads of one KV head use one
    K and V, otherwise each has its own.
    """

    seen: Attention
    share_kv: bool = True

    @cached_property
    def layer(self) -> Attention:
        """The unpruned layer, without the heads that left with their weights."""
        dense, heads = self.seen.dense(), self.seen.heads
        return replace(dense, heads=heads, kv_heads=heads) if self.seen.lost_heads else dense

    @property
    def rows(self) -> int:
        """Query rows of all heads and sequences."""
        return self.layer.batch * self.layer.heads * self.layer.queries

    @cached_property
    def owners(self) -> tuple[Integers, Integers, Integers]:
        """Of each row: its sequence, its KV head in memory, and a number for the K and V it uses."""
        layer = self.layer
        sequence, head, _ = (index.ravel() for index in np.indices((layer.batch, layer.heads, layer.queries)))
        stored = head * layer.kv_heads // layer.heads
        return sequence, stored, sequence * layer.heads + (stored if self.share_kv else head)

    @cached_property
    def first(self) -> Flags:
        """(rows,): the first row of a K and V."""
        return np.append(True, np.diff(self.owners[2]) != 0)

    @cached_property
    def last(self) -> Flags:
        """(rows,): the last row of a K and V."""
        return np.append(self.first[1:], True)

    @property
    def is_whole(self) -> bool:
        """Whether the layer came with every token and head."""
        seen, layer = self.seen, self.layer
        return (seen.heads, seen.queries, seen.keys) == (layer.heads, layer.queries, layer.keys)

    @cached_property
    def scores(self) -> npt.NDArray[np.uint16] | None:
        """(scored rows, keys that have a score): probabilities x 4096."""
        seen = self.seen
        return None if seen.scores is None else seen.scores.reshape(-1, seen.keys)

    @cached_property
    def source(self) -> Integers:
        """(rows,): which row of `scores` is a row's own, or stands for it.

        Rows that are left of a pruned layer stand for the others at even distances.
        """
        seen, layer = self.seen, self.layer
        sequence, head, query = np.indices((layer.batch, layer.heads, layer.queries))
        own = np.arange(seen.queries)
        if seen.score_rows is not None:
            own = standing(seen.score_rows, seen.queries)
        rows = own[query * seen.queries // layer.queries]
        place = (sequence * seen.heads + head * seen.heads // layer.heads) * seen.scored + rows
        return np.asarray(place.ravel(), np.int64)

    def notes(self) -> tuple[str, ...]:
        """What a report says of this layer on any such machine."""
        said = []
        if not self.is_whole:
            said.append("no cascade: pruned tokens and heads are fetched and computed like any other")
        if self.seen.bits is not None:
            said.append("Q, K and V are not quantised further: the width is the machine's own")
        if self.seen.score_rows is not None or (self.scores is not None and not self.is_whole):
            said.append("rows without scores of their own decide as the row that stands for them")
        if self.layer.causal and self.layer.queries > 1:
            said.append("causal: masked keys are computed like any other")
        return tuple(said)


@dataclass(frozen=True, kw_only=True)
class Operands:
    """Where Q, K, V and the outputs of a whole layer lie: vectors in whole bursts, region behind region."""

    whole: Whole
    burst_bytes: int
    element_bits: int

    def _region(self, base: int, heads: int, positions: int, dim: int) -> Region:
        return Region(
            base=base,
            burst_bytes=self.burst_bytes,
            vector_bits=dim * self.element_bits,
            batch=self.whole.layer.batch,
            heads=heads,
            positions=positions,
            may_fuse=False,
        )

    @cached_property
    def keys(self) -> Region:
        """K, by KV head and position."""
        layer = self.whole.layer
        return self._region(0, layer.kv_heads, layer.keys, layer.dim)

    @cached_property
    def values(self) -> Region:
        """V, likewise."""
        layer = self.whole.layer
        return self._region(self.keys.end, layer.kv_heads, layer.keys, layer.value_dim)

    @cached_property
    def queries(self) -> Region:
        """Q, row by row."""
        layer = self.whole.layer
        return self._region(self.values.end, layer.heads, layer.queries, layer.dim)

    @cached_property
    def outputs(self) -> Region:
        """One vector for each row."""
        layer = self.whole.layer
        return self._region(self.queries.end, layer.heads, layer.queries, layer.value_dim)

    def add_rows(self, plan: Plan, stage: str, jobs: Integers, rows: Integers, region: Region) -> None:
        """Each of `jobs` moves the vector of its row."""
        size = region.record_bursts * self.burst_bytes
        plan.add_runs(stage, jobs, region.base + rows * size, region.record_bursts, self.burst_bytes)

    def add_vectors(
        self,
        plan: Plan,
        stage: str,
        jobs: Integers,
        rows: Integers,
        region: Region,
        begin: Integers | int,
        count: Integers | int,
    ) -> None:
        """Each of `jobs` fetches `count` vectors from `begin` on, of the K or V that its row uses."""
        sequence, stored, _ = self.whole.owners
        size = region.record_bursts * self.burst_bytes
        place = (sequence[rows] * region.heads + stored[rows]) * region.positions + begin
        plan.add_runs(stage, jobs, region.base + place * size, count * region.record_bursts, self.burst_bytes)


def shares(flags: npt.NDArray[Any], scores: npt.NDArray[Any], source: Integers) -> npt.NDArray[np.float64]:
    """(rows,): of each row's probability, the part at `flags`."""
    total = np.maximum(1, scores.sum(axis=1, dtype=np.int64))
    kept = np.where(flags, scores, 0).sum(axis=1, dtype=np.int64) / total
    return np.asarray(kept[source], np.float64)
