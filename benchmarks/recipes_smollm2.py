"""Perplexity of SmolLM2, recipe by recipe, and the machines that run what the recipes left.

Run by `python benchmarks/recipes.py smollm2 own-text table-smollm2`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from recipes_book import Book, Row, told
from recipes_table import Bench, table

from accelsim.accuracy.perplexity import drawn_windows
from accelsim.accuracy.spread import bootstrap
from accelsim.datasets import brown, shakespeare
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import Recipe, fitted, pruned

WINDOWS = 32
CALIBRATION = {"samples": 16, "length": 512}
SEED = 0

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
    "wanda,0.5,dsnot",
    "gblm,0.5",
    "nowag,2:4,armor,steps=60",
)
"""In the order in which they run; the first is the dense model."""

OWN_TEXT = ("wanda,0.5", "sparsegpt,0.5", "wanda,2:4", "sparsegpt,2:4")
"""Those that are fitted once more, to text of the kind that is evaluated."""


def smollm2(book: Book) -> None:
    """Perplexity of each recipe, calibrated on other text than that which is evaluated."""
    perplexities(book, SMOLLM2, "Shakespeare")


def own_text(book: Book) -> None:
    """The same of some, calibrated on other windows of the corpus that is evaluated."""
    perplexities(book, OWN_TEXT, "Brown")


def perplexities(book: Book, recipes: Sequence[str], corpus: str) -> None:
    """Perplexity of each recipe on the same windows of Brown, with its spread over windows."""
    print(f"{'recipe':<24} {'perplexity':>10}  95 % interval      fit, evaluation (CPU s)")
    for recipe in recipes:
        if book.has(recipe=recipe):
            continue
        model = decoder()
        begin = time.process_time()
        found = fit(recipe, corpus)
        fit_seconds = time.process_time() - begin
        begin = time.process_time()
        if found:
            with pruned(model.module, found):
                losses = window_losses(model)
        else:
            losses = window_losses(model)
        row: Row = {
            "recipe": recipe,
            "words": words(recipe),
            "perplexity": round(float(np.exp(losses.mean())), 3),
            "losses": [round(float(loss), 5) for loss in losses],
            "fit_cpu_seconds": round(fit_seconds, 1),
            "evaluation_cpu_seconds": round(time.process_time() - begin, 1),
        }
        known = book.of("smollm2").rows
        dense = next((each["losses"] for each in known if not each["recipe"]), row["losses"])
        spread = bootstrap(np.array(dense), losses, seed=SEED, of="windows", figure=np.exp)
        row["interval"] = spread.pruned
        book.add(
            row,
            metric=f"perplexity on {WINDOWS} windows of 1,024 tokens of the Brown corpus, seed {SEED}",
            calibrated_on=f"{corpus}, {CALIBRATION['samples']} windows of {CALIBRATION['length']} tokens, "
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
    for better, worse, ratio, low, high in ranked(book.rows):
        print(f"{worse} has {ratio:.3f} [{low:.3f}, {high:.3f}] x the perplexity of {better}")


def ranked(rows: list[Row]) -> list[tuple[str, str, float, float, float]]:
    """Recipes of one pattern beside the next worse: (better, worse, ratio of perplexities, 95 % interval).

    Paired: both on the same windows. An interval that holds 1 leaves the order open.
    """
    found = []
    for pattern in dict.fromkeys(row["recipe"].split(",")[1] for row in rows if row["recipe"]):
        own = [row for row in rows if row["recipe"].split(",")[1:2] == [pattern]]
        own.sort(key=lambda row: float(np.mean(row["losses"])))
        for better, worse in pairwise(own):
            before, after = np.array(better["losses"]), np.array(worse["losses"])
            low, high = bootstrap(before, after, seed=SEED, of="windows").difference
            ratio = float(np.exp((after - before).mean()))
            found.append((better["recipe"], worse["recipe"], ratio, float(np.exp(low)), float(np.exp(high))))
    return found


def fit(recipe: str, corpus: str = "Shakespeare") -> tuple[Recipe, ...]:
    """The recipe with the weights that it leaves; nothing for the dense model."""
    with torch.autocast("cpu", torch.bfloat16):
        return fitted(decoder().module, words(recipe) or None, calibration(corpus), told)


def words(recipe: str) -> str:
    """With as many samples as there are, where it looks at any."""
    is_calibrated = bool(recipe) and not recipe.startswith("magnitude")
    return f"{recipe},samples={CALIBRATION['samples']}" if is_calibrated else recipe


@cache
def decoder() -> Model:
    model = load("smollm2", tokens=16)
    model.module.set_attn_implementation("sdpa")  # type: ignore[operator]
    return model


@cache
def calibration(corpus: str) -> tuple[Row, ...]:
    """Windows of text that is not evaluated: of Brown those that are drawn next."""
    texts, before = {"Shakespeare": (shakespeare, 0), "Brown": (brown, WINDOWS)}[corpus]
    count = before + CALIBRATION["samples"]
    drawn = drawn_windows(decoder(), list(texts().values()), seed=SEED, count=count)[before:]
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


def table_smollm2(book: Book) -> None:
    """What machines gain from the recipes whose perplexity is known; nothing is evaluated again."""
    known = {row["recipe"]: row for row in book.of("smollm2").rows}
    dense = known.pop("", None)
    if dense is None:
        raise SystemExit("table-smollm2 must come behind smollm2, of which it takes the perplexities")

    def judged(recipe: str, _: tuple[Recipe, ...]) -> Row:
        row = known[recipe]
        return {
            "metric": "perplexity",
            "dense": dense["perplexity"],
            "pruned": row["perplexity"],
            "samples": len(row["losses"]),
            "interval": row["interval"],
        }

    table(book, SMOLLM2[1:], lambda: Bench(load("smollm2", seed=SEED), fit, judged))
