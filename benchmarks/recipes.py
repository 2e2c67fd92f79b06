"""Pruning recipes beside each other: perplexity of SmolLM2, recipe by recipe.

    python benchmarks/recipes.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/recipes.json]

Parts: smollm2 (2:4 and half of all weights, one-shot; Brown after calibration on Shakespeare);
allocation-minilm and allocation-efficientnet (N:8 of layers by the simulator beside the same N:8 everywhere,
and whether distortions add up); dsnot (what its swaps change in layers of SmolLM2); table-minilm,
table-efficientnet and table-vit (recipe x machine). Every row is written as it is found, and a run that is
started again goes on behind the rows that are there, but for the allocations. SmolLM2's forward passes have
products in bfloat16, as the papers' are in half precision; norms, losses, statistics and all that is done to
weights are in float32 or float64. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from recipes_dsnot import layer_errors
from recipes_table import table

from accelsim.accelerators import find
from accelsim.accuracy.agreement import drawn_crops
from accelsim.accuracy.calibration import text_windows
from accelsim.accuracy.perplexity import drawn_windows
from accelsim.accuracy.pictures import IMAGENET_MEAN, IMAGENET_STD, normalised
from accelsim.accuracy.spread import bootstrap
from accelsim.datasets import brown, shakespeare
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import Composed, fitted, parse, pruned
from accelsim.prune.allocations.curves import curves, distortion
from accelsim.prune.allocations.dynamic import chosen
from accelsim.prune.allocations.machine import cost
from accelsim.prune.blocks import call
from accelsim.prune.fitting import cut_layer
from accelsim.prune.losses import main_output
from accelsim.prune.matrices import matrices
from accelsim.prune.network import Network
from accelsim.prune.patterns.base import Amount

RESULTS = Path(__file__).parent / "results" / "recipes.json"
WINDOWS = 32
CALIBRATION = {"samples": 16, "length": 512}
SEED = 0

MACHINES = ("sat", "systolic:32")
AMOUNTS = [*(Amount(n=n, m=8) for n in (2, 3, 4, 5, 6)), Amount(n=8, m=8)]
TOKENS, PROBES, OTHERS = 128, 6, 6
"""Length of a text; samples on which layers are probed, and others on which choices are judged."""

SMOLLM2 = (
    "",
    "wanda,2:4",
    "sparsegpt,2:4",
    "magnitude,2:4",
    "wanda,0.5",
    "sparsegpt,0.5",
    "magnitude,0.5",
    "wanda,2:4,dsnot",
    "gblm,2:4",
    "nowag,2:4,armor,steps=60",
    "wanda,0.5,dsnot",
    "gblm,0.5",
)
"""In the order in which they run; the first is the dense model."""

Row = dict[str, Any]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    options.add_argument("--date", help="written into the results")
    options.add_argument("-o", "--output", type=Path, default=RESULTS)
    given = options.parse_args()
    for part in given.parts:
        if part not in PARTS:
            options.error(f"PART must be one of {', '.join(PARTS)}, not {part!r}")
    for part in given.parts or PARTS:
        PARTS[part](Book(given.output, part, given.date))
    print(f"\nwritten: {given.output}")


class Book:
    """Rows of one part, on disk as soon as they are there."""

    def __init__(self, path: Path, part: str, date: str | None) -> None:
        self.path, self.part, self.date = path, part, date

    @property
    def rows(self) -> list[Row]:
        return self._all().get(self.part, {}).get("rows", [])

    def has(self, **keys: Any) -> bool:
        return any(all(row.get(name) == value for name, value in keys.items()) for row in self.rows)

    def add(self, row: Row, **facts: Any) -> None:
        """Write the row, and what holds of all rows."""
        found = self._all()
        found[self.part] = {
            "command": f"python benchmarks/recipes.py {self.part}",
            **provenance(self.date, "numpy", "torch", "transformers"),
            **facts,
            "rows": [*self.rows, row],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps(found, indent=1) + "\n")
        draft.replace(self.path)

    def _all(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}


def smollm2(book: Book) -> None:
    """Perplexity of each recipe on the same windows of Brown, with its spread over windows."""
    print(f"{'recipe':<24} {'perplexity':>10}  95 % interval      fit, evaluation (CPU s)")
    for recipe in SMOLLM2:
        if book.has(recipe=recipe):
            continue
        model = decoder()
        begin = time.process_time()
        words = f"{recipe},samples={CALIBRATION['samples']}" if needs_samples(recipe) else recipe
        with torch.autocast("cpu", torch.bfloat16):
            found = fitted(model.module, words or None, calibration(), told)
        fit_seconds = time.process_time() - begin
        begin = time.process_time()
        if found:
            with pruned(model.module, found):
                losses = window_losses(model)
        else:
            losses = window_losses(model)
        row: Row = {
            "recipe": recipe,
            "words": words,
            "perplexity": round(float(np.exp(losses.mean())), 3),
            "losses": [round(float(loss), 5) for loss in losses],
            "fit_cpu_seconds": round(fit_seconds, 1),
            "evaluation_cpu_seconds": round(time.process_time() - begin, 1),
        }
        dense = next((each["losses"] for each in book.rows if not each["recipe"]), row["losses"])
        spread = bootstrap(np.array(dense), losses, seed=SEED, of="windows", figure=np.exp)
        row["interval"] = spread.pruned
        book.add(
            row,
            metric=f"perplexity on {WINDOWS} windows of 1,024 tokens of the Brown corpus, seed {SEED}",
            calibrated_on=f"Shakespeare, {CALIBRATION['samples']} windows of {CALIBRATION['length']} tokens, "
            f"seed {SEED}",
            precision="bfloat16 products in forward passes, else float32",
            spread=spread.method,
        )
        low, high = row["interval"]
        print(
            f"{recipe or 'dense':<24} {row['perplexity']:>10,.2f}  [{low:,.1f}, {high:,.1f}]  "
            f"{row['fit_cpu_seconds']:.0f}, {row['evaluation_cpu_seconds']:.0f}",
            flush=True,
        )


def needs_samples(recipe: str) -> bool:
    return bool(recipe) and not recipe.startswith("magnitude")


@cache
def decoder() -> Model:
    model = load("smollm2", tokens=16)
    model.module.set_attn_implementation("sdpa")  # type: ignore[operator]
    return model


@cache
def calibration() -> tuple[Row, ...]:
    """Windows of text that is not evaluated."""
    drawn = drawn_windows(decoder(), list(shakespeare().values()), seed=SEED, count=CALIBRATION["samples"])
    return tuple({"input_ids": torch.from_numpy(each[: CALIBRATION["length"]])[None]} for each in drawn)


@cache
def evaluated() -> Any:
    """(windows, tokens) of Brown, those that `accelsim run smollm2 --evaluate` draws."""
    return drawn_windows(decoder(), list(brown().values()), seed=SEED, count=WINDOWS)


@torch.no_grad()
def window_losses(model: Model) -> np.ndarray:
    """Mean -log p of each window."""
    found = []
    with torch.autocast("cpu", torch.bfloat16):
        for index, window in enumerate(evaluated()):
            told("evaluating", index, WINDOWS)
            ids = torch.from_numpy(window)[None]
            logits = model.module(input_ids=ids, use_cache=False).logits[0, :-1]
            found.append(float(torch.nn.functional.cross_entropy(logits.float(), ids[0, 1:])))
    return np.array(found)


def told(what: str, done: int, total: int) -> None:
    """Progress, on a terminal alone."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {total}   ", end="", file=sys.stderr, flush=True)


