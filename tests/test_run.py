"""`run`: totals, baseline, refusals, and books that close, on a machine small enough to reckon by hand."""

import importlib
import re
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from accelsim.accelerators import ACCELERATORS, AcceleratorKind
from accelsim.accelerators.base import LayerPlan
from accelsim.accelerators.sat import Sat
from accelsim.dram import DDR4_2400, Cache, Dram, Memory
from accelsim.energy import Energy, Part
from accelsim.golden.formats import Bitmap
from accelsim.layer_times import BooksError
from accelsim.machine import Timeline, Traffic
from accelsim.plan import Layout, Plan, Stage
from accelsim.run import run
from accelsim.samples import Sample
from accelsim.workload import Layer, Matmul, Unknown, Workload

# The module, not the function in it.
layer_times = importlib.import_module("accelsim.layer_times")

LAYOUT = Layout(
    stages=(
        Stage(name="load", port="memory"),
        Stage(name="multiply"),
        Stage(name="store", port="memory", write=True),
    )
)


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One job per output row: load its kept weights, 64 a burst; a cycle each; store one burst."""

    name: ClassVar[str] = "toy"
    cache: ClassVar[Cache | None] = None
    rate: int = 1
    rows_limit: int = 1000
    macs_error: int = 0
    clock_hz: float = 1e9
    launch_seconds: float = 0.0
    dram: Dram = DDR4_2400
    energy: Energy = field(default_factory=Energy)

    def parts(self) -> tuple[Part, ...]:
        multiplier = Part(name="multiplier", group="logic", cost=self.energy.multiply("int8"), count=3)
        return (multiplier, Part(name="store", group="sram", cost=self.energy.sram(8 << 10, 64)))

    def refuse(self, layer: Layer) -> str:
        if not isinstance(layer, Matmul):
            return f"toy has no {layer.op}"
        return f"at most {self.rows_limit} rows" if layer.m > self.rows_limit else ""

    def plan(self, layer: Layer) -> LayerPlan:
        assert isinstance(layer, Matmul)
        plan = Plan(layout=LAYOUT, jobs=layer.m)
        jobs = np.arange(layer.m)
        plan.busy[:, 1] = -(-layer.kept // self.rate)
        plan.whole[:, 1:] = True
        plan.add_runs("load", jobs, jobs * 65536, -(-layer.kept // 64), 64)
        plan.add_runs("store", jobs, jobs * 64, 1, 0)
        done = layer.m * layer.kept + self.macs_error
        return LayerPlan(
            plan=plan,
            macs_dense=layer.dense().macs,
            macs_done=done,
            launches=2,
            facts={"kept": layer.kept},
            events={"multiplier": done, "store": layer.m},
        )

    def assumptions(self) -> tuple[str, ...]:
        return ("a toy",)


def mask(n: int, k: int, kept: int) -> Bitmap:
    bits = np.zeros(n * k, np.bool_)
    bits[:kept] = True
    return Bitmap.pack(bits.reshape(n, k))


def matmul(name: str, *, m: int = 4, n: int = 8, k: int = 32, kept: int | None = None, **rest: Any) -> Matmul:
    return Matmul(name=name, m=m, n=n, k=k, mask=None if kept is None else mask(n, k, kept), **rest)


def workload(*layers: Layer) -> Workload:
    return Workload(model="two", layers=layers, notes=("inputs: none",))


@pytest.fixture
def simulations(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each call of `simulate`: whether it had a memory."""
    calls: list[bool] = []
    real = layer_times.simulate

    def counted(plan: Plan, memory: Any, *held: Any) -> Any:
        calls.append(memory is not None)
        return real(plan, memory, *held)

    monkeypatch.setattr(layer_times, "simulate", counted)
    return calls


@pytest.fixture
def toy_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    presets = {"slow": Toy(), "fast": Toy(rate=4)}
    monkeypatch.setitem(ACCELERATORS, "toy", AcceleratorKind(sentence="A toy.", cls=Toy, presets=presets))


def test_totals_are_the_sums_of_the_layers() -> None:
    report = run(workload(matmul("a", kept=64), matmul("b", m=3)), Toy(launch_seconds=1e-6))
    a, b = report.layers
    assert (a.compute_cycles, b.compute_cycles) == (4 * 64, 3 * 256)
    assert report.compute_cycles == 4 * 64 + 3 * 256
    assert a.cycles is not None
    assert b.cycles is not None
    assert report.cycles == a.cycles + b.cycles > report.compute_cycles
    assert report.read_bytes == 4 * 64 + 3 * 256
    assert report.write_bytes == (4 + 3) * 64
    assert report.macs_done == 4 * 64 + 3 * 256
    assert report.macs_dense == 4 * 256 + 3 * 256
    assert report.seconds == pytest.approx(report.cycles / 1e9 + 4 * 1e-6, rel=1e-15)
    assert a.facts == {"kept": 64}
    assert report.notes == ("inputs: none",)
    assert report.assumptions == ("a toy",)


