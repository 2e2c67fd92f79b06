"""`spatten.head` for the kit: heads of attention as streams, what golden expects of them, and latencies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import accumulated, keep_count, local_values, needs_lsb
from accelsim.golden.fixed import join_lsb, shift_right, split_lsb
from accelsim.golden.integer_attention import scaled_scores, score_scaling
from accelsim.golden.softmax import softmax
from accelsim.golden.topk import LFSR_BITS
from accelsim.units import head as unit
from accelsim.units.head import Head as Parameters
from accelsim.units.score_accumulator import CLEAR, READ, pack_sums
from accelsim.workload import Workload
from accelsim_rtl.head import Head
from accelsim_rtl.kit.replay import Replayed, ScoreRow, score_rows
from accelsim_rtl.kit.unit import Transaction, Unit

HEADS = 5
MOST_QUERIES = 5
SPREAD = 2.0
"""Standard deviation of the scores of a drawn head."""
LATER_ROWS = 3
"""Rows that may pass between a row and its second pass."""

Raw = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadWork:
    """A head as the machine sees it: Q (queries, dim), K (keys, dim), V (keys, value_dim), and its settings.

    score_scale: of a product of Q and K in real units. values: V that a row keeps. visible: (queries,), keys
    that a row may see. lsb_bits: left out in a first pass; threshold: in units of the probabilities.
    """

    query: Raw
    key: Raw
    value: Raw
    score_scale: float
    values: int
    visible: Sequence[int]
    lsb_bits: int
    threshold: int


def stimulus(parameters: Parameters, generator: np.random.Generator) -> list[Transaction]:
    """Heads of all lengths of vectors, odd ones among them: of one key, of as many as fit; masks, LSBs."""
    transactions, number = [], 0
    for each in range(HEADS):
        work = _drawn_head(parameters, each, generator)
        transactions += streams(parameters, work, generator, first=number)
        number += len(work.query)
    return transactions


def _drawn_head(parameters: Parameters, number: int, generator: np.random.Generator) -> HeadWork:
    dims = [_drawn_dim(parameters, generator) for _ in range(2)]
    keys = {0: parameters.keys, 1: 1}.get(number, int(generator.integers(1, parameters.keys + 1)))
    queries = int(generator.integers(1, MOST_QUERIES + 1))
    most = (1 << (parameters.operand_bits - 1)) - 1
    query, key, value = (
        generator.integers(-most - 1, most + 1, (rows, dim))
        for rows, dim in ((queries, dims[0]), (keys, dims[0]), (keys, dims[1]))
    )
    visible = [keys] * queries
    if generator.integers(3) == 0:
        visible = sorted(generator.integers(1, keys + 1, queries).tolist())
    lsb_bits = int(generator.integers(min(4, parameters.operand_bits - 2) + 1))
    one = parameters.form.one
    return HeadWork(
        query=query,
        key=key,
        value=value,
        score_scale=SPREAD / (sqrt(dims[0]) * most * most / 3),
        values=keep_count(keys, float(generator.choice([1.0, 0.2, 0.5, 0.9]))),
        visible=visible,
        lsb_bits=lsb_bits,
        threshold=int(generator.integers(1, one // 2 + 1)) if lsb_bits else 0,
    )


def _drawn_dim(parameters: Parameters, generator: np.random.Generator) -> int:
    """A length of vectors that the array takes, whole or padded."""
    least = parameters.multipliers // parameters.tree_outputs
    level = int(generator.integers(least.bit_length() - 1, parameters.dot.levels + 1))
    return (1 << level) - int(generator.integers(2)) * ((1 << level) // 4)


def streams(
    parameters: Parameters,
    work: HeadWork,
    generator: np.random.Generator,
    *,
    first: int,
    program: bool = True,
) -> list[Transaction]:
    """A head's rows, numbered from `first`: cleared sums, every row, its second pass later, a read."""
    keys = len(work.key)
    operations = [{"operation": CLEAR, "rows": 0}, {"operation": READ, "rows": len(work.query)}]
    steps = [parameters.importance.pack(count=keys, **each) for each in operations]
    passes: list[tuple[int, bool]] = [(row, work.lsb_bits == 0) for row in range(len(work.query))]
    transactions: list[Transaction] = [{"importance": steps}] if program else []
    while passes:
        row, whole = passes.pop(0)
        transaction = _row(parameters, work, row, generator, number=first + row, whole=whole, counts=program)
        transactions.append(transaction)
        if "values" not in transaction:
            passes.insert(int(generator.integers(LATER_ROWS + 1)), (row, True))
    return transactions


