"""Recipe x machine for models with weights: what stays, what it costs in accuracy, and what a machine gains.

Run by `python benchmarks/recipes.py table-MODEL`; rows are written as they are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelsim.accelerators import find
from accelsim.accuracy import prepare
from accelsim.accuracy.calibration import calibrated
from accelsim.models import load
from accelsim.prune import pruned
from accelsim.run import run
from accelsim.trace import trace
from accelsim.workload import Matmul, Workload

MACHINES = ("sat", "systolic:32", "stc:a100")
SEED = 0

ONE_SHOT = ("magnitude,2:4", "wanda,2:4", "sparsegpt,2:4", "wanda,2:8", "sparsegpt,2:8")

RECIPES: dict[str, tuple[str, ...]] = {
    "minilm": (
        *ONE_SHOT,
        "obert,2:4",
        "obert,2:4,surgeon",
        "wanda,2:4,dsnot",
        "dimap,modules,0.5",
        "wanda,later,0.8",
        "ziplm,0.75,columns",
        "flap,0.75,heads,bias",
        "depth,0.67",
        "depth,0.67,by=change",
    ),
    "efficientnet-lite0": (
        *ONE_SHOT,
        "wanda,6:8",
        "dimap,global,0.5",
        "wanda,machine,on=sat,distortion=0.3,levels=2:8/3:8/4:8/5:8/6:8",
        "wanda,machine,on=systolic:32,distortion=0.3,levels=2:8/3:8/4:8/5:8/6:8",
        "depth,0.8,by=change",
    ),
    "vit-s": (
        *ONE_SHOT,
        "dimap,modules,0.5",
        "ziplm,0.75,columns",
        "depth,0.84",
        "depth,0.84,by=change",
    ),
}

SAMPLES = {"minilm": None, "efficientnet-lite0": None, "vit-s": 80}
"""Of the evaluation; None: as many as are customary."""

Row = dict[str, Any]


def table(book: Any, model: str) -> None:
    """One row for each recipe and machine that is not there yet."""
    missing = {
        recipe: [machine for machine in MACHINES if not book.has(recipe=recipe, machine=machine)]
        for recipe in RECIPES[model]
    }
    if any(missing.values()):
        bench = _Bench(model)
        for recipe, machines in missing.items():
            if machines:
                bench.add(book, recipe, machines)
    _print(book.rows)
    plotted(book.path.with_name(f"recipes_table_{model}.png"), book.rows, model)


class _Bench:
    """A model with its dense workload, and what its task gives for the dense weights: found once."""

    def __init__(self, name: str) -> None:
        self.model = load(name, seed=SEED)
        self.task = prepare(self.model, seed=SEED, samples=SAMPLES[name]).task
        self.outputs = self.task.outputs(self.model.module, _silent)
        self.dense = _traced(self.model, ())
        self.reports: dict[str, Any] = {}

    def add(self, book: Any, recipe: str, machines: Sequence[str]) -> None:
        """The rows of one recipe; its accuracy is that of rows that are there, else measured."""
        recipes = calibrated(self.model, recipe, seed=SEED)
        accuracy = next((row["accuracy"] for row in book.rows if row["recipe"] == recipe), None)
        if accuracy is None:
            module = self.model.module
            with pruned(module, recipes, heads_per_sample=True):
                accuracy = _plain(self.task.judged(self.outputs, self.task.outputs(module, _silent)))
        workload = _traced(self.model, recipes)
        for machine in machines:
            target = find(machine)[2]
            if machine not in self.reports:
                self.reports[machine] = run(self.dense, target, baseline=False)
            before, after = self.reports[machine], run(workload, target, baseline=False)
            row = {
                "recipe": recipe,
                "machine": machine,
                "kept": round(_weights(workload) / _weights(self.dense), 4),
                "cycles": after.cycles,
                "dense_cycles": before.cycles,
                "dram_bytes": after.dram_bytes,
                "dense_dram_bytes": before.dram_bytes,
                "speedup": round(before.seconds / after.seconds, 4),
                "accuracy": accuracy,
            }
            book.add(row, model=self.model.name, input=list(self.model.notes), seed=SEED)
            print(f"{recipe:<44} {machine:<12} {row['speedup']:.3f}", flush=True)


def _silent(samples: int) -> None:
    """Progress that nobody is told."""


def _plain(found: Any) -> Row:
    """Metric, figures and the interval of the pruned one."""
    return {
        "metric": found.metric,
        "dense": found.dense,
        "pruned": found.pruned,
        "samples": found.samples,
        "interval": list(found.spread.pruned) if found.spread else None,
    }


def _traced(model: Any, recipes: Any) -> Workload:
    return trace(model.module, model.inputs, recipes or None, name=model.name, notes=model.notes)


def _weights(workload: Workload) -> int:
    """Weights of all products that have some, those that are kept."""
    return sum(layer.kept for layer in workload.layers if isinstance(layer, Matmul) and layer.weights)


def _print(rows: Sequence[Row]) -> None:
    """One line a recipe."""
    print(f"\n{'recipe':<44} {'kept':>6} {'accuracy':>9}  cycles of dense, by machine")
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        own = {row["machine"]: row for row in rows if row["recipe"] == recipe}
        any_row = next(iter(own.values()))
        shares = ", ".join(f"{name} {row['cycles'] / row['dense_cycles']:.3f}" for name, row in own.items())
        print(f"{recipe:<44} {any_row['kept']:>6.3f} {any_row['accuracy']['pruned']:>9.4f}  {shares}")


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other beats in both, from the fastest on: larger is better."""
    best: list[tuple[float, float]] = []
    for speed, figure in sorted(points, reverse=True):
        if not best or figure > best[-1][1]:
            best.append((speed, figure))
    return best


def plotted(path: Path, rows: Sequence[Row], model: str) -> None:
    """Accuracy over speed-up, machine by machine, with what no other recipe beats in both."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(MACHINES), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(MACHINES), sharey=True, squeeze=False)[0]
    for axes, machine in zip(panels, MACHINES, strict=True):
        own = [row for row in rows if row["machine"] == machine]
        if not own:
            continue
        points = [(row["speedup"], row["accuracy"]["pruned"]) for row in own]
        axes.plot(*zip(*points, strict=True), "o")
        axes.plot(*zip(*front([*points, (1.0, own[0]["accuracy"]["dense"])]), strict=True), "-", alpha=0.5)
        axes.plot(1, own[0]["accuracy"]["dense"], "ks", label="dense")
        for row, (speed, accuracy) in zip(own, points, strict=True):
            axes.annotate(row["recipe"].split(",levels")[0], (speed, accuracy), fontsize=5)
        axes.set_title(f"{model} on {machine}")
        axes.set_xlabel("speed-up")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(rows[0]["accuracy"]["metric"], fontsize=7)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
