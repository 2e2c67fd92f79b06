"""The controller: fetches jobs from a list in memory and lets them run one after the other."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.sat.jobs import SCHEDULE_BITS
from accelsim.units.sat.machine import COUNT_BITS, JOB_BITS
from accelsim.units.sat.machine import Machine as Parameters
from accelsim.units.sat.model import STATES
from accelsim_rtl.sat.engine import lines_layout


class Controller(Component):
    """starts: with `first` and `count`, of the list; lost while it is busy.

    requests: the lines of a job; arrives, line, last: they come. job: its bits, `updates`: of an update.
    begins: it begins in this clock; ended: it has written all. done: of each job whether something `failed`.
    Probe: state. Latency: three clocks a job beside its lines and its work.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(
            {
                "starts": In(1),
                "first": In(parameters.line_address_bits),
                "count": In(COUNT_BITS),
                "requests": Out(stream.Signature(lines_layout())),
                "arrives": In(1),
                "line": In(parameters.line_bits),
                "last": In(1),
                "failed": In(1),
                "ended": In(1),
                "begins": Out(1),
                "runs": Out(1),
                "job": Out(JOB_BITS),
                "updates": Out(1),
                "done": Out(stream.Signature(1)),
                "state": Out(range(len(STATES))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        following, left = Signal(parameters.line_address_bits), Signal(COUNT_BITS)
        lines = Signal(parameters.job_lines * parameters.line_bits, reset_less=True)
        failed = Signal()
        m.d.comb += [
            self.requests.payload.first.eq(following),
            self.requests.payload.count.eq(parameters.job_lines),
            self.job.eq(lines),
            self.done.payload.eq(failed),
        ]
        # What is told stays as it is; nothing is under way then.
        with m.If(self.failed & ~self.done.valid):
            m.d.sync += failed.eq(1)
        with m.FSM():
            with m.State("idle"), m.If(self.starts & (self.count != 0)):
                m.d.sync += [following.eq(self.first), left.eq(self.count)]
                m.next = "ask"
            with m.State("ask"):
                m.d.comb += [self.state.eq(STATES.index("ask")), self.requests.valid.eq(1)]
                with m.If(self.requests.ready):
                    m.next = "read"
            with m.State("read"):
                m.d.comb += self.state.eq(STATES.index("read"))
                with m.If(self.arrives):
                    # Line by line from above; the first one ends lowest.
                    m.d.sync += lines.eq(Cat(lines, self.line)[parameters.line_bits :])
                    with m.If(self.last):
                        m.next = "begin"
            with m.State("begin"):
                m.d.comb += [self.state.eq(STATES.index("begin")), self.begins.eq(1)]
                m.d.sync += self.updates.eq(lines[SCHEDULE_BITS])
                m.next = "run"
            with m.State("run"):
                m.d.comb += [self.state.eq(STATES.index("run")), self.runs.eq(1)]
                with m.If(self.ended):
                    m.next = "done"
            with m.State("done"):
                m.d.comb += [self.state.eq(STATES.index("done")), self.done.valid.eq(1)]
                with m.If(self.done.ready):
                    m.d.sync += [
                        left.eq(left - 1),
                        following.eq(following + parameters.job_lines),
                        failed.eq(0),
                    ]
                    with m.If(left == 1):
                        m.next = "idle"
                    with m.Else():
                        m.next = "ask"
        return m
