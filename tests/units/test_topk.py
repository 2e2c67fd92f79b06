"""The top-k engine's two faces of time: passes against golden, `cycles` against the model clock by clock."""

from dataclasses import replace

import numba
import numpy as np
import pytest

from accelsim.golden import topk as golden
from accelsim.units.step import pack
from accelsim.units.topk import PRESETS, Model, TopK, cycles, schedule, selection_cycles
from accelsim.units.topk.step import Request, pack_request

COMPILED = not numba.config.DISABLE_JIT
RULES = ("published", "uniform", "reservoir", "rank_adaptive")


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("width", [1, 4, 16])
def test_fast_selections_take_the_time_of_the_passes_of_golden(rule: golden.Pivot, width: int) -> None:
    rng = np.random.default_rng(11)
    for columns, levels in ((1, 2), (7, 3), (40, 5), (200, 4096), (200, 1), (65, 65536)):
        scores = rng.integers(0, levels, (20, columns)).astype(np.uint16)
        keep, row_ids = rng.integers(1, columns + 1, 20), rng.integers(0, 1 << 16, 20)
        for form in ("low_latency", "deep"):
            engine = TopK(width=width, pivot=rule, form=form)
            found, passes = selection_cycles(engine, scores, keep, row_ids)
            for row in range(20):
                if keep[row] == columns:
                    assert (found[row], passes[row]) == (0, 0)
                    continue
                expected = schedule(engine, scores[row], int(keep[row]), int(row_ids[row]))
                assert (found[row], passes[row]) == (expected.found, len(expected.begins))


@pytest.mark.parametrize("keep", [1, 2, 31, 63])
@pytest.mark.parametrize(
    "row", ["zeros", "equal", "one peak", "two levels", "ascending", "descending", "drawn"]
)
def test_ties_zeros_and_the_outermost_ranks_take_the_passes_of_golden(row: str, keep: int) -> None:
    rng = np.random.default_rng(keep)
    scores = {
        "zeros": np.zeros(64),
        "equal": np.full(64, 4095),
        "one peak": np.eye(64)[17] * 4095,
        "two levels": rng.integers(0, 2, 64),
        "ascending": np.arange(64),
        "descending": np.arange(64)[::-1],
        "drawn": rng.integers(0, 40, 64),
    }[row].astype(np.uint16)
    for rule in RULES:
        _, passes = selection_cycles(
            TopK(pivot=rule), np.tile(scores, (8, 1)), np.full(8, keep), np.arange(8)
        )
        rows = [golden.quick_select(scores, keep, row_id=i, pivot=rule, lanes=16) for i in range(8)]
        assert passes.tolist() == [len(one.passes) for one in rows]


@pytest.mark.parametrize("digit_bits", [1, 3, 4, 6])
def test_radix_takes_the_same_time_for_every_row(digit_bits: int) -> None:
    engine = TopK(engine="radix", digit_bits=digit_bits)
    scores = np.random.default_rng(0).integers(0, 4096, (9, 100))
    found, passes = selection_cycles(engine, scores, np.arange(1, 10), np.arange(9))
    # Seven lines, a tree over 16 lanes of three stages.
    assert set(passes) == {-(-12 // digit_bits)}
    assert set(found) == {-(-12 // digit_bits) * (6 + 10) + 2}


def drawn_rows(engine: TopK, rng: np.random.Generator) -> list[tuple[np.ndarray, int, int]]:
    rows = []
    for _ in range(8):
        count = int(rng.integers(1, engine.capacity + 1))
        scores = rng.integers(0, rng.choice([2, 9, 1 << engine.bits]), count)
        keep = int(rng.choice([1, count, rng.integers(1, count + 1)]))
        rows.append((scores, keep, int(rng.integers(1 << 16))))
    return rows


def model_cycles(engine: TopK, rows: list[tuple[np.ndarray, int, int]]) -> tuple[int, list[int]]:
    """Clocks until the model gave its last line, and the kept indices."""
    width = engine.width
    requests = [
        pack_request(engine, Request(count=len(scores), keep=keep, row_id=row_id))
        for scores, keep, row_id in rows
    ]
    lines = [
        pack(scores[start : start + width].tolist(), engine.bits)
        for scores, _, _ in rows
        for start in range(0, len(scores), width)
    ]
    model, clock, kept = Model(engine), 0, []
    while sum(keep for _, keep, _ in rows) > len(kept):
        row = model.step(
            {
                "request_valid": int(bool(requests)),
                "request_payload": requests[0] if requests else 0,
                "scores_valid": int(bool(lines)),
                "scores_payload": lines[0] if lines else 0,
                "threshold_ready": 1,
                "kept_ready": 1,
            }
        )
        clock += 1
        if requests and row["request_ready"]:
            requests.pop(0)
        if lines and row["scores_ready"]:
            lines.pop(0)
        if row["kept_valid"]:
            payload = row["kept_payload"] >> (width * engine.bits)
            count = (payload >> (width * engine.index_bits)) & ((1 << width.bit_length()) - 1)
            mask = (1 << engine.index_bits) - 1
            kept += [(payload >> (lane * engine.index_bits)) & mask for lane in range(count)]
    return clock, kept


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("pivot", RULES)
def test_cycles_are_those_of_the_model_clock_by_clock(preset: str, pivot: golden.Pivot) -> None:
    engine = replace(PRESETS[preset], pivot=pivot)
    rng = np.random.default_rng(len(preset))
    for _ in range(3 if COMPILED else 1):
        rows = drawn_rows(engine, rng)
        clock, kept = model_cycles(engine, rows)
        assert kept == [int(i) for scores, keep, _ in rows for i in golden.top_k_indices(scores, keep)]
        assert cycles(engine, rows) == clock


def test_a_selection_one_cycle_off_would_be_seen() -> None:
    class Slower(TopK):
        @property
        def pass_cycles(self) -> int:
            return super().pass_cycles + 1

    rows = drawn_rows(PRESETS["tiny"], np.random.default_rng(0))
    slower = Slower(width=4, capacity=64)
    assert cycles(PRESETS["tiny"], rows) != model_cycles(slower, rows)[0] == cycles(slower, rows)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 12}, "topk.width must be a power of two up to 64, not 12"),
        ({"width": 0}, "topk.width must be a power of two up to 64, not 0"),
        ({"bits": 1}, r"topk.bits must be 2\.\.32, not 1"),
        ({"capacity": 20}, r"topk.capacity must be 32\.\.65536, not 20"),
        ({"capacity": 100}, "topk.capacity must be whole lines of 16, not 100"),
        ({"digit_bits": 7}, r"topk.digit_bits must be 1\.\.6, not 7"),
        ({"engine": "quik"}, "topk.engine must be one of quick, radix, not 'quik'; did you mean 'quick'"),
        ({"form": "flat"}, "topk.form must be one of low_latency, deep, not 'flat'"),
    ],
)
def test_parameters_that_make_no_engine_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TopK(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("count", "keep"), [(0, 0), (5, 0), (5, 6), (65, 1)])
def test_a_request_that_the_engine_does_not_take_is_refused(count: int, keep: int) -> None:
    engine = PRESETS["tiny"]
    model = Model(engine)
    inputs = {
        "request_valid": 1,
        "scores_valid": 0,
        "scores_payload": 0,
        "threshold_ready": 1,
        "kept_ready": 1,
    }
    payload = pack_request(engine, Request(count=count, keep=keep, row_id=0))
    with pytest.raises(ValueError, match="1 <= keep <= count <= 64"):
        model.step({**inputs, "request_payload": payload})
