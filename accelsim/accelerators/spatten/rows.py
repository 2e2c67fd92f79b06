"""A layer of attention as the engine's rows: one job is one query row of one head of one sequence."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelsim.accelerators.base import LayerPlan
from accelsim.accelerators.spatten.decisions import Decisions, read_decisions
from accelsim.accelerators.spatten.events import count_events
from accelsim.accelerators.spatten.issue import hold_fetcher
from accelsim.accelerators.spatten.layout import layout, scores
from accelsim.accelerators.spatten.long_rows import is_long
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.published import published_plan, published_sums
from accelsim.accelerators.spatten.segments import SegmentBuilder
from accelsim.accelerators.spatten.selection import local_select_cycles, sampled_scores
from accelsim.accelerators.spatten.terms import Terms, terms_of
from accelsim.accelerators.spatten.topk import layer_rankings, row_lines
from accelsim.accelerators.spatten.traffic import Fetch, Store, Traffic
from accelsim.plan import Flags, Integers, Plan
from accelsim.workload import Attention


class Builder:
    """Fills the plan of one layer, a module at a time."""

    def __init__(self, machine: Parameters, layer: Attention) -> None:
        self.machine, self.layer = machine, layer
        self.decided: Decisions = read_decisions(layer)
        self.progressive = bool(layer.bits and layer.bits[1])
        self.traffic = Traffic(machine, layer, self.decided)
        self.terms: Terms = terms_of(machine, layer, self.decided, self.traffic)
        shape = layout(
            machine,
            progressive=self.progressive,
            stream_values=self.traffic.stream_values,
            writes=bool(self.terms.writes),
        )
        self.plan = Plan(layout=shape, jobs=self.decided.rows)
        values = self.decided.values
        self.selects: Flags = (values > 0) & (values < layer.keys)
        self.select_cycles = np.zeros(self.decided.rows, np.int64)

    def build(self) -> Plan:
        """All rows of the layer."""
        traffic = self.traffic
        self._fetch("fetch_keys", self.terms.queries + self.terms.reads + traffic.keys)
        self._hold("keys", traffic.key_store, self.layer.dim)
        self._scores("", np.ones(self.decided.rows, np.bool_))
        if self.progressive:
            self._fetch("fetch_lsb", traffic.lsb + self.terms.lsb)
            self.plan.whole[:, self.plan.layout.stage("fetch_lsb")] = True
            self._scores("_again", self.decided.again)
        self._select()
        self._fetch("fetch_values", traffic.values)
        if traffic.stream_values:
            column = self.plan.layout.buffer("values")
            self.plan.take[:, column] = self.plan.give[:, column] = self._value_lines()
        else:
            self._hold("values", traffic.value_store, self.layer.value_dim)
        self._pv()
        if self.terms.writes:
            self._fetch("write", self.terms.writes)
            self.plan.whole[:, self.plan.layout.stage("write")] = True
        self._rank()
        return self.plan

    def _fetch(self, stage: str, fetches: list[Fetch]) -> None:
        """Bursts of a memory stage; rows without any pass it."""
        column = self.plan.layout.stage(stage)
        self.plan.skip[:, column] = True
        if not fetches:
            return
        rows = np.repeat([fetch.row for fetch in fetches], [fetch.counts.size for fetch in fetches])
        addresses = np.concatenate([fetch.addresses for fetch in fetches])
        counts = np.concatenate([fetch.counts for fetch in fetches])
        self.plan.skip[rows, column] = False
        self.plan.add_runs(stage, rows, addresses, counts, self.machine.dram.burst_bytes)

    def _hold(self, buffer: str, store: Store, dim: int) -> None:
        """A run's first row takes the lines of its heads, its last row gives them back."""
        lines = row_lines(self.layer.keys, self.machine.vectors_per_line(dim))
        column = self.plan.layout.buffer(buffer)
        self.plan.take[:, column] = np.where(store.first, lines * store.heads, 0)
        self.plan.give[:, column] = np.where(store.last, lines * store.heads, 0)

    def _value_lines(self) -> Integers:
        """SRAM lines of the V that each row keeps: also the cycles that PxV takes."""
        return -(-self.decided.values // self.machine.vectors_per_line(self.layer.value_dim))

    def _scores(self, suffix: str, works: Flags) -> None:
        """QxK, exponents and their sum, division."""
        machine, plan, softmax = self.machine, self.plan, self.machine.softmax
        lines = row_lines(self.layer.keys, softmax.parallelism)
        qk, exponent, total, divide = (
            plan.layout.stage(name + suffix) for name in ("qk", "exponent", "sum", "divide")
        )
        plan.busy[:, qk] = row_lines(self.layer.keys, machine.scores_per_cycle(self.layer.dim))
        plan.lag[:, qk] = plan.drain[:, qk] = machine.qk_latency
        plan.whole[:, qk] = not suffix or works
        plan.busy[:, exponent] = plan.busy[:, divide] = lines
        plan.drain[:, exponent] = softmax.sum_latency
        plan.whole[:, total] = works
        plan.lag[:, divide] = plan.drain[:, divide] = softmax.divide_latency
        if (self.progressive and not suffix) or softmax.rows_wait:
            plan.drain[:, divide] += softmax.decision_latency
        if softmax.rows_wait:
            plan.drain[:, qk] += softmax.largest
            for stage in (qk, divide):
                plan.lag[:, stage] = plan.busy[:, stage] + plan.drain[:, stage]
        for stage in (qk, exponent, total, divide):
            plan.skip[:, stage] = ~works
        for buffer in scores(machine, suffix):
            column = plan.layout.buffer(buffer.name)
            plan.take[:, column] = plan.give[:, column] = np.where(works, lines, 0)
        probabilities = plan.layout.buffer("probabilities")
        plan.take[:, probabilities] = plan.give[:, probabilities] = lines

    def _select(self) -> None:
        """Local V: load at the softmax's rate, select on the real scores, filter in order."""
        plan, engine, keys = self.plan, self.machine.topk, self.layer.keys
        rows = np.flatnonzero(self.selects)
        source = self.decided.source[rows]
        self.select_cycles[rows] = local_select_cycles(self.machine, self.decided, rows, source)
        load, select, filter_ = (plan.layout.stage(name) for name in ("load", "select", "filter"))
        rate = min(engine.width, self.machine.softmax.parallelism)
        plan.busy[:, load] = engine.request_cycles + row_lines(keys, rate)
        plan.busy[:, select] = engine.turn_cycles + self.select_cycles
        plan.busy[:, filter_] = row_lines(keys, engine.width)
        plan.lag[:, filter_] = plan.drain[:, filter_] = engine.drain_cycles
        for stage in (select, filter_):
            plan.whole[:, stage] = self.selects
        for stage in (load, select, filter_):
            plan.skip[:, stage] = ~self.selects
        banks = plan.layout.buffer("topk_banks")
        plan.take[:, banks] = plan.give[:, banks] = self.selects

    def _pv(self) -> None:
        machine, plan = self.machine, self.plan
        pv = plan.layout.stage("pv")
        plan.busy[:, pv] = self._value_lines()
        plan.drain[:, pv] = machine.pv_latency
        plan.whole[:, pv] = self.traffic.stream_values

    def _rank(self) -> None:
        """Tokens and heads, behind the last rows."""
        plan = self.plan
        rank = plan.layout.stage("rank")
        plan.skip[:, rank] = True
        plan.whole[:, rank] = True
        for rows, cycles, _ in layer_rankings(self.machine, self.layer, self.decided.rows):
            plan.busy[rows, rank] += cycles
            plan.drain[rows, rank] = self.machine.topk.drain_cycles
            plan.skip[rows, rank] = False


def plan_rows(machine: Parameters, layer: Attention) -> LayerPlan:
    """The layer as a plan, with its counts."""
    if machine.published_model:
        return _plan_published(machine, layer)
    builder = (SegmentBuilder if is_long(machine, layer) else Builder)(machine, layer)
    plan, decided = builder.build(), builder.decided
    hold_fetcher(machine, plan)
    ranked = builder.select_cycles[builder.selects]
    notes, facts = sampled_scores(machine, layer, decided, builder.select_cycles)
    counted = {
        "qk_lanes_idle": 1 - machine.scores_per_cycle(layer.dim) * layer.dim / machine.multipliers,
        "pv_lanes_idle": 1
        - machine.vectors_per_line(layer.value_dim) * layer.value_dim / machine.multipliers,
        "select_cycles_mean": float(ranked.mean()) if ranked.size else 0.0,
        **facts,
    }
    if isinstance(builder, SegmentBuilder):
        counted["segments"] = builder.segments
        notes = (*notes, f"rows of {layer.keys} keys pass the stores in {builder.segments} segments")
    return LayerPlan(
        plan=plan,
        notes=(*_notes(machine, layer), *notes),
        events=count_events(machine, layer, decided, plan),
        **_counts(layer, decided, counted),
    )


def _plan_published(machine: Parameters, layer: Attention) -> LayerPlan:
    """The sums of bert.cpp, in the place of the machine."""
    decided = read_decisions(layer)
    sums = published_sums(machine, layer, decided)
    return LayerPlan(
        plan=published_plan(sums),
        notes=("published_model: sums that do not overlap; no burst and no energy is counted",),
        **_counts(layer, decided, {"published_read_bytes": sums.read_bytes}),
    )


def _counts(layer: Attention, decided: Decisions, facts: dict[str, int | float | str]) -> dict[str, Any]:
    """What a plan of the layer counts, whatever its cycles.

    `macs_done` counts the products of kept keys and values, those of a second QxK included: without
    `macs_again` (a fact) it never exceeds `macs_dense`.
    """
    dense_rows = layer.batch * (layer.dense_heads or layer.heads) * (layer.dense_queries or layer.queries)
    dims = (layer.dense_dim or layer.dim) + layer.value_dim
    again = int(decided.again.sum()) * layer.keys * layer.dim
    kept = int(decided.values.sum()) * layer.value_dim
    return {
        "macs_dense": dense_rows * (layer.dense_keys or layer.keys) * dims,
        "macs_done": decided.rows * layer.keys * layer.dim + again + kept,
        "launches": 1,
        "facts": {
            "tokens": layer.keys,
            "heads": layer.heads,
            "values_mean": float(decided.values.mean()),
            "refetched_share": float(decided.again.mean()),
            "macs_again": again,
            **facts,
        },
    }


def _notes(machine: Parameters, layer: Attention) -> tuple[str, ...]:
    notes = []
    busy = machine.scores_per_cycle(layer.dim) * layer.dim / machine.multipliers
    if busy < 1:
        notes.append(f"dim {layer.dim}: QxK uses {busy:.0%} of its multipliers")
    if layer.causal and layer.queries > 1:
        notes.append("causal: masked keys are computed like any other")
    return tuple(notes)
