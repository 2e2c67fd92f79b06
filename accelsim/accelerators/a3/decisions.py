"""How many candidates each row has and how many it keeps: A3's own search on the model's Q, K and scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.accelerators.a3.parameters import Parameters
from accelsim.accelerators.whole import Whole, shares
from accelsim.golden.approximate import greedy_candidates, post_scored
from accelsim.layers import VECTOR_ONE
from accelsim.plan import Flags, Integers


@dataclass(frozen=True, kw_only=True, eq=False)
class Decisions:
    """(rows,) each: keys that are candidates, and those whose V is used; `facts`, `notes` for the report."""

    candidates: Integers
    kept: Integers
    facts: dict[str, int | float | str]
    notes: tuple[str, ...]


def decide(machine: Parameters, whole: Whole) -> Decisions:
    """All decisions of a layer; without a search every key is a candidate."""
    layer, scores = whole.layer, whole.scores
    every = np.full(whole.rows, layer.keys)
    if not machine.searches:
        return Decisions(candidates=every, kept=every, facts={}, notes=whole.notes())
    notes = list(whole.notes())
    facts: dict[str, int | float | str] = {}
    found = _found(machine, whole)
    if found is not None and scores is not None:
        flags = post_scored(scores, found, machine.threshold)
        candidates, kept = found.sum(axis=1)[whole.source], flags.sum(axis=1)[whole.source]
        facts["kept_probability"] = float(shares(flags, scores, whole.source).mean())
    else:
        notes.append("no Q and K in the workload: candidates by candidate_share")
        most = min(layer.keys, machine.search_iterations(layer.keys))
        candidates = np.full(whole.rows, max(1, round(machine.candidate_share * most)))
        if scores is None:
            notes.append("no scores in the workload: post-scoring keeps kept_share")
            kept = np.maximum(1, np.rint(machine.kept_share * candidates).astype(np.int64))
        else:
            flags = post_scored(scores, np.ones(scores.shape, np.bool_), machine.threshold)
            kept = np.minimum(candidates, flags.sum(axis=1)[whole.source])
    facts["candidates_mean"], facts["values_mean"] = float(candidates.mean()), float(kept.mean())
    return Decisions(candidates=candidates, kept=kept, facts=facts, notes=tuple(notes))


def _found(machine: Parameters, whole: Whole) -> Flags | None:
    """(scored rows, keys): what the search finds; None without Q and K of every token and head."""
    seen = whole.seen
    if seen.query_vectors is None or seen.key_vectors is None or not whole.is_whole:
        return None
    iterations = machine.search_iterations(seen.keys)
    found = np.empty((seen.batch, seen.heads, seen.scored, seen.keys), np.bool_)
    for sequence, head in np.ndindex(seen.batch, seen.heads):
        query = _narrow(machine, seen.query_vectors[sequence, head])
        key = _narrow(machine, seen.key_vectors[sequence, head * seen.kv_heads // seen.heads])
        found[sequence, head] = greedy_candidates(query, key, iterations)
    return found.reshape(-1, seen.keys)


def _narrow(machine: Parameters, vectors: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """In the machine's fixed point: rounded to nearest even, saturating."""
    whole = np.rint(vectors * ((1 << machine.fraction_bits) / VECTOR_ONE))
    most = 1 << (machine.element_bits - 1)
    clipped: npt.NDArray[np.float64] = np.clip(whole, -most, most - 1)
    return clipped
