# amaranth: UnusedElaboratable=no
# A component whose ports alone are wanted holds parts that nobody elaborates.
"""GEMMs: walkers over memory images around the tile engine."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.units.stc.gemm import LINE_BITS, PASSES_OF_A_RUN, WORDS_OF_A_LINE
from accelsim.units.stc.gemm import Gemm as Parameters
from accelsim.units.stc.tile import KEPT, QUADS, ZERO
from accelsim_rtl.stc.tile import Tile
from accelsim_rtl.walker import Walker

LEAST_COUNT_BITS = 5
"""A walker counts the rows of a tile as well."""


class Gemm(Component):
    """jobs: a GEMM by its tiles and images. a, b, codes: `_reads`, addresses of lines, and the `_lines`.

    writes: lines of D with their addresses. Probes: running (the tile engine multiplies), undefined (a code
    of the job was none). A job is taken when the one before it has asked for all and written all. Throughput:
    that of the tile engine, if a line of each port comes when it is wanted.
    """

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        address = stream.Signature(parameters.address_bits)
        ports = {}
        for name in parameters.operands:
            ports |= {f"{name}_reads": Out(address), f"{name}_lines": In(stream.Signature(LINE_BITS))}
        super().__init__(
            {
                "jobs": In(stream.Signature(job_layout(parameters))),
                **ports,
                "writes": Out(stream.Signature(write_layout(parameters))),
                "running": Out(1),
                "undefined": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parameters, job = self.parameters, Signal(job_layout(self.parameters), reset_less=True)
        m.submodules.tile = tile = Tile(parameters)
        m.d.comb += self.running.eq(tile.running)

        # A job: all walks begin.
        begins = Signal()
        m.d.comb += begins.eq(self.jobs.valid & self.jobs.ready)
        with m.If(begins):
            m.d.sync += job.eq(self.jobs.payload)
        walkers = {}
        for name, levels in self._walks(job).items():
            m.submodules[f"{name}_walker"] = walkers[name] = self._walker(m, name, levels, begins)
        m.d.comb += self.jobs.ready.eq(~Cat(walker.active for walker in walkers.values()).any())

        # Passes of every tile; metadata serves two of them, of fp16 those of two tiles.
        passes = walkers["instructions"].addresses
        number = passes.payload[: parameters.count_bits]
        row_tile = passes.payload[parameters.count_bits :]
        m.d.comb += [
            tile.instructions.valid.eq(passes.valid),
            passes.ready.eq(tile.instructions.ready),
            tile.instructions.payload.begins.eq(Mux(number == 0, ZERO, KEPT)),
            tile.instructions.payload.gives.eq(number == job.passes - 1),
        ]
        if parameters.sparse:
            m.d.comb += [
                tile.instructions.payload.sparse.eq(job.sparse),
                tile.instructions.payload.selector.eq(Cat(number[0], row_tile[0])),
            ]

        # Lines go straight into the tile engine.
        for name in parameters.operands:
            reads, lines = getattr(self, f"{name}_reads"), getattr(self, f"{name}_lines")
            into = getattr(tile, name)
            m.d.comb += [
                reads.valid.eq(walkers[name].addresses.valid),
                reads.payload.eq(walkers[name].addresses.payload),
                walkers[name].addresses.ready.eq(reads.ready),
                into.valid.eq(lines.valid),
                into.payload.eq(lines.payload),
                lines.ready.eq(into.ready),
            ]

        self._writes(m, tile.d, walkers["d"], begins)
        return m

    def _walks(self, job):
        """(count, stride) of every level of every walk, as `accelsim.units.stc.gemm.walks` has them."""
        parameters = self.parameters
        sparse = job.sparse if parameters.sparse else Const(0, 1)
        words = Mux(sparse, 2, 1)
        column = Mux(sparse, job.passes << 1, job.passes)
        line_of_d = job.row_tiles * (ROWS // WORDS_OF_A_LINE)
        found = {
            "instructions": [
                (job.passes, 1),
                (job.column_tiles, 0),
                (job.row_tiles, 1 << parameters.count_bits),
            ],
            "a": [
                (ROWS, job.passes),
                (job.passes, 1),
                (job.column_tiles, 0),
                (job.row_tiles, ROWS * job.passes),
            ],
            "b": [
                (COLUMNS, column),
                (words, 1),
                (job.passes, words),
                (job.column_tiles, COLUMNS * column),
                (job.row_tiles, 0),
            ],
            "d": [
                (parameters.lines, 1),
                (COLUMNS, line_of_d),
                (parameters.blocks, parameters.lines),
                (job.column_tiles, COLUMNS * line_of_d),
                (job.row_tiles, ROWS // WORDS_OF_A_LINE),
            ],
        }
        if parameters.sparse:
            together = parameters.metadata_tiles
            runs = job.row_tiles >> (together - 1).bit_length()
            pairs = job.passes >> (PASSES_OF_A_RUN - 1).bit_length()
            found["codes"] = [
                (QUADS, 1),
                (PASSES_OF_A_RUN, 0),
                (pairs, QUADS * runs),
                (job.column_tiles, 0),
                *([(together, 0)] if together > 1 else []),
                (runs, QUADS),
            ]
        return found

    def _walker(self, m, name, levels, begins):
        """A walker that begins with the job, at the job's image."""
        parameters = self.parameters
        count_bits = max(parameters.count_bits, LEAST_COUNT_BITS)
        walker = Walker(len(levels), count_bits, parameters.address_bits)
        payload = self.jobs.payload
        wanted = payload.sparse if name == "codes" else 1
        m.d.comb += walker.begins.eq(begins & wanted)
        if name != "instructions":
            m.d.comb += walker.base.eq(payload[name])
        for level, (count, stride) in enumerate(levels):
            m.d.comb += [
                getattr(walker, f"count_{level}").eq(count),
                getattr(walker, f"stride_{level}").eq(stride),
            ]
        return walker

    def _writes(self, m, results, walker, begins):
        """Lines of the accumulators that the tile engine gives, one by one."""
        parameters = self.parameters
        line = Signal(range(parameters.lines))
        taken = self.writes.valid & self.writes.ready
        m.d.comb += [
            self.writes.valid.eq(results.valid),
            self.writes.payload.address.eq(walker.addresses.payload),
            self.writes.payload.line.eq(
                results.payload["values"].as_value().word_select(line, LINE_BITS)
                if parameters.lines > 1
                else results.payload["values"]
            ),
            walker.addresses.ready.eq(taken),
            results.ready.eq(self.writes.ready & (line == parameters.lines - 1)),
        ]
        with m.If(taken):
            m.d.sync += line.eq(line + 1)
        with m.If(begins):
            m.d.sync += self.undefined.eq(0)
        with m.Elif(taken):
            m.d.sync += self.undefined.eq(self.undefined | results.payload.undefined)


def job_layout(parameters):
    """Tiles and passes, where the images begin, and whether A is sparse."""
    counts = dict.fromkeys(("row_tiles", "column_tiles", "passes"), parameters.count_bits)
    names = ("a", "b", "codes", "d") if parameters.sparse else ("a", "b", "d")
    sparse = {"sparse": 1} if parameters.sparse else {}
    return data.StructLayout(counts | dict.fromkeys(names, parameters.address_bits) | sparse)


def write_layout(parameters):
    """A line of D, and where it goes."""
    return data.StructLayout({"line": LINE_BITS, "address": parameters.address_bits})
