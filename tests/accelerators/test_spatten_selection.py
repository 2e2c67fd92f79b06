"""SpAtten's selection, its second pass and the order of its rows, against the unit and sums by hand."""

from dataclasses import replace

import numba
import numpy as np
import pytest
from spatten_layers import EIGHTH, FULL, PIPELINE, attention, compute_cycles, time_of

from accelsim.accelerators.spatten import Softmax, TopK
from accelsim.machine import simulate
from accelsim.parameters import replace_by_path
from accelsim.units.topk import cycles as unit_cycles
from accelsim.units.topk import published_cycles, schedule
from accelsim.units.topk.published import MEAN_CYCLES, WIDTHS

COMPILED = not numba.config.DISABLE_JIT


def test_a_row_that_selects_pays_load_passes_filter_and_fetch() -> None:
    layer = attention(heads=1, keys=64, kept=9)
    assert layer.scores is not None
    found = schedule(FULL.topk, layer.scores[0, 0, 0].clip(0, 4095), 9, 0).found
    # Up to the first probability 11 + 8 + 51 + 36; request and seed 4, load 8; taken and presented 3; filter
    # 4 + 23; PxV of 9 values 2 + 5.
    assert compute_cycles(FULL, layer) == 106 + 12 + found + 3 + 27 + 7


@pytest.mark.parametrize("engine", [TopK(), TopK(form="deep", pivot="uniform"), TopK(engine="radix")])
@pytest.mark.parametrize(("keys", "kept"), [(64, 9), (200, 77), (30, 29)])
def test_a_row_spends_the_units_cycles_in_its_selection(engine: TopK, keys: int, kept: int) -> None:
    # The softmax gives a line of the engine each cycle, as the unit's own bench does.
    machine = replace(FULL, topk=engine, softmax=Softmax(parallelism=engine.width), tree_outputs=16)
    machine = replace(machine, multipliers=1024)
    layer = attention(heads=1, keys=keys, kept=kept)
    assert layer.scores is not None
    plan = machine.plan(layer).plan
    start = {name: simulate(plan, None).start[0, plan.layout.stage(name)] for name in ("load", "filter")}
    end = start["filter"] + plan.busy[0, plan.layout.stage("filter")] + engine.drain_cycles
    scores = layer.scores[0, 0, 0].clip(0, 4095)
    assert end - start["load"] == unit_cycles(engine, [(scores, kept, 0)])


def test_a_row_is_loaded_while_another_is_selected() -> None:
    layer = attention(heads=1, queries=12, keys=512, kept=100)
    timeline = simulate(FULL.plan(layer).plan, None)
    load, filter_ = (timeline.stages.index(name) for name in ("load", "filter"))
    assert (timeline.start[1:, load] < timeline.start[:-1, filter_]).all()
    # Two banks: a row is loaded when the row two before it has been read for the last time.
    plan = FULL.plan(layer).plan
    read = timeline.start[:, filter_] + plan.busy[:, plan.layout.stage("filter")]
    assert (timeline.start[2:, load] >= read[:-2]).all()


def test_a_row_that_refetches_goes_through_scores_and_softmax_twice() -> None:
    layer = attention(heads=1, keys=8, bits=(8, 4), refetch=np.ones((1, 1, 1), np.bool_))
    # First pass 11 + 1 + 51 + 1 + 36 and three levels of the maximum's tree; then a row of its own.
    assert compute_cycles(FULL, layer) == 103 + (1 + PIPELINE + 1)


def test_rows_stay_in_order_when_one_of_them_refetches() -> None:
    refetch = np.zeros((1, 6, 1), np.bool_)
    refetch[0, 2] = True
    work = FULL.plan(attention(heads=6, keys=100, kept=20, bits=(8, 4), refetch=refetch))
    timeline = time_of(FULL, work)
    again, pv = timeline.stages.index("qk_again"), timeline.stages.index("pv")
    assert np.flatnonzero(~work.plan.skip[:, again]).tolist() == [2]
    assert (np.diff(timeline.start[:, pv]) > 0).all()


