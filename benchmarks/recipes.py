"""Pruning recipes beside each other: perplexity of SmolLM2, recipe by recipe.

    python benchmarks/recipes.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/recipes.json]

Parts: smollm2 (2:4 and half of all weights, one-shot; Brown after calibration on Shakespeare). Every row is
written as it is found, and a run that is started again goes on behind the rows that are there. Products of
forward passes are in bfloat16, as the papers' are in half precision; norms, losses, statistics and all that
is done to weights in float32 or float64. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance

from accelsim.accuracy.perplexity import drawn_windows
from accelsim.accuracy.spread import bootstrap
from accelsim.datasets import brown, shakespeare
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import fitted, pruned

RESULTS = Path(__file__).parent / "results" / "recipes.json"
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
    "nowag,2:4,armor",
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


PARTS: dict[str, Callable[[Book], None]] = {"smollm2": smollm2}


if __name__ == "__main__":
    main()