def allocation(book: Book, model: str) -> None:
    """Cycles against distortion, by the simulator and uniform, on samples that the choice has not seen."""
    bench = Bench(model)
    print(
        f"{'machine':<12} {'allocation':<14} {'cycles':>11} {'sum':>8} {'probes':>8} {'others':>8}",
        flush=True,
    )
    for machine in MACHINES:
        target = find(machine)[2]
        known: dict[tuple[int, ...], float] = {}
        costs = [
            [cost(bench.network, matrix, amount, target, "cycles", known) for amount in AMOUNTS]
            for matrix in bench.network.matrices
        ]
        values = [
            [point.distortion for point in bench.curves[matrix.name]] for matrix in bench.network.matrices
        ]
        for option, amount in enumerate(AMOUNTS[:-1]):
            uniform = [option] * len(costs)
            alone = sum(each[option] for each in values)
            for name, picks in (
                (f"uniform {amount}", uniform),
                (f"as {amount}", chosen(values, costs, alone)),
            ):
                row = bench.row(machine, name, picks, costs, values)
                book.add(row, score="wanda", levels=[str(each) for each in AMOUNTS], **bench.facts)
                print(
                    f"{machine:<12} {name:<14} {row['cycles']:>11,} {row['sum_of_distortions']:>8.4f} "
                    f"{row['distortion_on_probes']:>8.4f} {row['distortion_on_others']:>8.4f}",
                    flush=True,
                )
    plotted(book.path.with_name(f"recipes_{model}.png"), book.rows)
    for machine in MACHINES:
        for name, distorted, share in saved([row for row in book.rows if row["machine"] == machine]):
            print(f"{machine}, distortion {distorted:.2f} of {name}: {share:+.1%} cycles by the simulator")


