"""Payloads by their fields: what a model packs and a component lays out, from one list of fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accelsim.units.step import pack, unpack


@dataclass(frozen=True)
class Field:
    """`bits` of a number, or of each of `count` numbers side by side; two's complement if `signed`."""

    bits: int
    count: int | None = None
    signed: bool = False

    @property
    def width(self) -> int:
        """Of all of it."""
        return self.bits * (1 if self.count is None else self.count)


class Record:
    """Fields of a payload, the first one lowest."""

    def __init__(self, **fields: Field | int) -> None:
        self.fields = {
            name: field if isinstance(field, Field) else Field(field) for name, field in fields.items()
        }

    @property
    def width(self) -> int:
        """Bits of the payload."""
        return sum(field.width for field in self.fields.values())

    def pack(self, **values: int | Sequence[int]) -> int:
        """A payload. Every field has a value, of an array no more than it holds: the others are zero."""
        payload = place = 0
        for name, field in self.fields.items():
            value = values.pop(name)
            mask = (1 << field.bits) - 1
            numbers = [value] if isinstance(value, int) else value
            payload |= pack([number & mask for number in numbers], field.bits) << place
            place += field.width
        if values:
            raise ValueError(f"a payload of {list(self.fields)} has no field {next(iter(values))!r}")
        return payload

    def unpack(self, payload: int) -> dict[str, Any]:
        """The fields of a payload: integers, and lists of them."""
        values: dict[str, Any] = {}
        for name, field in self.fields.items():
            numbers = unpack(payload, field.bits, 1 if field.count is None else field.count)
            if field.signed:
                sign = 1 << (field.bits - 1)
                numbers = [(number ^ sign) - sign for number in numbers]
            values[name] = numbers[0] if field.count is None else numbers
            payload >>= field.width
        return values

    def field_of(self, payload: int, name: str) -> int:
        """One number of a payload, as bits, without reading the others."""
        place = 0
        for other, field in self.fields.items():
            if other == name:
                return payload >> place & ((1 << field.width) - 1)
            place += field.width
        raise KeyError(name)


def bits_for(most: int) -> int:
    """Of a number from 0 to `most`, at least one."""
    return max(1, most.bit_length())
