"""`spatten.shell` for the kit: a driver's work, from registers to lines and from results to memory.

A job fetches most significant parts of drawn tokens and reads them, then least significant ones and reads
both, and writes results; counters are read behind it. Golden says the lines by the entries of the units.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.units import bit_width_converter, fetcher, vector_store
from accelsim.units import shell as unit
from accelsim.units.bit_width_converter import Request as Conversion
from accelsim.units.fetcher import Request as Fetch
from accelsim.units.fetcher import Token, pack_token
from accelsim.units.registers import WORD_BITS
from accelsim.units.shell import Shell as Parameters
from accelsim.units.vector_store import Fill, Read
from accelsim_rtl.bench.memory import content, memory
from accelsim_rtl.entries import bit_width_converter as converter_entry
from accelsim_rtl.entries import vector_store as store_entry
from accelsim_rtl.entries.fetcher import addresses_of
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.shell import Shell

JOBS = 6
MOST_TOKENS = 6
COUNTERS = ("bursts", "lines", "written", "errors")
ALL_BYTES = 15


class Driver:
    """Writes and reads of registers in their order, and what each waits for."""

    def __init__(self, parameters: Parameters) -> None:
        self.map, self.work, self.waits = parameters.map, [], []

    def write(self, register: str, **fields: int) -> list[int]:
        """Payloads of `aw` and `w` for all words of a register."""
        places = next(one for one in self.map.registers if one.name == register).places()
        value = sum(fields[field.name] << place for field, place in places if field.name in fields)
        words = next(one for one in self.map.registers if one.name == register).words
        first = self.map.offsets[register]
        return [
            value >> WORD_BITS * word & (1 << WORD_BITS) - 1 | (first + 4 * word) << WORD_BITS
            for word in range(words)
        ]


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Jobs of drawn tokens, widths and lengths of vectors."""
    return [_job(parameters, generator) for _ in range(JOBS)]


