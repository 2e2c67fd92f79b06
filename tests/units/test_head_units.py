"""The units of the head pipeline by their step models: their time, payloads, and refusals."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim.golden.integer_attention import AttentionFormat, score_rows, score_scaling
from accelsim.units import score_scale, value_product, value_selection
from accelsim.units.head import PRESETS, Head, Model, cycles
from accelsim.units.record import Field, Record
from accelsim.units.score_scale import ScoreScale
from accelsim.units.topk import TopK
from accelsim.units.value_product import ValueProduct
from accelsim.units.value_selection import ValueSelection

TINY = PRESETS["tiny"]


def run(model: Any, streams: dict[str, list[int]], sink: str, beats: int) -> tuple[list[int], int]:
    """Beats of a sink that never waits, and the clocks until the last of them."""
    waiting = {name: list(payloads) for name, payloads in streams.items()}
    found: list[int] = []
    for clock in range(1, 100_000):
        inputs = {f"{sink}_ready": 1}
        for name, payloads in waiting.items():
            inputs |= {
                f"{name}_valid": int(bool(payloads)),
                f"{name}_payload": payloads[0] if payloads else 0,
            }
        row = model.step(inputs)
        for name, payloads in waiting.items():
            if payloads and row[f"{name}_ready"]:
                payloads.pop(0)
        if row[f"{sink}_valid"]:
            found.append(row[f"{sink}_payload"])
        if len(found) == beats:
            return found, clock
    raise AssertionError(f"{len(found)} beats of {beats}")


def test_a_record_gives_back_what_it_packed() -> None:
    record = Record(words=Field(5, 3, signed=True), flag=1, count=7)
    payload = record.pack(words=[-16, 15], flag=1, count=100)
    assert record.unpack(payload) == {"words": [-16, 15, 0], "flag": 1, "count": 100}
    assert record.field_of(payload, "count") == 100
    assert payload < 1 << record.width == 1 << 23
    with pytest.raises(ValueError, match="has no field 'other'"):
        record.pack(words=[0], flag=0, count=0, other=1)


@pytest.mark.parametrize("scale", [1e-6, 3e-4, 0.02])
def test_scores_are_those_of_golden_s_rows(scale: float) -> None:
    form, rng = AttentionFormat(), np.random.default_rng(3)
    query, key = rng.integers(-2048, 2048, (1, 64)), rng.integers(-2048, 2048, (30, 64))
    right = score_rows(query, key, scale, form)[0]
    full = score_scale.PRESETS["full"]
    mantissa, shift = score_scaling(scale, form)
    sums = [*(key @ query[0]).tolist(), 0, 0]
    beats, clocks = run(
        score_scale.Model(full),
        {
            "rows": [full.rows.pack(scale=mantissa, shift=shift, visible=30, spread=3)],
            "sums": [
                full.sums.pack(sums=sums[line : line + 8], last=int(line == 24)) for line in range(0, 32, 8)
            ],
        },
        "scores",
        4,
    )
    scores = [score for beat in beats for score in full.scores.unpack(beat)["scores"]]
    assert scores[:30] == right.tolist()
    assert clocks == score_scale.cycles(full, [4]) == 1 + 4 + full.latency_cycles


def test_rows_of_v_follow_each_other_as_fast_as_their_outputs_leave() -> None:
    full = value_product.PRESETS["full"]
    assert full.beats(6) == 4
    # Long rows a line a clock, short ones a beat a clock.
    assert value_product.cycles(full, [(23, 6)] * 9) - value_product.cycles(full, [(23, 6)] * 8) == 23
    assert value_product.cycles(full, [(1, 6)] * 90) - value_product.cycles(full, [(1, 6)] * 80) == 40
    assert value_product.cycles(full, [(5, 6)]) == 5 + full.latency_cycles + 4 - 1


def test_the_largest_sum_of_outputs_fits() -> None:
    tiny = value_product.PRESETS["tiny"]
    lowest, one = -(1 << (tiny.operand_bits - 1)), 1 << tiny.probability_fraction_bits
    # 1.0 and half a unit for every key, all on the lowest operand.
    weights = [
        tiny.weights.pack(probabilities=[one + tiny.keys // 2], level=tiny.levels, number=1, last=1),
    ]
    values = [tiny.values.pack(operands=[lowest] * tiny.multipliers)]
    beats, _ = run(value_product.Model(tiny), {"weights": weights, "values": values}, "results", 4)
    results = [tiny.results.unpack(beat) for beat in beats]
    assert {output for result in results for output in result["outputs"]} == {lowest * (one + 16) >> 4}
    assert results[-1]["magnitude"] == -(lowest * (one + 16) >> 4) * tiny.multipliers


def test_a_row_that_keeps_all_takes_no_selection() -> None:
    unit = value_selection.PRESETS["full"]
    rng = np.random.default_rng(1)

    def lines(values: int) -> list[int]:
        return [
            unit.probabilities.pack(
                probabilities=rng.integers(0, 100, 8).tolist(),
                last=int(line == 127),
                number=5,
                keys=1024,
                values=values,
                spread=3,
            )
            for line in range(128)
        ]

    assert value_selection.cycles(unit, lines(1024)) == 128 + 2
    assert value_selection.cycles(unit, lines(300)) > 128 + 64 + unit.topk.filter_cycles


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: ScoreScale(sum_bits=45), "sum_bits must be from 2 to 44, not 45"),
        (lambda: ScoreScale(keys=0), "keys must be from 1 to 1048576, not 0"),
        (lambda: ValueProduct(vectors=3), "vectors must be a power of two from 1 to 512, not 3"),
        (lambda: ValueProduct(output_lanes=128), "output_lanes must be a power of two from 1 to 64, not 128"),
        (lambda: ValueProduct(output_fraction_bits=13), "output_fraction_bits must be from 0 to 12, not 13"),
        (lambda: ValueSelection(lanes=32), r"lanes must be topk.width \(16\) or less, not 32"),
        (lambda: ValueSelection(vectors=16), r"vectors must be lanes \(8\) or less, not 16"),
        (lambda: Head(tree_outputs=32), r"tree_outputs must be topk.width \(16\) or less, not 32"),
        (lambda: Head(row_lines=2), r"must be two lines of topk.width \(16\) or more, not 16"),
        (lambda: Head(requests=0), "requests must be from 1 to 1024, not 0"),
        (lambda: Head(multipliers=96), "multipliers must be a power of two"),
        (lambda: Head(operand_bits=18), "sum_bits must be from 2 to 44, not 45"),
    ],
)
def test_what_cannot_be_built_is_refused(build: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build()


def test_the_engine_of_the_head_takes_probabilities_whole() -> None:
    head = replace(TINY, topk=TopK(width=4, bits=12, capacity=1024))
    assert head.selection.topk.bits == head.form.probability_fraction_bits + 1
    assert head.selection.topk.capacity == head.keys


def test_work_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.units.head.step.PATIENCE_CLOCKS", 50)
    read = TINY.importance.pack(operation=2, count=4, rows=1)
    with pytest.raises(ValueError, match="the work must end, not leave 1 rows or reads behind"):
        cycles(TINY, {"queries": [], "keys": [], "values": [], "importance": [read]})
    assert Model(TINY).parameters is TINY
