"""The plan of a layer whose rows are longer than the stores: see `long_rows` for its jobs."""

from __future__ import annotations

import numpy as np

from accelsim.accelerators.spatten.decisions import Decisions, read_decisions
from accelsim.accelerators.spatten.fetch import Region
from accelsim.accelerators.spatten.layout import PORT
from accelsim.accelerators.spatten.long_rows import (
    AGAIN,
    PICK,
    SCORE,
    VALUE,
    Jobs,
    kept_columns,
    kept_of_segments,
    partial_bursts,
    scratch_bursts,
    spill_bursts,
)
from accelsim.accelerators.spatten.parameters import Parameters
from accelsim.accelerators.spatten.selection import local_select_cycles
from accelsim.accelerators.spatten.terms import Terms, terms_of
from accelsim.accelerators.spatten.topk import layer_rankings, row_lines
from accelsim.accelerators.spatten.traffic import Fetch, Traffic
from accelsim.plan import Buffer, Flags, Integers, Layout, Plan, Stage
from accelsim.workload import Attention


def _layout(machine: Parameters) -> Layout:
    fifo_lines = machine.softmax.fifo_lines
    return Layout(
        stages=(
            Stage(name="fetch_keys", unit="fetcher", port=PORT, priority=2),
            Stage(name="qk"),
            Stage(name="exponent"),
            Stage(name="spill", port="write", write=True),
            Stage(name="reload", unit="fetcher", port=PORT, priority=0),
            Stage(name="divide"),
            Stage(name="load"),
            Stage(name="select", unit="topk", port="selection", priority=1),
            Stage(name="partition", port="write", write=True),
            Stage(name="filter", unit="topk", port="selection", priority=0),
            Stage(name="fetch_values", unit="fetcher", port=PORT, priority=1),
            Stage(name="pv"),
            Stage(name="write", port="write", write=True),
            Stage(name="rank", port="selection"),
        ),
        buffers=(
            Buffer(name="keys", capacity=machine.lines, take="fetch_keys", give="qk"),
            Buffer(name="values", capacity=machine.lines, take="fetch_values", give="pv"),
            Buffer(name="scores", capacity=fifo_lines, take="qk", give="spill"),
            Buffer(name="probabilities", capacity=fifo_lines, take="reload", give="pv"),
            Buffer(name="topk_banks", capacity=2, take="load", give="filter"),
        ),
    )


