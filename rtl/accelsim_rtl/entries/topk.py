"""`spatten.topk` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden import topk as golden
from accelsim.units import topk as unit
from accelsim.units.topk import TopK as Parameters
from accelsim.workload import Workload
from accelsim_rtl.kit.ports import packed
from accelsim_rtl.kit.replay import Replayed, score_rows
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.topk import TopK
from accelsim_rtl.topk.shapes import Shapes

DRAWN_ROWS = 6
USUAL_LINES = 128
"""Of a narrow engine's rows all but one have no more: 1,024 scores in a lane take several thousand clocks."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows of every kind that once broke a selection, then rows of random length, kind and keep.

    The longest row has as many scores as the capacity, whatever the width.
    """
    most = min(parameters.capacity, USUAL_LINES * parameters.width)
    some = int(generator.integers(2, max(3, most)))
    rows = [
        (_scores("ties", parameters, some, generator), some),
        (_scores("random", parameters, 1, generator), 1),
        (_scores("random", parameters, most, generator), int(generator.integers(1, most))),
        (_scores("zeros", parameters, most, generator), most // 2),
        (_scores("constant", parameters, min(most, 2 * parameters.width), generator), 1),
        (_scores("ascending", parameters, some, generator), 1),
        (_scores("descending", parameters, some, generator), some - 1),
        (_scores("softmax", parameters, most, generator), max(1, most // 3)),
    ]
    for _ in range(DRAWN_ROWS):
        count = int(generator.integers(1, most + 1))
        kind = str(generator.choice(KINDS))
        rows.append((_scores(kind, parameters, count, generator), int(generator.integers(1, count + 1))))
    if most < parameters.capacity:
        kind = str(generator.choice(KINDS))
        scores = _scores(kind, parameters, parameters.capacity, generator)
        rows.append((scores, int(generator.integers(1, parameters.capacity))))
    return [_transaction(parameters, scores, keep, generator) for scores, keep in rows]


KINDS = ("random", "ties", "zeros", "constant", "ascending", "descending", "softmax")


def _scores(kind: str, parameters: Parameters, count: int, generator: np.random.Generator) -> np.ndarray:
    most = 1 << parameters.bits
    drawn = generator.integers(0, most, count)
    if kind == "ties":
        return drawn % 4
    if kind == "zeros":
        return np.where(generator.random(count) < 0.8, 0, drawn)
    if kind == "constant":
        return np.full(count, drawn[0])
    if kind in ("ascending", "descending"):
        return np.sort(drawn)[:: 1 if kind == "ascending" else -1]
    if kind == "softmax":
        powers = np.exp(2 * generator.standard_normal(count))
        return np.minimum(np.rint(powers / powers.sum() * most), most - 1).astype(np.int64)
    return drawn


def _transaction(
    parameters: Parameters,
    scores: np.ndarray,
    keep: int,
    generator: np.random.Generator,
    row_id: int | None = None,
) -> Transaction:
    shapes, width = Shapes(parameters), parameters.width
    number = int(generator.integers(0, 1 << 16)) if row_id is None else row_id % (1 << 16)
    request = {"count": len(scores), "keep": keep, "row_id": number}
    # Lanes beyond the row hold anything.
    padding = generator.integers(0, 1 << parameters.bits, -len(scores) % width)
    lines = np.concatenate([scores, padding]).reshape(-1, width)
    return {
        "request": [packed(shapes.request, request)],
        "scores": [packed(shapes.scores, {"scores": list(map(int, line))}) for line in lines],
    }


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Local value pruning: rows of probabilities as the machine hands them to the engine, 1.0 saturating."""
    layers, sentence = score_rows(workload, generator, longest=parameters.capacity)
    most = (1 << parameters.bits) - 1
    return Replayed(
        transactions=[
            _transaction(parameters, np.minimum(row.scores, most), row.values, generator, row.number)
            for rows in layers
            for row in rows
        ],
        sentence=sentence,
    )


def rows_of(parameters: Parameters, transactions: list[Transaction]) -> list[tuple[np.ndarray, int, int]]:
    """Scores, keep and row id of each transaction."""
    shapes = Shapes(parameters)
    rows = []
    for transaction in transactions:
        request = shapes.request.from_bits(transaction["request"][0])
        lanes = [
            int(score)
            for payload in transaction["scores"]
            for score in shapes.scores.from_bits(payload).scores
        ]
        rows.append((np.array(lanes[: request["count"]]), int(request.keep), int(request.row_id)))
    return rows


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """The thresholds and the kept scores with their indices, as golden selects them."""
    shapes, width = Shapes(parameters), parameters.width
    thresholds, kept = [], []
    for scores, keep, _ in rows_of(parameters, transactions):
        kth, quota = golden.kth_and_quota(scores, keep) if keep < len(scores) else (0, keep)
        thresholds.append(packed(shapes.threshold, {"kth": int(kth), "quota": int(quota)}))
        indices = golden.top_k_indices(scores, keep)
        for start in range(0, keep, width):
            line = indices[start : start + width]
            beat = {
                "scores": list(map(int, scores[line])),
                "indices": list(map(int, line)),
                "count": len(line),
                "last": int(start + width >= keep),
            }
            kept.append(packed(shapes.kept, beat))
    return {"threshold": thresholds, "kept": kept}


def latency(parameters: Parameters) -> dict[str, int]:
    """The constants of the engine's time, in cycles."""
    return {
        "request_cycles": parameters.request_cycles,
        "pass_cycles": parameters.pass_cycles,
        "pivot_wait_cycles": parameters.pivot_wait if parameters.engine == "quick" else 0,
        "radix_passes": parameters.digits if parameters.engine == "radix" else 0,
        "filter_cycles": parameters.filter_cycles,
        "lines_per_clock": 1,
    }


UNIT = Unit(
    name="spatten.topk",
    sentence="The k largest scores of a row in their order, by quick-select or by radix threshold select",
    presets=unit.PRESETS,
    component=TopK,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, rows_of(parameters, transactions)),
    latency=latency,
    replay=replay,
    targets=("ecp5",),
)
