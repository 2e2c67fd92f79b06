"""Rows that are longer than the stores: a head's keys and values pass in segments that fit.

For each head, *score* jobs take segment by segment all rows over it and leave exponents in memory; rows that
re-fetch come *again*, with MSBs and LSBs of K; rows that select *pick* over the whole row; *value* jobs bring
segment by segment V, read the exponents back, and sum up.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from accelsim.accelerators.base import check_pieces
from accelsim.accelerators.spatten.decisions import read_decisions
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import row_lines
from accelsim.accelerators.spatten.traffic import Traffic
from accelsim.golden.topk import top_k_indices
from accelsim.plan import Flags, Integers
from accelsim.workload import Attention

SCORE, AGAIN, PICK, VALUE = range(4)

PARTIAL_BITS = 32  # of an element of an output that waits for its next segment (a choice)
MOST_AT_ONCE = 2**22  # scores that are selected among in one call


class Jobs:
    """The jobs of a layer in order: `kind`, `row`, `segment`, and `block`, rows that share a store's content.

    `opens`, `closes`: first and last job of a block in a segment. `sizes`, `bounds`: keys of the segments.
    """

    def __init__(self, machine: Parameters, layer: Attention, traffic: Traffic, selects: Flags) -> None:
        fused = max(traffic.key_region.fused, traffic.value_region.fused)
        most = max(1, machine.longest_row(max(layer.dim, layer.value_dim)) // fused)
        self.bounds = np.append(np.arange(0, layer.keys, most), layer.keys)
        self.sizes = np.diff(self.bounds)
        again = read_decisions(layer).again
        check_pieces(2 * again.size * self.sizes.size)
        blocks = list(self._blocks(traffic, again, selects))
        self.kind, self.row, self.segment = (
            np.concatenate([block[part] for block in blocks]) for part in range(3)
        )
        self.block = np.repeat(np.arange(len(blocks)), [block[0].size for block in blocks])
        visit = self.block * self.sizes.size + self.segment
        self.opens = np.append(True, visit[1:] != visit[:-1])
        self.closes = np.append(self.opens[1:], True)

    @property
    def count(self) -> int:
        """Jobs in all."""
        return self.kind.size

    def last(self, most: int) -> Integers:
        """(rows,): the last job of each row whose kind is `most` at most."""
        jobs = np.flatnonzero(self.kind <= most)
        last = np.zeros(int(self.row.max()) + 1, np.int64)
        np.maximum.at(last, self.row[jobs], jobs)
        return last

    def _blocks(
        self, traffic: Traffic, again: Flags, selects: Flags
    ) -> Iterator[tuple[Integers, Integers, Integers]]:
        every = np.ones(again.size, np.bool_)
        keys, values = traffic.key_store.first, traffic.value_store.first
        for rows in _split(np.arange(again.size), keys & values):
            for kind, works in ((SCORE, every), (AGAIN, again)):
                for run in _split(rows, keys):
                    yield from self._block(kind, run[works[run]])
            picked = rows[selects[rows]]
            if picked.size:
                yield np.full(picked.size, PICK), picked, np.zeros(picked.size, np.int64)
            for run in _split(rows, values):
                yield from self._block(VALUE, run, row_by_row=traffic.stream_values)

    def _block(
        self, kind: int, rows: Integers, *, row_by_row: bool = False
    ) -> Iterator[tuple[Integers, Integers, Integers]]:
        """All segments of some rows: segment by segment, all rows over each, or row by row."""
        segments = np.arange(self.sizes.size)
        size = rows.size * segments.size
        if not size:
            return
        if row_by_row:
            yield np.full(size, kind), np.repeat(rows, segments.size), np.tile(segments, rows.size)
        else:
            yield np.full(size, kind), np.tile(rows, segments.size), np.repeat(segments, rows.size)


def _split(rows: Integers, first: Flags) -> list[Integers]:
    """Rows cut before each that is `first`."""
    return np.split(rows, np.flatnonzero(first[rows[1:]]) + 1)


def is_long(machine: Parameters, layer: Attention) -> bool:
    """Does a row exceed the stores, the FIFO, or the selection that it or its tokens pass?"""
    selects = layer.values is not None and bool(((layer.values > 0) & (layer.values < layer.keys)).any())
    ranks = layer.token_scores is not None and 0 < layer.token_keep < layer.keys
    longest = machine.longest_row(max(layer.dim, layer.value_dim))
    return layer.keys > longest or ((selects or ranks) and layer.keys > machine.topk.capacity)


def kept_columns(layer: Attention) -> Iterator[tuple[Integers, Integers]]:
    """Rows that keep equally many values, and which: (rows,) and (rows, kept), both rising."""
    decided = read_decisions(layer)
    for keep in np.unique(decided.values).tolist():
        rows = np.flatnonzero(decided.values == keep)
        step = max(1, MOST_AT_ONCE // layer.keys)
        for first in range(0, rows.size, step):
            some = rows[first : first + step]
            if 0 < keep < layer.keys and decided.scores is not None:
                yield some, top_k_indices(decided.scores[decided.source[some]], keep)
            else:
                yield some, np.broadcast_to(np.arange(keep), (some.size, keep))


def kept_of_segments(layer: Attention, bounds: Integers) -> Integers:
    """(rows, segments): values that each row keeps in each segment."""
    rows = layer.batch * layer.heads * layer.queries
    kept = np.zeros((rows, bounds.size - 1), np.int64)
    for some, columns in kept_columns(layer):
        segment = np.searchsorted(bounds, columns, side="right") - 1
        places = np.repeat(np.arange(some.size), columns.shape[1]) * kept.shape[1] + segment.ravel()
        counts = np.bincount(places, minlength=some.size * kept.shape[1])
        kept[some] = counts.reshape(some.size, -1)
    return kept


def scratch_bursts(machine: Parameters, cycles: Integers, bits: int) -> Integers:
    """Bursts of a selection that overflows: each of its cycles reads a line of scores from memory."""
    return -(-cycles * machine.topk.width * bits // (8 * machine.dram.burst_bytes))


def spill_bursts(machine: Parameters, elements: Integers) -> Integers:
    """Bursts of a segment's exponents."""
    return -(-elements * machine.spilled_bits // (8 * machine.dram.burst_bytes))


def partial_bursts(machine: Parameters, layer: Attention) -> int:
    """Bursts of an unfinished output."""
    return row_lines(layer.value_dim * PARTIAL_BITS, 8 * machine.dram.burst_bytes)
