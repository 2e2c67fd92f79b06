# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""Updates: WUVE and the compact copies between memory and memory."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, Out

from accelsim.units.sat.jobs import UPDATE_FIELDS
from accelsim.units.sat.machine import COUNT_BITS
from accelsim.units.sat.machine import Machine as Parameters
from accelsim.units.sat.updates import SOURCES, TARGETS, WHOLE, copies_fifo, rows_fifo
from accelsim_rtl.fifo import Fifo
from accelsim_rtl.sat.copies import Copies
from accelsim_rtl.sat.engine import engine_members, walker
from accelsim_rtl.sat.wuve import Wuve


class Updates(Component):
    """Runs an update's tiles; see `accelsim_rtl.sat.engine`. Probe: infinite (WUVE's).

    Throughput: that of the port; a tile of C rows reads 6 C lines and writes 4 C lines and its copies.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(engine_members(parameters) | {"infinite": Out(1)})

    def elaborate(self, platform):
        m = Module()
        parameters = self.parameters
        job = data.View(data.StructLayout(UPDATE_FIELDS), self.job[: sum(UPDATE_FIELDS.values())])
        m.submodules.wuve = wuve = Wuve(parameters.wuve)
        m.submodules.copies = copies = Copies(parameters)
        read = [Fifo(rows_fifo(parameters)) for _ in SOURCES]
        updated = [Fifo(rows_fifo(parameters)) for _ in TARGETS[:WHOLE]]
        m.submodules.narrowed = narrowed = Fifo(copies_fifo(parameters))
        for name, each in zip((*SOURCES, "new_weights", "new_velocities"), [*read, *updated], strict=True):
            m.submodules[name] = each
        m.d.comb += [copies.run.eq(job.run), self.infinite.eq(wuve.infinite)]

        self._gather(m, read)
        takes = wuve.beats.valid & wuve.beats.ready
        m.d.comb += wuve.beats.valid.eq(Cat(each.leaving.valid for each in read).all())
        for name, each in zip(SOURCES, read, strict=True):
            m.d.comb += [wuve.beats.payload[name].eq(each.leaving.payload), each.leaving.ready.eq(takes)]
        self._reads(m, job, takes)

        # A result goes into three queues at once.
        queues = [*updated, narrowed]
        room = Cat(each.entering.ready for each in queues).all()
        result = wuve.updated.payload
        m.d.comb += wuve.updated.ready.eq(room)
        for each, words in zip(queues, (result.weights, result.velocities, result.copies), strict=True):
            m.d.comb += [
                each.entering.valid.eq(wuve.updated.valid & room),
                each.entering.payload.eq(words),
            ]
        m.d.comb += [
            copies.rows.valid.eq(narrowed.leaving.valid),
            copies.rows.payload.eq(narrowed.leaving.payload),
            narrowed.leaving.ready.eq(copies.rows.ready),
        ]
        self._lines(m, job, updated, copies)
        self._writes(m, job)
        return m

    def _gather(self, m, read):
        """Two lines are a row of what was read."""
        held, second = Signal.like(self.line, reset_less=True), Signal()
        with m.If(self.arrives):
            m.d.sync += [held.eq(self.line), second.eq(~second)]
        for number, each in enumerate(read):
            m.d.comb += [
                each.entering.valid.eq(self.arrives & second & (self.target == number)),
                each.entering.payload.eq(Cat(held, self.line)),
            ]

    def _reads(self, m, job, takes):
        """A tile of each source, if there is room for one of each; two may be on their way or here."""
        tile = 2 * self.parameters.cols
        tiles = walker(m, "tiles", 0, [(job.tiles, tile), (job.blocks, job.pitch)], self.begins)
        source, reserved = Signal(range(len(SOURCES))), Signal(range(3))
        taken = Signal(range(self.parameters.cols))
        asks = self.requests.valid & self.requests.ready
        last = source == len(SOURCES) - 1
        request = self.requests.payload
        frees = takes & (taken == self.parameters.cols - 1)
        m.d.comb += [
            self.requests.valid.eq(tiles.active & ((source != 0) | (reserved != 2))),
            request.target.eq(source),
            request.lines.first.eq(Array(job[name] for name in SOURCES)[source] + tiles.addresses.payload),
            request.lines.count.eq(tile),
            tiles.addresses.ready.eq(asks & last),
        ]
        m.d.sync += reserved.eq(reserved + (asks & (source == 0)) - frees)
        with m.If(asks):
            m.d.sync += source.eq(Mux(last, 0, source + 1))
        with m.If(takes):
            m.d.sync += taken.eq(Mux(frees, 0, taken + 1))

    def _lines(self, m, job, updated, copies):
        """Lines leave target by target."""
        parameters = self.parameters
        target, line = Signal(range(len(TARGETS))), Signal(COUNT_BITS)
        whole = target < WHOLE
        sends = self.lines.valid & self.lines.ready
        for number, each in enumerate(updated):
            m.d.comb += each.leaving.ready.eq(sends & (target == number) & line[0])
            with m.If(target == number):
                m.d.comb += [
                    self.lines.valid.eq(each.leaving.valid),
                    self.lines.payload.eq(each.leaving.payload.word_select(line[0], parameters.line_bits)),
                ]
        with m.If(~whole):
            m.d.comb += [self.lines.valid.eq(copies.lines.valid), self.lines.payload.eq(copies.lines.payload)]
        m.d.comb += copies.lines.ready.eq(self.lines.ready & ~whole)
        with m.If(sends):
            m.d.sync += line.eq(line + 1)
            with m.If(line == Mux(whole, 2 * parameters.cols, job.tile_lines) - 1):
                m.d.sync += [line.eq(0), target.eq(target + 1)]

    def _writes(self, m, job):
        """Where they go, in the same order."""
        tile = 2 * self.parameters.cols
        walks = {
            "written": (0, [(job.tiles, tile), (job.blocks, job.pitch)]),
            "forward": (job.forward, [(job.tiles, job.tile_lines), (job.blocks, job.forward_block)]),
            "backward": (job.backward, [(job.tiles, job.backward_block), (job.blocks, job.tile_lines)]),
        }
        walkers = {name: walker(m, name, base, levels, self.begins) for name, (base, levels) in walks.items()}
        written, target = walkers["written"], Signal(range(len(TARGETS)))
        asks = self.writes.valid & self.writes.ready
        firsts = [job[name] + written.addresses.payload for name in TARGETS[:WHOLE]]
        firsts += [walkers[name].addresses.payload for name in TARGETS[WHOLE:]]
        m.d.comb += [
            self.writes.valid.eq(written.active),
            self.writes.payload.first.eq(Array(firsts)[target]),
            self.writes.payload.count.eq(Mux(target < WHOLE, tile, job.tile_lines)),
            written.addresses.ready.eq(asks & (target == len(TARGETS) - 1)),
            *(
                walkers[name].addresses.ready.eq(asks & (target == TARGETS.index(name)))
                for name in TARGETS[WHOLE:]
            ),
        ]
        with m.If(asks):
            m.d.sync += target.eq(target + 1)
