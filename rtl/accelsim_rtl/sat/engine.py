"""What the two engines of the machine share with the masters around them."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from accelsim.units.sat.jobs import LINE_ADDRESS_BITS
from accelsim.units.sat.machine import COUNT_BITS, JOB_BITS, Machine
from accelsim_rtl.walker import Walker

TARGET_BITS = 2


def engine_members(parameters: Machine):
    """begins: a job, whose bits `job` stay while it is under way.

    requests: lines to be read, for the buffer `target`; lines that were asked for always have room.
    arrives, target, line, last: one of them comes. writes: lines to be written; lines: the lines.
    """
    return {
        "begins": In(1),
        "job": In(JOB_BITS),
        "requests": Out(stream.Signature(request_layout())),
        "arrives": In(1),
        "target": In(TARGET_BITS),
        "line": In(parameters.line_bits),
        "last": In(1),
        "writes": Out(stream.Signature(lines_layout())),
        "lines": Out(stream.Signature(parameters.line_bits)),
    }


def lines_layout():
    """`count` lines from line `first` on."""
    return data.StructLayout({"first": LINE_ADDRESS_BITS, "count": COUNT_BITS})


def request_layout():
    """Lines for a buffer."""
    return data.StructLayout({"lines": lines_layout(), "target": TARGET_BITS})


def walker(m, name, base, levels, begins):
    """A walk that begins with the job. levels: (count, stride), the innermost first."""
    m.submodules[f"{name}_walker"] = made = Walker(len(levels), COUNT_BITS, LINE_ADDRESS_BITS)
    m.d.comb += [made.begins.eq(begins), made.base.eq(base)]
    for level, (count, stride) in enumerate(levels):
        m.d.comb += [
            getattr(made, f"count_{level}").eq(count),
            getattr(made, f"stride_{level}").eq(stride),
        ]
    return made
