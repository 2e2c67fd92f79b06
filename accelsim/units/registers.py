"""Registers behind an AXI4-Lite port: what there is, described once, and its clocks.

The description makes the hardware, this model of it, a C header and a page for people. A register is one word
of 32 bits or two; a field lies behind those before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from accelsim.units.step import Row

WORD_BITS, WORD_BYTES = 32, 4
LARGEST_REGISTER_BITS = 64
SLAVE_ERROR = 2

Access = Literal["rw", "ro", "pulse", "counter"]
"""rw: software writes it. ro: hardware says what it is. pulse: a 1 that is written is high for one clock.

counter: goes up by one in every clock in which hardware says so, wraps, and is 0 after any write.
"""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Neighbouring bits of a register with one meaning; `reset` is their value after a reset."""

    name: str
    bits: int = 1
    access: Access = "rw"
    reset: int = 0
    sentence: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not 1 <= self.bits <= LARGEST_REGISTER_BITS:
            raise ValueError(
                f"field {self.name}: bits must be from 1 to {LARGEST_REGISTER_BITS}, not {self.bits}"
            )
        if not 0 <= self.reset < 1 << self.bits:
            raise ValueError(f"field {self.name}: reset must fit {self.bits} bits, not {self.reset}")
        if self.access != "rw" and self.reset:
            raise ValueError(
                f"field {self.name}: reset must be 0 of one that is {self.access}, not {self.reset}"
            )


