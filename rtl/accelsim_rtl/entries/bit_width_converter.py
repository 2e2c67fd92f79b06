"""`spatten.bit_width_converter` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.fixed import Fixed, join_lsb
from accelsim.units import bit_width_converter as unit
from accelsim.units.bit_width_converter import BitWidthConverter as Parameters
from accelsim.units.bit_width_converter import Request
from accelsim.units.step import unpack
from accelsim_rtl.bit_width_converter import BitWidthConverter, operands_layout
from accelsim_rtl.kit.ports import packed
from accelsim_rtl.kit.unit import Transaction, Unit

MOST_BEATS = 12
"""Of a record that is drawn."""
DRAWN_REQUESTS = 10


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Every width as both parts, records with and without padding, a single element, many records."""
    requests = []
    for width in parameters.widths:
        most = min(parameters.lsb_bits, parameters.operand_bits - width)
        line = parameters.lanes
        fitting = -(-2 * line * width // parameters.beat_bits)
        # Whole lines, as a vector has them; of many vectors; one element; padding of more than a line.
        requests += [
            Request(width=width, elements=2 * line, beats=fitting, shift=most),
            Request(width=width, elements=2 * line, beats=fitting, records=3, least=True),
            Request(width=width, elements=1, beats=1, records=2),
            Request(width=width, elements=line, beats=2 * fitting + 1, records=2, shift=most),
        ]
    for _ in range(DRAWN_REQUESTS):
        requests.append(_drawn(parameters, generator))
    return [_transaction(parameters, request, generator) for request in requests]


def _drawn(parameters: Parameters, generator: np.random.Generator) -> Request:
    fitting = [width for width in parameters.widths if width <= MOST_BEATS * parameters.beat_bits]
    width = int(generator.choice(fitting))
    least = bool(generator.integers(2))
    beats = int(generator.integers(-(-width // parameters.beat_bits), MOST_BEATS + 1))
    most = min(beats * parameters.beat_bits // width, (1 << unit.COUNT_BITS) - 1)
    shift = int(generator.integers(min(parameters.lsb_bits, parameters.operand_bits - width) + 1))
    return Request(
        width=width,
        elements=int(generator.integers(1, most + 1)),
        beats=beats,
        records=int(generator.integers(1, 4)),
        shift=0 if least else shift,
        least=least,
    )


def _transaction(parameters: Parameters, request: Request, generator: np.random.Generator) -> Transaction:
    count, length = request.records * request.beats, -(-parameters.beat_bits // 8)
    ones = (1 << parameters.beat_bits) - 1
    return {
        "request": [unit.pack_request(request)],
        "beats": [int.from_bytes(generator.bytes(length), "little") & ones for _ in range(count)],
    }


def requests_of(parameters: Parameters, transactions: list[Transaction]) -> list[Request]:
    """The request of each transaction."""
    return [unit.unpack_request(parameters, each["request"][0]) for each in transactions]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What golden makes of the two parts of an integer: with the other part zero, they are the operands."""
    payloads = []
    for request, transaction in zip(requests_of(parameters, transactions), transactions, strict=True):
        for record in range(request.records):
            beats = transaction["beats"][record * request.beats : (record + 1) * request.beats]
            payloads += _record(parameters, request, beats)
    return {"operands": payloads}


def _record(parameters: Parameters, request: Request, beats: list[int]) -> list[int]:
    bits = sum(beat << (number * parameters.beat_bits) for number, beat in enumerate(beats))
    parts = np.array(unpack(bits, request.width, request.elements))
    if request.least:
        operands = join_lsb(np.zeros_like(parts), parts, request.width)
    else:
        signed = Fixed(integer_bits=request.width - 1, fraction_bits=0, overflow="wrap")
        operands = join_lsb(signed.fit(parts), 0, request.shift)
    layout, lanes = operands_layout(parameters), parameters.lanes
    operands &= (1 << parameters.operand_bits) - 1
    lines = [operands[first : first + lanes] for first in range(0, request.elements, lanes)]
    return [
        packed(
            layout,
            {
                "operands": [*map(int, line), *[0] * (lanes - len(line))],
                "count": len(line),
                "least": int(request.least),
                "last": int(number == len(lines) - 1),
            },
        )
        for number, line in enumerate(lines)
    ]


UNIT = Unit(
    name="spatten.bit_width_converter",
    sentence="Packed elements of 4 to 12 bits, most or least significant parts, to 12-bit operands",
    presets=unit.PRESETS,
    component=BitWidthConverter,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, requests_of(parameters, transactions)),
    latency=lambda parameters: {"latency_cycles": 2, "request_cycles": 1, "beats_per_clock": 1},
)
