"""Registers as software writes them: payloads of an AXI4-Lite port, and what they leave behind."""

from __future__ import annotations

from accelsim.units.registers import WORD_BITS, RegisterMap
from accelsim_rtl.kit.unit import Transaction

ALL_BYTES = 15


def write(registers: RegisterMap, register: str, **fields: int) -> list[tuple[int, int]]:
    """Address and value of all words of a register; fields that are not named are 0."""
    found = next(one for one in registers.registers if one.name == register)
    value = sum(fields.pop(field.name, 0) << place for field, place in found.places())
    if fields:
        raise ValueError(f"register {register} must have the field {next(iter(fields))!r}")
    first = registers.offsets[register]
    return [
        (first + 4 * word, value >> WORD_BITS * word & (1 << WORD_BITS) - 1) for word in range(found.words)
    ]


def beats(words: list[tuple[int, int]]) -> Transaction:
    """Beats of the channels of address and data."""
    return {
        "s_axil_aw": [address for address, _ in words],
        "s_axil_w": [value | ALL_BYTES << WORD_BITS for _, value in words],
    }


class Written:
    """What has been written; a register is read whole, whoever wrote its words."""

    def __init__(self, registers: RegisterMap) -> None:
        self._map = registers
        self._registers = {one.name: one for one in registers.registers}
        self._words: dict[int, int] = {}

    def put(self, address: int, payload: int) -> str | None:
        """A word, as a beat of data; the register whose last word it is, if it is one."""
        self._words[address] = payload & (1 << WORD_BITS) - 1
        for name, register in self._registers.items():
            if self._map.offsets[name] + 4 * (register.words - 1) == address:
                return name
        return None

    def value(self, register: str, field: str) -> int:
        """Of a field."""
        first, one = self._map.offsets[register], self._registers[register]
        whole = sum(self._words.get(first + 4 * word, 0) << WORD_BITS * word for word in range(one.words))
        found, place = next((each, place) for each, place in one.places() if each.name == field)
        return whole >> place & (1 << found.bits) - 1
