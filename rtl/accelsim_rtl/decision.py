# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds a store that nobody elaborates.
"""Progressive quantisation's decision in SpAtten: rows of probabilities are kept, or asked for anew."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.decision import KEPT_CYCLES
from accelsim.units.decision import Decision as Parameters
from accelsim.units.promises import store_depth
from accelsim.units.softmax import READ_CYCLES, ROWS
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.row_store import RowStore
from accelsim_rtl.topk.pipeline import delayed


class Decision(Component):
    """rows: tag, threshold, whole; before the lines of its row. probabilities: a line, `valid`, `last`.

    kept: the lines of rows that are whole, or in which a probability that counts reaches the threshold; with
    the row's tag.
    refetch: the tag of every other row. Probe: stored (lines).
    Latency: from a row's last line DECISION_CYCLES, then a clock to `refetch`, KEPT_CYCLES to `kept`.
    Throughput: a line a clock, of dropped rows as well; a request costs none.
    """

    def __init__(self, parameters: Parameters, *, target=None):
        self.parameters, self.target = parameters, target
        line, kept = line_layout(parameters), kept_layout(parameters)
        self.store = PromisedStore(kept, store_depth(KEPT_CYCLES))
        super().__init__(
            {
                "rows": In(stream.Signature(request_layout(parameters))),
                "probabilities": In(stream.Signature(line)),
                "kept": Out(stream.Signature(kept)),
                "refetch": Out(stream.Signature(parameters.tag_bits)),
                "stored": Out(range(parameters.store_lines + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, line = self.parameters, self.probabilities.payload
        m.submodules.stored = stored = RowStore(
            lines=parameters.store_lines,
            bits=len(line.as_value()),
            key_bits=1 + parameters.tag_bits,
            rows=ROWS,
            target=self.target,
        )

        # A row's request, then its lines.
        request = Signal(request_layout(parameters))
        requested = Signal()
        enters = Signal()
        ends = Signal()
        m.d.comb += [
            self.stored.eq(stored.level),
            self.probabilities.ready.eq(requested & stored.room),
            enters.eq(self.probabilities.valid & self.probabilities.ready),
            ends.eq(enters & line.last),
            self.rows.ready.eq(~requested | ends),
            stored.promises.eq(enters),
            stored.ends.eq(line.last),
            stored.writes.eq(enters),
            stored.line.eq(line),
        ]
        with m.If(self.rows.ready):
            m.d.sync += [requested.eq(self.rows.valid), request.eq(self.rows.payload)]

        # Whether a probability reaches the threshold: in this line, then in the row so far.
        reaches = Cat(
            line.valid[lane] & (line.probabilities[lane] >= request.threshold)
            for lane in range(parameters.lanes)
        )
        reached = delayed(m, reaches, 1, name="reaches")
        there = delayed(m, enters, 1, name="there", resets=True)
        closes = delayed(m, ends, 1, name="closes", resets=True)
        decided = delayed(m, request, 1, name="decided")
        before = Signal()
        stays = Signal()
        m.d.comb += [
            stays.eq(before | reached.any()),
            stored.knows.eq(closes),
            stored.key.eq(Cat(~(stays | decided.whole), decided.tag)),
        ]
        with m.If(there):
            m.d.sync += before.eq(stays & ~closes)

        self._leave(m, stored)
        return m

    def _leave(self, m, stored):
        """Rows leave in order: lines to the output, or the tag once and the lines nowhere."""
        m.submodules.store = store = self.store
        dropped, tag = stored.known[0], stored.known[1:]
        keeps = Signal()
        asks = Signal()
        free = ~self.refetch.valid | self.refetch.ready
        m.d.comb += [
            stored.passes.eq(stored.passable & Mux(dropped, stored.opened | free, store.room)),
            keeps.eq(stored.passes & ~dropped),
            asks.eq(stored.passes & dropped & ~stored.opened),
            store.issued.eq(keeps),
            store.arrives.eq(delayed(m, keeps, READ_CYCLES, name="arrives", resets=True)),
            store.beat.eq(Cat(stored.passed, delayed(m, tag, READ_CYCLES, name="tag"))),
        ]
        wiring.connect(m, store.given, wiring.flipped(self.kept))
        with m.If(asks):
            m.d.sync += [self.refetch.valid.eq(1), self.refetch.payload.eq(tag)]
        with m.Elif(self.refetch.ready):
            m.d.sync += self.refetch.valid.eq(0)


def request_layout(parameters):
    """A row's name, its threshold, whether it stays in any case."""
    return data.StructLayout(
        {"tag": parameters.tag_bits, "threshold": parameters.probability_bits, "whole": 1}
    )


def line_layout(parameters):
    """A line of probabilities, those that count, and whether the row ends."""
    return data.StructLayout(
        {
            "probabilities": data.ArrayLayout(parameters.probability_bits, parameters.lanes),
            "valid": parameters.lanes,
            "last": 1,
        }
    )


def kept_layout(parameters):
    """A line of probabilities, those that count, whether the row ends, and its tag."""
    line = line_layout(parameters).members
    return data.StructLayout({**line, "tag": parameters.tag_bits})
