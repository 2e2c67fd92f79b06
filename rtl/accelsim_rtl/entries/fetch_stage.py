"""`spatten.fetch_stage` for the kit: the fetcher and a memory of banks, against the engine's fetch stage.

Drawn requests, or those of a traced workload by the accelerator's own model of its traffic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelsim.accelerators.spatten.decisions import read_decisions
from accelsim.accelerators.spatten.fetch_stage import fetched_cycle
from accelsim.accelerators.spatten.machine import SpAtten
from accelsim.accelerators.spatten.traffic import Fetch, Traffic
from accelsim.units import fetch_stage as unit
from accelsim.units.fetch_stage import FetchStage as Parameters
from accelsim.workload import Attention
from accelsim_rtl.bench.drive import Drive
from accelsim_rtl.entries import fetcher
from accelsim_rtl.entries.fetcher import addresses_of, memory_of, transaction
from accelsim_rtl.fetcher import Fetcher
from accelsim_rtl.kit.replay import Replayed, UnfitError
from accelsim_rtl.kit.unit import Transaction, Unit

FIRST_CYCLE = 3
"""A clock takes the request, one the first token, one its address."""
MOST_FETCHES = 8
"""Of a workload, that a seed draws: a fetch of a head may be a thousand bursts."""


def cycles(parameters: Parameters, transactions: list[Transaction]) -> int:
    """Clocks until the last burst is on the bus, by the engine."""
    requests = [addresses_of(parameters, each) for each in transactions]
    return 1 + fetched_cycle(
        parameters.memory,
        requests,
        first_cycle=FIRST_CYCLE,
        slots=parameters.slots,
        data_cycles=parameters.data_cycles,
    )


def took(drive: Drive) -> int | None:
    """The same of a run."""
    (record,) = (life[-1] for life in drive.records)
    back = [clock for burst in record for clock in burst]
    return None if drive.cycles is None or None in back else 1 + max(back)


def replay(parameters: Parameters, workload: Any, generator: np.random.Generator) -> Replayed:
    """Fetches of K, of its least significant parts and of V, drawn from all layers of a workload."""
    machine = replace(SpAtten(), dram=replace(SpAtten().dram, channels=1))
    found = []
    for layer in workload.layers:
        if isinstance(layer, Attention) and not machine.refuse(layer):
            found += _fetches(parameters, machine, layer)
    if not found:
        raise UnfitError("spatten.fetch_stage: no layer of the workload has fetches that fit its positions")
    chosen = sorted(generator.permutation(len(found))[:MOST_FETCHES].tolist())
    return Replayed(
        transactions=[found[place] for place in chosen],
        sentence=f"{len(chosen)} of {len(found)} fetches",
    )


def _fetches(parameters: Parameters, machine: SpAtten, layer: Attention) -> list[Transaction]:
    """The fetches of a layer that the fetcher's fields hold, each held against the model's addresses."""
    decided = read_decisions(layer)
    traffic = Traffic(machine, layer, decided)
    found = []
    for region, fetches, whole in (
        (traffic.key_region, traffic.keys, True),
        (traffic.lsb_region, traffic.lsb, True),
        (traffic.value_region, traffic.values, not traffic.stream_values),
    ):
        fits = (
            region.positions <= 1 << parameters.position_bits and region.end <= 1 << parameters.address_bits
        )
        if region.burst_bytes * 8 != parameters.beat_bits or not fits:
            continue
        for fetch in fetches:
            made = _fetch(parameters, region, decided, fetch, whole)
            if made is not None:
                found.append(made)
    return found


def _fetch(parameters, region, decided, fetch: Fetch, whole: bool) -> Transaction | None:
    """One fetch as a request. Raises RuntimeError if its bursts are not those of the model."""
    sequence = int(decided.sequence[fetch.row])
    asked = _expanded(fetch, region.burst_bytes)
    positions = decided.positions[sequence]
    if not whole:
        # Of a row, those positions whose records it asks for.
        records = region.record(sequence, int(decided.stored[fetch.row]), positions)
        record_bytes = region.record_bursts * region.burst_bytes
        positions = positions[
            np.isin(records, np.array(asked) - (np.array(asked) - region.base) % record_bytes)
        ]
        heads: Any = int(decided.stored[fetch.row])
        candidates = [heads]
    else:
        head = int(decided.stored[fetch.row])
        pair = head - head % region.fused
        candidates = [(head,), *([(pair, pair + 1)] if region.fused == 2 else [])]
    if not len(positions):
        return None
    for heads in candidates:
        made = transaction(parameters, region, 0, sequence, heads, positions)
        if addresses_of(parameters, made) == asked:
            return made
    raise RuntimeError(f"the fetcher's layout is not the model's: row {fetch.row}, bursts {asked[:4]} ...")


def _expanded(fetch: Fetch, burst_bytes: int) -> list[int]:
    return [
        address + burst * burst_bytes
        for address, count in zip(fetch.addresses.tolist(), fetch.counts.tolist(), strict=True)
        for burst in range(count)
    ]


UNIT = Unit(
    name="spatten.fetch_stage",
    sentence="The fetcher before banks of HBM or DDR: as long as the engine's fetch stage, to the cycle",
    presets=unit.PRESETS,
    component=Fetcher,
    model=unit.Model,
    stimulus=fetcher.stimulus,
    expected=fetcher.expected,
    cycles=cycles,
    took=took,
    latency=fetcher.UNIT.latency,
    replay=replay,
    memories=lambda parameters, transactions: [memory_of(parameters, parameters.memory)],
)
