"""SpAtten's shell: registers, fetcher, converter and store before a head pipeline, a write master behind it.

Software fills registers and pulses `fetch`, `read` or `write`; each takes its settings with it, and is lost
while the one before waits (`status`). Tokens come from the selection, results from the pipeline, as streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from accelsim.units import bit_width_converter, fetcher, vector_store, write_master
from accelsim.units.bit_width_converter import BitWidthConverter
from accelsim.units.bit_width_converter import Request as Conversion
from accelsim.units.fetcher import Fetcher
from accelsim.units.fetcher import Request as Fetch
from accelsim.units.registers import Field, Register, RegisterMap, Slave
from accelsim.units.step import Row
from accelsim.units.vector_store import Fill, Read, VectorStore
from accelsim.units.write_master import WriteMaster

COUNTER_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A port of `beat_bits` for each of `channels`, a store of `banks` x `lanes` operands a line.

    The other numbers are those of the units of the same names.
    """

    address_bits: int = 34
    beat_bits: int = 256
    channels: int = 2
    ports: int = 4
    slots: int = 64
    position_bits: int = 12
    burst_bits: int = 4
    lanes: int = 32
    operand_bits: int = 12
    widths: tuple[int, ...] = (4, 6, 8, 10, 12)
    lsb_bits: int = 4
    banks: int = 2
    lines: int = 128
    burst_beats: int = 16
    outstanding: int = 8

    def __post_init__(self) -> None:
        _ = self.fetcher, self.converter, self.store, self.writer, self.map

    @cached_property
    def fetcher(self) -> Fetcher:
        """Kept tokens to beats."""
        return Fetcher(
            address_bits=self.address_bits,
            beat_bits=self.beat_bits,
            channels=self.channels,
            ports=self.ports,
            slots=self.slots,
            position_bits=self.position_bits,
            burst_bits=self.burst_bits,
        )

    @cached_property
    def converter(self) -> BitWidthConverter:
        """Beats to operands."""
        return BitWidthConverter(
            beat_bits=self.beat_bits,
            lanes=self.lanes,
            operand_bits=self.operand_bits,
            widths=self.widths,
            lsb_bits=self.lsb_bits,
        )

    @cached_property
    def store(self) -> VectorStore:
        """Operands to lines."""
        return VectorStore(
            banks=self.banks,
            lanes=self.lanes,
            operand_bits=self.operand_bits,
            lsb_bits=self.lsb_bits,
            lines=self.lines,
        )

    @cached_property
    def writer(self) -> WriteMaster:
        """Results to memory."""
        return WriteMaster(
            address_bits=self.address_bits,
            data_bits=self.beat_bits,
            burst_beats=self.burst_beats,
            outstanding=self.outstanding,
        )

    @cached_property
    def map(self) -> RegisterMap:
        """The registers."""
        conversion = dict(bit_width_converter.FIELDS)
        pieces = self.store.count_bits
        counters = (
            ("bursts", "Bursts that were asked for."),
            ("lines", "Lines that left the store."),
            ("written", "Beats that were written."),
            ("errors", "Beats that came with an error."),
            ("busy", "Clocks in which something was under way."),
        )
        return RegisterMap(
            name="spatten",
            sentence="SpAtten's shell: fetch kept vectors, read them as lines, write results.",
            registers=(
                Register(
                    name="control",
                    sentence="Write 1 to begin; what it needs is taken along.",
                    fields=tuple(
                        Field(name=name, access="pulse", sentence=sentence)
                        for name, sentence in (
                            ("fetch", "Of the tokens that follow, into the store."),
                            ("read", "Lines of the older half."),
                            ("write", "Of the results that follow."),
                        )
                    ),
                ),
                Register(
                    name="status",
                    fields=(
                        Field(name="pending", bits=5, access="ro", sentence="What has not begun."),
                        Field(name="filled", bits=2, access="ro", sentence="Halves that can be read."),
                    ),
                ),
                Register(
                    name="source",
                    sentence="In beats of memory.",
                    fields=(Field(name="base", bits=self.fetcher.beat_address_bits),),
                ),
                Register(
                    name="record",
                    sentence="In beats, of even and odd tokens.",
                    fields=tuple(
                        Field(name=name, bits=self.burst_bits)
                        for name in ("stride", "offset_0", "offset_1", "count_0", "count_1")
                    ),
                ),
                Register(
                    name="plane",
                    sentence="How a record is packed.",
                    fields=tuple(
                        Field(name=name, bits=conversion[name])
                        for name in ("width", "shift", "least", "elements")
                    ),
                ),
                Register(
                    name="amount",
                    fields=(
                        Field(name="beats", bits=conversion["beats"], sentence="Of a record."),
                        Field(name="records", bits=conversion["records"]),
                    ),
                ),
                Register(
                    name="pieces", fields=(Field(name="count", bits=pieces, sentence="Of all records."),)
                ),
                Register(
                    name="lines",
                    sentence="What `read` reads.",
                    fields=(
                        Field(name="pieces", bits=pieces),
                        Field(name="least", sentence="With least significant parts."),
                        Field(name="releases", sentence="The half is free then."),
                    ),
                ),
                Register(name="target", fields=(Field(name="address", bits=self.address_bits),)),
                Register(name="results", fields=(Field(name="beats", bits=self.writer.count_bits),)),
                *(
                    Register(
                        name=f"count_{name}",
                        fields=(Field(name="value", bits=COUNTER_BITS, access="counter", sentence=sentence),),
                    )
                    for name, sentence in counters
                ),
            ),
        )