def saved(rows: list[Row]) -> list[tuple[str, float, float]]:
    """For each uniform row its distortion, and the cycles that the simulator's choices take at the same.

    As a share of the uniform ones, less 1; along straight lines between the choices and the dense network.
    Left out where no choice distorts as much.
    """
    choices = [
        (row["distortion_on_others"], row["cycles"]) for row in rows if row["allocation"].startswith("as ")
    ]
    curve = sorted([*choices, (0.0, rows[0]["dense_cycles"])])
    found = []
    for row in rows:
        at = row["distortion_on_others"]
        if row["allocation"].startswith("uniform") and at <= curve[-1][0]:
            cycles = float(np.interp(at, *zip(*curve, strict=True)))
            found.append((row["allocation"], at, cycles / row["cycles"] - 1))
    return found


class Bench:
    """A model with the distortion of each of its layers at each N:8, and its weights cut so."""

    def __init__(self, name: str) -> None:
        recipe = parse("wanda,4:8")
        assert isinstance(recipe, Composed)
        self.model = load(name, tokens=TOKENS)
        probes, self.others, said = texts(self.model) if name == "minilm" else crops()
        layers = [each for each in matrices(self.model.module) if not each.obstacle and each.along % 8 == 0]
        self.network = Network(self.model.module, recipe, layers, probes, told)
        self.curves = curves(self.network, AMOUNTS, len(probes))
        self.facts = {
            "model": name,
            "distortion": "mean square change of the outputs over their mean square",
            "samples": said,
            "cycles_are": f"of the products of {len(layers)} layers with their weights, one after the other",
        }

    def row(self, machine: str, name: str, picks: list[int], costs: Any, values: Any) -> Row:
        """What a choice of levels costs, and what it changes when all layers are cut together."""
        probes = self.network.samples
        before = [matrix.read() for matrix in self.network.matrices]
        dense = self.given(probes), self.given(self.others)
        for matrix, weight, option in zip(self.network.matrices, before, picks, strict=True):
            seen = self.network.seen_of(matrix)
            matrix.write(cut_layer(matrix.name, weight, seen, self.network.recipe, AMOUNTS[option]).weight)
        now = self.given(probes), self.given(self.others)
        for matrix, weight in zip(self.network.matrices, before, strict=True):
            matrix.write(weight)
        return {
            "machine": machine,
            "allocation": name,
            "cycles": int(sum(each[option] for each, option in zip(costs, picks, strict=True))),
            "dense_cycles": int(sum(each[-1] for each in costs)),
            "sum_of_distortions": sum(each[option] for each, option in zip(values, picks, strict=True)),
            "distortion_on_probes": distortion(dense[0], now[0]),
            "distortion_on_others": distortion(dense[1], now[1]),
            "levels_taken": [str(AMOUNTS[option]) for option in picks],
        }

    @torch.no_grad()
    def given(self, samples: Any) -> list[torch.Tensor]:
        return [main_output(call(self.model.module, sample)).float() for sample in samples]


def plotted(path: Path, rows: list[Row]) -> None:
    """Distortion on samples that the choice has not seen over cycles, machine by machine."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, machine in zip(figure.subplots(1, len(MACHINES)), MACHINES, strict=True):
        for kind, label in (("uniform", "uniform N:8"), ("as", "by the simulator")):
            points = [row for row in rows if row["machine"] == machine and row["allocation"].startswith(kind)]
            axes.plot(
                [row["cycles"] / row["dense_cycles"] for row in points],
                [row["distortion_on_others"] for row in points],
                marker="o",
                label=label,
            )
        axes.set_title(machine)
        axes.set_xlabel("cycles, of those of the dense layers")
        axes.set_ylabel("distortion")
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def texts(model: Model) -> tuple[list[Row], list[Row], str]:
    """Windows of Brown: those that layers are probed on, and others."""
    drawn = text_windows(model, list(brown().values()), seed=SEED, count=PROBES + OTHERS, length=TOKENS)
    samples = [{"input_ids": torch.from_numpy(each)[None]} for each in drawn]
    return (
        samples[:PROBES],
        samples[PROBES:],
        f"{PROBES} windows of {TOKENS} tokens of Brown as probes, {OTHERS} others",
    )


def crops() -> tuple[list[torch.Tensor], list[torch.Tensor], str]:
    """Crops of sample photographs in one batch: those that layers are probed on, and others."""
    drawn, _ = drawn_crops((224, 224), seed=SEED, count=PROBES + OTHERS)
    made = normalised(drawn, (IMAGENET_MEAN, IMAGENET_STD))
    return (
        [made[:PROBES]],
        [made[PROBES:]],
        f"a batch of {PROBES} crops of photographs as probes, {OTHERS} other crops",
    )


PARTS: dict[str, Callable[[Book], None]] = {
    "smollm2": smollm2,
    "allocation-minilm": partial(allocation, model="minilm"),
    "allocation-efficientnet": partial(allocation, model="efficientnet-lite0"),
    "dsnot": layer_errors,
    "table-minilm": partial(table, model="minilm"),
    "table-efficientnet": partial(table, model="efficientnet-lite0"),
    "table-vit": partial(table, model="vit-s"),
}


if __name__ == "__main__":
    main()
