"""A layer of attention on A3: one job is one query row, through modules that each take it whole."""

from __future__ import annotations

import numpy as np

from accelsim.accelerators.a3.decisions import Decisions, decide
from accelsim.accelerators.a3.events import count_events
from accelsim.accelerators.a3.parameters import Parameters
from accelsim.accelerators.base import LayerPlan
from accelsim.accelerators.whole import Operands, Whole
from accelsim.plan import Buffer, Layout, Plan, Stage
from accelsim.workload import Attention

PORT = "hbm"


def layout(machine: Parameters) -> Layout:
    """Stages in the order in which a row passes them.

    Q is fetched ahead; K and V come with the first row of a head. In `in_turn` the dot product and the
    output share one unit, and the older row goes first.
    """
    arrays = "multipliers" if machine.arrays == "in_turn" else ""
    stages = [
        Stage(name="fetch_query", unit="fetcher", port=PORT, priority=0),
        Stage(name="fetch_keys", unit="fetcher", port=PORT, priority=1),
        Stage(name="fetch_values", unit="fetcher", port=PORT, priority=1),
        Stage(name="sort"),
        Stage(name="search"),
        Stage(name="dot", unit=arrays, priority=1),
        Stage(name="exponent"),
        Stage(name="output", unit=arrays, priority=0),
    ]
    if machine.write_back:
        stages.append(Stage(name="write", port="write", write=True))
    rows = machine.score_rows
    buffers = (
        Buffer(name="queries", capacity=machine.query_rows, take="fetch_query", give="dot"),
        Buffer(name="pairs", capacity=machine.pairs, take="fetch_keys", give="output"),
        Buffer(name="candidates", capacity=rows, take="search", give="dot"),
        Buffer(name="scores", capacity=rows, take="dot", give="exponent"),
        Buffer(name="weights", capacity=rows, take="exponent", give="output"),
    )
    return Layout(stages=tuple(stages), buffers=buffers)


def plan_rows(machine: Parameters, layer: Attention) -> LayerPlan:
    """The layer as a plan, with its counts: products of candidates and of kept values."""
    whole = Whole(seen=layer, share_kv=machine.share_kv)
    decided = decide(machine, whole)
    dense = whole.layer
    plan = _plan(machine, whole, decided)
    done = int(decided.candidates.sum()) * dense.dim + int(decided.kept.sum()) * dense.value_dim
    return LayerPlan(
        plan=plan,
        macs_dense=whole.seen.dense().macs,
        macs_done=done,
        launches=1,
        notes=decided.notes,
        facts={"macs_skipped": dense.macs - done, **decided.facts},
        events=count_events(machine, whole, decided),
    )


def _plan(machine: Parameters, whole: Whole, decided: Decisions) -> Plan:
    layer, plan = whole.layer, Plan(layout=layout(machine), jobs=whole.rows)
    stage, buffer = plan.layout.stage, plan.layout.buffer
    operands = Operands(whole=whole, burst_bytes=machine.dram.burst_bytes, element_bits=machine.element_bits)
    rows, first = np.arange(whole.rows), np.flatnonzero(whole.first)
    operands.add_rows(plan, "fetch_query", rows, rows, operands.queries)
    operands.add_vectors(plan, "fetch_keys", first, first, operands.keys, 0, layer.keys)
    operands.add_vectors(plan, "fetch_values", first, first, operands.values, 0, layer.keys)
    for name in ("fetch_keys", "fetch_values", "sort"):
        plan.skip[:, stage(name)] = ~whole.first
    plan.busy[:, stage("sort")] = machine.sort_cycles(layer.keys, layer.dim)
    plan.busy[:, stage("search")] = machine.search_iterations(layer.keys) + machine.overhead
    if not machine.searches:
        plan.skip[:, [stage("sort"), stage("search")]] = True
    plan.busy[:, stage("dot")] = plan.busy[:, stage("exponent")] = decided.candidates + machine.overhead
    plan.busy[:, stage("output")] = decided.kept + machine.overhead
    for name in ("sort", "search", "dot", "exponent", "output"):
        plan.whole[:, stage(name)] = True
    if machine.write_back:
        operands.add_rows(plan, "write", rows, rows, operands.outputs)
        plan.whole[:, stage("write")] = True
    for name in ("queries", "candidates", "scores", "weights"):
        plan.take[:, buffer(name)] = plan.give[:, buffer(name)] = 1
    plan.take[:, buffer("pairs")], plan.give[:, buffer("pairs")] = whole.first, whole.last
    return plan
