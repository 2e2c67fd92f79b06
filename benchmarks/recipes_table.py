"""Recipe x machine for models with weights: what stays, what it costs in accuracy, and what a machine gains.

Run by `python benchmarks/recipes.py table-MODEL`; rows are written as they are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes_book import Book, Row

from accelsim.accelerators import find
from accelsim.accuracy import prepare
from accelsim.accuracy.calibration import calibrated
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import pruned
from accelsim.report import Report
from accelsim.run import run
from accelsim.trace import trace
from accelsim.workload import Matmul, Workload

PANELS = ("table-minilm", "table-smollm2", "table-efficientnet", "table-vit")
MACHINES = ("sat", "systolic:32", "stc:a100")
SEED = 0

ONE_SHOT = ("magnitude,2:4", "wanda,2:4", "sparsegpt,2:4", "wanda,2:8", "sparsegpt,2:8")

RECIPES: dict[str, tuple[str, ...]] = {
    "minilm": (
        *ONE_SHOT,
        "random,2:4",
        "gblm,2:4",
        "obert,2:4",
        "obert,2:4,surgeon",
        "wanda,2:4,dsnot",
        "wanda,2:4,bits=4",
        "sparsegpt,2:4,bits=4",
        "nowag,2:4,armor,steps=60",
        "wanda,0.5",
        "wanda,global,0.5",
        "wanda,ecoflap,0.5",
        "wanda,farms,0.5",
        "wanda,rd,0.5",
        "taylor,0.5",
        "dpruner,0.5",
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


def table(book: Book, recipes: Sequence[str], bench: Callable[[], Bench]) -> None:
    """One row for each recipe and machine that is not there yet; `bench` is made if one is missing."""
    missing = {
        recipe: [machine for machine in MACHINES if not book.has(recipe=recipe, machine=machine)]
        for recipe in recipes
    }
    if any(missing.values()):
        made = bench()
        for recipe, machines in missing.items():
            if machines:
                made.add(book, recipe, machines)
    printed(book.rows)
    plotted(book.path.with_name("recipes_table.png"), {name: book.of(name).rows for name in PANELS})


def table_of(book: Book, model: str) -> None:
    """The table of a model with a task of its own."""

    def bench() -> Bench:
        loaded = load(model, seed=SEED)
        task = prepare(loaded, seed=SEED, samples=SAMPLES[model]).task
        outputs = task.outputs(loaded.module, _silent)

        def judged(_: str, found: Any) -> Row:
            with pruned(loaded.module, found, heads_per_sample=True):
                return _plain(task.judged(outputs, task.outputs(loaded.module, _silent)))

        return Bench(loaded, lambda recipe: calibrated(loaded, recipe, seed=SEED), judged)

    table(book, RECIPES[model], bench)


class Bench:
    """A model with its dense workload, found once; how a recipe is fitted to it, and how that is judged."""

    def __init__(self, model: Model, fit: Callable[[str], Any], judged: Callable[[str, Any], Row]) -> None:
        self.model, self.fit, self.judged = model, fit, judged
        self.dense = _traced(model, ())
        self.reports: dict[str, Report] = {}

    def add(self, book: Book, recipe: str, machines: Sequence[str]) -> None:
        """The rows of one recipe; its accuracy is that of rows that are there, else measured."""
        found = self.fit(recipe)
        accuracy = next((row["accuracy"] for row in book.rows if row["recipe"] == recipe), None)
        if accuracy is None:
            accuracy = self.judged(recipe, found)
        workload = _traced(self.model, found)
        for machine in machines:
            target = find(machine)[2]
            if machine not in self.reports:
                self.reports[machine] = run(self.dense, target, baseline=False)
            before, after = self.reports[machine], run(workload, target, baseline=False)
            row = {
                "recipe": recipe,
                "machine": machine,
                "model": self.model.name,
                "kept": round(_weights(workload) / _weights(self.dense), 4),
                "cycles": after.cycles,
                "dense_cycles": before.cycles,
                "dram_bytes": after.dram_bytes,
                "dense_dram_bytes": before.dram_bytes,
                "speedup": round(before.seconds / after.seconds, 4),
                "accuracy": accuracy,
            }
            book.add(row, input=list(self.model.notes), seed=SEED)
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


def printed(rows: Sequence[Row]) -> None:
    """One line a recipe."""
    print(f"\n{'recipe':<44} {'kept':>6} {'accuracy':>9}  cycles of dense, by machine")
    for recipe in dict.fromkeys(row["recipe"] for row in rows):
        own = {row["machine"]: row for row in rows if row["recipe"] == recipe}
        any_row = next(iter(own.values()))
        shares = ", ".join(f"{name} {row['cycles'] / row['dense_cycles']:.3f}" for name, row in own.items())
        print(f"{recipe:<44} {any_row['kept']:>6.3f} {any_row['accuracy']['pruned']:>9.4f}  {shares}")


def front(points: Sequence[tuple[float, float]], *, less: bool = False) -> list[tuple[float, float]]:
    """Those that no other beats in both, from the fastest on: larger is better, of figures `less` smaller."""
    sign = -1 if less else 1
    best: list[tuple[float, float]] = []
    for speed, figure in sorted(points, key=lambda point: (point[0], sign * point[1]), reverse=True):
        if not best or sign * figure > sign * best[-1][1]:
            best.append((speed, figure))
    return best


def plotted(path: Path, parts: Mapping[str, Sequence[Row]]) -> None:
    """Accuracy over speed-up, a row a model and a column a machine, with what no recipe beats in both."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    there = {part: rows for part, rows in parts.items() if rows}
    figure = Figure(figsize=(4 * len(MACHINES), 3.4 * len(there)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(there), len(MACHINES), squeeze=False)
    for line, rows in zip(panels, there.values(), strict=True):
        for axes, machine in zip(line, MACHINES, strict=True):
            _panel(axes, [row for row in rows if row["machine"] == machine], machine)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def _panel(axes: Any, rows: Sequence[Row], machine: str) -> None:
    """One model on one machine; of perplexity the better is the smaller, and above."""
    if not rows:
        return
    said = rows[0]["accuracy"]
    less = said["metric"] == "perplexity"
    points = [(row["speedup"], row["accuracy"]["pruned"]) for row in rows]
    best = front([*points, (1.0, said["dense"])], less=less)
    axes.plot(*zip(*points, strict=True), "o")
    axes.plot(*zip(*best, strict=True), "-", alpha=0.5)
    axes.plot(1, said["dense"], "ks", label="dense")
    # The table has the others: where many stand at one place, their names would hide each other.
    for point in dict.fromkeys(best):
        names = [
            row["recipe"].split(",levels")[0] for row, own in zip(rows, points, strict=True) if own == point
        ]
        axes.annotate(
            "\n".join(names), point, (-3, -9), textcoords="offset points", ha="right", va="top", fontsize=6
        )
    axes.legend(fontsize=6)
    if less:
        axes.set_yscale("log")
        axes.invert_yaxis()
    axes.set_title(f"{rows[0]['model']} on {machine}", fontsize=9)
    axes.set_xlabel("speed-up")
    axes.set_ylabel(said["metric"].split(",")[0], fontsize=7)
    axes.grid(alpha=0.3)