def _row(
    parameters: Parameters,
    work: HeadWork,
    row: int,
    generator: np.random.Generator,
    *,
    number: int,
    whole: bool,
    counts: bool,
) -> Transaction:
    """One pass of a row; with V if golden keeps it."""
    levels = [(dim - 1).bit_length() for dim in (work.query.shape[1], work.value.shape[1])]
    least = (parameters.multipliers // parameters.tree_outputs).bit_length() - 1
    level, value_level = (max(least, each) for each in levels)
    scale, shift = score_scaling(work.score_scale, parameters.attention())
    query = np.zeros(parameters.multipliers, np.int64)
    query[: work.query.shape[1]] = work.query[row]
    fields = {
        "operands": query.tolist(),
        "number": number % (1 << LFSR_BITS),
        "level": level,
        "value_level": value_level,
        "keys": len(work.key),
        "visible": int(work.visible[row]),
        "values": work.values,
        "scale": scale,
        "shift": shift,
        "threshold": work.threshold,
        "ignored": 0 if whole else work.lsb_bits,
        "whole": int(whole),
        "counts": int(counts),
    }
    transaction = {
        "queries": [parameters.queries.pack(**fields)],
        "keys": _key_lines(parameters, work.key, level, generator),
    }
    kept = _kept(parameters, fields, work.key)
    if kept is not None:
        vectors = work.value[np.flatnonzero(local_values(kept, work.values))]
        lines = _lines(parameters, vectors, value_level, np.zeros(1, np.int64), generator)
        transaction["values"] = [parameters.product.values.pack(operands=line.tolist()) for line in lines]
    return transaction


def _key_lines(parameters: Parameters, key: Raw, level: int, generator: np.random.Generator) -> list[int]:
    most = 1 << (parameters.operand_bits - 1)
    # Where a query has zeros, keys may be anything.
    lines = _lines(parameters, key, level, generator.integers(-most, most, 64), generator)
    return [
        parameters.key_lines.pack(operands=line.tolist(), last=int(place == len(lines) - 1))
        for place, line in enumerate(lines)
    ]


def _lines(
    parameters: Parameters, vectors: Raw, level: int, padding: Raw, generator: np.random.Generator
) -> Raw:
    """Vectors in lines, those that are missing anything; `padding` behind the elements of each."""
    many = parameters.multipliers >> level
    most = 1 << (parameters.operand_bits - 1)
    lines = -(-len(vectors) // many)
    whole = generator.integers(-most, most, (lines * many, 1 << level))
    whole[: len(vectors)] = generator.choice(padding, (len(vectors), 1 << level))
    whole[: len(vectors), : vectors.shape[1]] = vectors
    return whole.reshape(lines, -1)


def _kept(parameters: Parameters, fields: dict[str, Any], key: Raw) -> Raw | None:
    """Probabilities of a row by golden; None where its LSBs are needed."""
    coarse_query, coarse_key = (
        join_lsb(split_lsb(part, fields["ignored"])[0], 0, fields["ignored"])
        for part in (np.array(fields["operands"])[: key.shape[1]], key)
    )
    scores = scaled_scores(coarse_key @ coarse_query, fields["scale"], fields["shift"], parameters.score)
    probabilities = softmax(scores, parameters.form, np.arange(len(key)) < fields["visible"])
    if not fields["whole"] and bool(needs_lsb(probabilities, fields["threshold"])):
        return None
    return probabilities


def expected(parameters: Parameters, transactions: list[Transaction]) -> dict[str, list[int]]:
    """Golden, a pass at a time: rows asked for anew, V asked for, outputs; importance by the program."""
    found: dict[str, list[int]] = {"refetch": [], "requests": [], "results": []}
    added: list[Raw] = []
    for transaction in transactions:
        if "queries" not in transaction:
            continue
        fields = parameters.queries.unpack(transaction["queries"][0])
        lines = [parameters.key_lines.unpack(payload)["operands"] for payload in transaction["keys"]]
        key = np.array(lines, np.int64).reshape(-1, 1 << fields["level"])[: fields["keys"]]
        kept = _kept(parameters, fields, key)
        if kept is None:
            found["refetch"].append(fields["number"])
            continue
        if fields["counts"]:
            added.append(kept)
        indices = np.flatnonzero(local_values(kept, fields["values"]))
        found["requests"] += list(_requests(parameters, fields, indices))
        value_lines = [parameters.product.values.unpack(each)["operands"] for each in transaction["values"]]
        vectors = np.array(value_lines, np.int64).reshape(-1, 1 << fields["value_level"])
        found["results"] += _results(parameters, fields["number"], kept[indices] @ vectors[: len(indices)])
    program = [step for transaction in transactions for step in transaction.get("importance", [])]
    return found | {"sums": list(_sums(parameters, program, added))}


def _requests(parameters: Parameters, fields: dict[str, int], indices: Raw) -> Iterator[int]:
    many = parameters.multipliers >> fields["value_level"]
    for first in range(0, len(indices), many):
        line = indices[first : first + many].tolist()
        last = int(first + many >= len(indices))
        yield parameters.value_requests.pack(
            indices=line, count=len(line), last=last, number=fields["number"]
        )


def _results(parameters: Parameters, number: int, sums: Raw) -> list[int]:
    product = parameters.product
    outputs = shift_right(sums, product.dropped_bits, parameters.form.rounding)
    beats = outputs.reshape(-1, product.output_lanes)
    return [
        product.results.pack(
            outputs=beat.tolist(),
            number=number,
            magnitude=int(np.abs(beats[: place + 1]).sum()),
            last=int(place == len(beats) - 1),
        )
        for place, beat in enumerate(beats)
    ]


def _sums(parameters: Parameters, program: Sequence[int], added: list[Raw]) -> Iterator[int]:
    """What the program reads: sums of the rows that it has waited for."""
    accumulator, rows = parameters.accumulator, iter(added)
    sums = np.zeros(parameters.keys, np.uint64)
    for payload in program:
        step = parameters.importance.unpack(payload)
        for _ in range(step["rows"]):
            row = next(rows, None)
            if row is None:
                return  # it waits for rows that do not come
            sums[: len(row)] = accumulated(sums[: len(row)], row, parameters.importance_bits)
        if step["operation"] == CLEAR:
            sums[: -(-step["count"] // accumulator.width) * accumulator.width] = 0
        for first in range(0, step["count"] if step["operation"] == READ else 0, accumulator.width):
            end = min(first + accumulator.width, step["count"])
            yield pack_sums(accumulator, sums[first:end].tolist(), last=end == step["count"])


def replay(parameters: Parameters, workload: Workload, generator: np.random.Generator) -> Replayed:
    """Rows of a workload: keys whose scores give its probabilities, as many V as it kept; V are drawn."""
    layers, sentence = score_rows(workload, generator, longest=parameters.keys)
    transactions: list[Transaction] = []
    for rows in layers:
        for row in rows:
            work = _traced(parameters, row, generator)
            transactions += streams(parameters, work, generator, first=row.number)
    return Replayed(transactions=transactions, sentence=f"{sentence}; V are drawn")


def _traced(parameters: Parameters, row: ScoreRow, generator: np.random.Generator) -> HeadWork:
    """A query of one element, and keys that are logarithms of the probabilities."""
    bits, fraction = parameters.operand_bits, parameters.form.score_fraction_bits
    most = (1 << (bits - 1)) - 1
    logarithms = np.log(np.maximum(row.scores, 0.5) / 4096)
    centred = logarithms - (logarithms.max() + logarithms.min()) / 2
    step = max(2.0**-fraction, float(np.abs(centred).max()) / most)
    lsb_bits = min(4, bits - 2)
    dim = parameters.multipliers // parameters.tree_outputs
    return HeadWork(
        query=np.array([[1 << lsb_bits]]),
        key=np.rint(centred / step).astype(np.int64)[:, None],
        value=generator.integers(-most, most + 1, (len(row.scores), dim)),
        score_scale=step / (1 << lsb_bits),
        values=row.values,
        visible=[len(row.scores)],
        lsb_bits=lsb_bits,
        threshold=round(0.1 * parameters.form.one),
    )


def sources_of(transactions: list[Transaction]) -> dict[str, list[int]]:
    """Payloads of every input stream."""
    return {
        stream: [payload for each in transactions for payload in each.get(stream, [])]
        for stream in ("queries", "keys", "values", "importance")
    }


UNIT = Unit(
    name="spatten.head",
    sentence="SpAtten's compute: QxK, softmax, decision, importance, local V and PxV of the rows it is fed",
    presets=unit.PRESETS,
    component=Head,
    model=unit.Model,
    stimulus=stimulus,
    expected=expected,
    cycles=lambda parameters, transactions: unit.cycles(parameters, sources_of(transactions)),
    replay=replay,
    targets=("ecp5",),
    latency=lambda parameters: parameters.latencies,
)
