"""Traffic that the artefact does not time, each term with a switch of its own.

`fetch_queries`, `write_newest`, `store_scores` and `write_back` of the parameters. What is read comes through
the fetcher, before the keys of its row; what is written leaves behind PxV.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from accelsim.accelerators.spatten.decisions import Decisions
from accelsim.accelerators.spatten.fetch import Region
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import row_lines
from accelsim.accelerators.spatten.traffic import Fetch, Traffic, key_widths
from accelsim.plan import Integers
from accelsim.workload import Attention


@dataclass(kw_only=True)
class Terms:
    """Bursts by stage: `queries` and `reads` with the keys, `lsb` with their LSBs, `writes` behind PxV.

    `end`: first byte behind them all.
    """

    queries: list[Fetch] = field(default_factory=list)
    reads: list[Fetch] = field(default_factory=list)
    lsb: list[Fetch] = field(default_factory=list)
    writes: list[Fetch] = field(default_factory=list)
    end: int = 0


def terms_of(machine: Parameters, layer: Attention, decided: Decisions, traffic: Traffic) -> Terms:
    """All terms that are switched on. They lie behind K and V, but for the newest token's."""
    terms, end, burst = Terms(), traffic.end, machine.dram.burst_bytes
    rows = np.arange(decided.rows)
    if machine.write_back:
        bursts = row_lines(layer.value_dim * machine.word_bits, 8 * burst)
        terms.writes += _each(rows, end + rows * bursts * burst, bursts)
        end += decided.rows * bursts * burst
    if machine.fetch_queries:
        for fetches, bits, asking in (
            (terms.queries, key_widths(machine, layer)[0], rows),
            (terms.lsb, key_widths(machine, layer)[1], np.flatnonzero(decided.again)),
        ):
            bursts = row_lines(layer.dim * bits, 8 * burst)
            by = asking - asking % layer.queries if machine.hold_queries else asking
            fetches += _each(by, end + asking * bursts * burst, bursts)
            end += decided.rows * bursts * burst
    if machine.store_scores and layer.token_scores is not None:
        bursts = row_lines(layer.keys * machine.importance_bits, 8 * burst)
        ends = np.arange(1, layer.batch + 1) * (decided.rows // layer.batch)
        begins = end + np.arange(layer.batch) * bursts * burst
        terms.reads += _each(ends - decided.rows // layer.batch, begins, bursts)
        terms.writes += _each(ends - 1, begins, bursts)
        end += layer.batch * bursts * burst
    if machine.write_newest and layer.queries == 1:
        for region in (traffic.key_region, traffic.lsb_region, traffic.value_region):
            terms.writes += _newest(region, decided)
    terms.end = end
    return terms


def _each(rows: Integers, addresses: Integers, bursts: int) -> list[Fetch]:
    """The same number of bursts for each row."""
    return [
        Fetch(row, np.array([address]), np.array([bursts]))
        for row, address in zip(rows.tolist(), addresses.tolist(), strict=True)
        if bursts
    ]


def _newest(region: Region, decided: Decisions) -> list[Fetch]:
    """The last token's vectors of every record, written with the last row that uses it."""
    fetches = []
    owner = decided.sequence * decided.stored_heads + decided.stored // region.fused
    for record in np.unique(owner).tolist():
        rows = np.flatnonzero(owner == record)
        sequence = int(decided.sequence[rows[0]])
        runs = region.whole(sequence, decided.stored[rows], decided.positions[sequence, -1:])
        fetches.append(Fetch(int(rows[-1]), *runs))
    return fetches
