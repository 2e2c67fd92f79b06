"""What others need of a register map: a C header for a driver, and a page for people."""

from __future__ import annotations

from collections.abc import Iterator

from accelsim.units.registers import Field, Register, RegisterMap

MEANINGS = {
    "rw": "read and write",
    "ro": "read only",
    "pulse": "write 1: high for a clock; reads 0",
    "counter": "counts, wraps; any write sets it to 0",
}


def c_header(registers: RegisterMap) -> str:
    """Numbers of the hardware, offsets, shifts and masks as macros, and a structure of the same layout.

    C99 and C++11.
    """
    prefix = registers.name.upper()
    lines = [
        f"/* {registers.sentence} Registers of 32 bits, little-endian; made from their description. */",
        f"#ifndef {prefix}_REGISTERS_H",
        f"#define {prefix}_REGISTERS_H",
        "#include <stdint.h>",
        "",
    ]
    for constant in registers.constants:
        value = f"{constant.value}u /* {constant.sentence} */"
        lines.append(f"#define {prefix}_{constant.name.upper()} {value}")
    lines += [""] if registers.constants else []
    for register in registers.registers:
        name = f"{prefix}_{register.name.upper()}"
        lines.append(f"#define {name}_OFFSET 0x{registers.offsets[register.name]:02x}u")
        suffix = "u" if register.words == 1 else "ull"
        for field, place in register.places():
            mask = ((1 << field.bits) - 1) << place
            note = f" /* {field.sentence} */" if field.sentence else ""
            lines += [
                f"#define {name}_{field.name.upper()}_SHIFT {place}{note}",
                f"#define {name}_{field.name.upper()}_MASK 0x{mask:x}{suffix}",
            ]
    lines += [f"#define {prefix}_BYTES {4 * len(registers.words)}u", "", "typedef struct {"]
    lines += [f"    {line}" for line in _members(registers)]
    lines += [f"}} {registers.name}_registers;", "", "#endif", ""]
    return "\n".join(lines)


def _members(registers: RegisterMap) -> Iterator[str]:
    """Members of the structure: a register of two words is two of them, for no bus moves both at once."""
    for register in registers.registers:
        note = f" /* {register.sentence} */" if register.sentence else ""
        # Software must not write what only hardware changes; `const` would forbid the others of a register.
        only = all(field.access == "ro" for field in register.fields)
        kind = "const volatile uint32_t" if only else "volatile uint32_t"
        size = f"[{register.words}]" if register.words > 1 else ""
        yield f"{kind} {register.name}{size};{note}"


def markdown(registers: RegisterMap) -> str:
    """A table of registers and their fields."""
    lines = [
        f"# Registers of `{registers.name}`",
        "",
        registers.sentence,
        "",
        "Words of 32 bits behind an AXI4-Lite port. A register of more bits is two words, the lower one",
        "first. What is not named reads 0; beyond the last word the answer is an error.",
        "",
        "| offset | register | bits | field | access | reset | |",
        "|---|---|---|---|---|---|---|",
    ]
    for register in registers.registers:
        for number, (field, place) in enumerate(register.places()):
            lines.append(_row(registers, register, field, place, first=number == 0))
    if registers.constants:
        lines += ["", "| of the hardware | | |", "|---|---|---|"]
        lines += [f"| `{name}` | {value} | {sentence} |" for name, value, sentence in registers.constants]
    return "\n".join([*lines, ""])


def _row(registers: RegisterMap, register: Register, field: Field, place: int, *, first: bool) -> str:
    bits = str(place) if field.bits == 1 else f"{place + field.bits - 1}..{place}"
    offset = f"0x{registers.offsets[register.name]:02x}" if first else ""
    name = f"`{register.name}`" if first else ""
    sentence = " ".join(filter(None, (register.sentence if first else "", field.sentence)))
    reset = f"0x{field.reset:x}"
    return (
        f"| {offset} | {name} | {bits} | `{field.name}` | {MEANINGS[field.access]} | {reset} | {sentence} |"
    )
