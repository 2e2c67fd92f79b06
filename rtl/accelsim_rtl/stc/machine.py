# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""The machine: GEMMs from memory to memory, told by registers."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, Out

from accelsim.units.stc.machine import Machine as Parameters
from accelsim_rtl.axi.channels import read_channels, write_channels
from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.axi.registers import RegisterFile, connect_slave, slave_channels
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.stc.gemm import Gemm, job_layout
from accelsim_rtl.stc.grouper import Grouper


class Machine(Component):
    """s_axil: registers. m_axi_a, _b, _codes: where the operands are read; m_axi_d: where D is written.

    done: of each job whether the bus refused a line of it, and whether a code of it was none; `valid` serves
    as an interrupt. Probes: running and undefined of the GEMM. A job begins when the one before it has ended,
    all its lines answered, and its `done` is no more than on offer. Throughput: that of the GEMM, if memory
    keeps up.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.gemm = Gemm(parameters)
        self.readers = {name: ReadMaster(parameters.reader(name)) for name in parameters.operands}
        self.writer = WriteMaster(parameters.writer)
        buses = {}
        for name in parameters.operands:
            buses |= read_channels(parameters.reader(name).port, f"m_axi_{name}")
        super().__init__(
            {
                **slave_channels(parameters.map.address_bits),
                **buses,
                **write_channels(parameters.writer.port, "m_axi_d"),
                "done": Out(stream.Signature(done_layout())),
                "running": Out(1),
                "undefined": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile(self.parameters.map)
        m.submodules.gemm = gemm = self.gemm
        connect_slave(m, self, registers)
        m.d.comb += [self.running.eq(gemm.running), self.undefined.eq(gemm.undefined)]

        refused = [self._reads(m, name, registers) for name in self.parameters.operands]
        asks, answered = self._writes(m, registers)
        refused.append(answered & self.writer.done.payload)

        # The job of the registers waits for the one under way.
        pending = Signal()
        begins = Signal()
        kept = Signal(job_layout(self.parameters), reset_less=True)
        with m.If(~pending & registers.control_begin):
            m.d.sync += [pending.eq(1), *self._takes(kept, registers)]
        with m.Elif(begins):
            m.d.sync += pending.eq(0)

        # It ends when all that it wrote is answered.
        busy = Signal()
        ends = Signal()
        failed = Signal()
        unanswered = Signal(range(self.parameters.outstanding + 3))
        free = ~self.done.valid | self.done.ready
        m.d.comb += [
            gemm.jobs.valid.eq(pending & ~busy),
            gemm.jobs.payload.eq(kept),
            begins.eq(gemm.jobs.valid & gemm.jobs.ready),
            ends.eq(busy & gemm.jobs.ready & (unanswered == 0) & free),
        ]
        m.d.sync += [
            unanswered.eq(unanswered + asks - answered),
            busy.eq(begins | (busy & ~ends)),
            failed.eq(~begins & (failed | Cat(refused).any())),
        ]
        with m.If(free):
            m.d.sync += [
                self.done.valid.eq(ends),
                self.done.payload.failed.eq(failed),
                self.done.payload.undefined.eq(gemm.undefined),
            ]

        # What software sees.
        m.d.comb += [
            registers.status_pending.eq(pending),
            registers.status_running.eq(busy),
            registers.status_failed.eq(failed),
            registers.status_undefined.eq(gemm.undefined),
            registers.count_jobs_value.eq(ends),
            registers.count_failed_value.eq(ends & failed),
            registers.count_multiplying_value.eq(gemm.running),
            registers.count_busy_value.eq(busy),
        ]
        return m

    def _takes(self, kept, registers):
        """The registers into the job that waits."""
        fields = {"row_tiles": "tiles_rows", "column_tiles": "tiles_columns", "passes": "depth_passes"}
        fields |= {name: f"{name}_line" for name in (*self.parameters.operands, "d")}
        fields |= {"sparse": "depth_sparse"} if self.parameters.sparse else {}
        return [kept[field].eq(getattr(registers, signal)) for field, signal in fields.items()]

    def _reads(self, m, name, registers):
        """A port for an image; whether a line comes that the bus refused."""
        reader = self.readers[name]
        m.submodules[f"{name}_reader"] = reader
        grouper = Grouper(reader.parameters, self.parameters.together(name))
        m.submodules[f"{name}_grouper"] = grouper
        wiring.connect(m, getattr(self.gemm, f"{name}_reads"), grouper.lines)
        wiring.connect(m, grouper.requests, reader.requests)
        wiring.connect(m, reader.m_axi_ar, wiring.flipped(getattr(self, f"m_axi_{name}_ar")))
        wiring.connect(m, wiring.flipped(getattr(self, f"m_axi_{name}_r")), reader.m_axi_r)
        lines = getattr(self.gemm, f"{name}_lines")
        comes = reader.beats.valid & lines.ready
        m.d.comb += [
            lines.valid.eq(reader.beats.valid),
            lines.payload.eq(reader.beats.payload.data),
            reader.beats.ready.eq(lines.ready),
            getattr(registers, f"count_read_{name}_value").eq(comes),
        ]
        return comes & reader.beats.payload.error

    def _writes(self, m, registers):
        """The port for D: whether a transfer is asked for, and whether one is answered.

        A line waits in a FIFO, because its address goes ahead of it.
        """
        writes, writer = self.gemm.writes, self.writer
        m.submodules.d_writer = writer
        m.submodules.d_grouper = grouper = Grouper(writer.parameters, self.parameters.together("d"))
        m.submodules.d_buffer = buffer = Fifo(self.parameters.buffer)
        wiring.connect(m, grouper.requests, writer.requests)
        wiring.connect(m, buffer.leaving, writer.beats)
        for channel in ("aw", "w"):
            outside = wiring.flipped(getattr(self, f"m_axi_d_{channel}"))
            wiring.connect(m, getattr(writer, f"m_axi_{channel}"), outside)
        wiring.connect(m, wiring.flipped(self.m_axi_d_b), writer.m_axi_b)
        m.d.comb += [
            grouper.lines.valid.eq(writes.valid & buffer.entering.ready),
            grouper.lines.payload.eq(writes.payload.address),
            buffer.entering.valid.eq(writes.valid & grouper.lines.ready),
            buffer.entering.payload.eq(writes.payload.line),
            writes.ready.eq(buffer.entering.ready & grouper.lines.ready),
            writer.done.ready.eq(1),
            registers.count_written_value.eq(writer.m_axi_w.valid & writer.m_axi_w.ready),
        ]
        return grouper.requests.valid & grouper.requests.ready, writer.done.valid


def done_layout():
    """What is told of a job: whether the bus refused a line, and whether a code was none."""
    return data.StructLayout({"failed": 1, "undefined": 1})
