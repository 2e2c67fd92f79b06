# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds units that nobody elaborates.
"""SpAtten's shell: what stands between a bus and the head pipeline."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.shell import PENDING
from accelsim.units.shell import Shell as Parameters
from accelsim_rtl.axi.channels import read_channels, write_channels
from accelsim_rtl.axi.registers import RegisterFile, connect_slave, slave_channels
from accelsim_rtl.axi.write_master import WriteMaster
from accelsim_rtl.bit_width_converter import BitWidthConverter
from accelsim_rtl.fetcher import Fetcher, token_layout
from accelsim_rtl.vector_store import VectorStore, lines_layout


class Shell(Component):
    """s_axil: registers. tokens: kept positions, `last` of a fetch. lines: what the head pipeline reads.

    results: what it writes; done: of each write, 1 if something went wrong. m_axi_0, ...: memory for K and V;
    m_axi_out: memory for results. Latency and throughput: those of the units; a pulse takes a clock.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        self.fetcher = Fetcher(parameters.fetcher)
        self.writer = WriteMaster(parameters.writer)
        buses = {}
        for channel in range(parameters.channels):
            buses |= read_channels(parameters.fetcher.port, f"m_axi_{channel}")
        super().__init__(
            {
                **slave_channels(parameters.map.address_bits),
                "tokens": In(stream.Signature(token_layout(parameters.fetcher))),
                "lines": Out(stream.Signature(lines_layout(parameters.store))),
                "results": In(stream.Signature(parameters.beat_bits)),
                "done": Out(stream.Signature(1)),
                **buses,
                **write_channels(parameters.writer.port, "m_axi_out"),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        m.submodules.registers = registers = RegisterFile(parameters.map)
        m.submodules.fetcher = fetcher = self.fetcher
        m.submodules.converter = converter = BitWidthConverter(parameters.converter)
        m.submodules.store = store = VectorStore(parameters.store)
        m.submodules.writer = writer = self.writer
        connect_slave(m, self, registers)

        # A pulse takes the registers along to the units.
        fetch, conversion = fetcher.requests.payload, converter.request.payload
        fields = {
            "fetch": [(fetch.base, registers.source_base)]
            + [
                (fetch[name], getattr(registers, f"record_{name}"))
                for name in ("stride", "offset_0", "offset_1", "count_0", "count_1")
            ],
            "convert": [
                (conversion[name], getattr(registers, f"plane_{name}"))
                for name in ("width", "shift", "least", "elements")
            ]
            + [(conversion[name], getattr(registers, f"amount_{name}")) for name in ("beats", "records")],
            "fill": [
                (store.fills.payload.pieces, registers.pieces_count),
                (store.fills.payload.least, registers.plane_least),
            ],
            "read": [
                (store.reads.payload[name], getattr(registers, f"lines_{name}"))
                for name in ("pieces", "least", "releases")
            ],
            "write": [
                (writer.requests.payload.address, registers.target_address),
                (writer.requests.payload.beats, registers.results_beats),
            ],
        }
        streams = (fetcher.requests, converter.request, store.fills, store.reads, writer.requests)
        pulses = [registers.control_fetch] * 3 + [registers.control_read, registers.control_write]
        for name, one, pulse in zip(PENDING, streams, pulses, strict=True):
            pending = Signal(name=f"pending_{name}")
            m.d.comb += one.valid.eq(pending)
            with m.If(~pending & pulse):
                m.d.sync += pending.eq(1)
                for number, (_, value) in enumerate(fields[name]):
                    kept = Signal(len(value), name=f"{name}_{number}", reset_less=True)
                    m.d.sync += kept.eq(value)
                    fields[name][number] = (fields[name][number][0], kept)
            with m.Elif(one.ready):
                m.d.sync += pending.eq(0)
            m.d.comb += [field.eq(kept) for field, kept in fields[name]]

        # From memory to the store.
        pieces = store.pieces.payload.operands
        m.d.comb += [
            converter.beats.valid.eq(fetcher.beats.valid),
            converter.beats.payload.eq(fetcher.beats.payload.data),
            fetcher.beats.ready.eq(converter.beats.ready),
            store.pieces.valid.eq(converter.operands.valid),
            Cat(pieces[lane] for lane in range(parameters.lanes)).eq(
                Cat(converter.operands.payload.operands[lane] for lane in range(parameters.lanes))
            ),
            converter.operands.ready.eq(store.pieces.ready),
        ]
        wiring.connect(m, wiring.flipped(self.tokens), fetcher.tokens)
        wiring.connect(m, store.lines, wiring.flipped(self.lines))
        wiring.connect(m, wiring.flipped(self.results), writer.beats)
        wiring.connect(m, writer.done, wiring.flipped(self.done))
        for channel in range(parameters.channels):
            address, answer = f"m_axi_{channel}_ar", f"m_axi_{channel}_r"
            wiring.connect(m, getattr(fetcher, address), wiring.flipped(getattr(self, address)))
            wiring.connect(m, wiring.flipped(getattr(self, answer)), getattr(fetcher, answer))
        for name in ("aw", "w"):
            outside = wiring.flipped(getattr(self, f"m_axi_out_{name}"))
            wiring.connect(m, getattr(writer, f"m_axi_{name}"), outside)
        wiring.connect(m, wiring.flipped(self.m_axi_out_b), writer.m_axi_b)

        # What software sees.
        valids = Cat(one.valid for one in streams)
        m.d.comb += [
            registers.status_pending.eq(valids),
            registers.status_filled.eq(store.filled),
            registers.count_bursts_value.eq(fetcher.moves),
            registers.count_lines_value.eq(store.lines.valid & store.lines.ready),
            registers.count_written_value.eq(writer.m_axi_w.valid & writer.m_axi_w.ready),
            registers.count_errors_value.eq(
                fetcher.beats.valid & fetcher.beats.ready & fetcher.beats.payload.error
            ),
            registers.count_busy_value.eq(
                valids.any() | (fetcher.level != 0) | (store.claimed != 0) | (writer.level != 0)
            ),
        ]
        return m
