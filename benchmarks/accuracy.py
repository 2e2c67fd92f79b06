"""What pruning costs in accuracy, on data that package registries ship.

    python benchmarks/accuracy.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/accuracy.json]

Parts: minilm, smollm2, cascade, vision, fashion; without one, all. Each row is what `accelsim run MODEL
--prune RECIPE --on MACHINE --evaluate` prints under `accuracy`; for MiniLM and Fashion-MNIST of several
seeds. A seed draws the windows, sentences or crops; of Fashion-MNIST also the weights and the order of
training. Parts that are not run keep their results in the file. Nothing here is a test.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from experiment import options, provenance, save, so_far, some_of
from safetensors.torch import save_model
from torch import nn

from accelsim.accuracy import prepare
from accelsim.datasets import fashion_mnist
from accelsim.models import load
from accelsim.models.resnet9 import ResNet9
from accelsim.prune import pruned
from accelsim.report import Accuracy

SEEDS = (0, 1, 2)
TRAINED_ON = 12_000  # of 60,000 pictures
BATCH = 128
HIGHEST_RATE = 0.01

FACTORY = """
from safetensors.torch import load_model
from accelsim.models.resnet9 import ResNet9
import torch

def trained():
    module = ResNet9()
    load_model(module, {weights!r})
    return module, torch.zeros(1, 1, 28, 28)
"""

Row = dict[str, Any]


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("parts", metavar="PART", **some_of(PARTS))
    given = parser.parse_args()

    results = so_far(given.output)
    for part in given.parts:
        begin = time.process_time()
        rows = []
        for row in PARTS[part]():
            rows.append(row)
            print_row(row)
            results[part] = {
                "command": f"python benchmarks/accuracy.py {part}",
                **provenance(given.date, "numpy", "torch", "transformers"),
                "cpu_seconds": round(time.process_time() - begin),
                "rows": rows,
                "over_seeds": over_seeds(rows),
            }
            save(given.output, results)
    print(f"\nwritten: {given.output}")


def minilm() -> Iterator[Row]:
    """Accuracy of a logistic head on 1,000 rated sentences; each seed draws another 3,000."""
    for seed in SEEDS:
        yield from measured("minilm", ["magnitude,2:4", "magnitude,2:8"], seed=seed)


def smollm2() -> Iterator[Row]:
    """Perplexity on 32 windows of each corpus."""
    yield from measured("smollm2", ["magnitude,2:4"], seed=0)


def cascade() -> Iterator[Row]:
    """Both under SpAtten's cascade, which takes a decoder five times as long: on fewer windows."""
    yield from measured("minilm", ["spatten,tokens=0.5,heads=0.9,values=0.3,bits=8+0"], seed=0)
    yield from measured("smollm2", ["spatten,tokens=0.5,values=0.3,bits=6+4"], seed=0, samples=4)


def vision() -> Iterator[Row]:
    """Agreement with the dense model on crops of eight photographs."""
    yield from measured("efficientnet-lite0", ["magnitude,2:4", "magnitude,0.9"], seed=0)
    yield from measured("vit-s", ["magnitude,2:4", "spatten,tokens=0.7"], seed=0)


def fashion() -> Iterator[Row]:
    """Test accuracy of a ResNet-9 trained here, for one epoch on a fifth of the pictures."""
    for seed in SEEDS:
        module = trained(seed)
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "resnet9.safetensors"
            save_model(module, str(weights))
            file = Path(folder) / "resnet9.py"
            file.write_text(FACTORY.format(weights=str(weights)))
            for row in measured(f"{file}:trained", ["magnitude,2:4", "magnitude,2:8"], seed=seed):
                yield {**row, "model": "resnet9.py:trained"}


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "minilm": minilm,
    "smollm2": smollm2,
    "cascade": cascade,
    "vision": vision,
    "fashion": fashion,
}


def measured(spec: str, recipes: list[str], *, seed: int, samples: int | None = None) -> Iterator[Row]:
    """A row for each recipe; the dense model is run once."""
    model = load(spec, seed=seed)
    task = prepare(model, recipes[0], seed=seed, samples=samples).task
    begin = time.process_time()
    dense = task.outputs(model.module, lambda _: None)
    dense_seconds = time.process_time() - begin
    for recipe in recipes:
        begin = time.process_time()
        with pruned(model.module, recipe, heads_per_sample=True):
            sparse = task.outputs(model.module, lambda _: None)
        seconds = time.process_time() - begin
        yield {
            "model": spec,
            "recipe": recipe,
            "seed": seed,
            **as_row(task.judged(dense, sparse)),
            "dense_cpu_seconds": round(dense_seconds, 1),
            "pruned_cpu_seconds": round(seconds, 1),
        }


def as_row(accuracy: Accuracy) -> Row:
    return {name: value for name, value in asdict(accuracy).items() if value not in (None, ())}


def over_seeds(rows: list[Row]) -> list[Row]:
    """Mean and standard deviation of each figure over the seeds, where there are several."""
    found = []
    for model, recipe in dict.fromkeys((row["model"], row["recipe"]) for row in rows):
        same = [row for row in rows if (row["model"], row["recipe"]) == (model, recipe)]
        if len(same) < 2:
            continue
        figures = {
            name: {
                "mean": round(float(np.mean([row[name] for row in same])), 4),
                "standard_deviation": round(float(np.std([row[name] for row in same], ddof=1)), 4),
            }
            for name in ("dense", "pruned", "refitted")
            if name in same[0]
        }
        found.append(
            {"model": model, "recipe": recipe, "seeds": len(same), "metric": same[0]["metric"], **figures}
        )
    return found


def trained(seed: int) -> nn.Module:
    """A ResNet-9 after one epoch: the learning rate rises and falls once, nothing is augmented."""
    data = fashion_mnist(training=True)
    torch.manual_seed(seed)
    module = ResNet9()
    chosen = torch.randperm(len(data.labels))[:TRAINED_ON]
    pictures = torch.from_numpy(data.pictures)[chosen, None].float() / 255
    labels = torch.from_numpy(data.labels)[chosen].long()
    optimiser = torch.optim.AdamW(module.parameters(), weight_decay=0.01)
    steps = -(-TRAINED_ON // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=HIGHEST_RATE, total_steps=steps)
    for start in range(0, TRAINED_ON, BATCH):
        loss = nn.functional.cross_entropy(
            module(pictures[start : start + BATCH]), labels[start : start + BATCH]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return module.eval()


def print_row(row: Row) -> None:
    figures = "  ".join(
        f"{name} {row[name]:,.4g}" for name in ("dense", "pruned", "refitted") if row.get(name) is not None
    )
    print(
        f"{row['model']:<20} {row['recipe']:<48} seed {row['seed']}  {figures}  ({row['metric']})", flush=True
    )
    for other in row.get("others", ()):
        print(f"{'':<70} dense {other['dense']:,.4g}  pruned {other['pruned']:,.4g}  ({other['metric']})")


if __name__ == "__main__":
    main()