@dataclass(frozen=True, kw_only=True)
class Register:
    """Fields, the first one lowest."""

    name: str
    fields: tuple[Field, ...]
    sentence: str = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not 1 <= self.bits <= LARGEST_REGISTER_BITS:
            raise ValueError(
                f"register {self.name}: fields must have 1 to {LARGEST_REGISTER_BITS} bits, not {self.bits}"
            )

    @property
    def bits(self) -> int:
        """Of all fields."""
        return sum(field.bits for field in self.fields)

    @property
    def words(self) -> int:
        """Words of 32 bits."""
        return -(-self.bits // WORD_BITS)

    def places(self) -> Iterator[tuple[Field, int]]:
        """Each field with its lowest bit."""
        place = 0
        for field in self.fields:
            yield field, place
            place += field.bits


class Part(NamedTuple):
    """Bits of a field that lie in one word: `bits` from its bit `first` on, at bit `place` of the word."""

    register: Register
    field: Field
    first: int
    place: int
    bits: int

    @property
    def signal(self) -> str:
        """Of the field, as hardware names it."""
        return signal_of(self.register, self.field)


def signal_of(register: Register, field: Field) -> str:
    """How hardware names a field."""
    return f"{register.name}_{field.name}"


class Constant(NamedTuple):
    """A number of the hardware that its driver needs, beside the registers."""

    name: str
    value: int
    sentence: str


@dataclass(frozen=True, kw_only=True)
class RegisterMap:
    """Registers one behind the other from offset 0 on. `name` begins all names of the C header."""

    name: str
    sentence: str
    registers: tuple[Register, ...]
    constants: tuple[Constant, ...] = ()

    def __post_init__(self) -> None:
        _check_name(self.name)
        names = [register.name for register in self.registers]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"map {self.name}: registers must have names of their own, not {names}")
        fields = [signal_of(register, field) for register, field in self.fields()]
        if len(set(fields)) != len(fields):
            raise ValueError(f"map {self.name}: fields must have names of their own, not {sorted(fields)}")
        for constant in self.constants:
            _check_name(constant.name)

    def fields(self) -> Iterator[tuple[Register, Field]]:
        """All fields with their registers."""
        for register in self.registers:
            for field in register.fields:
                yield register, field

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Byte offset of each register."""
        offsets, word = {}, 0
        for register in self.registers:
            offsets[register.name] = word * WORD_BYTES
            word += register.words
        return offsets

    @cached_property
    def words(self) -> list[list[Part]]:
        """What lies in each word."""
        words: list[list[Part]] = []
        for register in self.registers:
            own: list[list[Part]] = [[] for _ in range(register.words)]
            for field, lowest in register.places():
                first = 0
                while first < field.bits:
                    word, place = divmod(lowest + first, WORD_BITS)
                    bits = min(field.bits - first, WORD_BITS - place)
                    own[word].append(Part(register, field, first, place, bits))
                    first += bits
            words += own
        return words

    @property
    def address_bits(self) -> int:
        """Of a port that reaches every word."""
        return max(1, (len(self.words) - 1).bit_length()) + 2


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a name must be small letters, digits and _, not {name!r}")


class Slave:
    """The registers clock by clock, for the model of whatever has them; `port` names the streams of the bus.

    A write is taken when address and data are both there, one a clock; it is answered, and a read is, in the
    clock behind. values: of fields that are rw or counters, by signal. pulses: those that are high now.
    """

    def __init__(self, registers: RegisterMap, port: str = "s_axil") -> None:
        self.map, self._port = registers, port
        self.values = {
            signal_of(register, field): field.reset
            for register, field in registers.fields()
            if field.access in ("rw", "counter")
        }
        self.pulses: set[str] = set()
        self._answer: int | None = None
        self._read: int | None = None

    def step(self, inputs: Mapping[str, int], shown: Mapping[str, int], counts: Collection[str]) -> Row:
        """One clock: the rows of the bus. shown: what `ro` fields are; counts: counters that go up."""
        port = self._port
        takes = bool(
            inputs[f"{port}_aw_valid"]
            and inputs[f"{port}_w_valid"]
            and (self._answer is None or inputs[f"{port}_b_ready"])
        )
        reads = self._read is None or bool(inputs[f"{port}_r_ready"])
        row = {
            f"{port}_aw_ready": int(takes),
            f"{port}_w_ready": int(takes),
            f"{port}_b_valid": int(self._answer is not None),
            f"{port}_b_payload": self._answer or 0,
            f"{port}_ar_ready": int(reads),
            f"{port}_r_valid": int(self._read is not None),
            f"{port}_r_payload": self._read or 0,
        }
        if reads:
            asked = inputs[f"{port}_ar_valid"]
            self._read = self._word(inputs[f"{port}_ar_payload"] >> 2, shown) if asked else None
        if inputs[f"{port}_b_ready"]:
            self._answer = None
        self.pulses = set()
        for signal in counts:
            self.values[signal] += 1
        if takes:
            payload = inputs[f"{port}_w_payload"]
            self._answer = self._write(inputs[f"{port}_aw_payload"] >> 2, payload)
        for register, field in self.map.fields():
            if field.access == "counter":
                self.values[signal_of(register, field)] &= (1 << field.bits) - 1
        return row

    def _word(self, word: int, shown: Mapping[str, int]) -> int:
        """A payload of `r`."""
        if word >= len(self.map.words):
            return SLAVE_ERROR << WORD_BITS
        found = 0
        for part in self.map.words[word]:
            value = self.values.get(part.signal, shown.get(part.signal, 0))
            found |= (value >> part.first & (1 << part.bits) - 1) << part.place
        return found

    def _write(self, word: int, payload: int) -> int:
        """What a write does; gives a payload of `b`."""
        if word >= len(self.map.words):
            return SLAVE_ERROR
        strobes = payload >> WORD_BITS
        mask = sum(255 << 8 * byte for byte in range(WORD_BYTES) if strobes >> byte & 1)
        for part in self.map.words[word]:
            ones = (1 << part.bits) - 1
            written, bits = payload >> part.place & ones, mask >> part.place & ones
            if part.field.access == "rw":
                kept = self.values[part.signal] & ~(bits << part.first)
                self.values[part.signal] = kept | (written & bits) << part.first
            elif part.field.access == "counter":
                self.values[part.signal] = 0
            elif part.field.access == "pulse" and written & bits:
                self.pulses.add(part.signal)
        return 0
