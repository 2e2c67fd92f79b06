"""`SpAtten`: the parameters, what they refuse, and the plan of a layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from accelsim.accelerators.base import LayerPlan
from accelsim.accelerators.spatten.events import parts
from accelsim.accelerators.spatten.linear import plan_linear
from accelsim.accelerators.spatten.parameters import PUBLISHED_PASS_OVERHEAD, WIDTHS, Parameters, Softmax
from accelsim.accelerators.spatten.rows import plan_rows
from accelsim.energy import Part
from accelsim.units.head import PRESETS as HEADS
from accelsim.units.head import Head
from accelsim.units.topk import TopK
from accelsim.workload import Attention, Layer, Matmul

LSB_WIDTHS = (0, 4)


@dataclass(frozen=True, kw_only=True)
class SpAtten(Parameters):
    """SpAtten as an accelerator: attention layers, row by row, and with `weight_bits` FC layers."""

    name: ClassVar[str] = "spatten"

    def refuse(self, layer: Layer) -> str:
        """Why this machine cannot run the layer; empty if it can."""
        if isinstance(layer, Matmul):
            return self._refuse_linear(layer)
        if not isinstance(layer, Attention):
            runs = "attention and FC layers" if self.weight_bits else "attention"
            return f"{runs} only, not {layer.op}"
        return self._refuse_attention(layer)

    def _refuse_linear(self, layer: Matmul) -> str:
        if not self.weight_bits:
            return "attention only (FC layers need the e2e machine)"
        if layer.op != "matmul":
            return f"attention and FC layers only, not {layer.op}"
        most = self.lines // 2 * self.multipliers
        if layer.k > most:
            return f"k must be <= {most} (half of sram_bytes), not {layer.k}"
        return ""

    def _refuse_attention(self, layer: Attention) -> str:
        for name in ("dim", "value_dim"):
            if not 1 <= getattr(layer, name) <= self.multipliers:
                return f"{name} must be 1..{self.multipliers} (multipliers), not {getattr(layer, name)}"
        if layer.value_bits not in (0, *WIDTHS):
            return f"value_bits must be one of {WIDTHS}, not {layer.value_bits}"
        if layer.bits and (layer.bits[0] not in WIDTHS or layer.bits[1] not in LSB_WIDTHS):
            return f"bits must be one of {WIDTHS} + one of {LSB_WIDTHS}, not {layer.bits[0]}+{layer.bits[1]}"
        longest = self.longest_row(max(layer.dim, layer.value_dim))
        if self.softmax.rows_wait and layer.keys > longest:
            return f"keys must be <= {longest} (softmax.rows_wait holds a row as a whole), not {layer.keys}"
        return ""

    def parts(self) -> tuple[Part, ...]:
        """What the machine is made of, as far as its energy and area are counted."""
        return parts(self)

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer on this machine; ValueError for one that it refuses or whose decisions do not fit."""
        reason = self.refuse(layer)
        if reason or not isinstance(layer, Attention | Matmul):
            raise ValueError(f"layer {layer.name!r}: {reason}")
        return plan_rows(self, layer) if isinstance(layer, Attention) else plan_linear(self, layer)

    def assumptions(self) -> tuple[str, ...]:
        """Lines for the report: what was chosen where the sources are silent."""
        if self.published_model:
            return (
                "published_model: a layer's cycles are transfer + fill + drain + selection (bert.cpp), added",
                "K and V of 4 or else 8 bits come in blocks as wide as QxK, a burst a cycle and channel",
                "tokens are ranked by the passes of a right quick-select; local values cost nothing",
            )
        softmax = self.softmax
        value_bits = f"in {self.value_bits} bits" if self.value_bits else "as wide as the MSBs of K"
        sharing = "share its fetch" if self.share_kv else "fetch K and V each for itself"
        return (
            "vectors are padded to the next width that divides the array; lanes beyond their end are idle",
            "sequences of a batch follow each other; each has as many rows and keys as the layer says",
            "the dense baseline is this machine with every token, head and value, in dense_bits",
            f"a layer that is not quantised has K and V of {self.dense_bits} bits (dense_bits)",
            f"V of a quantised layer is stored {value_bits} (value_bits; or as its recipe says)",
            "10 bits are fetched as 12; two heads share a record where that saves a burst (6 bits x 64)",
            "a pair of heads that shares records is fetched, held and released together",
            "a V of 6 bits that one row keeps counts 1.5 bursts of its record, as in the artefact",
            f"query heads of one KV head {sharing} (share_kv)",
            "QxK waits until all K of its row are on chip",
            "in summarisation V is fetched whole behind K; in generation the kept V behind the selection",
            f"softmax has {softmax.fifos} x {softmax.fifo_depth} lines before the division, and behind it",
            *self._waits(),
            "rows longer than half of sram_bytes or one FIFO pass in segments; K and V come once for a head",
            f"their exponents wait in memory, in {self.spilled_bits} bits (spilled_bits), outputs in 32 bits",
            "rows longer than topk.capacity are selected in memory: each cycle reads a line of scores",
            "recomputed rows have a score FIFO of their own",
            "the local selection loads one row, at the softmax's rate, while it selects and filters another",
            "every row with pruned V passes the one local selection, in summarisation too: it can cost time",
            *self._selection(),
            "tokens and heads are ranked behind the last row of a layer, before the next layer fetches",
            f"scores of tokens and heads are sums of {self.importance_bits} bits (importance_bits)",
            "they are added up beside the softmax, in no time of their own",
            *self._terms(),
            *self._linear(),
            f"a fetch deals its bursts to {self.address_ports} ports in turn (address_ports); each cycle a",
            "channel takes from the lowest port that wants it, and a port's first burst holds up the next",
            self._under_way(),
            f"address order {self.dram.mapping} (dram.mapping): the artefact's channels, our choice else",
            "an exponent takes 5 multiply-adds in FP32 (section 4), a division 4 (a choice)",
            *self.energy.assumptions(),
        )

    def _waits(self) -> tuple[str, ...]:
        """Whether a row is held before its exponents, if it is."""
        if not self.softmax.rows_wait:
            return ()
        return (
            "exponents wait for the largest score of their row, probabilities for its decision (rows_wait)",
            "and as many lines of scores wait before the exponents",
        )

    def _under_way(self) -> str:
        """How many bursts a channel may owe."""
        if not self.dram.outstanding:
            return "a channel may have any number of bursts under way (dram.outstanding)"
        return (
            f"a channel has at most {self.dram.outstanding} bursts under way (dram.outstanding): Table I's "
            "data FIFOs hold 64, the artefact's memory takes 16"
        )

    def _linear(self) -> tuple[str, ...]:
        """How FC layers run, if they do."""
        if not self.weight_bits:
            return ("only attention is timed, layer after layer",)
        return (
            f"weights have {self.weight_bits} bits (weight_bits) and are streamed; zeros save nothing",
            "outputs of an FC layer are dealt to both arrays; PxV sums a line up as QxK does",
            "one row of activations is in registers, another comes: with every tile of weights again",
            f"activations and outputs of FC layers are in memory, in {self.word_bits} bits",
        )

    def _terms(self) -> tuple[str, ...]:
        """The terms of `terms`, by name."""
        held = " with the first row of its head (hold_queries)" * self.hold_queries
        return (
            f"each row fetches its Q, as wide as K (fetch_queries){held}"
            if self.fetch_queries
            else "Q is on chip when its row begins (fetch_queries is off, as in the artefact)",
            "in generation the newest token's K and V are written (write_newest)"
            if self.write_newest
            else "the newest token's K and V are in memory before the layer (write_newest is off)",
            f"tokens' scores of {self.importance_bits} bits are read and written, packed (store_scores)"
            if self.store_scores
            else "tokens' cumulative scores stay on chip between layers (store_scores is off)",
            f"outputs go to memory in {self.word_bits} bits (write_back)"
            if self.write_back
            else "outputs stay on chip (write_back is off)",
            "a term is off by default because the artefact counts none: bytes are those of its traces",
            f"the stores are cleared in {self.start_cycles} cycles before the first layer (clear_stores)"
            if self.clear_stores
            else "the stores are clear before the first layer (clear_stores is off: it is once in a run)",
        )

    def _selection(self) -> tuple[str, ...]:
        """How the cycles of a selection came about."""
        engine = self.topk
        saturated = f"a probability of 1 is selected as the largest word of {engine.bits} bits (topk.bits)"
        if self.published_topk:
            passes = f"ceil(e / width) + {PUBLISHED_PASS_OVERHEAD} cycles for a pass (published_topk)"
            return f"quick-select takes {passes}, which no RTL here does; its pivots are uniform", saturated
        if engine.engine == "radix":
            ranking = replace(engine, bits=self.importance_bits).digits
            passes = f"{engine.digits} passes over a row, {ranking} to rank tokens or heads"
            return f"radix select makes {passes}, in the cycles of its RTL", saturated
        form = f"{engine.form}, {engine.pivot} pivots seeded by row"
        return f"quick-select ({form}) passes over the real scores, in the cycles of its RTL", saturated


