# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""The machine: registers, the controller that runs a list of jobs, two engines, and the way to memory."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import Component, Out

from accelsim.units.sat.jobs import SCHEDULE_BITS
from accelsim.units.sat.machine import Machine as Parameters
from accelsim.units.sat.model import STATES
from accelsim_rtl.axi.channels import read_channels, write_channels
from accelsim_rtl.axi.read_master import ReadMaster
from accelsim_rtl.axi.registers import RegisterFile, connect_slave, slave_channels
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.sat.controller import Controller
from accelsim_rtl.sat.engine import TARGET_BITS
from accelsim_rtl.sat.products import Products
from accelsim_rtl.sat.updates import Updates


class Machine(Component):
    """s_axil: registers. m_axi: memory. done: of each job, 1 if memory answered something with an error.

    Probes: state (of the controller), works (the array does not wait), infinite (a gradient was Inf or NaN).
    Throughput: that of the array or of the port, whichever is slower; a job waits for all writes of the last.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.reader, self.writer = ReadMaster(parameters.reader), WriteMaster(parameters.writer)
        super().__init__(
            {
                **slave_channels(parameters.map.address_bits),
                "done": Out(stream.Signature(1)),
                **read_channels(parameters.reader.port, "m_axi"),
                **write_channels(parameters.writer.port, "m_axi"),
                "state": Out(range(len(STATES))),
                "works": Out(1),
                "infinite": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.registers = registers = RegisterFile(parameters.map)
        m.submodules.controller = controller = Controller(parameters)
        m.submodules.reader = reader = self.reader
        m.submodules.writer = writer = self.writer
        m.submodules.products = products = Products(parameters)
        m.submodules.updates = updates = Updates(parameters)
        connect_slave(m, self, registers)
        wiring.connect(m, controller.done, wiring.flipped(self.done))
        for name in ("ar", "aw", "w"):
            master = reader if name == "ar" else writer
            outside = wiring.flipped(getattr(self, f"m_axi_{name}"))
            wiring.connect(m, getattr(master, f"m_axi_{name}"), outside)
        wiring.connect(m, wiring.flipped(self.m_axi_r), reader.m_axi_r)
        wiring.connect(m, wiring.flipped(self.m_axi_b), writer.m_axi_b)

        engines = {0: products, 1: updates}
        self._reads(m, controller, reader, engines)
        self._writes(m, controller, writer, engines)
        wrong = reader.beats.valid & reader.beats.payload.error
        failed = wrong | (writer.done.valid & writer.done.payload)
        busy = controller.state != STATES.index("idle")
        m.d.comb += [
            controller.starts.eq(registers.control_start),
            controller.first.eq(registers.list_line),
            controller.count.eq(registers.jobs_count),
            controller.failed.eq(failed),
            *(
                engine.begins.eq(controller.begins & (controller.job[SCHEDULE_BITS] == kind))
                for kind, engine in engines.items()
            ),
            *(engine.job.eq(controller.job) for engine in engines.values()),
            self.state.eq(controller.state),
            self.works.eq(products.works),
            self.infinite.eq(updates.infinite),
            registers.status_busy.eq(busy),
            registers.status_infinite.eq(updates.infinite),
            registers.count_jobs_value.eq(self.done.valid & self.done.ready),
            registers.count_errors_value.eq(failed),
            registers.count_folds_value.eq(products.folds),
            registers.count_works_value.eq(products.works),
            registers.count_busy_value.eq(busy),
        ]
        return m

    def _reads(self, m, controller, reader, engines):
        """Words of jobs for the controller, all else for the engine of the job; lines come in order."""
        parameters, request = self.parameters, reader.requests
        most = 2 + max(4, 2 * parameters.interleave)
        m.submodules.targets = targets = fifo.SyncFIFO(width=TARGET_BITS, depth=most)
        runs, beat = controller.runs, reader.beats.payload
        m.d.comb += [reader.beats.ready.eq(1), controller.requests.ready.eq(request.ready)]
        with m.If(~runs):
            m.d.comb += [
                request.valid.eq(controller.requests.valid),
                request.payload.eq(self._transfer(controller.requests.payload)),
            ]
        for kind, engine in engines.items():
            own = runs & (controller.updates == kind)
            with m.If(own):
                m.d.comb += [
                    request.valid.eq(engine.requests.valid),
                    request.payload.eq(self._transfer(engine.requests.payload.lines)),
                    engine.requests.ready.eq(request.ready),
                    targets.w_en.eq(engine.requests.valid & request.ready),
                    targets.w_data.eq(engine.requests.payload.target),
                ]
            m.d.comb += [
                engine.arrives.eq(own & reader.beats.valid),
                engine.target.eq(targets.r_data),
                engine.line.eq(beat.data),
                engine.last.eq(beat.last),
            ]
        m.d.comb += [
            targets.r_en.eq(runs & reader.beats.valid & beat.last),
            controller.arrives.eq(reader.beats.valid),
            controller.line.eq(beat.data),
            controller.last.eq(beat.last),
        ]

    def _writes(self, m, controller, writer, engines):
        """Results of the engine of the job; a job has ended when all are answered."""
        unanswered = Signal(range(self.parameters.outstanding + 4))
        asks = writer.requests.valid & writer.requests.ready
        m.d.comb += writer.done.ready.eq(1)
        m.d.sync += unanswered.eq(unanswered + asks - writer.done.valid)
        for kind, engine in engines.items():
            with m.If(controller.updates == kind):
                m.d.comb += [
                    writer.requests.valid.eq(controller.runs & engine.writes.valid),
                    writer.requests.payload.eq(self._transfer(engine.writes.payload)),
                    engine.writes.ready.eq(controller.runs & writer.requests.ready),
                    writer.beats.valid.eq(engine.lines.valid),
                    writer.beats.payload.eq(engine.lines.payload),
                    engine.lines.ready.eq(writer.beats.ready),
                    controller.ended.eq(~engine.writes.valid & (unanswered == 0)),
                ]

    def _transfer(self, lines):
        """Lines as the masters count them, in bytes."""
        bits = self.parameters.line_address_bits
        offset = self.parameters.address_bits - bits
        return Cat(Const(0, offset), lines.first[:bits], lines.count)
