"""`spatten.score_accumulator` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.attention import accumulated
from accelsim.units import score_accumulator as unit
from accelsim.units.score_accumulator import ADD, CLEAR, READ, Request
from accelsim.units.score_accumulator import ScoreAccumulator as Parameters
from accelsim.workload import Workload
from accelsim_rtl.kit.ports import packed
from accelsim_rtl.kit.replay import Replayed, score_rows
from accelsim_rtl.kit.unit import Transaction, Unit
from accelsim_rtl.score_accumulator import ScoreAccumulator, scores_layout

DRAWN_REQUESTS = 16


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Clear, sums up to saturation, read-outs between and after, short requests that follow at once."""
    most = parameters.capacity
    requests = [(CLEAR, most), (READ, most), (ADD, most), (ADD, most), (READ, most)]
    requests += [(ADD, 1), (ADD, 1), (READ, 1), (CLEAR, 1), (READ, parameters.width + 1)]
    for _ in range(DRAWN_REQUESTS):
        operation = int(generator.choice([ADD, ADD, ADD, READ, CLEAR], p=[0.25, 0.25, 0.25, 0.2, 0.05]))
        requests.append((operation, int(generator.integers(1, most + 1))))
    requests.append((READ, most))
    return [_transaction(parameters, operation, count, generator) for operation, count in requests]


def _transaction(parameters, operation: int, count: int, generator: np.random.Generator) -> Transaction:
    request = [unit.pack_request(Request(operation=operation, count=count))]
    if operation != ADD:
        return {"request": request}
    lines = -(-count // parameters.width)
    # Large ones, so that sums saturate; lanes beyond the count hold anything.
    scores = (
        (1 << parameters.score_bits)
        - 1
        - generator.integers(0, 1 << parameters.score_bits, (lines, parameters.width)) // 2
    )
    scores[generator.random(scores.shape) < 0.2] = 0
    return _addition(parameters, count, scores)


def _addition(parameters: Parameters, count: int, scores: np.ndarray) -> Transaction:
    """Scores in lines of `width` that are added to the first `count` sums."""
    layout = scores_layout(parameters)
    return {
        "request": [unit.pack_request(Request(operation=ADD, count=count))],
        "scores": [packed(layout, {"scores": list(map(int, line))}) for line in scores],
    }


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Layer by layer: clear, add rows of probabilities to the importance of their keys, read out."""
    layers, sentence = score_rows(workload, generator, longest=parameters.capacity)
    most, transactions = (1 << parameters.score_bits) - 1, []
    for rows in layers:
        keys = len(rows[0].scores) if rows else 0
        additions = []
        for row in rows:
            lines = np.zeros((-(-keys // parameters.width), parameters.width), np.int64)
            lines.ravel()[:keys] = np.minimum(row.scores, most)
            additions.append(_addition(parameters, keys, lines))
        if additions:
            clear, read = (_transaction(parameters, each, keys, generator) for each in (CLEAR, READ))
            transactions += [clear, *additions, read]
    return Replayed(transactions=transactions, sentence=sentence)


def requests_of(parameters: Parameters, transactions: list[Transaction]) -> list[Request]:
    """The request of each transaction."""
    return [unit.unpack_request(parameters, each["request"][0]) for each in transactions]


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """What golden's saturating sums are at each read-out."""
    sums = np.zeros(parameters.capacity, np.uint64)
    layout, width, payloads = scores_layout(parameters), parameters.width, []
    for request, transaction in zip(requests_of(parameters, transactions), transactions, strict=True):
        count = request.count
        if request.operation == ADD:
            lanes = [
                int(score) for payload in transaction["scores"] for score in layout.from_bits(payload).scores
            ]
            sums[:count] = accumulated(sums[:count], np.array(lanes[:count]), parameters.sum_bits)
        elif request.operation == CLEAR:
            # Whole lines are cleared.
            sums[: -(-count // width) * width] = 0
        else:
            payloads += [
                unit.pack_sums(
                    parameters,
                    sums[start : min(start + width, count)].tolist(),
                    last=start + width >= count,
                )
                for start in range(0, count, width)
            ]
    return {"sums": payloads}


UNIT = Unit(
    name="spatten.score_accumulator",
    sentence="Adds rows of probabilities to one saturating sum a token; read-out and clear",
    presets=unit.PRESETS,
    component=ScoreAccumulator,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, requests_of(parameters, transactions)),
    replay=replay,
    targets=("ecp5",),
    latency=lambda parameters: {
        "write_cycles": unit.WRITE_CYCLES,
        "read_cycles": unit.READ_CYCLES,
        "lines_per_clock": 1,
    },
)