FULL = SpAtten()

# Section 5: 128 multipliers, 2 of the 16 channels; the artefact's scripts leave SRAM and top-k as they are.
EIGHTH = SpAtten(
    multipliers=64,
    dram=replace(FULL.dram, device="HBM2-2000", channels=2),
)


def as_built(machine: SpAtten, head: Head) -> SpAtten:
    """The machine with the latencies of the units that are built: their models, which equal their RTL.

    Its Q comes from memory and its outputs go there.
    """
    softmax = head.softmax
    return replace(
        machine,
        fetch_queries=True,
        hold_queries=True,
        write_back=True,
        address_ports=1,
        qk_latency=head.dot.latency_cycles + head.scale.latency_cycles,
        pv_latency=head.product.latency_cycles,
        softmax=Softmax(
            parallelism=softmax.lanes,
            fifo_depth=softmax.row_lines,
            fifos=softmax.store_rows,
            rows_wait=True,
            largest=softmax.largest_cycles,
            dequantise=0,
            exponent=softmax.power_cycles,
            accumulate=softmax.sum_cycles - softmax.power_cycles,
            divide=softmax.divide_cycles,
            quantise=0,
            decide=head.latencies["decision_cycles"],
        ),
    )


# Section 5: FC layers on the same multipliers, weights of 8 bits (or 12). They read their inputs and write
# their outputs, K and V of the newest token among them; attention does so too.
E2E = replace(FULL, weight_bits=8, fetch_queries=True, store_scores=True, write_back=True)

# For simulation in hardware: rows of up to 128 keys of 32 elements.
TINY = SpAtten(
    multipliers=32,
    tree_outputs=4,
    sram_bytes=2 * 128 * 32 * 12 // 8,
    softmax=Softmax(parallelism=4, fifo_depth=32),
    topk=TopK(width=4, capacity=128),
    dram=replace(FULL.dram, device="HBM2-2000", channels=1),
)

PRESETS: dict[str, SpAtten] = {
    "full": FULL,
    "eighth": EIGHTH,
    "e2e": E2E,
    "tiny": TINY,
    "rtl": as_built(FULL, HEADS["full"]),
    "rtl-eighth": as_built(EIGHTH, HEADS["eighth"]),
}
