"""One matrix product on SAT: its widths and pattern in its stage of training, its dataflow, its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from accelsim.accelerators.folds import Folds
from accelsim.accelerators.gemm import Gemm
from accelsim.accelerators.products import ELEMENT_BITS, Pattern
from accelsim.accelerators.sat import passes
from accelsim.accelerators.sat.layout import plan_of
from accelsim.accelerators.sat.schedule import Choice
from accelsim.accelerators.sat.tiling import Tiling, cuts, tiling
from accelsim.plan import Integers
from accelsim.windows import Segment, compute_cycles, paced
from accelsim.workload import Matmul

if TYPE_CHECKING:
    from accelsim.accelerators.sat.machine import Sat

SUM_BITS = 32
WORTH_IT = 0.999  # a cut is looked at if it may save a thousandth


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What the scheduler found for a product.

    `expected`: cycles of the best of each dataflow; of one that could not be faster, what it needs at least.
    """

    flow: str
    tiling: Tiling
    expected: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False

    @property
    def choice(self) -> Choice:
        """As a schedule says it."""
        return Choice(flow=self.flow, rows=self.tiling.rows, steps=self.tiling.steps)

    @property
    def why(self) -> str:
        """Why this dataflow, in words."""
        if self.pinned:
            return "pinned by the schedule"
        if len(self.expected) == 1:
            return "the only one asked for or possible"
        return (
            ", ".join(f"{flow} {cycles:.4g}" for flow, cycles in self.expected.items()) + " cycles expected"
        )


def gemm_of(machine: Sat, product: Matmul, pattern: Pattern) -> Gemm:
    """Widths by stage: gradients of weights leave as FP32 or stay on chip; columns share inputs.

    Reduced on the fly, weights come dense, and a group takes the room of all its weights.
    """
    gemm = machine.gemm(product, pattern)
    # The pass that writes the columns to memory makes each of them an element of its own.
    share = 1.0 if "im2col" in machine.passes else passes.input_share(product)
    if product.stage == "bp":
        gemm = replace(gemm, output_bits=gemm.output_bits * share)
    else:
        gemm = replace(gemm, fetch_share=share)
    if product.stage == "wu":
        gemm = replace(gemm, output_bits=SUM_BITS if machine.gradients == "stored" else 0)
    if on_the_fly(machine, product, pattern):
        dense_bits = ELEMENT_BITS[machine.dtype] * gemm.group // gemm.kept
        gemm = replace(gemm, weight_bits=max(gemm.weight_bits, dense_bits))
    return gemm


def on_the_fly(machine: Sat, product: Matmul, pattern: Pattern) -> bool:
    """Are the weights reduced on their way to the array?"""
    training = product.stage in ("ff", "bp") and product.weights
    return training and machine.reduction == "on-the-fly" and not pattern.is_dense


def choose(machine: Sat, product: Matmul, pattern: Pattern) -> Chosen:
    """A pinned choice, or the dataflow and blocks that are expected to end first. ValueError if none fits."""
    gemm, array = gemm_of(machine, product, pattern), machine.array()
    pin = machine.pins.find(product.name, pattern) if machine.pins else None
    if pin and not pin.is_open:
        made = tiling(pin.flow, gemm, array, pin.rows, pin.steps)
        return Chosen(flow=pin.flow, tiling=made, pinned=True)
    flows = ("os", "ws") if machine.dataflow == "auto" else (machine.dataflow,)
    bytes_per_cycle = machine.dram.stream_bandwidth / machine.clock_hz
    options: list[tuple[float, str, Tiling]] = []
    refusals: list[ValueError] = []
    for flow in (pin.flow,) if pin else flows:
        for rows, steps in cuts(flow, gemm, array):
            # One cut may be impossible (a buffer too small for it) where another is not.
            try:
                made = tiling(flow, gemm, array, rows, steps)
            except ValueError as error:
                refusals.append(error)
                continue
            options.append((made.least_cycles(bytes_per_cycle), flow, made))
    if not options:
        raise refusals[0]
    expected: dict[str, float] = {}
    best = float("inf"), *options[0][1:]
    # Those that may be the fastest first: most others need not be looked at.
    for least, flow, made in sorted(options, key=lambda option: option[0]):
        if least < best[0] * WORTH_IT:
            cycles = expected_cycles(made, machine, bytes_per_cycle)
            expected[flow] = min(cycles, expected.get(flow, cycles))
            best = min(best, (cycles, flow, made), key=lambda option: option[0])
        else:
            expected.setdefault(flow, least)
    return Chosen(flow=best[1], tiling=best[2], expected=expected, pinned=pin is not None)


def expected_cycles(made: Tiling, machine: Sat, bytes_per_cycle: float) -> float:
    """Cycles of the blocks in the machine's stages and buffers, at a memory without banks."""
    plan, segments = plan_of(made.blocks, machine.array(), machine.dram.burst_bytes)
    whole = segments or (Segment(first=0, last=plan.jobs),)
    return float(compute_cycles(paced(plan, machine.dram.burst_bytes, bytes_per_cycle), whole))


def beats(machine: Sat, product: Matmul, folds: Folds, pattern: Pattern) -> Integers:
    """Beats of SORE for each piece: the weights that it fetches, dense.

    A backward product's groups lie across the rows in which the forward product stores its weights.
    """
    weights = -(-folds.weights * 8 // ELEMENT_BITS[machine.dtype])
    turned = product.stage == "bp" and not machine.transpose_buffer
    lanes = max(1, machine.sore_lanes // pattern.group) if turned else machine.sore_lanes
    return np.asarray(-(-weights // lanes), np.int64)


def reduced(machine: Sat, product: Matmul, tiling: Tiling, pattern: Pattern) -> list[Integers] | None:
    """Beats by block, where weights are reduced on the fly."""
    if not on_the_fly(machine, product, pattern):
        return None
    return [beats(machine, product, folds, pattern) for folds, _ in tiling.blocks]
