"""What each row fetches and what its neighbours reuse: K and V stay on chip for all rows of a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from accelsim.accelerators.spatten.decisions import Decisions
from accelsim.accelerators.spatten.fetch import Region, stored_bits
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.golden.topk import top_k_indices
from accelsim.plan import Flags, Integers
from accelsim.workload import Attention


class Fetch(NamedTuple):
    """Bursts that one row asks for: runs of `counts` bursts from `addresses` on."""

    row: int
    addresses: Integers
    counts: Integers


@dataclass(frozen=True, kw_only=True, eq=False)
class Store:
    """Runs of neighbouring rows that use the same vectors on chip.

    first, last: (rows,), a run's first row fetches, its last row gives back; heads: (rows,) KV heads that
    the run holds: two where a pair shares its records.
    """

    first: Flags
    last: Flags
    heads: Integers

    @classmethod
    def of(cls, owner: Integers, vectors: Integers) -> Store:
        """Rows with the same `owner` are a run; `vectors` tells its heads apart."""
        first = np.append(True, np.diff(owner) != 0)
        fresh = np.append(True, np.diff(vectors) != 0)
        heads = np.add.reduceat(fresh.astype(np.int64), np.flatnonzero(first))
        return cls(first=first, last=np.append(first[1:], True), heads=heads[np.cumsum(first) - 1])


class Traffic:
    """All fetches of a layer.

    `keys`, `lsb`, `values`: lists of `Fetch`. `stream_values`: V comes row by row, only what the row keeps;
    otherwise with the first row of its head. `vectors`: (rows,), equal where K and V are. `end`: first byte
    behind the regions of K, LSBs and V.
    """

    def __init__(self, machine: Parameters, layer: Attention, decided: Decisions) -> None:
        self._decided = decided
        shares = machine.share_kv or not decided.grouped
        self.vectors = decided.sequence * (layer.heads + decided.stored_heads) + (
            decided.stored if shares else decided.head
        )
        keys, lsb, values = _regions(machine, layer, decided, shares)
        self.key_region, self.lsb_region, self.value_region, self.end = keys, lsb, values, values.end
        self.key_store, self.value_store = self._store(keys), self._store(values)
        self.keys = self._whole(keys, self.key_store)
        self.lsb = self._lsb(lsb)
        self.values = self._whole(values, self.value_store)
        self.stream_values = False
        if layer.queries == 1 and (decided.values < layer.keys).any():
            kept = self._kept_values(values)
            # With many query heads on one KV head all V at once can be the smaller part.
            if _bursts(kept) < _bursts(self.values):
                self.values, self.stream_values = kept, True

    def _store(self, region: Region) -> Store:
        if region.fused == 1:
            return Store.of(self.vectors, self.vectors)
        decided = self._decided
        return Store.of(
            decided.sequence * decided.stored_heads + decided.stored // region.fused, self.vectors
        )

    def _whole(self, region: Region, store: Store) -> list[Fetch]:
        """All keys of the heads that a run holds, fetched by its first row."""
        decided = self._decided
        rows, ends = np.flatnonzero(store.first), np.flatnonzero(store.last) + 1
        fetches = []
        for row, end in zip(rows.tolist(), ends.tolist(), strict=True):
            sequence = int(decided.sequence[row])
            heads = decided.stored[row:end]
            fetches.append(Fetch(row, *region.whole(sequence, heads, decided.positions[sequence])))
        return fetches

    def _lsb(self, region: Region) -> list[Fetch]:
        """The first row of a head that re-fetches brings the LSBs for those behind it."""
        decided = self._decided
        rows = np.flatnonzero(decided.again)
        _, first = np.unique(self.vectors[rows], return_index=True)
        fetches = []
        for row in rows[first].tolist():
            sequence = int(decided.sequence[row])
            heads = decided.stored[row : row + 1]
            fetches.append(Fetch(row, *region.whole(sequence, heads, decided.positions[sequence])))
        return fetches

    def _kept_values(self, region: Region) -> list[Fetch]:
        """The V that each row keeps."""
        decided, scores = self._decided, self._decided.scores
        fetches = []
        # All rows that keep as many are selected in one call.
        for keep in np.unique(decided.values).tolist():
            rows = np.flatnonzero(decided.values == keep)
            kept = np.broadcast_to(np.arange(keep), (rows.size, keep))
            if scores is not None and 0 < keep < decided.positions.shape[1]:
                kept = top_k_indices(scores[decided.source[rows]], keep)
            for row, columns in zip(rows.tolist(), kept, strict=True):
                sequence = int(decided.sequence[row])
                positions = decided.positions[sequence, columns]
                fetches.append(Fetch(row, *region.some(sequence, int(decided.stored[row]), positions)))
        return sorted(fetches, key=lambda fetch: fetch.row)


def key_widths(machine: Parameters, layer: Attention) -> tuple[int, int]:
    """Bits in memory of an element of Q or K: what comes first, and its LSBs."""
    msb, lsb = layer.bits or (machine.dense_bits, 0)
    return stored_bits(msb), lsb


def _regions(
    machine: Parameters, layer: Attention, decided: Decisions, may_fuse: bool
) -> tuple[Region, Region, Region]:
    """K (its MSBs), the LSBs of K, and V, one behind the other."""
    msb, lsb_bits = key_widths(machine, layer)
    chosen = layer.value_bits or machine.value_bits or msb
    value_bits = chosen if layer.bits else machine.dense_bits

    def region(base: int, dim: int, bits: int, fuse: bool) -> Region:
        return Region(
            base=base,
            burst_bytes=machine.dram.burst_bytes,
            vector_bits=dim * stored_bits(bits),
            batch=layer.batch,
            heads=decided.stored_heads,
            positions=decided.length,
            may_fuse=fuse,
        )

    keys = region(0, layer.dim, msb, may_fuse)
    # Rows of a pair decide apart, so LSBs are never fetched for both.
    lsb = region(keys.end, layer.dim, lsb_bits, False)
    return keys, lsb, region(lsb.end, layer.value_dim, value_bits, may_fuse)


def _bursts(fetches: list[Fetch]) -> int:
    return sum(int(fetch.counts.sum()) for fetch in fetches)
