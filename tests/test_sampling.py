"""Long contexts: which rows' scores are kept, what stands for the others, and how far off that is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelsim import sampling
from accelsim.accelerators.spatten import PRESETS
from accelsim.accelerators.spatten.decisions import read_decisions
from accelsim.models import network
from accelsim.run import run
from accelsim.workload import Attention, Workload

TINY = PRESETS["tiny"]


@pytest.mark.parametrize("queries", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("per_query", [1, 100, 2**18, 2**24, 2**30])
def test_kept_rows_fit_the_bound_and_lie_evenly(queries: int, per_query: int) -> None:
    rows = sampling.kept_rows(queries, per_query)
    if rows is None:
        assert queries * per_query <= sampling.MOST_SCORES or queries == 1
        return
    assert rows.size == 1 or rows.size * per_query <= sampling.MOST_SCORES
    assert (rows.size + 1) * per_query > sampling.MOST_SCORES
    assert 0 <= rows[0] <= rows[-1] < queries
    stretches = np.bincount(sampling.standing(rows, queries), minlength=rows.size)
    assert np.ptp(stretches) <= 2


def test_the_nearest_row_stands_in_and_the_earlier_of_two() -> None:
    rows = np.array([1, 4, 8], np.int32)
    nearest = [int(np.argmin(np.abs(rows - query))) for query in range(11)]
    assert sampling.standing(rows, 11).tolist() == nearest


def layer(scores: Any, rows: Any = None, **changes: Any) -> Attention:
    """Two sequences, two heads, 24 queries, 20 keys of which each row keeps 7 values."""
    shape = (2, 2, 24)
    given: dict[str, Any] = {
        "bits": (6, 4),
        "values": np.full(shape, 7, np.int32),
        "refetch": np.arange(96).reshape(shape) % 5 == 0,
        "scores": scores,
        "score_rows": rows,
    }
    sizes = {"heads": 2, "kv_heads": 2, "queries": 24, "keys": 20, "dim": 16, "value_dim": 16, "batch": 2}
    return Attention(name="attention", **(sizes | given | changes))


def sampled(scores: Any, rows: list[int]) -> Attention:
    return layer(scores[:, :, rows].copy(), np.array(rows, np.int32))


def test_sampled_is_whole_where_rows_are_equal() -> None:
    """Each row keeps its own pivots and counts: with equal scores nothing is left that could differ."""
    of_stretches = np.random.default_rng(1).integers(0, 4097, (2, 2, 3, 20)).astype(np.uint16)
    rows = [4, 12, 20]
    scores = of_stretches[:, :, sampling.standing(np.array(rows), 24)]
    whole, part = TINY.plan(layer(scores)), TINY.plan(sampled(scores, rows))
    for name in ("busy", "lag", "drain", "skip", "take", "give", "runs", "after"):
        np.testing.assert_array_equal(getattr(part.plan, name), getattr(whole.plan, name), err_msg=name)
    assert part.macs_done == whole.macs_done


def test_a_row_that_is_kept_keeps_its_own_time() -> None:
    scores = np.random.default_rng(2).integers(0, 4097, (2, 2, 24, 20)).astype(np.uint16)
    rows = [1, 9, 10, 23]
    select = TINY.plan(layer(scores)).plan.layout.stage("select")
    whole, part = (TINY.plan(each).plan.busy for each in (layer(scores), sampled(scores, rows)))
    own = np.flatnonzero(np.isin(np.arange(96) % 24, rows))
    np.testing.assert_array_equal(part[own, select], whole[own, select])
    assert (part[:, select] != whole[:, select]).any()
    others = [stage for stage in range(whole.shape[1]) if stage != select]
    np.testing.assert_array_equal(part[:, others], whole[:, others])


def test_every_sequence_and_head_finds_its_own_rows() -> None:
    scores = np.arange(2 * 2 * 24 * 20, dtype=np.uint16).reshape(2, 2, 24, 20)
    rows = [3, 17]
    decided = read_decisions(sampled(scores, rows))
    assert decided.scores is not None
    stand = np.array(rows)[sampling.standing(np.array(rows), 24)]
    np.testing.assert_array_equal(decided.scores[decided.source].reshape(2, 2, 24, 20), scores[:, :, stand])


def test_the_stated_error_holds_on_drawn_causal_scores() -> None:
    """Of the whole layer's selections, for several draws and densities of kept rows."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        weights = np.tril(np.exp(2 * rng.standard_normal((2, 2, 96, 96))))
        scores = np.rint(weights / weights.sum(-1, keepdims=True) * 4096).astype(np.uint16)
        shape = (2, 2, 96)
        changes = {"queries": 96, "keys": 96, "refetch": None, "bits": None}
        whole = TINY.plan(layer(scores, values=np.full(shape, 30, np.int32), **changes))
        select = whole.plan.layout.stage("select")
        for count in (6, 24, 48):
            rows = (2 * np.arange(count) + 1) * 96 // (2 * count)
            part = TINY.plan(
                layer(
                    scores[:, :, rows].copy(),
                    rows.astype(np.int32),
                    values=np.full(shape, 30, np.int32),
                    **changes,
                )
            )
            assert part.facts["score_rows_share"] == count / 96
            cycles = [int(each.plan.busy[:, select].sum()) for each in (whole, part)]
            off = abs(cycles[1] - cycles[0]) / cycles[0]
            assert off <= float(part.facts["select_cycles_error"]), (seed, count)
            assert any("nearest kept row" in note and " off by less than " in note for note in part.notes)


@pytest.mark.filterwarnings("ignore::accelsim.run.SkippedLayersWarning")
def test_books_close_and_the_report_says_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "MOST_SCORES", 12 * 64 * 10)
    made = network("bert-base", "spatten,tokens=0.5,values=0.3,bits=6+4", tokens=64)
    report = run(made, PRESETS["full"])  # checks its books
    assert any(note.startswith("scores: beyond 7,680 a layer") for note in report.notes)
    shares = [row.facts["score_rows_share"] for row in report.layers if "score_rows_share" in row.facts]
    assert shares[0] == 10 / 64
    assert all("select_cycles_error" in row.facts for row in report.layers if "score_rows_share" in row.facts)


def test_a_file_keeps_which_rows_they_are(tmp_path: Any) -> None:
    scores = np.random.default_rng(3).integers(0, 4097, (2, 2, 24, 20)).astype(np.uint16)
    made = Workload(model="m", layers=(sampled(scores, [2, 8, 23]),))
    made.save(tmp_path / "w.npz")
    loaded = Workload.load(tmp_path / "w.npz")
    assert loaded == made
    other = Workload(model="m", layers=(replace(made.layers[0], score_rows=np.array([2, 8, 22], np.int32)),))
    assert other.hash != made.hash


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([4, 4], r"score_rows must rise and be < queries \(24\)"),
        ([4, 24], r"score_rows must rise and be < queries \(24\)"),
        ([-1, 4], "score_rows must be >= 0, not -1"),
        ([3, 4, 5], r"scores must be uint16 \(2, 2, 3, 20\), not uint16 \(2, 2, 2, 20\)"),
        ([[3, 4]], r"score_rows must be int32 \(2,\), not int32 \(1, 2\)"),
        ([], "score_rows must not be empty"),
    ],
)
def test_rows_that_make_no_sense_are_refused(rows: Any, message: str) -> None:
    scores = np.zeros((2, 2, 2, 20), np.uint16)
    with pytest.raises(ValueError, match=message):
        layer(scores, np.array(rows, np.int32))


def test_rows_without_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="and have scores"):
        layer(None, np.array([3], np.int32), values=None)
