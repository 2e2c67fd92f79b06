"""What the array does in each clock: loads, steps, waits for its fill, drains."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim.units.sat_array import SatArray as Parameters
from accelsim_rtl.sat.uspe import slots


class Sequencer(Component):
    """One fold after the other. `fold_valid`, `fold_ready`, `fold`: the stream of folds.

    west_valid, north_valid, partials_valid, room: what is there. loads: a beat of `north` is taken, for
    `row`. steps: a step is taken, of sum `slot`, its `first`, and `sends` if it sends sums on their way.
    *_ready: of the streams. captures, pushes: see `Uspe`; a push also gives a row of sums. works: see
    `accelsim.units.sat_array.Model`.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        members = {
            name: In(1) for name in ("fold_valid", "west_valid", "north_valid", "partials_valid", "room")
        }
        members |= {
            name: Out(1)
            for name in (
                "fold_ready", "west_ready", "north_ready", "partials_ready",
                "stationary", "continued", "bank", "loads", "steps", "sends", "first", "captures", "pushes",
                "works",
            )
        }  # fmt: skip
        members |= {
            "fold": In(fold_layout(parameters)),
            "row": Out(range(max(2, parameters.rows))),
            "slot": Out(slots(parameters)),
            "capture_slot": Out(slots(parameters)),
        }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        fold = Signal(fold_layout(parameters), reset_less=True)
        there = Signal()
        loading = Signal()
        streaming = Signal()
        ends = Signal()
        m.d.comb += [
            self.fold_ready.eq(~there | ends),
            self.stationary.eq(fold.stationary),
            self.continued.eq(fold.continued),
        ]
        free, draining = self._drain(m, ends & ~fold.stationary)

        # Loads, for the last row first.
        m.d.comb += self.loads.eq(loading & self.north_valid)
        with m.If(self.loads):
            m.d.sync += self.row.eq(self.row - 1)
            with m.If(self.row == 0):
                m.d.sync += [loading.eq(0), streaming.eq(1)]

        # Steps: sums take turns, and what is left of a round is waiting for the adder.
        place = Signal(range(max(2, parameters.round_clocks)))
        kept = Signal(range(max(2, parameters.group)))
        beat = Signal(range(max(2, parameters.longest)))
        begun = Signal()
        has_turn = place < parameters.interleave
        turn_ends = fold.stationary | (place == parameters.round_clocks - 1)
        beat_ends = fold.stationary | (kept == fold.kept)
        sends_may = fold.stationary & self.room & ~draining
        sums_may = ~fold.stationary & has_turn
        partials = ~fold.continued | self.partials_valid
        last_user = fold.stationary | (beat_ends & (place == parameters.interleave - 1))
        moves = Signal()
        m.d.comb += [
            self.west_ready.eq(
                streaming
                & last_user
                & Mux(fold.stationary, sends_may & partials, sums_may & self.north_valid)
            ),
            self.north_ready.eq(loading | (streaming & sums_may & self.west_valid)),
            self.partials_ready.eq(streaming & sends_may & fold.continued & self.west_valid),
            self.sends.eq(streaming & sends_may & partials & self.west_valid),
            self.steps.eq(self.sends | (streaming & sums_may & self.west_valid & self.north_valid)),
            moves.eq(self.steps | (streaming & ~fold.stationary & ~has_turn)),
            self.slot.eq(place),
            self.first.eq(~begun),
        ]
        finishing = moves & turn_ends & beat_ends & (beat == fold.beats)
        with m.If(moves):
            m.d.sync += place.eq(place + 1)
            with m.If(turn_ends):
                m.d.sync += [place.eq(0), kept.eq(kept + 1), begun.eq(1)]
                with m.If(beat_ends):
                    m.d.sync += [kept.eq(0), beat.eq(beat + 1)]

        # The way through the array; sums that stay wait until those before them have left.
        fills = [parameters.fill_clocks(stationary) for stationary in (False, True)]
        left = Signal(range(max(fills) + 2))
        fill = Mux(fold.stationary, fills[1], fills[0])
        m.d.comb += ends.eq((finishing & (fill == 0) | (left == 1)) & (fold.stationary | free))
        filling = (left > 1) | ((left == 1) & ends & (fill != 0))
        m.d.comb += self.works.eq(self.loads | moves | filling)
        with m.If(finishing):
            m.d.sync += [streaming.eq(0), left.eq(Mux(fill == 0, 1, fill))]
        with m.Elif(left > 1):
            m.d.sync += left.eq(left - 1)
        with m.If(ends):
            m.d.sync += [left.eq(0), there.eq(0)]
        with m.If(self.fold_ready):
            m.d.sync += [
                there.eq(self.fold_valid),
                loading.eq(self.fold_valid & self.fold.stationary),
                streaming.eq(self.fold_valid & ~self.fold.stationary),
                fold.eq(self.fold),
                self.row.eq(parameters.rows - 1),
                place.eq(0),
                kept.eq(0),
                beat.eq(0),
                begun.eq(0),
            ]
        return m

    def _drain(self, m, ends):
        """Captures the sums of a slot, pushes its rows out, and so on: (done by now, still at it)."""
        parameters = self.parameters
        draining = Signal()
        captured = Signal()
        row = Signal(range(max(2, parameters.rows)))
        slot = Signal(slots(parameters))
        row_last, slot_last = row == parameters.rows - 1, slot == parameters.interleave - 1
        m.d.comb += [
            self.pushes.eq(draining & captured & self.room),
            self.captures.eq(draining & (~captured | (self.pushes & row_last & ~slot_last))),
            self.capture_slot.eq(Mux(captured, slot + 1, 0)),
        ]
        free = ~draining | (self.pushes & row_last & slot_last)
        with m.If(draining):
            m.d.sync += captured.eq(1)
        with m.If(self.pushes):
            m.d.sync += row.eq(row + 1)
            with m.If(row_last):
                m.d.sync += [row.eq(0), slot.eq(slot + 1)]
                with m.If(slot_last):
                    m.d.sync += [slot.eq(0), draining.eq(0)]
        with m.If(ends):
            m.d.sync += [draining.eq(1), captured.eq(0), self.bank.eq(~self.bank)]
        return free, draining


def fold_layout(parameters: Parameters) -> data.StructLayout:
    """What a fold is: see `accelsim.units.sat_array.Fold`; `kept` and `beats` less 1."""
    return data.StructLayout(
        {"stationary": 1, "continued": 1, "kept": parameters.index_bits, "beats": parameters.beats_bits}
    )
