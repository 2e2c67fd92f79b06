"""The published artefact's behavioural model (bert.cpp) and the paper's ratios, as closed forms.

bert.cpp adds up, for each layer, transfer, fill, drain and selection: nothing overlaps, a channel moves a
burst a cycle, and no bank is modelled. `published_model` puts these sums in the place of the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from accelsim.accelerators.spatten.decisions import Decisions
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import row_lines
from accelsim.plan import Layout, Plan, Stage
from accelsim.units.topk import published_cycles
from accelsim.workload import Attention

STAGES = ("transfer", "fill", "drain", "selection")
SELECTION_OVERHEAD = 4  # of a pass: bert.cpp says size / width + 3 + 1
WIDEST = 8  # of a stored element: bert.cpp takes 6 bits and more than 8 as 8


class Sums(NamedTuple):
    """Cycles of a layer, which add up, and the bytes that its transfer counts."""

    transfer: int
    fill: int
    drain: int
    selection: int
    read_bytes: int


def published_sums(machine: Parameters, layer: Attention, decided: Decisions) -> Sums:
    """The layer's cycles by bert.cpp's rules.

    Vectors come in blocks as wide as QxK, at 4 or 8 bits, evenly over the channels. V comes whole but in
    generation, where a head brings what its row keeps. Its selection partitions the wrong side; ours
    is right, so its cycles are not those that bert.cpp prints.
    """
    width = machine.scores_per_cycle(layer.dim)
    rows, heads = decided.rows, layer.batch * layer.heads
    bits = (layer.bits or (machine.dense_bits, 0))[0]
    values = decided.values if layer.queries == 1 else np.full(heads, layer.keys)
    vectors = np.append(np.full(heads, layer.keys), values)
    dims = np.repeat([layer.dim, layer.value_dim], heads)
    blocks = -(-vectors // width) * width
    moved = blocks * dims * (bits if bits == 4 else WIDEST) // 8
    bursts = -(-moved // machine.dram.burst_bytes)
    softmax = machine.softmax
    lines = row_lines(layer.keys, width)
    return Sums(
        transfer=int((-(-bursts // machine.dram.channels)).sum()),
        fill=rows * lines,
        drain=machine.qk_latency + softmax.sum_latency + softmax.divide_latency + machine.pv_latency + lines,
        selection=_selection(machine, layer, width),
        read_bytes=int(bursts.sum()) * machine.dram.burst_bytes,
    )


def _selection(machine: Parameters, layer: Attention, width: int) -> int:
    """Ranking the tokens, where a layer does: rows with `if_topk`. Local values cost nothing there."""
    if layer.token_scores is None or not 0 < layer.token_keep < layer.keys:
        return 0
    keep, numbers = np.full(layer.batch, layer.token_keep), np.arange(layer.batch)
    passes = published_cycles(
        machine.topk.width, SELECTION_OVERHEAD, layer.token_scores.astype(np.int64), keep, numbers
    )[0]
    around = row_lines(layer.keys, width) + row_lines(layer.token_keep, width)
    return int(passes.sum()) + layer.batch * around


def published_plan(sums: Sums) -> Plan:
    """One job whose stages are the sums, one behind the other; it moves no burst."""
    plan = Plan(layout=Layout(stages=tuple(Stage(name=name) for name in STAGES)), jobs=1)
    plan.busy[0] = [getattr(sums, name) for name in STAGES]
    plan.whole[0] = True
    plan.skip[0, STAGES.index("selection")] = not sums.selection
    return plan


def quantisation_gain(msb: int, lsb: int, refetched_share: float, baseline_bits: int = 32) -> float:
    """How many times fewer bits of K come in than at `baseline_bits`, if a share of the rows re-fetches.

    The paper's 5.1x is 32 / (6 + 0.059 x 4); it never says that its baseline has 32 bits.
    """
    return baseline_bits / (msb + refetched_share * lsb)


class Gains(NamedTuple):
    """How many times fewer vectors than without pruning."""

    rows: float
    keys: float
    values: float
    both: float


def pruning_gains(dense_heads: int, rows: Sequence[tuple[int, int, int, int]]) -> Gains:
    """Of a generation trace with rows (heads, unpruned length, keys, values), one for each token and layer.

    `rows` is by heads alone; the others count what those heads that are left would fetch without pruning,
    as the published traces do.
    """
    heads, length, keys, values = np.asarray(rows, np.int64).T
    unpruned, kept_keys, kept_values = (int((heads * vectors).sum()) for vectors in (length, keys, values))
    return Gains(
        rows=dense_heads * len(rows) / int(heads.sum()),
        keys=unpruned / kept_keys,
        values=unpruned / kept_values,
        both=2 * unpruned / (kept_keys + kept_values),
    )