def test_speedup_is_dense_seconds_over_pruned_seconds() -> None:
    machine = Toy(launch_seconds=1e-6)
    pruned = workload(matmul("a", kept=64), matmul("b", kept=16))
    report = run(pruned, machine)
    dense = run(pruned.dense(), machine, baseline=False)
    assert dense.baseline is None
    assert dense.speedup is None
    assert dense.dram_reduction is None
    assert report.baseline == dense
    assert report.speedup == dense.seconds / report.seconds > 1
    assert report.dram_reduction == pytest.approx((8 * 256 + 8 * 64) / (4 * 64 + 4 * 64 + 8 * 64))


def test_rows_that_pruning_removed_count_as_dense_macs() -> None:
    report = run(workload(matmul("a", m=2, dense_m=8)), Toy())
    assert (report.macs_done, report.macs_dense) == (2 * 256, 8 * 256)
    assert report.baseline is not None
    assert report.baseline.macs_done == report.macs_dense


def test_a_dense_workload_is_its_own_baseline(simulations: list[bool]) -> None:
    report = run(workload(matmul("a")), Toy())
    assert report.baseline == replace(report, baseline=None)
    assert report.speedup == 1.0
    assert report.dram_reduction == 1.0
    assert len(simulations) == 2


def test_an_all_ones_mask_costs_what_no_mask_costs() -> None:
    report = run(workload(matmul("a", kept=256)), Toy())
    assert report.speedup == 1.0


def test_equal_layers_and_equal_plans_are_simulated_once(simulations: list[bool]) -> None:
    other = np.zeros((8, 32), np.bool_)
    other[:, ::4] = True
    same_count = Matmul(name="c", m=4, n=8, k=32, mask=Bitmap.pack(other))
    report = run(workload(matmul("a", kept=64), matmul("b", kept=64), same_count), Toy())
    assert sorted(simulations) == [False, False, True, True]
    assert [row.name for row in report.layers] == ["a", "b", "c"]
    assert len({row.cycles for row in report.layers}) == 1


@pytest.mark.parametrize("change", [{"m": 5}, {"kept": 128}])
def test_layers_that_differ_are_simulated_apart(simulations: list[bool], change: dict[str, int]) -> None:
    run(workload(matmul("a", kept=64), matmul("b", **{"kept": 64, **change})), Toy(), baseline=False)
    assert len(simulations) == 4


def test_layers_with_equal_plans_keep_their_own_counts(simulations: list[bool]) -> None:
    report = run(workload(matmul("a", kept=64), matmul("b", n=16, kept=64)), Toy(), baseline=False)
    assert len(simulations) == 2
    assert [row.macs_dense for row in report.layers] == [4 * 8 * 32, 4 * 16 * 32]


