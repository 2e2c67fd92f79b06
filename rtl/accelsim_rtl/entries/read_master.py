"""`axi.read_master` for the kit: what a memory holds comes out in the order in which it was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units import read_master as unit
from accelsim.units.axi import PAGE_BYTES, Transfer, pack_transfer, unpack_transfer
from accelsim.units.read_master import ReadMaster as Parameters
from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.bench.memory import PLAIN_LATENCY, content, memory
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_BEATS = 40
LEAST_PAGES = 3
"""Of a memory that transfers are drawn in."""
ANYWHERE = 14
"""Transfers of drawn lengths at drawn places near the ends of pages."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Transfers; see `drawn_transfers`."""
    return [
        {"requests": [pack_transfer(parameters.port, transfer)]}
        for transfer in drawn_transfers(parameters, generator)
    ]


def drawn_transfers(parameters: Any, generator: np.random.Generator) -> list[Transfer]:
    """Single beats, whole bursts, transfers up to the end of a page, over it, and anywhere near one."""
    port = parameters.port
    most = min(MOST_BEATS, (1 << parameters.count_bits) - 1)
    pages = (1 << parameters.address_bits) // PAGE_BYTES
    if pages < LEAST_PAGES:
        least = (LEAST_PAGES * PAGE_BYTES - 1).bit_length()
        raise ValueError(f"address_bits must be {least} or more in the bench, not {parameters.address_bits}")
    transfers = [
        Transfer(0, 1),
        Transfer(PAGE_BYTES - port.bytes, min(2, most)),
        Transfer(PAGE_BYTES - min(most, parameters.burst_beats) * port.bytes, most),
        *(Transfer((most + beat) * port.bytes, 1) for beat in range(2 * parameters.outstanding)),
    ]
    for _ in range(ANYWHERE):
        beats = int(generator.integers(1, most + 1))
        near = int(generator.integers(-most, most)) * port.bytes
        address = int(generator.integers(2, pages)) * PAGE_BYTES + near
        transfers.append(Transfer(min(address, (pages * PAGE_BYTES) - beats * port.bytes), beats))
    return transfers


def transfers_of(parameters: Any, transactions: list[Transaction]) -> list[Transfer]:
    """What the payloads of `requests` ask for."""
    return [
        unpack_transfer(parameters.port, payload) for each in transactions for payload in each["requests"]
    ]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What the memory holds: there is no arithmetic for golden to say."""
    port, payloads = parameters.port, []
    (first, end), *_ = _memory(parameters, transactions)["errors"]
    for address, beats in transfers_of(parameters, transactions):
        for beat in range(beats):
            place = address + beat * port.bytes
            above = (first <= place < end) | (beat == beats - 1) << 1
            payloads.append(content(place, port.data_bits) | above << port.data_bits)
    return {"beats": payloads}


def _memory(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    port = parameters.port
    return memory(
        ["m_axi"],
        address_bits=port.address_bits,
        data_bits=port.data_bits,
        id_bits=port.id_bits,
        errors=[[PAGE_BYTES - port.bytes, PAGE_BYTES + port.bytes]],
    )


UNIT = Unit(
    name="axi.read_master",
    sentence="AXI4 read master: bursts within pages, several under way, answers in order again",
    presets=unit.PRESETS,
    component=ReadMaster,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, transfers_of(parameters, transactions), PLAIN_LATENCY
    ),
    latency=lambda parameters: {
        "latency_cycles": parameters.address_cycles + parameters.data_cycles,
        "beats_per_clock": 1,
    },
    memories=lambda parameters, transactions: [_memory(parameters, transactions)],
)
