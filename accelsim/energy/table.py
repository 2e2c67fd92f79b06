"""What one multiplication, addition or memory access costs, in pJ and square micrometres.

The entries are those of Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014,
at 45 nm and 0.9 V; everything between and around them follows by the rules below, and is scaled to the
machine's node. Each entry can be set: `--set energy.multiply_fp16_pj=1.5`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from accelsim.energy import scaling

TABLE_NM, TABLE_VOLTS = 45.0, 0.9
SRAM_WORD_BITS = 64
SRAM_SIZES = (8 << 10, 32 << 10, 1 << 20)
# Bits of the significand, the hidden one included: what a multiplier multiplies.
SIGNIFICANDS = {"fp32": 24.0, "tf32": 11.0, "fp16": 11.0, "bf16": 8.0, "fp8": 4.0}

Fabric = Literal["asic", "fpga"]


class Cost(NamedTuple):
    """One event in pJ, and the area of what it happens in, in square micrometres."""

    pj: float
    um2: float

    def times(self, factor: float) -> Cost:
        """So many of them side by side, each working at once."""
        return Cost(self.pj * factor, self.um2 * factor)


@dataclass(frozen=True, kw_only=True)
class Energy:
    """The table, and the node and voltage that it is scaled to (`accelsim.energy.scaling`).

    Between the widths of the table, costs follow the power law through its two entries; floating point counts
    significand bits. `sram_*_pj`: a 64-bit access, by size likewise. An access of w bits takes
    `sram_fixed_share` + (1 - `sram_fixed_share`) w / 64 of it: decoder and word line do not grow (a choice).
    `sram_bit_um2`: 45 nm cell (Intel, IEDM 2007); `sram_efficiency`: the cells' share of the area.
    `wire_pj_per_bit_mm`: 310 pJ for 256 bits over 10 mm at 40 nm (Keckler et al., IEEE Micro 2011), at
    45 nm. `register_bit_pj`, `register_bit_um2`: a clocked flip-flop, 9 fJ and 6 um2 at 40 nm (Aladdin,
    Shao et al., ISCA 2014), at 45 nm. `fabric` fpga: logic takes `fpga_factor` times the energy of an ASIC
    in designs with DSP and memory blocks (Kuon and Rose, IEEE TCAD 2007), and has no area.
    """

    node_nm: float = TABLE_NM
    volts: float = TABLE_VOLTS
    fabric: Fabric = "asic"
    fpga_factor: float = 7.1
    add_int8_pj: float = 0.03
    add_int32_pj: float = 0.1
    multiply_int8_pj: float = 0.2
    multiply_int32_pj: float = 3.1
    add_fp16_pj: float = 0.4
    add_fp32_pj: float = 0.9
    multiply_fp16_pj: float = 1.1
    multiply_fp32_pj: float = 3.7
    sram_8kib_pj: float = 10.0
    sram_32kib_pj: float = 20.0
    sram_1mib_pj: float = 100.0
    sram_fixed_share: float = 0.5
    wire_pj_per_bit_mm: float = 0.14
    register_bit_pj: float = 0.0104
    add_int8_um2: float = 36.0
    add_int32_um2: float = 137.0
    multiply_int8_um2: float = 282.0
    multiply_int32_um2: float = 3495.0
    add_fp16_um2: float = 1360.0
    add_fp32_um2: float = 4184.0
    multiply_fp16_um2: float = 1640.0
    multiply_fp32_um2: float = 7700.0
    register_bit_um2: float = 7.5
    sram_bit_um2: float = 0.346
    sram_efficiency: float = 0.6

    def __post_init__(self) -> None:
        for name in [field.name for field in fields(self) if field.name != "fabric"]:
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"energy.{name} must be > 0, not {getattr(self, name)}")
        _within("node_nm", self.node_nm, scaling.SMALLEST, scaling.LARGEST)
        _within("volts", self.volts, scaling.LOWEST_VOLTS, scaling.HIGHEST_VOLTS)
        for name in ("sram_fixed_share", "sram_efficiency"):
            _within(name, getattr(self, name), 0, 1)
        if self.fabric not in ("asic", "fpga"):
            raise ValueError(f"energy.fabric must be asic or fpga, not {self.fabric!r}")

    def add(self, dtype: str) -> Cost:
        """An addition (or a comparison) of two `dtype`: fp32, fp16, bf16, tf32, fp8 or intN."""
        return self._scaled(self._of("add", dtype))

    def multiply(self, dtype: str) -> Cost:
        """A multiplication of two `dtype`."""
        return self._scaled(self._of("multiply", dtype))

    def register(self, bits: int) -> Cost:
        """A register of `bits` that takes a new value."""
        return self._scaled(Cost(self.register_bit_pj * bits, self.register_bit_um2 * bits))

    def sram(self, size_bytes: int, width_bits: int, banks: int = 1) -> Cost:
        """One access of `width_bits` to a memory of `size_bytes`; the area is that of the whole memory.

        Only the bank that is meant works; its data then cross half the side of the whole memory.
        """
        share = self.sram_fixed_share + (1 - self.sram_fixed_share) * width_bits / SRAM_WORD_BITS
        um2 = 8 * size_bytes * self.sram_bit_um2 / self.sram_efficiency
        wires = self.wire_pj_per_bit_mm * width_bits * math.sqrt(um2) / 2e3 if banks > 1 else 0.0
        return self._scaled(Cost(self._sram_word(size_bytes / banks) * share + wires, um2), is_memory=True)

    def assumptions(self) -> tuple[str, ...]:
        """What the figures rest on, for the report."""
        node = f"{self.node_nm:g} nm, {self.volts:g} V"
        fabric = f", logic times {self.fpga_factor:g} for an FPGA" if self.fabric == "fpga" else ""
        return (
            f"energy of operations and SRAM: 45 nm table (ISSCC 2014) scaled to {node}{fabric} (energy.*)",
            "energy is that of counted events: no leakage, clock tree, control, crossbars or pads",
        )

    def _of(self, operation: str, dtype: str) -> Cost:
        """By the power of the width through the two entries of its kind."""
        whole = re.fullmatch(r"int(\d+)", dtype)
        if whole:
            width, widths, names = float(whole[1]), (8.0, 32.0), ("int8", "int32")
        elif dtype in SIGNIFICANDS:
            width, names = SIGNIFICANDS[dtype], ("fp16", "fp32")
            widths = SIGNIFICANDS["fp16"], SIGNIFICANDS["fp32"]
        else:
            raise ValueError(f"energy knows intN and {', '.join(SIGNIFICANDS)}, not {dtype!r}")

        def cost(unit: str) -> float:
            low, high = (getattr(self, f"{operation}_{name}_{unit}") for name in names)
            return _power(width, widths, (low, high))

        return Cost(cost("pj"), cost("um2"))

    def _sram_word(self, size_bytes: float) -> float:
        """A 64-bit access; outside the table the nearer pair goes on."""
        small, middle, large = SRAM_SIZES
        if size_bytes <= middle:
            return _power(size_bytes, (small, middle), (self.sram_8kib_pj, self.sram_32kib_pj))
        return _power(size_bytes, (middle, large), (self.sram_32kib_pj, self.sram_1mib_pj))

    def _scaled(self, cost: Cost, *, is_memory: bool = False) -> Cost:
        energy = scaling.energy_factor(self.node_nm, self.volts, TABLE_NM, TABLE_VOLTS)
        # Block memories of an FPGA are memories like any other.
        if self.fabric == "fpga" and not is_memory:
            energy *= self.fpga_factor
        return Cost(cost.pj * energy, cost.um2 * scaling.area_factor(self.node_nm, TABLE_NM))


def _power(at: float, points: tuple[float, float], values: tuple[float, float]) -> float:
    """The power law through two points."""
    (left, right), (low, high) = points, values
    return float(low * (at / left) ** (math.log(high / low) / math.log(right / left)))


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"energy.{name} must be {least:g}..{most:g}, not {value:g}")
