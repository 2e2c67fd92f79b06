"""Constraints for a clock: of boards whose clock pins are known, or of none.

Pins, devices and oscillators are those of amaranth-boards (`ecp5_5g_evn.py`, `ulx3s.py`, `arty_a7.py`,
`kcu105.py`) and of the boards' XDC files in verilog-ethernet (VCU1525 and Alveo U200: oscillator of the first
memory). Only the clock is placed, and a light where a project is written (`kit.project`): a unit has more
ports than a package has pins, and belongs into a design.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.words import unknown

CLOCK_HZ = 200_000_000
"""What the units are built for; a constraint, not a promise."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board by the pins of its oscillator: one, or (positive, negative) of a differential pair."""

    sentence: str
    device: str
    clock_hz: int
    pins: tuple[str, ...]
    standard: str
    format: str  # "lpf" or "xdc"
    light: tuple[str, str] | None = None  # pin and standard of a light
    divide: int = 1  # of the oscillator for the unit in a project, by a BUFGCE_DIV of UltraScale

    @property
    def ports(self) -> tuple[str, ...]:
        """Ports of the design that the pins belong to."""
        return ("clk",) if len(self.pins) == 1 else ("clk_p", "clk_n")


BOARDS = {
    "ecp5_evn": Board(
        sentence="Lattice ECP5 evaluation board",
        device="LFE5UM5G-85F-8BG381",
        clock_hz=12_000_000,
        pins=("A10",),
        standard="LVCMOS33",
        format="lpf",
    ),
    "ulx3s": Board(
        sentence="Radiona ULX3S",
        device="LFE5U-85F-6BG381",
        clock_hz=25_000_000,
        pins=("G2",),
        standard="LVCMOS33",
        format="lpf",
        light=("B2", "LVCMOS33"),
    ),
    "arty_a7": Board(
        sentence="Digilent Arty A7",
        device="xc7a35ticsg324-1L",
        clock_hz=100_000_000,
        pins=("E3",),
        standard="LVCMOS33",
        format="xdc",
    ),
    "kcu105": Board(
        sentence="Xilinx KCU105",
        device="xcku040-ffva1156-2-e",
        clock_hz=125_000_000,
        pins=("G10", "F10"),
        standard="LVDS",
        format="xdc",
        light=("AP8", "LVCMOS18"),
    ),
    "vcu1525": Board(
        sentence="Xilinx VCU1525",
        device="xcvu9p-fsgd2104-2L-e",
        clock_hz=300_000_000,
        pins=("AY37", "AY38"),
        standard="LVDS",
        format="xdc",
        light=("BC21", "LVCMOS12"),
        divide=2,  # 300 MHz is more than the units are built for
    ),
    "u200": Board(
        sentence="Xilinx Alveo U200",
        device="xcu200-fsgd2104-2-e",
        clock_hz=300_000_000,
        pins=("AY37", "AY38"),
        standard="LVDS",
        format="xdc",
    ),
}


def find(name: str) -> Board:
    """The board of a name. Raises ValueError, with the nearest name, if there is none."""
    if name not in BOARDS:
        raise ValueError(unknown("--board", name, BOARDS))
    return BOARDS[name]


def constraints(board: Board | None) -> tuple[str, str]:
    """Suffix and text of the constraint file; without a board, the wished clock alone."""
    if board is None:
        return "xdc", f"create_clock -name clk -period {1e9 / CLOCK_HZ:.3f} [get_ports clk]\n"
    lines = [f"# {board.sentence}, {board.device}: its {board.clock_hz / 1e6:g} MHz oscillator"]
    if len(board.pins) == 2:
        buffer = "BUFG" if board.divide == 1 else f"a BUFGCE_DIV by {board.divide}"
        lines.append(f"# the unit's clk comes from clk_p and clk_n through IBUFDS and {buffer}")
    if board.format == "lpf":
        (pin,), (port,) = board.pins, board.ports
        lines += [
            f'LOCATE COMP "{port}" SITE "{pin}";',
            f'IOBUF PORT "{port}" IO_TYPE={board.standard};',
            f'FREQUENCY PORT "{port}" {board.clock_hz / 1e6:g} MHZ;',
        ]
        if board.light is not None:
            pin, standard = board.light
            lines += [f'LOCATE COMP "light" SITE "{pin}";', f'IOBUF PORT "light" IO_TYPE={standard};']
    else:
        lines += [
            f"set_property -dict {{PACKAGE_PIN {pin} IOSTANDARD {board.standard}}} [get_ports {port}]"
            for pin, port in zip(board.pins, board.ports, strict=True)
        ]
        period = f"{1e9 / board.clock_hz:.3f}"
        lines.append(f"create_clock -name clk -period {period} [get_ports {board.ports[0]}]")
        if board.light is not None:
            pin, standard = board.light
            lines += [
                f"set_property -dict {{PACKAGE_PIN {pin} IOSTANDARD {standard}}} [get_ports light]",
                "set_false_path -to [get_ports light]",
            ]
    return board.format, "\n".join(lines) + "\n"
