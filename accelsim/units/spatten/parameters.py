"""How the machine is built: a head pipeline, the way to it from memory, and back.

Source: HPCA 2021 SpAtten, section 4 and Table I. The paper keeps one query in registers; here all queries of
a head have a store of their own, so that a row that is sent again finds its query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from accelsim.dram import DEVICES
from accelsim.golden.topk import LFSR_BITS
from accelsim.units.bit_width_converter import FIELDS, BitWidthConverter
from accelsim.units.checks import require_range
from accelsim.units.fetcher import Fetcher
from accelsim.units.fifo import Fifo
from accelsim.units.head import PRESETS as HEADS
from accelsim.units.head import Head
from accelsim.units.record import Field, Record, bits_for
from accelsim.units.registers import Constant, RegisterMap
from accelsim.units.spatten.registers import register_map
from accelsim.units.vector_store import VectorStore
from accelsim.units.write_master import WriteMaster

QUERY, KEY, VALUE, LEAST = range(4)
"""What a job of the fetcher brings: also the number of the store; least significant parts join the keys."""

KINDS = ("query", "key", "value", "least")
"""Their names in the registers."""

COUNTED, LISTED, ASKED = range(3)
"""Where the tokens of a job come from: 0, 1, 2, ...; the list of kept tokens; the requests of a row."""

REQUEST_FIELDS = 5
"""Of a request to the fetcher, beside where its records begin."""

JOBS = 4
"""Jobs between the one whose bursts are asked for and the one whose pieces are stored."""

BEATS = 4
"""Beats that wait for the write master."""

REQUESTS = 4
"""Lines of V that were asked for and are not yet gathered."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """`head`: the pipeline. `lanes` operands are a piece of a vector, `multipliers` a line of a store.

    lines: of each half of a store. heads: of a layer. rows: of a head whose first pass is not decided yet.
    device: a name of `accelsim.dram` whose banks answer in the bench, or "drawn" for times that are drawn.
    The other numbers are those of the units of the same names.
    """

    head: Head = field(default_factory=lambda: HEADS["eighth"])
    address_bits: int = 34
    beat_bits: int = 256
    channels: int = 2
    ports: int = 4
    slots: int = 64
    position_bits: int = 12
    burst_bits: int = 4
    lanes: int = 32
    widths: tuple[int, ...] = (4, 6, 8, 10, 12)
    lsb_bits: int = 4
    lines: int = 1024
    heads: int = 32
    rows: int = 16
    burst_beats: int = 16
    outstanding: int = 8
    device: str = "drawn"

    def __post_init__(self) -> None:
        multipliers = self.head.multipliers
        if not 2 * self.lanes <= multipliers or multipliers % self.lanes:
            raise ValueError(
                f"lanes must be at most half of head.multipliers ({multipliers}) and divide them, "
                f"not {self.lanes}"
            )
        require_range("heads", self.heads, 1, 256)
        require_range("rows", self.rows, 1, 256)
        for name, bits in (
            ("head.output_lanes x their words", self.head.output_lanes * self.output_word_bits),
            ("head.tree_outputs x words of their sums", self.head.tree_outputs * self.sum_word_bits),
            ("the sum of a head's magnitudes", self.magnitude_bits),
        ):
            if bits > self.beat_bits:
                raise ValueError(f"beat_bits must hold {name}, {bits} bits, not {self.beat_bits}")
        if self.device != "drawn" and self.device not in DEVICES:
            raise ValueError(f"device must be drawn or one of {sorted(DEVICES)}, not {self.device!r}")
        _ = self.fetcher, self.converter, self.store, self.writer, self.map

    @cached_property
    def fetcher(self) -> Fetcher:
        """Tokens to beats."""
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
        """Beats to pieces of vectors."""
        return BitWidthConverter(
            beat_bits=self.beat_bits,
            lanes=self.lanes,
            operand_bits=self.head.operand_bits,
            widths=self.widths,
            lsb_bits=self.lsb_bits,
        )

    @cached_property
    def store(self) -> VectorStore:
        """Pieces to lines: of Q, of K and of V, a store each."""
        return VectorStore(
            banks=self.banks,
            lanes=self.lanes,
            operand_bits=self.head.operand_bits,
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
        """What software sees."""
        return register_map(
            beat_address_bits=self.fetcher.beat_address_bits,
            address_bits=self.address_bits,
            burst_bits=self.burst_bits,
            position_bits=self.position_bits,
            heads=self.heads,
            head=self.head,
            constants=self.constants,
        )

    @property
    def constants(self) -> tuple[Constant, ...]:
        """What a driver must know of the hardware; docs/rtl_driver.md uses them."""
        head = self.head
        return (
            Constant(
                "channels", self.channels, "Ports m_axi_0, m_axi_1, ..., which Q, K and V are dealt to."
            ),
            Constant("beat_bytes", self.beat_bits // 8, "Of every port."),
            Constant("lanes", self.lanes, "Elements of a piece of a vector."),
            Constant("places", head.multipliers, "Of a line of a store: 2^level of them are a vector."),
            Constant("store_lines", self.lines, "Vectors of a head must fit so many lines."),
            Constant("least_level", self.least_level, "The least of level and value_level."),
            Constant("most_tokens", head.keys, "Of the list."),
            Constant("most_heads", self.heads, "Of the list."),
            Constant("widths", sum(1 << width for width in self.widths), "Bit w: elements may have w bits."),
            Constant("output_bits", self.output_word_bits, "Of an output in memory."),
            Constant("output_fraction_bits", head.output_fraction_bits, "Of them, behind V's."),
            Constant("sum_bits", self.sum_word_bits, "Of a token's importance in memory."),
            Constant("probability_fraction_bits", head.form.probability_fraction_bits, "Of an importance."),
        )

    @property
    def banks(self) -> int:
        """Pieces of a line."""
        return self.head.multipliers // self.lanes

    @property
    def least_level(self) -> int:
        """Of the shortest vector, 2^level places: a piece, or what the trees of QxK allow."""
        shortest = self.head.multipliers // self.head.tree_outputs
        return (max(self.lanes, shortest) - 1).bit_length()

    @property
    def vectors(self) -> int:
        """Of a line, at most."""
        return self.head.multipliers >> self.least_level

    @property
    def shift_bits(self) -> int:
        """Of the pieces of a vector, as a power of two."""
        return bits_for((self.banks - 1).bit_length())

    @property
    def lane_level(self) -> int:
        """Level of a vector of one piece."""
        return (self.lanes - 1).bit_length()

    @property
    def head_bits(self) -> int:
        """Of the number of a head."""
        return bits_for(self.heads - 1)

    @property
    def place_bits(self) -> int:
        """Of a place in the list of heads, and of the one behind it."""
        return bits_for(self.heads)

    @property
    def output_word_bits(self) -> int:
        """An output in memory."""
        return word_bits(self.head.product.output_bits)

    @property
    def sum_word_bits(self) -> int:
        """The importance of a token in memory."""
        return word_bits(self.head.importance_bits)

    @property
    def output_groups(self) -> int:
        """Beats of outputs in a beat of memory."""
        return self.beat_bits // (self.head.output_lanes * self.output_word_bits)

    @property
    def sum_groups(self) -> int:
        """Lines of sums in a beat of memory."""
        return self.beat_bits // (self.head.tree_outputs * self.sum_word_bits)

    @property
    def magnitude_bits(self) -> int:
        """Of the importance of a head: of as many rows as a store holds."""
        return self.head.product.magnitude_bits + bits_for(self.head.keys)

    def row_beats(self, value_level: int) -> int:
        """Beats of a row's outputs in memory."""
        return max(1, (self.output_word_bits << value_level) // self.beat_bits)

    def sum_beats(self, tokens: int) -> int:
        """Beats of the importance of all tokens in memory."""
        return -(-tokens // (self.sum_groups * self.head.tree_outputs))

    @property
    def transfer_bits(self) -> int:
        """Of a payload of the write master's requests."""
        return self.writer.port.address_bits + self.writer.count_bits

    @property
    def open_transfers(self) -> int:
        """Transfers without an answer, at most: they wait, one is cut, are under way, one has just ended."""
        return BEATS + 1 + self.outstanding + 1

    @property
    def jobs(self) -> dict[str, Fifo]:
        """What of jobs waits: before the fetcher, its tokens, the converter and the stores."""
        widths = {
            "fetch": self.fetcher.beat_address_bits + REQUEST_FIELDS * self.burst_bits,
            "listing": self.listing.width,
            "conversion": sum(bits for _, bits in FIELDS),
            "route": self.route.width,
        }
        return {name: Fifo(depth=JOBS, bits=bits) for name, bits in widths.items()}

    @property
    def route(self) -> Record:
        """Of a job: what it brings, and how many pieces."""
        return Record(kind=2, pieces=self.store.count_bits)

    @property
    def listing(self) -> Record:
        """Of a job: how many tokens, and where they come from."""
        return Record(count=bits_for(self.head.keys), source=2)

    @property
    def again(self) -> Fifo:
        """Numbers of flat rows: as many as may come."""
        return Fifo(depth=self.rows, bits=LFSR_BITS)

    @property
    def asked(self) -> Fifo:
        """Lines of V that are asked for."""
        return Fifo(depth=REQUESTS, bits=self.head.value_requests.width)

    @property
    def gathering(self) -> Record:
        """Vectors of a line, by their places among those of the head; whether the half is free then."""
        return Record(
            indices=Field(self.head.selection.topk.index_bits, self.vectors),
            count=bits_for(self.vectors),
            releases=1,
        )

    @property
    def memory(self) -> dict[str, Any] | None:
        """The device as plain data (`accelsim.dram.clocked.described`)."""
        if self.device == "drawn":
            return None
        device = DEVICES[self.device]
        return {
            "device": self.device,
            "changes": {"channels": self.channels},
            "clock_hz": float(device.clock_hz),
        }


def word_bits(bits: int) -> int:
    """Of a number in memory: a power of two of bits, a byte at least."""
    return int(max(8, 1 << (bits - 1).bit_length()))


PRESETS = {
    "eighth": Machine(),
    "tiny": Machine(
        head=HEADS["tiny"],
        address_bits=14,
        beat_bits=32,
        ports=2,
        slots=4,
        position_bits=5,
        burst_bits=3,
        lanes=2,
        widths=(2, 3, 5),
        lsb_bits=2,
        lines=16,
        heads=4,
        rows=4,
        burst_beats=4,
        outstanding=2,
    ),
}
