"""`spatten.decision` for the kit: stimulus, what golden expects of it, and its latency."""

from __future__ import annotations

import numpy as np

from accelsim.golden.attention import needs_lsb
from accelsim.units import decision as unit
from accelsim.units.decision import Decision as Parameters
from accelsim.units.decision import Request, kept_line, pack_line, pack_request, unpack_line, unpack_request
from accelsim_rtl.decision import Decision
from accelsim_rtl.kit.unit import Transaction, Unit

DRAWN_ROWS = 24
SHORT_ROWS = 80
"""Of one line each, more than may wait."""
LONGEST_ROW = 40
"""Lines of a row of the stimulus, but for one as long as may be."""


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Rows whose largest is at, just below or above the threshold, anywhere in the row; whole ones; masks."""
    longest = min(parameters.row_lines, LONGEST_ROW)
    lengths = [parameters.row_lines, *generator.integers(1, longest + 1, DRAWN_ROWS).tolist()]
    return [_row(parameters, length, generator) for length in (*lengths, *[1] * SHORT_ROWS)]


def _row(parameters: Parameters, length: int, generator: np.random.Generator) -> Transaction:
    one = (1 << parameters.probability_bits) - 1
    threshold = int(generator.choice([0, 1, one, *generator.integers(1, one + 1, 5)]))
    # Below the threshold, but for one that may reach it.
    shape = (length, parameters.lanes)
    probabilities = generator.integers(0, max(1, threshold), shape)
    valid = np.ones(shape, np.bool_)
    if generator.integers(4) == 0:
        valid = generator.random(shape) < 0.5
    place = int(generator.integers(probabilities.size))
    peaks = [threshold, max(0, threshold - 1), min(one, threshold + 1)]
    probabilities.flat[place] = int(generator.choice(peaks))
    # One counts at least, mostly the peak.
    valid.flat[place if generator.integers(4) else int(generator.integers(valid.size))] = True
    valid.flat[place] &= bool(valid.sum() == 1 or generator.integers(8))
    request = Request(
        tag=int(generator.integers(1 << parameters.tag_bits)),
        threshold=threshold,
        whole=not generator.integers(5),
    )
    return {
        "rows": [pack_request(parameters, request)],
        "probabilities": [
            pack_line(parameters, line.tolist(), counts.tolist(), last=number == length - 1)
            for number, (line, counts) in enumerate(zip(probabilities, valid, strict=True))
        ],
    }


def _dropped(parameters: Parameters, transaction: Transaction) -> bool:
    """What golden says of a row; what does not count has no probability."""
    request = unpack_request(parameters, transaction["rows"][0])
    lines = [unpack_line(parameters, payload)[:2] for payload in transaction["probabilities"]]
    row = np.concatenate([np.where(valid, probabilities, 0) for probabilities, valid in lines])
    return not request.whole and bool(needs_lsb(row, request.threshold))


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Rows that golden takes as they are, and the names of those that it fetches anew."""
    kept, refetch = [], []
    for transaction in transactions:
        tag = unpack_request(parameters, transaction["rows"][0]).tag
        if _dropped(parameters, transaction):
            refetch.append(tag)
        else:
            kept += [kept_line(parameters, line, tag) for line in transaction["probabilities"]]
    return {"kept": kept, "refetch": refetch}


UNIT = Unit(
    name="spatten.decision",
    sentence="Progressive quantisation: a row of probabilities is kept, or its least bits are asked for",
    presets=unit.PRESETS,
    component=Decision,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(
        parameters, [(len(each["probabilities"]), _dropped(parameters, each)) for each in transactions]
    ),
    targets=("ecp5",),
    latency=lambda parameters: {
        "decision_cycles": unit.DECISION_CYCLES,
        "kept_cycles": unit.KEPT_CYCLES,
        "lines_per_clock": 1,
    },
)