class SegmentBuilder:
    """Fills the plan of one layer, a kind of job at a time."""

    def __init__(self, machine: Parameters, layer: Attention) -> None:
        self.machine, self.layer = machine, layer
        self.decided: Decisions = read_decisions(layer)
        self.traffic = Traffic(machine, layer, self.decided)
        self.terms: Terms = terms_of(machine, layer, self.decided, self.traffic)
        values = self.decided.values
        self.selects: Flags = (values > 0) & (values < layer.keys)
        self.jobs = Jobs(machine, layer, self.traffic, self.selects)
        self.plan = Plan(layout=_layout(machine), jobs=self.jobs.count)
        self.select_cycles = np.zeros(self.decided.rows, np.int64)
        self.end = self.terms.end

    @property
    def segments(self) -> int:
        """Segments of a row."""
        return self.jobs.sizes.size

    def build(self) -> Plan:
        """All jobs of the layer."""
        self.plan.skip[:] = True
        self._scores()
        self._spill()
        self._pick()
        self._values()
        self._write()
        self._rank()
        return self.plan

    def _works(
        self, stage: str, jobs: Integers, busy: Integers | int, *, drain: int = 0, lag: int = 0
    ) -> int:
        """The stage's column, after `jobs` have been put to work there."""
        column = self.plan.layout.stage(stage)
        self.plan.skip[jobs, column] = False
        self.plan.busy[jobs, column] = busy
        self.plan.drain[jobs, column], self.plan.lag[jobs, column] = drain, lag
        return column

    def _bursts(self, stage: str, jobs: Integers, addresses: Integers, counts: Integers) -> None:
        moves = np.broadcast_to(counts > 0, jobs.shape)
        self.plan.skip[jobs[moves], self.plan.layout.stage(stage)] = False
        self.plan.add_runs(stage, jobs, addresses, counts, self.machine.dram.burst_bytes)

    def _fetches(self, stage: str, job: Integers, fetches: list[Fetch]) -> None:
        """Bursts of rows, sent by the job of each: job is (rows,)."""
        if fetches:
            rows = np.repeat([fetch.row for fetch in fetches], [fetch.counts.size for fetch in fetches])
            addresses = np.concatenate([fetch.addresses for fetch in fetches])
            self._bursts(stage, job[rows], addresses, np.concatenate([fetch.counts for fetch in fetches]))

    def _scores(self) -> None:
        """K of every segment, Q with each, QxK and exponents; and once more for rows that re-fetch."""
        machine, jobs, softmax = self.machine, self.jobs, self.machine.softmax
        scored = np.flatnonzero(jobs.kind <= AGAIN)
        sizes = jobs.sizes[jobs.segment[scored]]
        lines = -(-sizes // softmax.parallelism)
        scores_per_cycle = machine.scores_per_cycle(self.layer.dim)
        qk = self._works(
            "qk", scored, -(-sizes // scores_per_cycle), drain=machine.qk_latency, lag=machine.qk_latency
        )
        self.plan.whole[scored, qk] = True
        self._works("exponent", scored, lines, drain=softmax.sum_latency)
        buffer = self.plan.layout.buffer("scores")
        self.plan.take[scored, buffer] = self.plan.give[scored, buffer] = lines
        self._keep("keys", np.flatnonzero(jobs.kind <= AGAIN), self.layer.dim)
        for job in np.flatnonzero(jobs.opens & (jobs.kind <= AGAIN)).tolist():
            self._visit("fetch_keys", job, self.traffic.key_region)
            if jobs.kind[job] == AGAIN:
                self._visit("fetch_keys", job, self.traffic.lsb_region)
        for kind, queries in ((SCORE, self.terms.queries), (AGAIN, self.terms.queries + self.terms.lsb)):
            for segment in range(self.segments):
                mine = np.flatnonzero((jobs.kind == kind) & (jobs.segment == segment))
                sends = np.full(self.decided.rows, -1)
                sends[jobs.row[mine]] = mine
                self._fetches("fetch_keys", sends, [fetch for fetch in queries if sends[fetch.row] >= 0])
                if kind == SCORE and segment == 0:
                    self._fetches("fetch_keys", sends, self.terms.reads)

    def _members(self, job: int) -> Integers:
        """Rows of a job's block."""
        jobs = self.jobs
        return np.asarray(jobs.row[jobs.block == jobs.block[job]], np.int64)

    def _keep(self, buffer: str, of: Integers, dim: int) -> None:
        """The first job of a visit takes the lines of its heads, the last gives them back."""
        jobs = self.jobs
        vectors = self.traffic.vectors
        span = int(vectors.max()) + 1
        pairs = np.unique(jobs.block[of] * span + vectors[jobs.row[of]])
        heads = np.bincount(pairs // span, minlength=int(jobs.block.max()) + 1)
        lines = -(-jobs.sizes // self.machine.vectors_per_line(dim))
        held = lines[jobs.segment[of]] * heads[jobs.block[of]]
        column = self.plan.layout.buffer(buffer)
        self.plan.take[of, column] = np.where(jobs.opens[of], held, 0)
        self.plan.give[of, column] = np.where(jobs.closes[of], held, 0)

    def _visit(self, stage: str, job: int, region: Region) -> None:
        """A segment of the vectors of all heads of a block, fetched by its first job."""
        rows = self._members(job)
        sequence = int(self.decided.sequence[rows[0]])
        begin, end = self.jobs.bounds[self.jobs.segment[job] :][:2].tolist()
        positions = self.decided.positions[sequence, begin:end]
        stored = self.decided.stored[rows]
        for record in np.unique(stored // region.fused).tolist():
            heads = stored[stored // region.fused == record]
            addresses, counts = region.whole(sequence, heads, positions)
            self._bursts(stage, np.full(addresses.size, job), addresses, counts)

    def _spill(self) -> None:
        """Exponents go to memory; what comes next waits for the last of its row."""
        machine, plan, jobs = self.machine, self.plan, self.jobs
        self.spilled = spill_bursts(machine, jobs.sizes)
        self.spill_base, self.before = self.end, np.cumsum(self.spilled) - self.spilled
        self.end += self.decided.rows * int(self.spilled.sum()) * machine.dram.burst_bytes
        scored = np.flatnonzero(jobs.kind <= AGAIN)
        spill = self._works("spill", scored, 0)
        plan.whole[scored, spill] = True
        self._bursts("spill", scored, self._exponents(scored), self.spilled[jobs.segment[scored]])
        again = np.flatnonzero(jobs.kind == AGAIN)
        if again.size:
            # The row's largest probability is known behind its sum and one division.
            softmax, first = machine.softmax, jobs.last(SCORE)
            plan.drain[first, spill] = softmax.divide_latency + softmax.decision_latency
            plan.add_after("qk", again, "spill", first[jobs.row[again]])
            opening = again[jobs.opens[again]]
            plan.add_after("fetch_keys", opening, "spill", first[jobs.row[opening]])
        later = np.flatnonzero(jobs.kind >= PICK)
        plan.add_after("reload", later, "spill", jobs.last(AGAIN)[jobs.row[later]])

    def _exponents(self, of: Integers) -> Integers:
        """Addresses of the exponents of jobs."""
        jobs = self.jobs
        place = jobs.row[of] * int(self.spilled.sum()) + self.before[jobs.segment[of]]
        return np.asarray(self.spill_base + place * self.machine.dram.burst_bytes, np.int64)

    def _divide(self, of: Integers, elements: Integers) -> None:
        softmax = self.machine.softmax
        latency = softmax.divide_latency
        self._works("divide", of, -(-elements // softmax.parallelism), drain=latency, lag=latency)

    def _pick(self) -> None:
        """A row reads all its exponents back and selects; what the engine cannot hold is in memory."""
        plan, jobs, engine, keys = self.plan, self.jobs, self.machine.topk, self.layer.keys
        of = np.flatnonzero(jobs.kind == PICK)
        if not of.size:
            return
        rows = jobs.row[of]
        cycles = local_select_cycles(self.machine, self.decided, rows, self.decided.source[rows])
        self.select_cycles[rows] = cycles
        self._bursts("reload", of, self._exponents(of), np.full(of.size, self.spilled.sum()))
        self._divide(of, np.full(of.size, keys))
        rate = min(engine.width, self.machine.softmax.parallelism)
        self._works("load", of, engine.request_cycles + row_lines(keys, rate))
        select = self._works("select", of, engine.turn_cycles + cycles)
        column = self._works(
            "filter", of, row_lines(keys, engine.width), drain=engine.drain_cycles, lag=engine.drain_cycles
        )
        plan.whole[of[:, None], [select, column]] = True
        banks = plan.layout.buffer("topk_banks")
        plan.take[of, banks] = plan.give[of, banks] = 1
        if keys > engine.capacity:
            counts = scratch_bursts(self.machine, cycles, engine.bits)
            self._bursts("select", of, np.full(of.size, self.end), counts)
            partition = plan.layout.stage("partition")
            plan.whole[of, partition] = True
            if engine.draws:
                self._bursts("partition", of, np.full(of.size, self.end), counts)
            self.end += int(counts.max(initial=0)) * self.machine.dram.burst_bytes

    def _values(self) -> None:
        """Exponents come back and are divided; V of the segment comes; PxV adds to the output so far."""
        machine, plan, jobs, layer = self.machine, self.plan, self.jobs, self.layer
        of = np.flatnonzero(jobs.kind == VALUE)
        sizes = jobs.sizes[jobs.segment[of]]
        self._bursts("reload", of, self._exponents(of), self.spilled[jobs.segment[of]])
        self._divide(of, sizes)
        buffer = plan.layout.buffer("probabilities")
        plan.take[of, buffer] = plan.give[of, buffer] = -(-sizes // machine.softmax.parallelism)
        kept = kept_of_segments(layer, jobs.bounds)[jobs.row[of], jobs.segment[of]]
        lines = -(-kept // machine.vectors_per_line(layer.value_dim))
        pv = self._works("pv", of, lines, drain=machine.pv_latency)
        plan.whole[of, pv] = self.traffic.stream_values
        picked = of[self.selects[jobs.row[of]]]
        picker = np.zeros(self.decided.rows, np.int64)
        picks = np.flatnonzero(jobs.kind == PICK)
        picker[jobs.row[picks]] = picks
        waits = "fetch_values" if self.traffic.stream_values else "pv"
        plan.add_after(waits, picked, "filter", picker[jobs.row[picked]])
        if self.traffic.stream_values:
            values = plan.layout.buffer("values")
            plan.take[of, values] = plan.give[of, values] = lines
            self._stream(of)
            return
        self._keep("values", of, layer.value_dim)
        for job in of[jobs.opens[of]].tolist():
            self._visit("fetch_values", job, self.traffic.value_region)
        self._partials(of)

    def _stream(self, of: Integers) -> None:
        """Of each row the V that it keeps, by the segments that hold them."""
        decided, jobs = self.decided, self.jobs
        job = np.zeros((decided.rows, self.segments), np.int64)
        job[jobs.row[of], jobs.segment[of]] = of
        for rows, columns in kept_columns(self.layer):
            for row, kept in zip(rows.tolist(), columns, strict=True):
                sequence = int(decided.sequence[row])
                addresses, counts = self.traffic.value_region.some(
                    sequence, int(decided.stored[row]), decided.positions[sequence, kept]
                )
                segment = np.searchsorted(jobs.bounds, kept, side="right") - 1
                self._bursts("fetch_values", job[row, segment], addresses, counts)

    def _partials(self, of: Integers) -> None:
        """Where several rows pass a segment, outputs wait in memory for the next."""
        machine, jobs = self.machine, self.jobs
        members = np.bincount(jobs.block) // np.bincount(jobs.block, weights=jobs.opens).astype(np.int64)
        shared = of[members[jobs.block[of]] > 1]
        count = partial_bursts(machine, self.layer)
        addresses = self.end + jobs.row[shared] * count * machine.dram.burst_bytes
        self.end += self.decided.rows * count * machine.dram.burst_bytes
        reads, writes = jobs.segment[shared] > 0, jobs.segment[shared] < self.segments - 1
        self._bursts("reload", shared[reads], addresses[reads], np.full(int(reads.sum()), count))
        self._bursts("write", shared[writes], addresses[writes], np.full(int(writes.sum()), count))

    def _write(self) -> None:
        self._fetches("write", self.jobs.last(VALUE), self.terms.writes)
        self.plan.whole[:, self.plan.layout.stage("write")] = True

    def _rank(self) -> None:
        """As in a layer of short rows; what the engine cannot hold passes through memory."""
        machine, plan = self.machine, self.plan
        plan.whole[:, plan.layout.stage("rank")] = True
        last = self.jobs.last(VALUE)
        for rows, cycles, elements in layer_rankings(machine, self.layer, self.decided.rows):
            rank = plan.layout.stage("rank")
            before = plan.busy[last[rows], rank]
            self._works("rank", last[rows], before + cycles, drain=machine.topk.drain_cycles)
            if elements > machine.topk.capacity:
                counts = scratch_bursts(machine, cycles, machine.importance_bits)
                self._bursts("rank", last[rows], np.full(rows.size, self.end), counts)
