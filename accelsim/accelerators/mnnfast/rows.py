"""A layer of attention on MnnFast: one job is one query that meets one chunk of K and V."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.accelerators.base import LayerPlan
from accelsim.accelerators.mnnfast.events import count_events
from accelsim.accelerators.mnnfast.parameters import ROWS, Parameters
from accelsim.accelerators.whole import Operands, Whole, shares
from accelsim.golden.approximate import above
from accelsim.layers import SCORE_ONE
from accelsim.plan import Buffer, Flags, Integers, Layout, Plan, Stage
from accelsim.workload import Attention

PORT = "hbm"


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The jobs in order: sequence and KV head, pass over K and V, chunk, query. One entry a job.

    row: query row; chunk: its number, `keys` of them; enters: the query is fetched; leaves: its last chunk;
    opens, closes: first and last query that meets the chunk in this pass.
    """

    row: Integers
    chunk: Integers
    keys: Integers
    enters: Flags
    leaves: Flags
    opens: Flags
    closes: Flags

    @classmethod
    def of(cls, machine: Parameters, layer: Attention) -> Steps:
        """All jobs of a layer."""
        chunks, queries = -(-layer.keys // machine.chunk_keys), layer.queries
        if machine.share_kv and layer.heads % layer.kv_heads == 0:
            # The rows of all heads of one KV head follow one another.
            queries *= layer.heads // layer.kv_heads
        rows, numbers = [], []
        for begin in range(0, queries, machine.query_rows):
            several = np.arange(begin, min(queries, begin + machine.query_rows))
            rows.append(np.tile(several, chunks))
            numbers.append(np.repeat(np.arange(chunks), several.size))
        row, chunk = np.concatenate(rows), np.concatenate(numbers)
        streams = layer.batch * layer.heads * layer.queries // queries
        in_pass = np.tile(row % machine.query_rows, streams)
        last = np.tile((row % machine.query_rows == machine.query_rows - 1) | (row == queries - 1), streams)
        row = (np.arange(streams)[:, None] * queries + row).ravel()
        chunk = np.tile(chunk, streams)
        return cls(
            row=row,
            chunk=chunk,
            keys=np.minimum(machine.chunk_keys, layer.keys - chunk * machine.chunk_keys),
            enters=chunk == 0,
            leaves=chunk == chunks - 1,
            opens=in_pass == 0,
            closes=last,
        )


def layout(machine: Parameters) -> Layout:
    """Stages in the order in which a query passes a chunk, and what fits on chip."""
    arrays = "multipliers" if machine.arrays == "in_turn" else ""
    stages = [
        Stage(name="fetch_query", unit="fetcher", port=PORT, priority=0),
        Stage(name="fetch_keys", unit="fetcher", port=PORT, priority=1),
        Stage(name="fetch_values", unit="fetcher", port=PORT, priority=1),
        Stage(name="qk", unit=arrays, priority=1),
        Stage(name="exponent"),
        Stage(name="pv", unit=arrays, priority=0),
        Stage(name="divide"),
    ]
    if machine.write_back:
        stages.append(Stage(name="write", port="write", write=True))
    buffers = (
        Buffer(name="queries", capacity=machine.query_rows, take="fetch_query", give="qk"),
        Buffer(name="chunks", capacity=machine.chunks, take="fetch_keys", give="pv"),
        Buffer(name="scores", capacity=ROWS, take="qk", give="exponent"),
        Buffer(name="weights", capacity=ROWS, take="exponent", give="pv"),
    )
    return Layout(stages=tuple(stages), buffers=buffers)


def plan_rows(machine: Parameters, layer: Attention) -> LayerPlan:
    """The layer as a plan, with its counts: every product of QxK, and those of PxV that are kept."""
    whole = Whole(seen=layer, share_kv=machine.share_kv)
    dense, steps = whole.layer, Steps.of(machine, whole.layer)
    counts, facts, notes = _kept(machine, whole)
    kept = counts[steps.row, steps.chunk]
    done = whole.rows * dense.keys * dense.dim + int(kept.sum()) * dense.value_dim
    return LayerPlan(
        plan=_plan(machine, whole, steps, kept),
        macs_dense=whole.seen.dense().macs,
        macs_done=done,
        launches=1,
        notes=(*whole.notes(), *notes),
        facts={"macs_skipped": dense.macs - done, "values_mean": float(kept.sum()) / whole.rows, **facts},
        events=count_events(machine, whole, steps.opens, steps.keys, int(kept.sum())),
    )


def _kept(
    machine: Parameters, whole: Whole
) -> tuple[Integers, dict[str, int | float | str], tuple[str, ...]]:
    """(rows, chunks) V that are used, of every row; with facts and notes."""
    begins, scores = np.arange(0, whole.layer.keys, machine.chunk_keys), whole.scores
    if scores is None:
        lengths = np.diff(np.append(begins, whole.layer.keys))
        used = np.rint(machine.kept_share * lengths).astype(np.int64)
        note = "no scores in the workload: V are used by kept_share"
        return np.broadcast_to(used, (whole.rows, begins.size)), {}, (note,)
    flags = above(scores, machine.threshold * SCORE_ONE)
    kept = {"kept_probability": float(shares(flags, scores, whole.source).mean())}
    return _by_chunk(flags, begins)[whole.source], dict(kept), ()


def _by_chunk(flags: npt.NDArray[Any], begins: Integers) -> Integers:
    """(scored rows, chunks): flags in each chunk; keys without a score are in none."""
    inside = begins[begins < flags.shape[1]]
    counts = np.zeros((flags.shape[0], begins.size), np.int64)
    counts[:, : inside.size] = np.add.reduceat(flags, inside, axis=1, dtype=np.int64)
    return counts


def _plan(machine: Parameters, whole: Whole, steps: Steps, kept: Integers) -> Plan:
    layer, plan = whole.layer, Plan(layout=layout(machine), jobs=steps.row.size)
    stage, buffer = plan.layout.stage, plan.layout.buffer
    operands = Operands(whole=whole, burst_bytes=machine.dram.burst_bytes, element_bits=machine.element_bits)
    enters, opens = np.flatnonzero(steps.enters), np.flatnonzero(steps.opens)
    operands.add_rows(plan, "fetch_query", enters, steps.row[enters], operands.queries)
    for name, region in (("fetch_keys", operands.keys), ("fetch_values", operands.values)):
        begin = steps.chunk[opens] * machine.chunk_keys
        operands.add_vectors(plan, name, opens, steps.row[opens], region, begin, steps.keys[opens])
        plan.skip[:, stage(name)] = ~steps.opens
    plan.skip[:, stage("fetch_query")] = ~steps.enters
    rate = machine.vectors_per_cycle(layer.dim)
    plan.busy[:, stage("qk")] = plan.busy[:, stage("exponent")] = -(-steps.keys // rate)
    plan.whole[:, stage("qk")] = True
    plan.lag[:, stage("qk")] = plan.drain[:, stage("qk")] = machine.qk_latency
    plan.drain[:, stage("exponent")] = machine.exponent_latency
    plan.busy[:, stage("pv")] = -(-kept // machine.vectors_per_cycle(layer.value_dim))
    plan.drain[:, stage("pv")] = machine.pv_latency
    plan.busy[:, stage("divide")] = -(-layer.value_dim // machine.dividers)
    plan.drain[:, stage("divide")] = machine.divide_latency
    plan.skip[:, stage("divide")] = ~steps.leaves
    for name in ("pv", "divide"):
        plan.whole[:, stage(name)] = True
    if machine.write_back:
        leaves = np.flatnonzero(steps.leaves)
        operands.add_rows(plan, "write", leaves, steps.row[leaves], operands.outputs)
        plan.whole[:, stage("write")] = True
        plan.skip[:, stage("write")] = ~steps.leaves
    for name, takes, gives in (
        ("queries", steps.enters, steps.leaves),
        ("chunks", steps.opens, steps.closes),
        ("scores", 1, 1),
        ("weights", 1, 1),
    ):
        plan.take[:, buffer(name)], plan.give[:, buffer(name)] = takes, gives
    return plan
