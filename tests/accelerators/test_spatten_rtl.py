"""SpAtten as it is built: latencies of its units, rows that wait as a whole, queries of a head."""

from dataclasses import replace

import numpy as np
import pytest

from accelsim.accelerators.base import memory_of
from accelsim.accelerators.spatten import PRESETS, SpAtten
from accelsim.machine import Timeline, simulate
from accelsim.units.head import PRESETS as HEADS
from accelsim.workload import Attention

BUILT = PRESETS["rtl"]


def layer(*, keys: int = 64, queries: int = 2, bits: tuple[int, int] = (8, 0)) -> Attention:
    scores = np.random.default_rng(0).integers(0, 4097, (1, 2, queries, keys)).astype(np.uint16)
    return Attention(
        name="attention",
        heads=2,
        kv_heads=2,
        queries=queries,
        keys=keys,
        dim=64,
        value_dim=64,
        bits=bits,
        scores=scores,
    )


def times(machine: SpAtten, work: Attention) -> tuple[Timeline, dict[str, int]]:
    """The timeline, and the number of each stage."""
    plan = machine.plan(work).plan
    names = [stage.name for stage in plan.layout.stages]
    return simulate(plan, memory_of(machine)), {name: number for number, name in enumerate(names)}


@pytest.mark.parametrize(("preset", "head"), [("rtl", "full"), ("rtl-eighth", "eighth")])
def test_latencies_are_those_of_the_units(preset: str, head: str) -> None:
    machine, built = PRESETS[preset], HEADS[head]
    found = built.latencies
    assert machine.multipliers == built.multipliers
    assert machine.qk_latency == found["qk_cycles"] + found["scale_cycles"]
    assert machine.softmax.largest + machine.softmax.sum_latency == found["sum_cycles"]
    assert machine.softmax.divide_latency == found["divide_cycles"]
    assert machine.softmax.decision_latency == found["decision_cycles"]
    assert machine.pv_latency == found["product_cycles"]
    assert machine.softmax.fifo_lines == built.softmax.store_lines


def test_a_row_waits_for_its_largest_score_and_for_its_decision() -> None:
    timeline, stage = times(BUILT, layer())
    softmax, lines = BUILT.softmax, 64 // 8
    qk, exponent, divide, pv = (timeline.start[:, stage[name]] for name in ("qk", "exponent", "divide", "pv"))
    assert (exponent >= qk + lines + BUILT.qk_latency + softmax.largest).all()
    assert (divide >= exponent + lines + softmax.sum_latency).all()
    assert (pv >= divide + lines + softmax.divide_latency + softmax.decision_latency).all()
    # The last of them waits for nothing else.
    assert exponent[-1] == qk[-1] + lines + BUILT.qk_latency + softmax.largest

    streams = replace(BUILT, softmax=replace(softmax, rows_wait=False))
    timeline, stage = times(streams, layer())
    assert timeline.start[0, stage["exponent"]] == timeline.start[0, stage["qk"]] + BUILT.qk_latency


def test_scores_and_exponents_of_waiting_rows_have_a_store_each() -> None:
    plan = BUILT.plan(layer(bits=(6, 4))).plan
    held = {buffer.name: (buffer.take, buffer.give, buffer.capacity) for buffer in plan.layout.buffers}
    assert held["rows"] == ("qk", "exponent", 256)
    assert held["scores"] == ("exponent", "sum", 256)
    assert held["rows_again"] == ("qk_again", "exponent_again", 256)


def test_queries_of_a_head_come_with_its_first_row() -> None:
    work = layer(queries=5)
    held, each = (replace(BUILT, hold_queries=on).plan(work).plan for on in (True, False))
    column = held.layout.stage("fetch_keys")
    assert held.bursts(write=False) == each.bursts(write=False)
    assert (~each.skip[:, column]).all()
    assert np.flatnonzero(~held.skip[:, column]).tolist() == [0, 5]
    assert any("hold_queries" in line for line in BUILT.assumptions())
    assert not any("hold_queries" in line for line in PRESETS["e2e"].assumptions())


@pytest.mark.parametrize(("keys", "refused"), [(1024, False), (1025, True)])
def test_a_row_that_no_store_holds_is_refused(keys: int, refused: bool) -> None:
    reason = BUILT.refuse(layer(keys=keys, queries=1))
    assert bool(reason) == refused
    if refused:
        assert reason == "keys must be <= 1024 (softmax.rows_wait holds a row as a whole), not 1025"
