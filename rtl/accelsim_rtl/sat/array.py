# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""SAT's systolic array: the elements, their skewed edges, the sequencer, and a store for the sums."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP16, FP32
from accelsim.units.sat_array import SatArray as Parameters
from accelsim_rtl.promised_store import PromisedStore
from accelsim_rtl.sat.grid import Grid
from accelsim_rtl.sat.sequencer import Sequencer, fold_layout
from accelsim_rtl.sat.skew import Skew, skewed_bit
from accelsim_rtl.sat.uspe import weight_layout
from accelsim_rtl.topk.pipeline import delayed


class SatArray(Component):
    """Runs folds: see `accelsim.units.sat_array.Model` for what its streams hold, `Fold` for what a fold is.

    Latency: `cycles` there. Throughput: a step a clock, or a round of I sums in A clocks if A is more.
    A fold begins in the clock after the end of the one before it; sums drain meanwhile.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        sums = data.ArrayLayout(FP32.bits, parameters.cols)
        self.store = PromisedStore(sums, parameters.store_depth)
        lanes = data.ArrayLayout(FP16.bits, parameters.group)
        super().__init__(
            {
                "folds": In(stream.Signature(fold_layout(parameters))),
                "west": In(stream.Signature(data.ArrayLayout(lanes, parameters.rows))),
                "north": In(stream.Signature(data.ArrayLayout(weight_layout(parameters), parameters.cols))),
                "partials": In(stream.Signature(sums)),
                "sums": Out(stream.Signature(sums)),
                "promised": Out(range(self.store.depth + 1)),
                "works": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer(self.parameters)
        m.submodules.grid = grid = Grid(self.parameters)
        m.submodules.store = store = self.store
        wiring.connect(m, store.given, wiring.flipped(self.sums))
        m.d.comb += [
            sequencer.fold.eq(self.folds.payload),
            sequencer.fold_valid.eq(self.folds.valid),
            self.folds.ready.eq(sequencer.fold_ready),
            sequencer.room.eq(store.room),
            self.promised.eq(store.promised),
            self.works.eq(sequencer.works),
        ]
        for name in ("west", "north", "partials"):
            port = getattr(self, name)
            m.d.comb += [
                getattr(sequencer, f"{name}_valid").eq(port.valid),
                port.ready.eq(getattr(sequencer, f"{name}_ready")),
            ]
        m.d.comb += [
            grid.stationary.eq(sequencer.stationary),
            grid.bank.eq(sequencer.bank),
            grid.capture.eq(sequencer.captures),
            grid.capture_slot.eq(sequencer.capture_slot),
            grid.shift.eq(sequencer.pushes),
        ]
        self._west(m, sequencer, grid)
        self._columns(m, sequencer, grid, store)
        return m

    def _west(self, m, sequencer, grid):
        """A row works later than the one above by a clock, or by an adder where sums travel."""
        parameters = self.parameters
        for row in range(parameters.rows):
            delays = (row, row * parameters.adder_latency)
            lanes = self.west.payload[row].as_value()
            now = Cat(sequencer.first, sequencer.slot, lanes)
            m.submodules[f"west_{row}"] = skew = Skew(len(now), delays)
            steps = skewed_bit(m, sequencer.steps, delays, sequencer.stationary, name=f"steps_{row}")
            m.d.comb += [
                skew.now.eq(now),
                skew.long.eq(sequencer.stationary),
                grid.west[row].eq(Cat(steps, skew.later)),
            ]

    def _columns(self, m, sequencer, grid, store):
        """A column works a clock later than the one before it; its sums wait for those of the last."""
        parameters = self.parameters
        for column in range(parameters.cols):
            weight = delayed(m, self.north.payload[column].as_value(), column, name=f"weight_{column}")
            row = delayed(m, sequencer.row, column, name=f"row_{column}")
            loads = delayed(m, sequencer.loads, column, name=f"loads_{column}", resets=True)
            start = Mux(sequencer.continued, self.partials.payload[column], 0)
            # They meet the first product.
            wait = column + parameters.multiplier_latency
            m.submodules[f"partials_{column}"] = partials = Skew(FP32.bits, (wait, wait))
            m.submodules[f"sums_{column}"] = sums = Skew(FP32.bits, (parameters.cols - 1 - column,) * 2)
            m.d.comb += [
                grid.north[column].eq(Cat(weight, row, loads)),
                partials.now.eq(start),
                grid.sum_in[column].eq(partials.later),
                sums.now.eq(grid.sum_out[column]),
                store.beat[column].eq(
                    Mux(sequencer.pushes, grid.drained_out[column], sums.later),
                ),
            ]
        way = parameters.fill_clocks(stationary=True) + 1
        m.d.comb += [
            store.issued.eq(sequencer.sends | sequencer.pushes),
            store.arrives.eq(
                delayed(m, sequencer.sends, way, name="arrives", resets=True) | sequencer.pushes
            ),
        ]