def _job(parameters: Parameters, generator: np.random.Generator) -> Transaction:
    driver, store = Driver(parameters), parameters.store
    width = int(
        generator.choice(
            [width for width in parameters.widths if width <= parameters.operand_bits - parameters.lsb_bits]
        )
    )
    kept = int(generator.integers(1, MOST_TOKENS + 1))
    elements = int(generator.integers(1, store.pieces // kept * parameters.lanes + 1))
    tokens = sorted(generator.permutation(1 << min(parameters.position_bits, 8))[:kept].tolist())
    pieces = kept * -(-elements // parameters.lanes)
    steps = []
    for least, bits in ((False, width), (True, parameters.lsb_bits)):
        most = (1 << parameters.burst_bits) - 1
        beats = min(most, -(-elements * bits // parameters.beat_bits))
        elements = min(elements, beats * parameters.beat_bits // bits)
        steps.append((least, bits, beats))
    pieces = kept * -(-elements // parameters.lanes)
    steps = [(least, bits, -(-elements * bits // parameters.beat_bits)) for least, bits, _ in steps]
    writes: list[list[int]] = []
    for least, bits, beats in steps:
        base = int(generator.integers((1 << parameters.fetcher.beat_address_bits) // 2))
        writes.append(
            driver.write("source", base=base)
            + driver.write("record", stride=beats, count_0=beats, count_1=beats)
            + driver.write(
                "plane", width=bits, shift=0 if least else parameters.lsb_bits, least=least, elements=elements
            )
            + driver.write("amount", beats=beats, records=kept)
            + driver.write("pieces", count=pieces)
            + driver.write("lines", pieces=pieces, least=least, releases=least)
            + driver.write("control", fetch=1, read=1)
        )
    results = int(generator.integers(1, 12))
    address = int(generator.integers(4096 // parameters.writer.port.bytes)) * parameters.writer.port.bytes
    writes.append(
        driver.write("target", address=address)
        + driver.write("results", beats=results)
        + driver.write("control", write=1)
    )
    bits = parameters.map.address_bits
    words = [word for group in writes for word in group]
    return {
        "s_axil_aw": [word >> WORD_BITS for word in words],
        "s_axil_w": [word & (1 << WORD_BITS) - 1 | ALL_BYTES << WORD_BITS for word in words],
        "s_axil_ar": [parameters.map.offsets[f"count_{name}"] & (1 << bits) - 1 for name in COUNTERS],
        "tokens": 2
        * [
            pack_token(parameters.fetcher, Token(position, number == kept - 1))
            for number, position in enumerate(tokens)
        ],
        "results": [
            int.from_bytes(generator.bytes(parameters.beat_bits // 8), "little") for _ in range(results)
        ],
    }


class Written:
    """Registers as a driver wrote them: what each pulse of a transaction takes along."""

    def __init__(self, parameters: Parameters, transaction: Transaction) -> None:
        self.fetches: list[tuple[Fetch, Conversion, Fill, Read]] = []
        self.target = self.count = 0
        words: dict[int, int] = {}
        registers = {one.name: one for one in parameters.map.registers}

        def value(register: str, field: str) -> int:
            first, one = parameters.map.offsets[register], registers[register]
            whole = sum(words.get(first + 4 * word, 0) << WORD_BITS * word for word in range(one.words))
            found, place = next((each, place) for each, place in one.places() if each.name == field)
            return whole >> place & (1 << found.bits) - 1

        for address, payload in zip(transaction["s_axil_aw"], transaction["s_axil_w"], strict=True):
            words[address] = payload & (1 << WORD_BITS) - 1
            if address != parameters.map.offsets["control"]:
                continue
            if value("control", "fetch"):
                least = bool(value("plane", "least"))
                self.fetches.append(
                    (
                        Fetch(
                            value("source", "base"),
                            value("record", "stride"),
                            (value("record", "offset_0"), value("record", "offset_1")),
                            (value("record", "count_0"), value("record", "count_1")),
                        ),
                        Conversion(
                            width=value("plane", "width"),
                            elements=value("plane", "elements"),
                            beats=value("amount", "beats"),
                            records=value("amount", "records"),
                            shift=value("plane", "shift"),
                            least=least,
                        ),
                        Fill(value("pieces", "count"), least),
                        Read(
                            value("lines", "pieces"),
                            bool(value("lines", "least")),
                            bool(value("lines", "releases")),
                        ),
                    )
                )
            if value("control", "write"):
                self.target, self.count = value("target", "address"), value("results", "beats")


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Lines by golden; answers of the bus; counters that grow from job to job."""
    found: dict[str, list[int]] = {name: [] for name in ("lines", "done", "s_axil_b", "s_axil_r")}
    counted = dict.fromkeys(COUNTERS, 0)
    for transaction in transactions:
        written = Written(parameters, transaction)
        pieces, fills, reads = [], [], []
        half = len(transaction["tokens"]) // 2
        for fetch, conversion, fill, read in written.fetches:
            asked = {
                "requests": [fetcher.pack_request(parameters.fetcher, fetch)],
                "tokens": transaction["tokens"][:half],
            }
            addresses = addresses_of(parameters.fetcher, asked)
            work = {
                "request": [bit_width_converter.pack_request(conversion)],
                "beats": [content(address, parameters.beat_bits) for address in addresses],
            }
            operands = converter_entry.expected(parameters.converter, [work])["operands"]
            pieces += [operand & (1 << parameters.store.piece_bits) - 1 for operand in operands]
            fills.append(vector_store.pack_fill(parameters.store, fill))
            reads.append(vector_store.pack_read(parameters.store, read))
            counted["bursts"] += len(addresses)
        stored = {"fills": fills, "pieces": pieces, "reads": reads}
        lines = store_entry.expected(parameters.store, [stored])["lines"]
        counted["lines"] += len(lines)
        counted["written"] += written.count
        found["lines"] += lines
        found["done"].append(0)
        found["s_axil_b"] += [0] * len(transaction["s_axil_aw"])
        found["s_axil_r"] += [counted[name] for name in COUNTERS]
    return found


def after(parameters: Parameters, transactions: list[Transaction]) -> dict[str, Any]:
    """A word waits for the answer to the one before; a step for the lines, and a job for the counters."""
    waits: dict[str, list[list[Any]]] = {"s_axil_aw": [], "s_axil_w": [], "s_axil_ar": []}
    control, answers, lines, reads = parameters.map.offsets["control"], 0, 0, 0
    for number, transaction in enumerate(transactions):
        each = -(-Written(parameters, transaction).fetches[0][2].pieces // parameters.banks)
        waiting: list[Any] = ["s_axil_r", reads]
        for address in transaction["s_axil_aw"]:
            waits["s_axil_aw"].append(waiting)
            waits["s_axil_w"].append(waiting)
            answers += 1
            waiting = ["s_axil_b", answers]
            if address == control:
                lines += each
                waiting = ["lines", lines]
        lines -= each  # the last pulse writes
        waits["s_axil_ar"] += [["done", number + 1]] * len(COUNTERS)
        reads += len(COUNTERS)
    return waits


def memories(parameters: Parameters, transactions: list[Transaction]) -> list[dict[str, Any]]:
    """One memory to read from, another that results must stand in."""
    words: dict[int, int] = {}
    for transaction in transactions:
        written = Written(parameters, transaction)
        for number, beat in enumerate(transaction["results"]):
            words[written.target + number * parameters.writer.port.bytes] = beat
    source, target = parameters.fetcher.port, parameters.writer.port
    return [
        memory(
            [f"m_axi_{channel}" for channel in range(parameters.channels)],
            address_bits=source.address_bits,
            data_bits=source.data_bits,
            id_bits=source.id_bits,
        ),
        memory(
            ["m_axi_out"],
            address_bits=target.address_bits,
            data_bits=target.data_bits,
            id_bits=target.id_bits,
            written=words.items(),
        ),
    ]


UNIT = Unit(
    name="spatten.shell",
    sentence="Registers, fetcher, converter, store and write master around the place of a head pipeline",
    presets=unit.PRESETS,
    component=Shell,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    # A driver's steps have no closed form; rows and beats are compared all the same.
    cycles=lambda parameters, transactions: 0,
    took=lambda drive: 0,
    latency=lambda parameters: {"beats_per_clock": 1, "lines_per_clock": 1},
    memories=memories,
    after=after,
    register_map=lambda parameters: parameters.map,
)
