"""The tensor core of Sparseloop's case study: 1,024 int8 elements, dense or 2:4, and its own energy table.

Source: the artefact of Wu et al., "Sparseloop" (MICRO 2022), fig. 15: sizes, bandwidths, energies, mappings.
Time is that of the busiest of elements, shared memory and DRAM, each at its mean load over the layer. That is
the source's rule: the first tile's way in and the last one's way out hide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.base import LayerPlan, check_pieces, require
from accelsim.accelerators.products import products, refuse
from accelsim.accelerators.sparse_tensor_core.sparseloop_rows import plan_of
from accelsim.accelerators.sparse_tensor_core.sparseloop_traffic import Mapping, Product, mappings
from accelsim.dram import Cache, Dram
from accelsim.energy import Cost, Energy, Part
from accelsim.golden.formats import nm_pattern
from accelsim.workload import Layer, Matmul

Activations = Literal["plain", "gated", "compressed"]

KEPT = 2  # in each group of a sparse weight
WORD_BITS = 8
SHARED_BITS, METADATA_BITS = 512, 64  # of one access to shared memory

# A bandwidth and an energy, as the artefact has it: no rows, no refresh; 512 pJ for 64 bits either way.
SPARSELOOP_DRAM = Dram(
    device="Sparseloop-LPDDR4",
    clock_ps=1000,
    burst_bytes=32,
    channels=2,
    ranks=1,
    pseudo_channels=1,
    bank_groups=1,
    banks=16,
    rows=1 << 16,
    columns=1 << 10,
    BL=1,
    CL=1,
    CWL=1,
    tRCDRD=1,
    tRCDWR=1,
    tRP=1,
    tRAS=1,
    tRC=2,
    tWR=1,
    tRTP=1,
    tCCD_S=1,
    tCCD_L=1,
    tRRD_S=1,
    tRRD_L=1,
    tWTR_S=1,
    tWTR_L=1,
    tFAW=1,
    tRFC=1,
    tREFI=1 << 40,
    tBTR=0,
    mapping="RoRaBaCoCh",
    burst_pj=2048.0,
    source="Sparseloop's artefact, fig. 15: 512 pJ for an access of 64 bits; rows and refresh are not in it",
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """pJ of each event and square micrometres of each part, as the artefact's estimators gave them at 45 nm.

    A word is 8 bits in the elements and in the register files of the sums, 512 bits of data and 64 bits of
    indices in shared memory.
    """

    mac_pj: float = 0.5608
    gated_mac_pj: float = 0.01798
    element_register_pj: float = 0.072
    sum_read_pj: float = 1.65889
    sum_write_pj: float = 1.67589
    shared_read_pj: float = 285.71464
    shared_write_pj: float = 316.96744
    index_read_pj: float = 25.8695
    index_write_pj: float = 19.6486
    mac_um2: float = 332.25
    element_register_um2: float = 95.68
    sum_um2: float = 23384.0
    shared_um2: float = 2604256.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(value >= 0 and math.isfinite(value), f"table.{name}", ">= 0", value)


@dataclass(frozen=True, kw_only=True)
class SparseloopCore:
    """`subpartitions` x `rows` rows of weights at once, `products` stored weights of each a clock.

    A weight stays for `pass_columns` columns. Of every group of at most `largest_group` along k two weights
    are stored (2: dense alone) with `index_bits` each. Words are 8 bits: `shared_words` of data in shared
    memory, of which it gives `shared_read_words` a clock; DRAM gives and takes `dram_read_words` and
    `dram_write_words`. `activations`: `gated` does not multiply by zero ones, `compressed` leaves them out of
    memory as well (one bit each says which); `activation_density` is the share that is not zero.
    """

    name: ClassVar[str] = "stc"
    cache: ClassVar[Cache | None] = None
    energy: ClassVar[Energy] = Energy()

    subpartitions: int = 4
    rows: int = 16
    products: int = 16
    pass_columns: int = 128
    largest_group: int = 4
    index_bits: int = 2
    dtype: str = "int8"
    activations: Activations = "plain"
    activation_density: float = 1.0
    shared_words: int = 256 << 10
    index_bytes: int = 64 << 10
    shared_read_words: int = 42
    dram_read_words: int = 32
    dram_write_words: int = 32
    clock_hz: float = 1e9
    launch_seconds: float = 0.0
    dram: Dram = SPARSELOOP_DRAM
    table: Table = field(default_factory=Table)

    def __post_init__(self) -> None:
        counts = ("subpartitions", "rows", "products", "pass_columns", "shared_words", "index_bytes")
        for name in (*counts, "shared_read_words", "dram_read_words", "dram_write_words", "clock_hz"):
            require(getattr(self, name) > 0, name, "> 0", getattr(self, name))
        require(self.dtype == "int8", "dtype", "int8 on this machine", self.dtype)
        group = self.largest_group
        require(group % 2 == 0 and 2 <= group <= 64, "largest_group", "2, 4, 6 ... 64", group)
        needed = (group - 1).bit_length()
        require(group == 2 or needed <= self.index_bits <= 8, "index_bits", f"{needed}..8", self.index_bits)
        kinds = get_args(Activations)
        require(self.activations in kinds, "activations", f"one of {', '.join(kinds)}", self.activations)
        require(0 < self.activation_density <= 1, "activation_density", "in 0..1", self.activation_density)
        require(self.launch_seconds >= 0, "launch_seconds", ">= 0", self.launch_seconds)

    @property
    def elements(self) -> int:
        """Multipliers."""
        return self.subpartitions * self.rows * self.products

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions of all elements."""
        return 2 * self.elements * self.clock_hz

    def parts(self) -> tuple[Part, ...]:
        """What the table has an energy for; reads and writes of a memory are two parts with one area."""
        t, sums = self.table, self.subpartitions

        def part(
            name: str, group: Literal["logic", "sram"], pj: float, um2: float = 0, count: int = 1
        ) -> Part:
            return Part(name=name, group=group, cost=Cost(pj, um2), count=count)

        return (
            part("multiply-adders", "logic", t.mac_pj, t.mac_um2, self.elements),
            part("gated multiply-adders", "logic", t.gated_mac_pj),
            part("element registers", "sram", t.element_register_pj, t.element_register_um2, self.elements),
            part("sum reads", "sram", t.sum_read_pj, t.sum_um2, sums),
            part("sum writes", "sram", t.sum_write_pj),
            part("shared memory reads", "sram", t.shared_read_pj, t.shared_um2),
            part("shared memory writes", "sram", t.shared_write_pj),
            part("index reads", "sram", t.index_read_pj),
            part("index writes", "sram", t.index_write_pj),
        )

    def refuse(self, layer: Layer) -> str:
        """Everything that is a matrix product runs."""
        return refuse(layer)

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer's products one after the other (attention: two, for each head)."""
        kernels = products(layer)
        group, note = self.group(kernels[0])
        found = [self.product(kernel, group) for kernel in kernels]
        chosen = [self.choose(product) for product in found]
        counts = [kernel.count for kernel in kernels]
        for product, mapping, count in zip(found, chosen, counts, strict=True):
            check_pieces(count * product.row_tiles * -(-product.columns // mapping.columns))
        plan = plan_of(self, found, chosen, counts)
        events: dict[str, float] = {}
        for product, mapping, count in zip(found, chosen, counts, strict=True):
            for name, times in self.events(product, mapping).items():
                events[name] = events.get(name, 0.0) + count * times
        done = sum(p.rows * p.columns * min(p.k, p.stored) * n for p, n in zip(found, counts, strict=True))
        return LayerPlan(
            plan=plan,
            macs_dense=sum(kernel.dense().macs for kernel in kernels),
            macs_done=done,
            launches=len(kernels),
            notes=(note,) if note else (),
            facts={
                "pattern": f"{KEPT}:{group}" if group > KEPT else "dense",
                "utilisation": done / (self.elements * int(plan.busy.max(axis=1).sum())),
            },
            events=events,
        )

    def group(self, product: Matmul) -> tuple[int, str]:
        """The largest group that never holds more than two of the weights; 2 is dense, and why."""
        if product.mask is None:
            return KEPT, ""
        kept = product.mask.unpack()
        if kept.all():
            return KEPT, "all weights are kept: dense mode"
        kept = kept.reshape(*kept.shape[:-1], -1, product.group_span)
        groups = range(4, self.largest_group + 1, 2)
        fits = [group for group, most in nm_pattern(kept, groups).items() if most <= KEPT]
        share = product.mask.kept / math.prod(product.mask.shape)
        if not fits:
            return KEPT, f"{1 - share:.1%} of the weights are zero, but not 2:4: dense cycles"
        if share < 0.9 * KEPT / max(fits):
            return max(
                fits
            ), f"{share:.1%} of the weights are kept, but no more is skipped than 2:{max(fits)}"
        return max(fits), ""

    def product(self, kernel: Matmul, group: int) -> Product:
        """One kernel: its weights are the rows, its activations the columns."""
        stored = kernel.k
        if group > KEPT:
            spans = kernel.k // kernel.group_span
            stored = spans * -(-kernel.group_span // group) * KEPT
        compressed = self.activations == "compressed"
        return Product(
            rows=kernel.n,
            columns=kernel.m,
            k=kernel.k,
            stored=stored,
            steps=-(-stored // self.products),
            index_bits=self.index_bits if group > KEPT else 0,
            activation_words=self.activation_density + 1 / WORD_BITS if compressed else 1.0,
            tile_rows=self.subpartitions * self.rows,
            pass_columns=self.pass_columns,
        )

    def choose(self, product: Product) -> Mapping:
        """The fastest mapping; of equals that with the fewest words from DRAM, then from shared memory."""

        def cost(mapping: Mapping) -> tuple[float, float, float]:
            fetched, read = mapping.fetched(product), mapping.read(product)
            elements = product.row_tiles * product.steps * product.columns
            cycles = max(elements, fetched / self.dram_read_words, read / self.shared_read_words)
            return cycles, fetched, read

        return min(mappings(product, self.shared_words, self.index_bytes), key=cost)

    def events(self, product: Product, mapping: Mapping) -> dict[str, float]:
        """How often each part works for one product. Sums are written once more than read: to begin with."""
        macs = product.weights * product.columns
        busy = macs if self.activations == "plain" else macs * self.activation_density
        shared, indices = SHARED_BITS / WORD_BITS, METADATA_BITS / max(1, product.index_bits)
        weights_in = mapping.weight_fetches * product.weights
        weights_out = mapping.weight_reads * product.weights
        read = weights_out + mapping.activation_reads * product.activations
        written = weights_in + mapping.activation_fetches * product.activations
        sums = product.rows * product.columns
        indexed = product.index_bits > 0
        return {
            "multiply-adders": busy,
            "gated multiply-adders": macs - busy,
            "element registers": (macs + weights_out) * (1 + product.index_bits / WORD_BITS),
            "sum reads": product.updates - sums,
            "sum writes": product.updates + sums,
            "shared memory reads": read / shared,
            "shared memory writes": written / shared,
            "index reads": weights_out / indices if indexed else 0.0,
            "index writes": weights_in / indices if indexed else 0.0,
        }

    def assumptions(self) -> tuple[str, ...]:
        """What the machine assumes, for the report."""
        zeros = {
            "plain": "zero activations are multiplied like any other",
            "gated": f"zero activations ({1 - self.activation_density:.0%}) are not multiplied",
            "compressed": f"zero activations ({1 - self.activation_density:.0%}) are not stored",
        }
        return (
            "cycles are those of the busiest of elements, shared memory and DRAM at mean loads",
            "the first tile's way in and the last one's way out hide behind the layers beside it",
            zeros[self.activations],
            "outputs are 8 bits; k is never split outside the register file; ragged tiles are padded",
            f"the clock of {self.clock_hz / 1e9:g} GHz is a choice: the artefact has none",
            "energy: the artefact's own table (table.*); 64 pJ for a byte of DRAM, indices like data",
        )


SPARSELOOP = SparseloopCore()

# The artefact's dense core ("TC-RF2x-24-bandwidth") comes with a table of its own, from other estimators.
SPARSELOOP_DENSE = SparseloopCore(
    largest_group=2,
    dram_write_words=16,
    table=Table(
        mac_pj=0.44688,
        gated_mac_pj=0.0,
        element_register_pj=0.02435,
        sum_read_pj=3.1647,
        sum_write_pj=3.20183,
        shared_read_pj=536.05005,
        shared_write_pj=599.806,
        index_read_pj=0.0,
        index_write_pj=0.0,
        mac_um2=687.75,
        element_register_um2=20.0,
        sum_um2=48735.6,
        shared_um2=3617260.0,
    ),
)

# "STC_flexible-RF2x-24-bandwidth-RLE": up to 2:8, with run lengths of 4 bits for indices.
SPARSELOOP_FLEXIBLE = SparseloopCore(largest_group=8, index_bits=4)
