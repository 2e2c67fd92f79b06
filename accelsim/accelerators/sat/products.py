"""One matrix product on SAT: its widths and pattern in its stage of training, its dataflow, its blocks.

A group's N weights share an element, so that short reductions leave rows of the array empty: 2:8 along 32
fills 4 of 32 rows, for 2 cycles. Such weights may be expanded on their way into the array, which then runs
dense; they are stored N:M all the same.
"""

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

    `expected`: cycles of the best of each way; of one that could not be faster, what it needs at least.
    """

    flow: str
    gemm: Gemm
    tiling: Tiling
    expanded: bool = False
    expected: Mapping[str, float] = field(default_factory=dict)
    pinned: bool = False

    @property
    def choice(self) -> Choice:
        """As a schedule says it."""
        return Choice(flow=self.flow, rows=self.tiling.rows, steps=self.tiling.steps, expanded=self.expanded)

    @property
    def why(self) -> str:
        """Why this way, in words."""
        if self.pinned:
            return "pinned by the schedule"
        if len(self.expected) == 1:
            return "the only one asked for or possible"
        return ", ".join(f"{way} {cycles:.4g}" for way, cycles in self.expected.items()) + " cycles expected"


def gemm_of(machine: Sat, product: Matmul, pattern: Pattern, expanded: bool = False) -> Gemm:
    """Widths by stage: gradients of weights leave as FP32 or stay on chip; columns share inputs.

    Reduced on the fly, weights come dense, and a group takes the room of all its weights. `expanded`: they
    are stored N:M and enter the array with their zeros.
    """
    gemm = machine.gemm(product, pattern)
    if expanded:
        bits = gemm.weight_bits * gemm.stream / gemm.k
        gemm = replace(machine.gemm(product, Pattern()), weight_bits=bits)
    # The pass that writes the columns to memory makes each of them an element of its own.
    share = 1.0 if "im2col" in machine.passes else passes.input_share(product)
    if product.stage == "bp":
        gemm = replace(gemm, output_bits=gemm.output_bits * share)
    else:
        gemm = replace(gemm, fetch_share=share)
    if product.stage == "wu":
        gemm = replace(gemm, output_bits=SUM_BITS if machine.gradients == "stored" else 0)
    if on_the_fly(machine, product, pattern):
        dense_bits = ELEMENT_BITS[machine.dtype] * gemm.group / gemm.kept
        gemm = replace(gemm, weight_bits=max(gemm.weight_bits, dense_bits))
    return gemm


def on_the_fly(machine: Sat, product: Matmul, pattern: Pattern) -> bool:
    """Are the weights reduced on their way to the array?"""
    training = product.stage in ("ff", "bp") and product.weights
    return training and machine.reduction == "on-the-fly" and not pattern.is_dense


def choose(machine: Sat, product: Matmul, pattern: Pattern) -> Chosen:
    """A pinned choice, or the way and blocks that are expected to end first. ValueError if none fits."""
    array = machine.array()
    pin = machine.pins.find(product.name, pattern) if machine.pins else None
    if pin and not pin.is_open:
        gemm = gemm_of(machine, product, pattern, pin.expanded)
        made = tiling(pin.flow, gemm, array, pin.rows, pin.steps)
        return Chosen(flow=pin.flow, gemm=gemm, tiling=made, expanded=pin.expanded, pinned=True)
    flows = ("os", "ws") if machine.dataflow == "auto" else (machine.dataflow,)
    bytes_per_cycle = machine.dram.stream_bandwidth / machine.clock_hz
    options: list[tuple[float, Chosen]] = []
    refusals: list[ValueError] = []
    for expanded in (False, True) if machine.expand and not pattern.is_dense else (False,):
        gemm = gemm_of(machine, product, pattern, expanded)
        for flow in (pin.flow,) if pin else flows:
            for rows, steps in cuts(flow, gemm, array):
                # One cut may be impossible (a buffer too small for it) where another is not.
                try:
                    made = tiling(flow, gemm, array, rows, steps)
                except ValueError as error:
                    refusals.append(error)
                    continue
                option = Chosen(flow=flow, gemm=gemm, tiling=made, expanded=expanded, pinned=pin is not None)
                options.append((made.least_cycles(bytes_per_cycle), option))
    if not options:
        raise refusals[0]
    return _fastest(options, machine, bytes_per_cycle)


def _fastest(options: list[tuple[float, Chosen]], machine: Sat, bytes_per_cycle: float) -> Chosen:
    """The option expected to end first, of each what it needs at least is known."""
    expected: dict[str, float] = {}
    best, chosen = float("inf"), options[0][1]
    # Those that may be the fastest first: most others need not be looked at.
    for least, option in sorted(options, key=lambda option: option[0]):
        way = f"{option.flow} expanded" if option.expanded else option.flow
        if least < best * WORTH_IT:
            cycles = expected_cycles(option.tiling, machine, bytes_per_cycle)
            expected[way] = min(cycles, expected.get(way, cycles))
            if cycles < best:
                best, chosen = cycles, option
        else:
            expected.setdefault(way, least)
    return replace(chosen, expected=expected)


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
