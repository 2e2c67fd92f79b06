"""The top-k engine: a request and its scores in, the k largest in their order out.

Loader, selection (quick-select or radix), filter; one row is loaded while another is selected and filtered.
"""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from accelsim_rtl.topk.filter import Filter
from accelsim_rtl.topk.load import Load
from accelsim_rtl.topk.memory import LineMemory
from accelsim_rtl.topk.quick import QuickSelect
from accelsim_rtl.topk.radix import RadixSelect
from accelsim_rtl.topk.shapes import Shapes


class TopK(wiring.Component):
    """request: 1 <= keep <= count <= capacity, and the row's id, which seeds the pivots. scores: count of
    them, `width` a beat, the last beat padded with anything.

    threshold: the keep-th largest score and how many equal to it are kept; (0, count) where all are kept,
    which takes no selection. kept: the scores that stay and their indices, ascending, `width` a beat; `count`
    says how many of a beat's lanes, `last` marks the last beat of a row.

    Probes: loading (a row is in the loader), passes (begun for the row that is selected), stored (lines that
    wait at the output). Every latency is a property of the parameters, `accelsim.units.topk.TopK`.
    """

    def __init__(self, parameters, *, target=None):
        self.parameters, self.shapes, self.target = parameters, Shapes(parameters), target
        shapes = self.shapes
        super().__init__(
            {
                "request": In(stream.Signature(shapes.request)),
                "scores": In(stream.Signature(shapes.scores)),
                "threshold": Out(stream.Signature(shapes.threshold)),
                "kept": Out(stream.Signature(shapes.kept)),
                "loading": Out(1),
                "passes": Out(shapes.pass_bits),
                "stored": Out(parameters.store_lines.bit_length()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, shapes = self.parameters, self.shapes
        m.submodules.load = load = Load(parameters)
        m.submodules.bank = bank = LineMemory(
            lines=2 << shapes.line_bits, bits=shapes.width * shapes.bits, target=self.target
        )
        select_of = {"quick": QuickSelect, "radix": RadixSelect}[parameters.engine]
        m.submodules.select = select = select_of(parameters, target=self.target)
        m.submodules.filter = output = Filter(parameters)
        connect(m, flipped(self.request), load.request)
        connect(m, flipped(self.scores), load.scores)
        connect(m, output.kept, flipped(self.kept))

        # The row in work.
        count_less_one, keep_less_one = (
            Signal(shapes.index_bits, name=name, reset_less=True) for name in ("row_count", "row_keep")
        )
        kth = Signal(shapes.bits, reset_less=True)
        quota = Signal(shapes.count_bits, reset_less=True)
        reads = Signal(reset_less=True)
        # It is selected until its threshold is found, presented, and filtered until `ends`. The two phases
        # that steer anything have a register each, because many wires leave them.
        idle, presenting, take, presents = Signal(init=1), Signal(), Signal(), Signal()
        m.d.sync += [
            idle.eq(output.ends | (idle & ~take)),
            presenting.eq((take & load.keeps_all) | select.found | (presenting & self.threshold.valid)),
        ]
        m.d.comb += [
            take.eq(idle & load.loaded),
            presents.eq(presenting & ~self.threshold.valid),
            load.taken.eq(take),
            select.idle.eq(idle),
            select.start.eq(take & ~load.keeps_all),
            self.loading.eq(~load.request.ready),
        ]
        # While there is none, the registers follow the loader: whether it has one would come too late.
        with m.If(idle):
            m.d.sync += [
                count_less_one.eq(load.count_less_one),
                keep_less_one.eq(load.keep_less_one),
                reads.eq(load.bank),
                kth.eq(0),
                quota.eq(load.count_less_one + 1),
            ]
        with m.If(select.found):
            m.d.sync += [kth.eq(select.kth), quota.eq(select.quota)]

        # Threshold.
        with m.If(presents):
            m.d.sync += [
                self.threshold.valid.eq(1),
                self.threshold.payload.kth.eq(kth),
                self.threshold.payload.quota.eq(quota),
            ]
        with m.Elif(self.threshold.ready):
            m.d.sync += self.threshold.valid.eq(0)

        # The bank in work is read by the selection, then by the filter.
        filters = Signal()
        m.d.sync += filters.eq(presents | (filters & ~output.ends))
        m.d.comb += [
            bank.write_enable.eq(load.write_enable),
            bank.write_line.eq(load.write_line),
            bank.write_bits.eq(load.write_bits),
            bank.read_line.eq(Cat(Mux(filters, output.read_line, select.read_line), reads)),
            select.read_bits.eq(bank.read_bits),
            output.read_bits.eq(bank.read_bits),
        ]

        m.d.comb += [
            select.row_count_less_one.eq(load.count_less_one),
            select.row_target.eq(load.keep_less_one),
            output.start.eq(presents),
            output.count_less_one.eq(count_less_one),
            output.keep_less_one.eq(keep_less_one),
            output.kth.eq(kth),
            output.quota.eq(quota),
            self.passes.eq(select.passes),
            self.stored.eq(output.stored),
        ]
        if parameters.engine == "quick":
            m.d.comb += [
                select.row_word.eq(load.word),
                select.row_samples.eq(load.samples),
                select.row_samples_number.eq(load.samples_number),
            ]
        return m