PRESETS = {
    "eighth": Shell(),
    "tiny": Shell(
        address_bits=14,
        beat_bits=32,
        channels=2,
        ports=2,
        slots=4,
        position_bits=5,
        burst_bits=3,
        lanes=4,
        operand_bits=8,
        widths=(2, 3, 6),
        lsb_bits=2,
        lines=8,
        burst_beats=4,
        outstanding=2,
    ),
}

PENDING = ("fetch", "convert", "fill", "read", "write")
"""What a pulse leaves for the units; the bits of `status.pending`."""


class Model:
    """The shell clock by clock: the models of its units, and what is between them.

    Streams: s_axil, the ports of the fetcher, m_axi_out of the write master; tokens and results in, lines and
    done out.
    """

    def __init__(self, parameters: Shell) -> None:
        self.parameters = parameters
        self.reset()

    def reset(self) -> None:
        """Nothing under way."""
        parameters = self.parameters
        self._slave = Slave(parameters.map)
        self._fetcher = fetcher.Model(parameters.fetcher)
        self._converter = bit_width_converter.Model(parameters.converter)
        self._store = vector_store.Model(parameters.store)
        self._writer = write_master.Model(parameters.writer)
        self._pending: dict[str, int | None] = dict.fromkeys(PENDING)

    def step(self, inputs: Mapping[str, int]) -> Row:
        """One clock: see `Model` in `accelsim.units.step`."""
        parameters, pending = self.parameters, dict(self._pending)
        beat = self._fetcher.offered
        taken = self._store.takes_pieces
        converted = self._converter.step(
            {
                **_offer("request", pending["convert"]),
                "beats_valid": int(beat is not None),
                "beats_payload": (beat or 0) & (1 << parameters.beat_bits) - 1,
                "operands_ready": int(taken),
            }
        )
        fetched = self._fetcher.step(
            {**inputs, **_offer("requests", pending["fetch"]), "beats_ready": converted["beats_ready"]}
        )
        operands = converted["operands_payload"] & (1 << parameters.store.piece_bits) - 1
        stored = self._store.step(
            {
                **_offer("fills", pending["fill"]),
                **_offer("reads", pending["read"]),
                "pieces_valid": converted["operands_valid"],
                "pieces_payload": operands,
                "lines_ready": inputs["lines_ready"],
            }
        )
        outside = {
            f"m_axi{name[9:]}": value for name, value in inputs.items() if name.startswith("m_axi_out_")
        }
        written = self._writer.step(
            {
                **outside,
                **_offer("requests", pending["write"]),
                "beats_valid": inputs["results_valid"],
                "beats_payload": inputs["results_payload"],
                "done_ready": inputs["done_ready"],
            }
        )
        row = {name: value for name, value in fetched.items() if name.startswith(("m_axi", "tokens"))}
        row |= {f"m_axi_out{name[5:]}": value for name, value in written.items() if name.startswith("m_axi")}
        row |= {name: stored[name] for name in ("lines_valid", "lines_payload")}
        row |= {name: written[name] for name in ("done_valid", "done_payload")}
        row["results_ready"] = written["beats_ready"]
        ready = {
            "fetch": fetched["requests_ready"],
            "convert": converted["request_ready"],
            "fill": stored["fills_ready"],
            "read": stored["reads_ready"],
            "write": written["requests_ready"],
        }
        return row | self._registers(inputs, row, pending, ready, beat, stored, fetched, written, converted)

    def _registers(self, inputs, row, pending, ready, beat, stored, fetched, written, converted) -> Row:  # type: ignore[no-untyped-def]
        """The slave's clock, and what its pulses leave."""
        slave, parameters = self._slave, self.parameters
        moved = [
            ("count_bursts_value", self._fetcher.moved),
            ("count_lines_value", row["lines_valid"] and inputs["lines_ready"]),
            ("count_written_value", row["m_axi_out_w_valid"] and inputs["m_axi_out_w_ready"]),
            (
                "count_errors_value",
                beat is not None and converted["beats_ready"] and beat >> parameters.beat_bits & 1,
            ),
            (
                "count_busy_value",
                any(value is not None for value in pending.values())
                or fetched["level"]
                or stored["claimed"]
                or written["level"],
            ),
        ]
        shown = {
            "status_pending": sum(
                (value is not None) << place for place, value in enumerate(pending.values())
            ),
            "status_filled": stored["filled"],
        }
        new, pulses = self._settings(), slave.pulses
        bus = slave.step(inputs, shown, [name for name, moves in moved if moves])
        for name, pulse in zip(PENDING, ("fetch", "fetch", "fetch", "read", "write"), strict=True):
            if pending[name] is None and f"control_{pulse}" in pulses:
                self._pending[name] = new[name]
            elif pending[name] is not None and ready[name]:
                self._pending[name] = None
        return bus

    def _settings(self) -> dict[str, int]:
        """Payloads of all requests, from the registers as they are."""
        parameters, value = self.parameters, self._slave.values
        record = {
            name: value[f"record_{name}"] for name in ("stride", "offset_0", "offset_1", "count_0", "count_1")
        }
        least = bool(value["plane_least"])
        conversion = Conversion(
            width=value["plane_width"],
            elements=value["plane_elements"],
            beats=value["amount_beats"],
            records=value["amount_records"],
            shift=value["plane_shift"],
            least=least,
        )
        request = Fetch(
            value["source_base"],
            record["stride"],
            (record["offset_0"], record["offset_1"]),
            (record["count_0"], record["count_1"]),
        )
        read = Read(value["lines_pieces"], bool(value["lines_least"]), bool(value["lines_releases"]))
        return {
            "fetch": fetcher.pack_request(parameters.fetcher, request),
            "convert": bit_width_converter.pack_request(conversion),
            "fill": vector_store.pack_fill(parameters.store, Fill(value["pieces_count"], least)),
            "read": vector_store.pack_read(parameters.store, read),
            "write": value["target_address"] | value["results_beats"] << parameters.address_bits,
        }


def _offer(stream: str, payload: int | None) -> dict[str, int]:
    return {f"{stream}_valid": int(payload is not None), f"{stream}_payload": payload or 0}
