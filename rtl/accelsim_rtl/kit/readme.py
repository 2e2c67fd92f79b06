"""The README.md of a written folder: what each of its files is, and what to do with them."""

from __future__ import annotations

from accelsim_rtl.kit.boards import Board

FILES = {
    "{top}.v": "the Verilog",
    "{top}_axi.v": "the same unit under AMBA's port names (`m_axi_araddr`), where the other has streams; all "
    "of it, so never both in one design",
    "{top}_board.v": "a top for the board: clock, reset, the unit between registers, a light",
    "{top}.xdc": "constraints for Vivado: the clock",
    "{top}.lpf": "constraints for nextpnr: the clock",
    "{top}.vlt": "warnings of `verilator --lint-only -Wall {top}.vlt {top}.v` that are meant, and why",
    "{registers}_registers.h": "the registers for a driver in C or C++: offsets, shifts, masks, a structure",
    "{registers}_registers.md": "the registers for people",
    "project.tcl": "makes a Vivado project in `vivado/`: `vivado -mode batch -source project.tcl`",
    "build.tcl": "the same without a project, to a bitstream: `vivado -mode batch -source build.tcl`",
    "Makefile": "to a bitstream with Yosys and nextpnr: `make`",
    "parameters.json": "parameters, ports, layouts of the payloads, latency, versions",
    "vectors.json": "work and the results that must come out, as numbers, for a design of your own",
    "scenarios.json": "the same work for the bench: see below",
    "test_{top}.py": "the bench: `python test_{top}.py`, or pytest",
    "bench/": "what drives and compares",
    "files.sha256": "what was written, for `sha256sum -c`: another `accelsim verilog` into this folder "
    "replaces or removes only what has not been changed",
}
"""By name; of a name with a brace {registers} is that of the register map."""

BOARD = """
## On the board

{sentence}: {device}, an oscillator of {clock} MHz{divided}. The unit has more ports than the
package has pins, so it stands between registers: a bit of noise goes in, and the light shows a bit of what
comes out. That is for placing, timing and loading it; it computes nothing. A design of your own takes
`{top}.v` and leaves `{top}_board.v` out.
"""


def readme(
    unit: str, sentence: str, top: str, names: list[str], *, registers: str | None, board: Board | None
) -> str:
    """Markdown. names: of the folder's files. registers: name of the register map, if there is one."""
    rows = []
    for pattern, what in FILES.items():
        name = pattern.format(top=top, registers=registers)
        there = any(one.startswith(name) for one in names) if name.endswith("/") else name in names
        if there or pattern == "files.sha256":
            rows.append(f"| `{name}` | {what.format(top=top)} |")
    place = ""
    if board is not None and f"{top}_board.v" in names:
        divided = f", divided by {board.divide}" if board.divide > 1 else ""
        place = BOARD.format(
            sentence=board.sentence,
            device=board.device,
            clock=f"{board.clock_hz / 1e6:g}",
            divided=divided,
            top=top,
        )
    return TEXT.format(unit=unit, sentence=sentence, files="\n".join(rows), board=place, top=top)


TEXT = """# {unit}

{sentence}.

| file | what it is |
|---|---|
{files}

## Ports

`clk`, and `rst`, synchronous and active high: a clock of it is enough. A stream is `valid`, `ready`,
`payload`: a beat passes at a rising clock edge with both high; what is offered stays, unchanged, until it is
taken. A payload is one number, its fields packed as `layouts` in `parameters.json` says, lowest bits first.
{board}
## The bench

It needs Python, cocotb 2 and Icarus Verilog, nothing else:

    pip install "cocotb>=2.0,<3"
    python test_{top}.py

`scenarios.json` is the work of `vectors.json` under idling sources, waiting sinks and a reset in mid-stream.
`idle` and `ready` are used clock by clock, over and over; `rows` are the values of `columns` just before
every rising edge, from the first clock after reset (null: not compared); `cycles` counts from there to the
last expected beat.
"""
