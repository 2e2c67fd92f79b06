"""How large the machine is: every number with its unit and its source.

"Table I" and sections are those of the SpAtten paper (HPCA 2021, arXiv 2012.09852v3); "artefact" is the
published repository mit-han-lab/spatten at a0f1388. Latencies are pipeline depths in cycles.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from accelsim.dram import DEVICES, Cache, Dram
from accelsim.energy import Energy
from accelsim.units.crossbar import LARGEST_PORTS
from accelsim.units.topk import TopK

WIDTHS = (4, 6, 8, 10, 12, 32)
"""Bits of a stored element that the fetcher knows; 32 is the artefact's switch for "not quantised"."""

WEIGHT_WIDTHS = (0, 8, 12)
"""Bits of a weight of an FC layer (section 5); 0: no FC layers."""

PROBABILITY_BITS = 12
"""Of a probability on its way to the selection; 1.0 becomes the largest word."""

PUBLISHED_PASS_OVERHEAD = 3
"""Cycles of a pass beside its lines in the artefact's latency model."""

# Table I: 16 channels, 512 GB/s. A read is sent when the FIFO that its data comes to has room for it, so the
# 32 data FIFOs of 64 x 16 B bound what is under way: 64 bursts of 32 B in each of 16 channels. The response
# FIFOs of the artefact's RTL say the same (64 x 32 B); its model of the memory stops at 16.
# Channels follow the RTL (the bits above the burst). Inside one, neighbours lie in two bank groups: reads of
# one group alone come at tCCD_L and leave half of the published bandwidth idle. The paper is silent on it.
DATA_FIFO_BYTES = 32 * 64 * 16
HBM2_X16 = replace(
    DEVICES["HBM2-2000x16"],
    mapping="RoBaCoBgRaCh",
    outstanding=DATA_FIFO_BYTES // (DEVICES["HBM2-2000x16"].channels * DEVICES["HBM2-2000x16"].burst_bytes),
)


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Two passes over a row at `parallelism` scores a cycle: exponents and their sum, then the division.

    Table I gives parallelism 8 and a FIFO of 128 lines; `fifos` of them stand before the division and again
    behind it, because one row must be written while another is read. Latencies: artefact, bert.cpp.
    `rows_wait`: exponents wait until the largest score of their row is known (`largest` cycles behind its
    last score), and probabilities until their row is decided; as fixed point and one unit for all rows want.
    `decide`: from a row's last probability to its decision; 0: the levels of a tree over `parallelism`.
    """

    parallelism: int = 8
    fifo_depth: int = 128
    fifos: int = 2
    rows_wait: bool = False
    largest: int = 0
    dequantise: int = 7
    exponent: int = 21
    accumulate: int = 23
    divide: int = 29
    quantise: int = 7
    decide: int = 0

    def __post_init__(self) -> None:
        _require_least(self, 1, "parallelism", "fifo_depth", "fifos", prefix="softmax.")
        latencies = ("largest", "dequantise", "exponent", "accumulate", "divide", "quantise", "decide")
        _require_least(self, 0, *latencies, prefix="softmax.")

    @property
    def fifo_lines(self) -> int:
        """Lines of `parallelism` scores that fit before the division, and again behind it."""
        return self.fifo_depth * self.fifos

    @property
    def sum_latency(self) -> int:
        """From the last score of a row to its sum."""
        return self.dequantise + self.exponent + self.accumulate

    @property
    def divide_latency(self) -> int:
        """From an exponent and the sum to the probability."""
        return self.divide + self.quantise

    @property
    def decision_latency(self) -> int:
        """From a row's last probability to its decision: finding the largest of `parallelism`."""
        return self.decide or (self.parallelism - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The attention machine of Table I at 1 GHz.

    `multipliers` for QxK and as many for PxV, `word_bits` wide; at most `tree_outputs` scores a cycle.
    `sram_bytes`: of the K store and of the V store each, both double-buffered.
    `qk_latency` (SRAM 1, multiplier 1, adder tree 9) and `pv_latency` (1, 1, 3): artefact, bert.cpp.
    `topk`: the engine that selects values, and another one like it that ranks tokens and heads.
    `published_topk`: its passes take ceil(e / width) + 3 cycles (artefact, TopKLatencyModel), whatever it is.
    `importance_bits`: of a cumulative score of a token or a head, which saturates.
    `dense_bits`: stored width of K and V in a layer that is not quantised. `value_bits`: stored width of V
    where the layer is quantised; 0: that of the keys' most significant part.
    `weight_bits`: of a streamed weight of an FC layer, 8 or 12; 0: the machine has attention alone.
    `address_ports`: of the fetcher (Table I: a 32 x 16 crossbar, FIFOs of 64), to which bursts are dealt.
    `share_kv`: query heads of one KV head use one fetch.
    `fetch_queries`: each row brings its Q, as wide as K; `hold_queries`: those of a head come with its first
    row, into a store of their own. `write_newest`: in generation the token's own K and V go to memory.
    `store_scores`: tokens' cumulative scores are read before a layer and written behind it. `write_back`:
    outputs go to memory. The artefact counts none of these. `clear_stores`: the lines of K and V are cleared
    once before the first layer, in both halves of a store at once, as in the artefact.
    `spilled_bits`: of an exponent that waits in memory, where a row is longer than the stores (a choice).
    `published_model`: cycles are the sums of the artefact's bert.cpp, and memory is one of its terms.
    `launch_seconds`: of each layer.
    """

    cache: ClassVar[Cache | None] = None

    clock_hz: float = 1e9
    multipliers: int = 512
    tree_outputs: int = 8
    word_bits: int = 12
    sram_bytes: int = 196_608
    qk_latency: int = 11
    pv_latency: int = 5
    softmax: Softmax = field(default_factory=Softmax)
    topk: TopK = field(default_factory=TopK)
    published_topk: bool = False
    published_model: bool = False
    importance_bits: int = 32
    spilled_bits: int = 16
    dense_bits: int = 12
    value_bits: int = 0
    weight_bits: int = 0
    address_ports: int = 32
    share_kv: bool = True
    fetch_queries: bool = False
    hold_queries: bool = False
    write_newest: bool = False
    store_scores: bool = False
    write_back: bool = False
    clear_stores: bool = False
    dram: Dram = HBM2_X16
    launch_seconds: float = 0.0
    # TSMC 40 nm (section 5) at its nominal voltage.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=40, volts=0.9))

    def __post_init__(self) -> None:
        _require_least(self, 1, "multipliers", "tree_outputs", "word_bits", "spilled_bits")
        _require_least(self, 0, "qk_latency", "pv_latency", "launch_seconds")
        if not 1 <= self.address_ports <= LARGEST_PORTS:
            raise ValueError(f"address_ports must be from 1 to {LARGEST_PORTS}, not {self.address_ports}")
        if not self.clock_hz > 0:
            raise ValueError(f"clock_hz must be > 0, not {self.clock_hz}")
        if self.topk.bits < PROBABILITY_BITS:
            raise ValueError(f"topk.bits must be >= {PROBABILITY_BITS} (probabilities), not {self.topk.bits}")
        if self.multipliers * self.word_bits % 8:
            raise ValueError(
                f"multipliers x word_bits must be whole bytes, not {self.multipliers} x {self.word_bits} bits"
            )
        if self.lines < 2:
            raise ValueError(
                f"sram_bytes must hold two lines of {self.line_bytes} bytes, not {self.sram_bytes} bytes"
            )
        if self.dense_bits not in WIDTHS:
            raise ValueError(f"dense_bits must be one of {WIDTHS}, not {self.dense_bits}")
        if self.weight_bits not in WEIGHT_WIDTHS:
            raise ValueError(f"weight_bits must be one of {WEIGHT_WIDTHS}, not {self.weight_bits}")
        if self.value_bits not in (0, *WIDTHS):
            raise ValueError(f"value_bits must be one of {(0, *WIDTHS)}, not {self.value_bits}")

    @property
    def line_bytes(self) -> int:
        """An SRAM line: one word for each multiplier."""
        return self.multipliers * self.word_bits // 8

    @property
    def lines(self) -> int:
        """Lines of the K store, and of the V store."""
        return self.sram_bytes // self.line_bytes

    @property
    def start_cycles(self) -> int:
        """Cycles before the first layer: a line of each half of a store is cleared in a cycle."""
        return -(-self.lines // 2) if self.clear_stores and not self.published_model else 0

    @property
    def peak_ops_per_second(self) -> float:
        """Multiplications and additions of both arrays."""
        return 2 * 2 * self.multipliers * self.clock_hz

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bytes of all channels in a core cycle."""
        return self.dram.peak_bandwidth / self.clock_hz

    def padded(self, dim: int) -> int:
        """The next width that divides the array: lanes beyond `dim` are idle."""
        return next(width for width in range(dim, self.multipliers + 1) if self.multipliers % width == 0)

    def vectors_per_line(self, dim: int) -> int:
        """Vectors of `dim` elements in an SRAM line: those that PxV takes in a cycle."""
        return self.multipliers // self.padded(dim)

    def scores_per_cycle(self, dim: int) -> int:
        """Keys that QxK takes in a cycle."""
        return min(self.tree_outputs, self.vectors_per_line(dim))

    def longest_row(self, dim: int) -> int:
        """Keys of the longest row that half the store and one FIFO hold: the others are being filled."""
        stored = self.lines // 2 * self.vectors_per_line(dim)
        return min(stored, self.softmax.fifo_depth * self.softmax.parallelism)


def _require_least(parameters: object, least: int, *names: str, prefix: str = "") -> None:
    for name in names:
        if not getattr(parameters, name) >= least:
            raise ValueError(f"{prefix}{name} must be >= {least}, not {getattr(parameters, name)}")
