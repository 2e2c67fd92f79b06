"""SAT's parameters, presets, and how it turns a layer into a plan.

Source: Fang et al., "Efficient N:M Sparse DNN Training Using Algorithm, Architecture, and Dataflow
Co-Design", IEEE TCAD 2023. The array's size and clock are recollections of the paper; cycles are a model of
the described mechanism, not a table of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal, get_args

from accelsim.accelerators.arrays import ArrayMachine
from accelsim.accelerators.base import LayerPlan, require
from accelsim.accelerators.folds import Folds, weight_stationary
from accelsim.accelerators.gemm import Array
from accelsim.accelerators.products import Pattern, find_pattern, products, refuse
from accelsim.accelerators.sat import schedule as schedules
from accelsim.accelerators.sat import update as updates
from accelsim.accelerators.sat.layout import plan_of
from accelsim.accelerators.sat.passes import PASSES, Pass, passes, sizes
from accelsim.accelerators.sat.products import Chosen, choose, reduced
from accelsim.energy import Energy, Part
from accelsim.golden.momentum import Momentum
from accelsim.plan import Integers
from accelsim.units.wuve import Wuve
from accelsim.workload import Attention, Layer, Matmul, Update

SparseMode = Literal["time", "slot"]
Reduction = Literal["pregenerated", "on-the-fly"]
Gradients = Literal["stored", "on-chip"]

HALF = ("fp16", "bf16")
MOST_OF_INFERENCE = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Sat(ArrayMachine):
    """32 x 32 processing elements at 200 MHz, FP16 operands, one DDR4-2400 channel.

    `sparse_mode`: `time`, a processing element holds the N stored weights of a group and takes N cycles
    for it; `slot`, one stored weight for each. `adder_latency` cycles between two sums in one accumulator are
    hidden by `interleave` independent sums; sums that travel down a column (weight stationary) pay it in
    every row of the array, once a fold. `multiplier_latency` is paid with every drain.
    `overlapped`: fill and drain hide behind the neighbouring fold, only the outermost of a block are paid.
    `schedule`: a file of configuration words (`accelsim.accelerators.sat.schedule`); "" schedules anew.
    `expand`: where that ends sooner, N:M weights enter the array with their zeros, and it runs dense.

    Training: `reduction`, where SORE makes the N:M copies of the weights: once, after the update, or each
    time they are fetched; `transpose_buffer`: it takes both directions of groups at full rate. `gradients`
    of the weights are stored in FP32 and fetched by the update, or stay on chip. `wuve_lanes` weights are
    updated and `sore_lanes` reduced in a clock. `passes`: optional terms
    (`accelsim.accelerators.sat.passes`). Stages of more than `most_bursts` are simulated through windows, as
    are products outside training of more than 2^24 (0: every burst of all).
    """

    name: ClassVar[str] = "sat"

    clock_hz: float = 200e6
    activation_buffer: int = 4 << 20
    weight_buffer: int = 2 << 20
    output_buffer: int = 4 << 20
    sparse_mode: SparseMode = "time"
    adder_latency: int = 1
    multiplier_latency: int = 0
    interleave: int = 1
    overlapped: bool = False
    schedule: str = ""
    expand: bool = True
    reduction: Reduction = "pregenerated"
    transpose_buffer: bool = True
    gradients: Gradients = "stored"
    sore_lanes: int = 32
    wuve_lanes: int = 32
    passes: tuple[Pass, ...] = ()
    most_bursts: int = 1 << 16
    # The board's VU9P: 16 nm, 0.85 V.
    energy: Energy = field(default_factory=lambda: Energy(node_nm=16, volts=0.85, fabric="fpga"))

    def __post_init__(self) -> None:
        super().__post_init__()
        modes = get_args(SparseMode)
        require(self.sparse_mode in modes, "sparse_mode", f"one of {', '.join(modes)}", self.sparse_mode)
        require(
            self.dtype in HALF,
            "dtype",
            f"one of {', '.join(HALF)} (the multipliers have 16 bits)",
            self.dtype,
        )
        require(self.adder_latency >= 1, "adder_latency", ">= 1", self.adder_latency)
        require(self.multiplier_latency >= 0, "multiplier_latency", ">= 0", self.multiplier_latency)
        require(self.interleave >= 1, "interleave", ">= 1", self.interleave)
        for name, kind in (("reduction", Reduction), ("gradients", Gradients)):
            known = get_args(kind)
            require(getattr(self, name) in known, name, f"one of {', '.join(known)}", getattr(self, name))
        for name in ("sore_lanes", "wuve_lanes"):
            require(1 <= getattr(self, name) <= 1024, name, "1..1024", getattr(self, name))
        for name in self.passes:
            require(name in PASSES, "passes", f"of {', '.join(PASSES)}", name)
        require(self.most_bursts >= 0, "most_bursts", ">= 0", self.most_bursts)
        # A file that cannot be used is refused before anything runs.
        _ = self.pins

    @cached_property
    def pins(self) -> schedules.Schedule | None:
        """The schedule's choices, or None."""
        return schedules.load(self.schedule, self.rows, self.cols) if self.schedule else None

    def array(self) -> Array:
        """The array with its arithmetic latencies."""
        return replace(
            super().array(),
            interval=self.adder_latency,
            interleave=self.interleave,
            latency=self.multiplier_latency + self.adder_latency - 1,
            overlapped=self.overlapped,
        )

    def peak_gflops(self, kept: int = 1, group: int = 1) -> float:
        """10^9 operations a second, two for each product and sum; with N:M, of the dense work it replaces."""
        return 2 * self.rows * self.cols * self.clock_hz * group / kept / 1e9

    def held(self, pattern: Pattern) -> int:
        """All N of a group, or one."""
        return pattern.kept if self.sparse_mode == "time" and not pattern.is_dense else 1

    def remarks(self, product: Matmul, pattern: Pattern, compute_cycles: int) -> list[str]:
        """Beside a mask that keeps everything: what its sparse mode would take."""
        lines = super().remarks(product, pattern, compute_cycles)
        size = int(str(product.geometry.get("pattern", "0:0")).split(":")[1])
        if (
            product.mask is not None
            and pattern.is_dense
            and size > 1
            and product.mask.kept == product.n * product.k
        ):
            gemm = replace(self.gemm(product, Pattern()), kept=size, group=size, held=size)
            cycles = weight_stationary(gemm, self.array()).compute_cycles
            lines.append(
                f"dense mode {compute_cycles} compute cycles; "
                f"time-multiplexed {size}:{size}, weight stationary, {cycles}"
            )
        return lines

    def refuse(self, layer: Layer) -> str:
        """What is no matrix product and no update by SGD."""
        if isinstance(layer, Update):
            words = f"WUVE keeps one word of optimiser state (momentum), not {layer.state}"
            return words if layer.state > 1 else ""
        return refuse(layer)

    def require_layers(self, layers: Sequence[Layer]) -> None:
        """ValueError if the schedule names a layer that is not there."""
        if self.pins:
            runs = [layer for layer in layers if isinstance(layer, (Matmul, Attention))]
            self.pins.require_layers({product.name for layer in runs for product in products(layer)})

    def plan(self, layer: Layer) -> LayerPlan:
        """The layer's products one after the other in the scheduled dataflow and blocks, or its update."""
        if isinstance(layer, Update):
            return self._update(layer)
        blocks: list[tuple[Folds, int]] = []
        sored: list[Integers] = []
        on_the_fly = False
        events: dict[str, float] = {}
        facts: list[dict[str, int | float | str]] = []
        notes: list[str] = []
        dense = done = cycles = launches = 0
        for product in products(layer):
            pattern = find_pattern(product, self.group_limit)
            chosen = choose(self, product, pattern)
            beats = reduced(self, product, chosen.tiling, pattern)
            on_the_fly |= beats is not None
            own = [(folds, times * product.count) for folds, times in chosen.tiling.blocks]
            beside = passes(product, self.passes, self.activation_buffer)
            blocks += own + beside
            idle = [folds.busy * 0 for folds, _ in (*own, *beside)]
            sored += idle if beats is None else [*beats, *idle[len(own) :]]
            macs = product.m * product.n * min(chosen.gemm.stream, product.k) * product.count
            for name, count in self._events(macs, chosen.tiling.total).items():
                copies = product.count if "buffer" in name else 1
                events[name] = events.get(name, 0.0) + copies * count
            compared = sum(
                int(beat.sum()) * times for beat, (_, times) in zip(beats or (), own, strict=False)
            )
            events["reduction comparators"] = (
                events.get("reduction comparators", 0.0) + self.sore_lanes * compared
            )
            facts.append(self._facts(product, pattern, chosen))
            notes += self.remarks(product, pattern, chosen.tiling.compute_cycles)
            cycles += chosen.tiling.compute_cycles * product.count
            dense += product.dense().macs
            done += macs
            launches += 1
        plan, segments = plan_of(blocks, self.array(), self.dram.burst_bytes, sored if on_the_fly else None)
        return LayerPlan(
            plan=plan,
            segments=segments,
            most_bursts=self.most_bursts if getattr(layer, "stage", "") else self._most_of_inference(),
            macs_dense=dense,
            macs_done=done,
            launches=launches,
            notes=tuple(notes),
            facts={**_joined(facts), "utilisation": done / (cycles * self.rows * self.cols)},
            events=events,
        )

    def _most_of_inference(self) -> int:
        """A product outside training has all its bursts simulated as long as that takes seconds."""
        return max(self.most_bursts, MOST_OF_INFERENCE) if self.most_bursts else 0

    def _facts(self, product: Matmul, pattern: Pattern, chosen: Chosen) -> dict[str, int | float | str]:
        """Stage, pattern, what was scheduled and why, and the configuration word."""
        facts: dict[str, int | float | str] = {
            "stage": product.stage,
            "pattern": str(pattern),
            "dataflow": chosen.flow,
            "weights": "expanded" if chosen.expanded else "",
            "blocks": str(chosen.tiling),
            "why": chosen.why,
            "word": chosen.choice.word(pattern, self.rows),
        }
        geometry = product.geometry
        strided = geometry.get("kind") == "convolution" and geometry.get("stride") != "1x1"
        if product.stage == "bp" and strided:
            # The other form of this product, with its inserted zeros multiplied.
            inputs = int(geometry.get("batch", 0)) * sizes(geometry.get("input", ""))
            facts["transposed_form_macs"] = inputs * product.n * product.k * product.count
        return {name: value for name, value in facts.items() if value != ""}

    def _update(self, update: Update) -> LayerPlan:
        """WUVE and SORE over one weight tensor."""
        unit = self.updating(update)
        count = updates.counts(update, unit)
        buffers = 2 * 8 * (count.read_bytes + count.write_bytes) / (self.cols * 16)
        updated = 0 if update.skipped else update.parameters
        operations = 2 + update.weight_decay + update.decay
        return LayerPlan(
            plan=updates.plan(update, unit),
            most_bursts=self.most_bursts,
            macs_dense=0,
            macs_done=0,
            facts={
                "stage": "update",
                "pattern": f"{update.forward}/{update.backward}",
                "wuve_clocks": -(-update.parameters // self.wuve_lanes) + unit.wuve.latency,
                "sore_clocks": count.forward_clocks + count.backward_clocks,
                "copy_bytes": count.copy_bytes,
            },
            events={
                "update multipliers": updated * (operations + (update.loss_scale > 1)),
                "update adders": updated * operations,
                "reduction comparators": self.sore_lanes * (count.forward_clocks + count.backward_clocks),
                "weight buffer": buffers,
            },
        )

    def updating(self, update: Update) -> updates.Updating:
        """The parts of the machine that an update passes."""
        constants = Momentum(
            weight_decay=float(update.weight_decay), decay=float(update.decay), loss_scale=update.loss_scale
        )
        return updates.Updating(
            wuve=Wuve(
                lanes=self.wuve_lanes,
                multiplier_latency=max(1, self.multiplier_latency),
                adder_latency=self.adder_latency,
                constants=constants,
            ),
            sore_lanes=self.sore_lanes,
            transpose_buffer=self.transpose_buffer,
            pregenerate=self.reduction == "pregenerated",
            fetch_gradients=self.gradients == "stored",
            buffer_bytes=self.weight_buffer,
            burst_bytes=self.dram.burst_bytes,
        )

    def parts(self) -> tuple[Part, ...]:
        """The array with its buffers, WUVE's arithmetic, a comparator for each lane of SORE."""
        multiply, add, compare = (
            self.energy.multiply("fp32"),
            self.energy.add("fp32"),
            self.energy.add("int16"),
        )
        operations = 4 * self.wuve_lanes
        return (
            *super().parts(),
            Part(name="update multipliers", group="logic", cost=multiply, count=operations),
            Part(name="update adders", group="logic", cost=add, count=operations),
            Part(name="reduction comparators", group="logic", cost=compare, count=self.sore_lanes),
        )

    def assumptions(self) -> tuple[str, ...]:
        """What the paper leaves open and how it is set here."""
        size = f"{self.rows} x {self.cols} at {self.clock_hz / 1e6:g} MHz"
        sparse = {
            "time": "one processing element holds a group's N weights for N cycles",
            "slot": "one stored weight for each processing element",
        }[self.sparse_mode]
        return (
            f"{size} and the sizes of the buffers are choices, not figures of the paper's abstract",
            f"cycles (unpublished): adder {self.adder_latency}, multiplier {self.multiplier_latency}, hop 1",
            "weight stationary: a sum passes the adder of every row on its way down, once for each fold",
            f"fill and drain of the folds {'overlap' if self.overlapped else 'are exposed'}",
            f"N:M with stationary weights: {sparse}",
            f"N:M weights {'may' if self.expand else 'never'} enter the array with their zeros, as dense",
            *self._training_assumptions(),
            *super().assumptions()[1:],
        )

    def _training_assumptions(self) -> tuple[str, ...]:
        """What is chosen of a training step, and of how convolutions reach the array."""
        where = {"pregenerated": "once, after the update", "on-the-fly": "each time weights are fetched"}
        columns = (
            "a pass writes the columns of convolutions to memory and sums those of their gradients"
            if "im2col" in self.passes
            else "convolutions are lowered on chip: an input is fetched once where all its columns would be"
        )
        named = ", ".join(self.passes) or "none"
        turned = "with a transposing buffer" if self.transpose_buffer else "without transposing buffer"
        return (
            "operands lie packed in memory in the order of first use",
            columns,
            f"training: N:M copies are made {where[self.reduction]}; gradients of weights {self.gradients}",
            f"training: {self.wuve_lanes} WUVE lanes; {self.sore_lanes} SORE lanes {turned}",
            f"training: terms beside products and updates: {named} (of {', '.join(PASSES)})",
        )


def _joined(facts: list[dict[str, int | float | str]]) -> dict[str, int | float | str]:
    """The facts of a layer's products; words that differ stand side by side."""
    if len(facts) == 1:
        return facts[0]
    return {
        name: "+".join(str(fact[name]) for fact in facts) for name in ("pattern", "dataflow", "blocks", "why")
    }


PAPER = Sat()

# All four channels of the board: 76.8 GB/s.
VCU1525 = Sat(dram=replace(PAPER.dram, channels=4))

TINY = Sat(rows=4, cols=4, activation_buffer=1 << 15, weight_buffer=1 << 14, output_buffer=1 << 15)

PRESETS = {"paper": PAPER, "vcu1525": VCU1525, "tiny": TINY}