def test_rows_that_refetch_come_before_new_rows() -> None:
    refetch = np.zeros((1, 1, 12), np.bool_)
    refetch[0, 0, 0] = True
    work = EIGHTH.plan(attention(heads=1, queries=12, keys=100, bits=(8, 4), refetch=refetch))
    timeline = simulate(work.plan, None)
    ready, again = (timeline.stages.index(name) for name in ("fetch_lsb", "qk_again"))
    # At most the row that is in QxK already goes first.
    assert timeline.start[0, again] - timeline.end[0, ready] <= 100


def test_scores_wait_for_all_keys_of_their_row() -> None:
    timeline = time_of(FULL, FULL.plan(attention(heads=3, keys=200, kept=50)))
    fetch, qk = timeline.stages.index("fetch_keys"), timeline.stages.index("qk")
    assert (timeline.start[:, qk] >= timeline.end[:, fetch]).all()


def test_token_and_head_ranking_stand_at_the_end_of_the_layer() -> None:
    rng = np.random.default_rng(5)
    token_scores = rng.integers(0, 10_000, (1, 100)).astype(np.uint32)
    head_scores = rng.integers(0, 10_000, 6).astype(np.uint32)
    layer = attention(heads=6, queries=3, keys=100)
    ranked = replace(layer, token_scores=token_scores, token_keep=40, head_scores=head_scores, head_keep=5)
    expected = FULL.topk.drain_cycles
    for scores, keep in ((token_scores[0], 40), (head_scores, 5)):
        lines = -(-scores.size // 16)
        expected += 2 * lines + schedule(FULL.topk, scores, keep, 0).found + FULL.topk.request_cycles + 3
    assert compute_cycles(FULL, ranked) == compute_cycles(FULL, layer) + expected


def test_cumulative_scores_take_the_radix_engine_more_passes() -> None:
    machine = replace(FULL, topk=TopK(engine="radix"))
    layer = attention(heads=6, queries=3, keys=100)
    ranked = replace(layer, token_scores=np.arange(100, dtype=np.uint32)[None, :], token_keep=40)
    # 32 bits are 8 digits of 4 bits; a pass over 7 lines.
    selection = 8 * (6 + machine.topk.pass_cycles) + 2
    expected = machine.topk.request_cycles + 7 + selection + 3 + 7 + machine.topk.drain_cycles
    assert compute_cycles(machine, ranked) == compute_cycles(machine, layer) + expected


POINTS = [point for point in MEAN_CYCLES if point[0] <= 2048]


@pytest.mark.parametrize(("elements", "target"), POINTS[: None if COMPILED else 1])
def test_mean_selection_cycles_are_those_of_the_published_latency_model(elements: int, target: int) -> None:
    rng = np.random.default_rng(elements + target)
    trials = 3000 if COMPILED else 300
    scores = rng.permuted(np.tile(np.arange(elements, dtype=np.uint16), (trials, 1)), axis=1)
    keep, row_ids = np.full(trials, target + 1), np.arange(trials)
    for width, published in zip(WIDTHS, MEAN_CYCLES[elements, target], strict=True):
        cycles, _ = published_cycles(width, 3, scores, keep, row_ids)
        assert cycles.mean() == pytest.approx(published, rel=0.05)


def test_the_published_rule_is_taken_where_it_is_asked_for() -> None:
    layer = attention(heads=1, keys=64, kept=9)
    assert layer.scores is not None
    row = layer.scores[0, 0].clip(0, 4095)
    published, _ = published_cycles(16, 3, row, np.array([9]), np.array([0]))
    facts = replace(FULL, published_topk=True).plan(layer).facts
    assert facts["select_cycles_mean"] == published[0] < FULL.plan(layer).facts["select_cycles_mean"]


def test_a_narrow_engine_bounds_the_rows_and_a_setting_reaches_it() -> None:
    narrow = replace_by_path(FULL, "topk.width", "1")
    assert narrow.topk.width == 1
    layer = attention(heads=8, keys=256, kept=80)
    work = narrow.plan(layer)
    select = work.plan.layout.stage("select")
    assert time_of(narrow, work).cycles > work.plan.busy[:, select].sum()
    assert time_of(narrow, work).cycles > 2 * time_of(FULL, FULL.plan(layer)).cycles