@pytest.mark.parametrize("part", ["asked", "held"])
def test_equal_samples_that_stand_for_different_layers_are_kept_apart(part: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Sampled(Toy):
        """Every layer as the same sample; layers of 16 columns have something else beside it."""

        cache: ClassVar[Cache | None] = Cache(
            bytes=1 << 16, line_bytes=64, ways=4, bandwidth=1e11, hit_latency=1e-8, miss_latency=0
        )

        def plan(self, layer: Layer) -> LayerPlan:
            assert isinstance(layer, Matmul)
            work = super().plan(matmul("sample"))
            lines, other = np.arange(4) * 65536, layer.n == 16
            # What is held before the layer is of no use to samples, which hold their own.
            held = lines if part == "held" else None
            sample = Sample(plan=work.plan, weight=2.0, held=None if other else held)
            asked = (20, 10) if part == "asked" and other else (40, 10)
            return replace(work, samples=(sample,), held=held if other else None, asked=asked)

    layers = workload(matmul("a"), matmul("b", n=16))
    together = [row.traffic for row in run(layers, Sampled(), baseline=False).layers]
    alone = [run(workload(each), Sampled(), baseline=False).layers[0].traffic for each in layers.layers]
    assert together == alone
    assert alone[0] != alone[1]


def test_what_the_machine_cannot_run_is_listed_outside_the_totals_with_one_warning() -> None:
    layers = (matmul("a", kept=64), Unknown(name="s", op="scan", macs=1024), Unknown(name="t", op="scan"))
    with pytest.warns(
        UserWarning, match=r"toy does not run 2 of 3 layers \(50\.0% of the MACs\).*no scan"
    ) as seen:
        report = run(workload(*layers), Toy())
    assert len(seen) == 1
    alone = run(workload(layers[0]), Toy())
    assert (report.cycles, report.macs_dense, report.speedup) == (alone.cycles, 1024, alone.speedup)
    row = report.to_dict()["layers"][1]
    assert (row["simulated"], row["reason"], row["macs_share"]) == (False, "toy has no scan", 0.5)
    assert row["cycles"] is None
    assert row["macs_done"] is None


def test_a_layer_that_only_fits_when_pruned_is_in_neither_total() -> None:
    small = matmul("a", m=2, dense_m=8)
    with pytest.warns(UserWarning, match="unpruned, it cannot run: at most 4 rows"):
        report = run(workload(small, matmul("b", kept=8)), Toy(rows_limit=4))
    assert report.baseline is not None
    assert [row.simulated for row in report.layers] == [row.simulated for row in report.baseline.layers]
    assert run(workload(small), Toy(rows_limit=4), baseline=False).cycles > 0


def test_nothing_simulated_is_no_error_and_has_no_speedup() -> None:
    with pytest.warns(UserWarning, match=r"100\.0%"):
        report = run(workload(Unknown(name="s", op="scan", macs=7)), Toy())
    values = report.to_dict()
    assert values["cycles"] == 0
    for key in ("speedup", "dram_reduction", "bottleneck"):
        assert values[key] is None
    assert values["dram"]["gbps"] is None


@pytest.mark.parametrize(
    "field", ["read_bursts", "write_bursts", "cache_hits", "row_hits", "busy", "idle", "stalled", "cycles"]
)
def test_books_that_do_not_close_are_an_internal_error(monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    real = layer_times.simulate

    def broken(plan: Plan, memory: Memory | None, *held: Any) -> Timeline:
        timeline = real(plan, memory, *held)
        whole = timeline.traffic if hasattr(timeline.traffic, field) else timeline
        wrong = replace(whole, **{field: getattr(whole, field) + 1})
        return replace(timeline, traffic=wrong) if isinstance(wrong, Traffic) else wrong

    monkeypatch.setattr(layer_times, "simulate", broken)
    with pytest.raises(BooksError, match="layer 'a'"):
        run(workload(matmul("a")), Toy())


def test_more_macs_done_than_there_are_is_an_internal_error() -> None:
    with pytest.raises(BooksError, match="1025 MACs done of 1024"):
        run(workload(matmul("a")), Toy(macs_error=1))


def test_a_plan_that_breaks_its_rules_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Toy.plan

    def broken(self: Toy, layer: Layer) -> LayerPlan:
        work = real(self, layer)
        work.plan.busy[2, 1] = -1
        return work

    monkeypatch.setattr(Toy, "plan", broken)
    with pytest.raises(BooksError, match="layer 'a': the plan breaks its own rules: job 2, multiply"):
        run(workload(matmul("a")), Toy())


def test_progress_names_each_layer_once_per_model() -> None:
    seen: list[tuple[str, int, int]] = []
    run(workload(matmul("a"), matmul("b")), Toy(), progress=lambda *step: seen.append(step))
    assert seen == [("a", 0, 4), ("b", 1, 4), ("a", 2, 4), ("b", 3, 4)]


@pytest.mark.usefixtures("toy_kind")
def test_the_preset_is_found_by_comparison_and_changes_are_named() -> None:
    layers = workload(matmul("a"))
    assert run(layers, Toy(rate=4)).preset == "fast"
    changed = run(layers, Toy(rate=2))
    assert (changed.preset, changed.changes) == (None, ())
    named = run(layers, Toy(rate=2), preset="slow")
    assert (named.preset, named.changes) == ("slow", ("rate=2",))
    assert named.parameters["dram"]["channels"] == 1


def test_a_workload_that_runs_whole_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(workload(matmul("a")), Toy())


def test_a_faster_memory_than_needed_leaves_compute_alone() -> None:
    fast = replace(DDR4_2400, clock_ps=1, channels=64)
    report = run(workload(matmul("a", m=20)), Toy(dram=fast))
    assert report.compute_cycles <= report.cycles <= report.compute_cycles * 1.1


def test_one_warning_gives_each_reason_once() -> None:
    layers = (matmul("a"), *(Unknown(name=f"s{index}", op="scan", macs=8) for index in range(5)))
    with pytest.warns(UserWarning, match="no scan") as seen:
        run(workload(*layers), Toy())
    assert str(seen[0].message).count("no scan") == 1


def test_energy_is_the_events_times_what_each_costs() -> None:
    report = run(workload(matmul("a", m=4, kept=16), matmul("b", m=2)), Toy(), baseline=False)
    macs = 4 * 16 + 2 * 8 * 32
    assert report.part_pj == {"multiplier": pytest.approx(macs * 0.2), "store": pytest.approx(6 * 10.0)}
    assert report.logic_pj == pytest.approx(macs * 0.2)
    assert report.sram_pj == pytest.approx(6 * 10.0)
    assert report.area_mm2 == pytest.approx((3 * 282 + 8 * 8192 * 0.346 / 0.6) / 1e6)


def test_a_machine_without_area_has_none() -> None:
    report = run(workload(matmul("a")), Toy(energy=Energy(fabric="fpga")), baseline=False)
    assert report.area_mm2 is None
    assert report.logic_pj == pytest.approx(4 * 8 * 32 * 0.2 * 7.1)


@pytest.mark.parametrize(
    ("workload", "machine", "said"),
    [
        ("minilm", Sat(), "workload must be a Workload, as accelsim.trace makes one, not str"),
        (Workload(model="m", layers=()), "sat", "accelerator must be one such as accelsim.Sat(), not 'sat'"),
        (Workload(model="m", layers=()), Sat, "accelerator must be one such as accelsim.Sat(), not <class"),
        (Workload(model="m", layers=()), Sat(rows=2.5), "rows must be an integer, not 2.5"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_workload_or_accelerator_is_told_in_one_line(
    workload: Any, machine: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        run(workload, machine)
