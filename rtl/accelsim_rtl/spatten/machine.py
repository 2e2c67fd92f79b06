# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds units that nobody elaborates.
"""SpAtten as a machine on a bus: registers, lists, the way from memory, the head pipeline, the way back."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, Out

from accelsim.units.spatten.parameters import Machine as Parameters
from accelsim_rtl.axi.channels import read_channels, write_channels
from accelsim_rtl.axi.registers import RegisterFile, connect_slave, slave_channels
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.head import Head
from accelsim_rtl.spatten.fetching import Fetching
from accelsim_rtl.spatten.jobs import Jobs
from accelsim_rtl.spatten.lists import Lists
from accelsim_rtl.spatten.results import Results
from accelsim_rtl.spatten.rows import Rows
from accelsim_rtl.spatten.stores import Stores
from accelsim_rtl.spatten.values import Requests


class Machine(Component):
    """s_axil: registers. m_axi_0, ...: memory for Q, K and V. m_axi_out: memory for results.

    done: of each layer, 1 if a beat came or went with an error; a design that wants a pulse holds it ready.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters = parameters
        self.registers = registers = RegisterFile(parameters.map)
        self.head = Head(parameters.head, target=target)
        self.fetching = Fetching(parameters, registers)
        self.writer = WriteMaster(parameters.writer)
        buses = {}
        for channel in range(parameters.channels):
            buses |= read_channels(parameters.fetcher.port, f"m_axi_{channel}")
        super().__init__(
            {
                **slave_channels(parameters.map.address_bits),
                "done": Out(stream.Signature(1)),
                **buses,
                **write_channels(parameters.writer.port, "m_axi_out"),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, registers = self.parameters, self.registers
        m.submodules.registers = registers
        m.submodules.head = head = self.head
        m.submodules.fetching = fetching = self.fetching
        m.submodules.writer = writer = self.writer
        m.submodules.lists = lists = Lists(parameters, registers)
        m.submodules.jobs = jobs = Jobs(parameters, registers)
        m.submodules.stores = stores = Stores(parameters, registers)
        m.submodules.rows = rows = Rows(parameters, registers)
        m.submodules.requests = requests = Requests(parameters, registers)
        m.submodules.results = results = Results(parameters, registers)
        connect_slave(m, self, registers)

        begins = Signal()
        m.d.comb += begins.eq(
            registers.control_start
            & ~results.busy
            & (lists.tokens != 0)
            & (lists.heads != 0)
            & (registers.layer_queries != 0)
        )
        for part in (jobs, rows, results):
            m.d.comb += [part.tokens.eq(lists.tokens), part.heads.eq(lists.heads), part.begins.eq(begins)]
        m.d.comb += [
            requests.begins.eq(begins),
            lists.place.eq(fetching.place),
            fetching.position.eq(lists.position),
            lists.head.eq(jobs.place),
            jobs.query.eq(lists.query),
            jobs.stored.eq(lists.stored),
            jobs.releases.eq(stores.releases),
            stores.kind.eq(fetching.kind),
            stores.last.eq(fetching.last),
            rows.kept.eq(head.requests.valid & head.requests.ready & head.requests.payload.last),
        ]
        for source, sink in (
            (jobs.jobs, fetching.jobs),
            (rows.least, jobs.least),
            (requests.rows, jobs.values),
            (requests.asked, fetching.asked),
            (fetching.fills, stores.fills),
            (fetching.pieces, stores.pieces),
            (rows.query_requests, stores.query_requests),
            (rows.key_reads, stores.key_reads),
            (requests.gathers, stores.value_requests),
            (stores.query, rows.operands),
            (stores.keys, head.keys),
            (stores.values, head.values),
            (rows.queries, head.queries),
            (rows.program, head.importance),
            (head.refetch, rows.again),
            (head.requests, requests.requests),
            (head.results, results.results),
            (head.sums, results.sums),
            (results.transfers, writer.requests),
            (results.beats, writer.beats),
        ):
            m.d.comb += [
                sink.valid.eq(source.valid),
                sink.payload.eq(source.payload),
                source.ready.eq(sink.ready),
            ]
        self._bus(m, fetching, writer)
        wiring.connect(m, results.done, wiring.flipped(self.done))
        m.d.comb += [
            writer.done.ready.eq(1),
            results.answered.eq(writer.done.valid),
            results.failed.eq(writer.done.payload),
            results.error.eq(fetching.error),
            registers.status_busy.eq(results.busy),
            registers.status_tokens.eq(lists.tokens),
            registers.status_heads.eq(lists.heads),
            registers.status_failed.eq(results.done.payload),
            registers.count_bursts_value.eq(fetching.moves),
            registers.count_rows_value.eq(head.queries.valid & head.queries.ready),
            registers.count_again_value.eq(rows.sends_again),
            registers.count_lines_value.eq(head.keys.valid & head.keys.ready),
            registers.count_values_value.eq(head.values.valid & head.values.ready),
            registers.count_written_value.eq(writer.m_axi_w.valid & writer.m_axi_w.ready),
            registers.count_errors_value.eq(fetching.error),
            registers.count_busy_value.eq(results.busy),
        ]
        return m

    def _bus(self, m, fetching, writer):
        """The ports of memory."""
        for channel in range(self.parameters.channels):
            address, answer = f"m_axi_{channel}_ar", f"m_axi_{channel}_r"
            wiring.connect(m, getattr(fetching, address), wiring.flipped(getattr(self, address)))
            wiring.connect(m, wiring.flipped(getattr(self, answer)), getattr(fetching, answer))
        for name in ("aw", "w"):
            outside = wiring.flipped(getattr(self, f"m_axi_out_{name}"))
            wiring.connect(m, getattr(writer, f"m_axi_{name}"), outside)
        wiring.connect(m, wiring.flipped(self.m_axi_out_b), writer.m_axi_b)
