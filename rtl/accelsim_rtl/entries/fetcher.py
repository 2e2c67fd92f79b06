"""`spatten.fetcher` for the kit: the bursts that the accelerator's model asks for, by its own layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.accelerators.spatten.fetch import Region
from accelsim.units import fetcher as unit
from accelsim.units.fetcher import Fetcher as Parameters
from accelsim.units.fetcher import Request, Token, pack_request, pack_token, unpack_request, unpack_token
from accelsim_rtl.bench.memory import PLAIN_LATENCY, content, memory
from accelsim_rtl.fetcher import Fetcher
from accelsim_rtl.kit.unit import Transaction, Unit

REQUESTS = 10
MOST_TOKENS = 30


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Heads of drawn regions: all kept tokens for both heads of a pair or one, or those of one row."""
    return [_drawn(parameters, generator) for _ in range(REQUESTS)]


def _drawn(parameters: Parameters, generator: np.random.Generator) -> Transaction:
    beats, burst = 1 << parameters.beat_address_bits, parameters.beat_bits // 8
    positions = int(generator.integers(1, min(1 << parameters.position_bits, beats // 8) + 1))
    longest = min((1 << parameters.burst_bits) - 1, beats // (2 * positions))
    region = Region(
        base=0,
        burst_bytes=burst,
        vector_bits=int(generator.integers(1, longest * parameters.beat_bits // 2 + 2)),
        batch=1,
        heads=2,
        positions=positions,
        may_fuse=bool(generator.integers(4)),
    )
    kept = int(generator.integers(1, min(positions, MOST_TOKENS) + 1))
    tokens = np.sort(generator.permutation(positions)[:kept])
    base = int(generator.integers(0, max(1, beats - region.end // burst + 1))) * burst
    return transaction(parameters, region, base, 0, _heads(region, generator), tokens)


def _heads(region: Region, generator: np.random.Generator) -> tuple[int, ...] | int:
    """Heads of one record that are fetched whole, or the one head whose row asks for some."""
    if generator.integers(2):
        return int(generator.integers(2))
    if region.fused == 2 and generator.integers(2):
        return (0, 1)
    return (int(generator.integers(2)),)


def transaction(
    parameters: Parameters,
    region: Region,
    base: int,
    sequence: int,
    heads: tuple[int, ...] | int,
    tokens: np.ndarray[Any, Any],
) -> Transaction:
    """One request. heads: those of one record, fetched whole; or the one of which a row asks for some.

    base: bytes that the region lies above its own.
    """
    burst, head = region.burst_bytes, heads if isinstance(heads, int) else heads[0]
    first = int(region.record(sequence, head, np.zeros(1, np.int64))[0]) + base
    addresses = np.zeros(2, np.int64)
    if isinstance(heads, int):
        # Two rows of the same position tell what even and odd tokens ask for.
        addresses, counts = region.some(sequence, head, np.zeros(2, np.int64))
    else:
        addresses, counts = region.whole(sequence, np.array(heads), np.zeros(1, np.int64))
        addresses, counts = addresses.repeat(2), counts.repeat(2)
    offsets = (addresses + base - first) // burst
    request = Request(
        first // burst,
        region.record_bursts,
        (int(offsets[0]), int(offsets[1])),
        (int(counts[0]), int(counts[1])),
    )
    return {
        "requests": [pack_request(parameters, request)],
        "tokens": [
            pack_token(parameters, Token(int(position), number == len(tokens) - 1))
            for number, position in enumerate(tokens)
        ],
    }


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What the memory holds where records lie: `Region` says the same, see the tests."""
    payloads = []
    for each in transactions:
        addresses = addresses_of(parameters, each)
        for number, address in enumerate(addresses):
            word = content(address, parameters.beat_bits)
            payloads.append(word | (number == len(addresses) - 1) << parameters.beat_bits + 1)
    return {"beats": payloads}


def addresses_of(parameters: Parameters, transaction: Transaction) -> list[int]:
    """Bytes of all bursts of a request, in order."""
    request = unpack_request(parameters, transaction["requests"][0])
    return [
        (request.base + position * request.stride + request.offsets[number % 2] + burst)
        * (parameters.beat_bits // 8)
        for number, (position, _) in enumerate(
            unpack_token(parameters, payload) for payload in transaction["tokens"]
        )
        for burst in range(request.counts[number % 2])
    ]


def memory_of(parameters: Parameters, device: dict[str, Any] | None = None) -> dict[str, Any]:
    """The memory behind all channels."""
    return memory(
        [f"m_axi_{channel}" for channel in range(parameters.channels)],
        address_bits=parameters.port.address_bits,
        data_bits=parameters.beat_bits,
        id_bits=parameters.port.id_bits,
        device=device,
    )


def _counts(parameters: Parameters, transactions: list[Transaction]) -> list[list[int]]:
    found = []
    for each in transactions:
        request = unpack_request(parameters, each["requests"][0])
        found.append([request.counts[number % 2] for number in range(len(each["tokens"]))])
    return found


UNIT = Unit(
    name="spatten.fetcher",
    sentence="Fetcher: kept tokens to bursts on all channels, whose answers come in any order",
    presets=unit.PRESETS,
    component=Fetcher,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, _counts(parameters, transactions), PLAIN_LATENCY
    ),
    latency=lambda parameters: {
        "latency_cycles": parameters.address_cycles + parameters.data_cycles,
        "beats_per_clock": 1,
    },
    memories=lambda parameters, transactions: [memory_of(parameters)],
)
