"""How long the selections of a layer take: the times of the unit `accelsim.units.topk`, on real scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.accelerators.spatten.parameters import PUBLISHED_PASS_OVERHEAD, Parameters
from accelsim.plan import Integers
from accelsim.units.topk import TopK, published_cycles, selection_cycles
from accelsim.workload import Attention


def value_selections(
    machine: Parameters, probabilities: npt.NDArray[Any], keep: Integers, row_ids: Integers
) -> Integers:
    """Cycles to find the threshold of each row of probabilities, without loading and filtering.

    probabilities: (rows, keys) x 4096; 1.0 saturates. keep: (rows,), below keys; row_ids seed the pivots.
    """
    return _selections(machine, machine.topk, probabilities, keep, row_ids)


def ranking_cycles(machine: Parameters, scores: npt.NDArray[Any], keep: int, row_ids: Integers) -> Integers:
    """Cycles from the first score of each row to the last line of those kept, on an engine that is idle.

    scores: (rows, n) cumulative importance, which saturates.
    """
    engine = replace(machine.topk, bits=machine.importance_bits)
    found = _selections(machine, engine, scores, np.full(len(scores), keep), row_ids)
    lines = row_lines(scores.shape[1], engine.width)
    return found + engine.request_cycles + engine.turn_cycles + 2 * lines


def layer_rankings(machine: Parameters, layer: Attention, rows: int) -> list[tuple[Integers, Integers, int]]:
    """(rows, cycles of each, elements) of a layer's rankings, which follow the rows.

    Behind the last row of a sequence its tokens are ranked, behind the last row of all the heads.
    """
    ends = np.arange(1, layer.batch + 1) * (rows // layer.batch) - 1
    rankings = []
    if layer.token_scores is not None and 0 < layer.token_keep < layer.keys:
        rankings.append((ends, layer.token_scores, layer.token_keep))
    if layer.head_scores is not None and 0 < layer.head_keep < layer.heads:
        rankings.append((ends[-1:], layer.head_scores[None, :], layer.head_keep))
    return [
        (after, ranking_cycles(machine, scores, keep, np.arange(after.size)), scores.shape[1])
        for after, scores, keep in rankings
    ]


def _selections(
    machine: Parameters, engine: TopK, scores: npt.NDArray[Any], keep: Integers, row_ids: Integers
) -> Integers:
    words = np.minimum(scores, (1 << engine.bits) - 1)
    if machine.published_topk:
        return published_cycles(engine.width, PUBLISHED_PASS_OVERHEAD, words, keep, row_ids)[0]
    return selection_cycles(engine, words, keep, row_ids)[0]


def row_lines(elements: int, width: int) -> int:
    """Cycles to move a row through `width` lanes."""
    return -(-elements // width)
