"""`axi.write_master` for the kit: what is written stands in the memory, and errors are told."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units import write_master as unit
from accelsim.units.axi import pack_transfer
from accelsim.units.write_master import WriteMaster as Parameters
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.bench.memory import PLAIN_LATENCY, memory
from accelsim_rtl.entries.read_master import drawn_transfers, transfers_of
from accelsim_rtl.kit.unit import Transaction, Unit


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Transfers as of the read master, with drawn data."""
    port = parameters.port
    return [
        {
            "requests": [pack_transfer(port, transfer)],
            "beats": [int.from_bytes(generator.bytes(port.bytes), "little") for _ in range(transfer.beats)],
        }
        for transfer in drawn_transfers(parameters, generator)
    ]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Of each transfer whether it touched what answers with an error."""
    port, ((first, end),) = parameters.port, _memory(parameters, transactions)["errors"]
    return {
        "done": [
            int(address < end and address + beats * port.bytes > first)
            for address, beats in transfers_of(parameters, transactions)
        ]
    }


def _memory(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """All that was written must stand in it: of two beats for one address the later one."""
    port, words = parameters.port, {}
    transfers = transfers_of(parameters, transactions)
    beats = iter([beat for each in transactions for beat in each["beats"]])
    for transfer in transfers:
        for number in range(transfer.beats):
            words[transfer.address + number * port.bytes] = next(beats)
    return memory(
        ["m_axi"],
        address_bits=port.address_bits,
        data_bits=port.data_bits,
        id_bits=port.id_bits,
        written=words.items(),
        errors=[[0, 4 * port.bytes]],
    )


UNIT = Unit(
    name="axi.write_master",
    sentence="AXI4 write master: bursts within pages, several under way, an answer to each transfer",
    presets=unit.PRESETS,
    component=WriteMaster,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, transfers_of(parameters, transactions), PLAIN_LATENCY
    ),
    latency=lambda parameters: {
        "latency_cycles": parameters.address_cycles + 1 + parameters.answer_cycles,
        "beats_per_clock": 1,
    },
    memories=lambda parameters, transactions: [_memory(parameters, transactions)],
)
