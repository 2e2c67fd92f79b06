"""How long the rows of a layer select among their values, also where not every row's scores were kept.

A row without scores of its own selects among those of the nearest kept row, with its own pivots and its own
count. How far off that is, is measured: every kept row is also timed on its neighbour's scores.
"""

from __future__ import annotations

import math

import numpy as np

from accelsim.accelerators.spatten.decisions import Decisions
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.topk import value_selections
from accelsim.plan import Integers
from accelsim.workload import Attention

MOST_AT_ONCE = 2**22  # scores copied for rows that share them

STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Errors that a note says: rounded up to one of these, so that layers are grouped."""


def local_select_cycles(
    machine: Parameters, decided: Decisions, rows: Integers, source: Integers
) -> Integers:
    """Cycles of the selection of each of `rows`, on the scores at `source`: both (selecting rows,)."""
    cycles = np.zeros(rows.size, np.int64)
    if decided.scores is None:
        return cycles
    step = max(1, MOST_AT_ONCE // decided.scores.shape[1])
    for first in range(0, rows.size, step):
        block = slice(first, first + step)
        scores = decided.scores[source[block]]
        cycles[block] = value_selections(machine, scores, decided.values[rows[block]], rows[block])
    return cycles


def sampled_scores(
    machine: Parameters, layer: Attention, decided: Decisions, cycles: Integers
) -> tuple[tuple[str, ...], dict[str, int | float | str]]:
    """What a report says where scores were not kept of every row: a note, and figures of the layer.

    cycles: (rows,), those of each row's selection, 0 for a row that selects nothing. `select_cycles_error`
    bounds their relative error: the mean change from a row's own scores to those of a neighbour twice as far
    away as any that stands in, plus two standard errors.
    """
    if layer.score_rows is None:
        return (), {}
    own = _own_rows(layer)
    own = own[cycles[own] > 0]
    facts: dict[str, int | float | str] = {"score_rows_share": layer.scored / layer.queries}
    said = "scores were kept at even distances"
    if own.size < 2:
        return (f"{said}, and no row selects among them",), facts
    neighbour = np.append(decided.source[own[1:]], decided.source[own[-2]])
    change = local_select_cycles(machine, decided, own, neighbour) - cycles[own]
    error = abs(float(change.mean())) + 2 * float(change.std()) / math.sqrt(own.size)
    error /= float(cycles[own].mean())
    facts["select_cycles_error"] = error
    bound = next((step for step in STEPS if error <= step), None)
    off = f"less than {bound:.1%}" if bound else f"more than {STEPS[-1]:.0%}"
    return (
        f"{said}: others select among those of the nearest kept row, in cycles that are off by {off}",
    ), facts


def _own_rows(layer: Attention) -> Integers:
    """Rows whose own scores were kept."""
    first = np.arange(layer.batch * layer.heads) * layer.queries
    kept = np.asarray(layer.score_rows, np.int64)
    return (first[:, None] + kept).ravel()
