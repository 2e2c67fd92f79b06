"""Pruning recipes beside each other: perplexity of SmolLM2, recipe by recipe.

    python benchmarks/recipes.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/recipes.json]

Parts: smollm2 (2:4 and half of all weights, one-shot; Brown after calibration on Shakespeare); own-text
(behind smollm2: some of them calibrated on Brown as well); allocation-minilm and allocation-efficientnet (N:8
of layers by the simulator beside the same N:8 everywhere, and whether distortions add up); dsnot (what its
swaps change in layers of SmolLM2); table-smollm2 (behind smollm2), table-minilm, table-efficientnet and
table-vit (recipe x machine). Every row is written as it is found, and a run that is started again goes on
behind the rows that are there. SmolLM2's forward passes have products in bfloat16, as the papers' are in half
precision; norms, losses, statistics and all that is done to weights are in float32 or float64. Nothing here
is a test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiment import options, some_of
from recipes_book import Book, Row, told
from recipes_dsnot import layer_errors
from recipes_smollm2 import own_text, smollm2, table_smollm2
from recipes_table import table_of

from accelsim.accelerators import find
from accelsim.accuracy.agreement import drawn_crops
from accelsim.accuracy.calibration import text_windows
from accelsim.accuracy.pictures import IMAGENET_MEAN, IMAGENET_STD, normalised
from accelsim.datasets import brown
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import Composed, parse
from accelsim.prune.allocations.curves import curves, distortion
from accelsim.prune.allocations.dynamic import chosen
from accelsim.prune.allocations.machine import cost
from accelsim.prune.blocks import call
from accelsim.prune.fitting import cut_layer
from accelsim.prune.losses import main_output
from accelsim.prune.matrices import matrices
from accelsim.prune.network import Network
from accelsim.prune.patterns.base import Amount

SEED = 0

MACHINES = ("sat", "systolic:32")
AMOUNTS = [*(Amount(n=n, m=8) for n in (2, 3, 4, 5, 6)), Amount(n=8, m=8)]
TOKENS, PROBES, OTHERS = 128, 6, 6
"""Length of a text; samples on which layers are probed, and others on which choices are judged."""


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("parts", metavar="PART", **some_of(PARTS))
    given = parser.parse_args()
    for part in given.parts:
        PARTS[part](Book(given.output, part, given.date))
    print(f"\nwritten: {given.output}")


def allocation(book: Book, model: str) -> None:
    """Cycles against distortion, by the simulator and uniform, on samples that the choice has not seen."""
    missing = [machine for machine in MACHINES if len(_of(book, machine)) < 2 * len(AMOUNTS[:-1])]
    if missing:
        bench = Bench(model)
        for machine in missing:
            choices(book, bench, machine)
    plotted(book.path.with_name(f"recipes_{model}.png"), book.rows)
    for machine in MACHINES:
        for name, distorted, share in saved(_of(book, machine)):
            print(f"{machine}, distortion {distorted:.2f} of {name}: {share:+.1%} cycles by the simulator")


def _of(book: Book, machine: str) -> list[Row]:
    return [row for row in book.rows if row["machine"] == machine]


def choices(book: Book, bench: Bench, machine: str) -> None:
    """The rows of one machine that are not there yet."""
    print(
        f"{'machine':<12} {'allocation':<14} {'cycles':>11} {'sum':>8} {'probes':>8} {'others':>8}",
        flush=True,
    )
    target = find(machine)[2]
    known: dict[tuple[int, ...], float] = {}
    costs = [
        [cost(bench.network, matrix, amount, target, "cycles", known) for amount in AMOUNTS]
        for matrix in bench.network.matrices
    ]
    values = [[point.distortion for point in bench.curves[matrix.name]] for matrix in bench.network.matrices]
    for option, amount in enumerate(AMOUNTS[:-1]):
        uniform = [option] * len(costs)
        alone = sum(each[option] for each in values)
        for name, picks in (
            (f"uniform {amount}", uniform),
            (f"as {amount}", chosen(values, costs, alone)),
        ):
            if book.has(machine=machine, allocation=name):
                continue
            row = bench.row(machine, name, picks, costs, values)
            book.add(row, score="wanda", levels=[str(each) for each in AMOUNTS], **bench.facts)
            print(
                f"{machine:<12} {name:<14} {row['cycles']:>11,} {row['sum_of_distortions']:>8.4f} "
                f"{row['distortion_on_probes']:>8.4f} {row['distortion_on_others']:>8.4f}",
                flush=True,
            )


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
    "own-text": own_text,
    "allocation-minilm": partial(allocation, model="minilm"),
    "allocation-efficientnet": partial(allocation, model="efficientnet-lite0"),
    "dsnot": layer_errors,
    "table-smollm2": table_smollm2,
    "table-minilm": partial(table_of, model="minilm"),
    "table-efficientnet": partial(table_of, model="efficientnet-lite0"),
    "table-vit": partial(table_of, model="vit-s"),
}


if __name__ == "__main__":
    main()
