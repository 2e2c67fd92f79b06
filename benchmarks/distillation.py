"""GPUSQ-ViT's two steps on a small vision transformer, for real: 2:4 pruning, then int8 or int4, distilled.

    python benchmarks/distillation.py [--samples 4000] [--epochs 3] [--seeds 0 1 2] [-o FILE.json]

A dense teacher (accelsim's `vit`, Fashion-MNIST, the first `samples` training pictures) is pruned once by
magnitude; a seed draws its weights and all orders. Then one change at a time: no learning, hard labels alone,
labels with soft logits, labels with features, all three, no labels; and integers after training, in training,
in training with sparse-distillation-aware factors. Tested on the 10,000 test pictures. A subset and few
epochs of a small network: the figures compare methods with each other, not with DeiT on ImageNet.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from experiment import options, provenance, save
from torch import nn

from accelsim.datasets import fashion_mnist
from accelsim.training import loop
from accelsim.training.compression import Compression
from accelsim.training.distilling import Settings, accuracy, aware, distil

# The later half of the blocks, and the norm before the classifier.
FEATURES = ("blocks.2", "blocks.3", "norm")
SPARSE = {
    "hard labels": {"soft": 0.0, "feature": 0.0},
    "hard and soft": {"feature": 0.0},
    "hard and features": {"soft": 0.0},
    "all three": {},
    "no labels": {"hard": 0.0},
}
PUBLISHED = {
    "DeiT-Base, ImageNet top-1, dense": 81.85,
    "the same, 2:4 and int8": 82.90,
    "the same, 2:4 and int4": 81.60,
    "source": "GPUSQ-ViT (arXiv 2305.10727), as quoted in public notes",
}

Data = tuple[torch.Tensor, torch.Tensor]


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    runs: dict[str, list[float]] = {}
    started = time.process_time()
    for seed in given.seeds:
        for name, found in students(seed, given.samples, given.epochs):
            runs.setdefault(name, []).append(found)
            print(f"seed {seed}  {name:<44} {found:.4f}", flush=True)
    dense = statistics.fmean(runs["dense teacher"])
    results = {
        "command": f"python benchmarks/distillation.py --samples {given.samples} --epochs {given.epochs} "
        f"--seeds {' '.join(map(str, given.seeds))}",
        **provenance(given.date, "torch"),
        "what": f"vit of 4 blocks of width 64, first {given.samples} of 60,000 training pictures, teacher "
        f"{4 * given.epochs} epochs, each step of compression {given.epochs}, 10,000 test pictures",
        "processor_seconds": round(time.process_time() - started),
        "features": FEATURES,
        "published": PUBLISHED,
        "accuracy": {
            name: {
                "mean": round(statistics.fmean(found), 4),
                "least": min(found),
                "most": max(found),
                "beside_dense": round(statistics.fmean(found) - dense, 4),
            }
            for name, found in runs.items()
        },
        "seeds": given.seeds,
    }
    save(given.output, results)
    for name, row in results["accuracy"].items():
        print(f"{name:<44} {row['mean']:.4f}  {row['beside_dense']:+.4f}")


def students(seed: int, samples: int, epochs: int) -> Iterator[tuple[str, float]]:
    """Accuracies of the teacher and of every student, by what was done."""
    teacher = taught(seed, samples, 4 * epochs)
    data, test = pictures(samples, training=True), pictures(10_000, training=False)
    yield "dense teacher", accuracy(teacher, *test)
    base = Settings(features=FEATURES, epochs=epochs, seed=seed)
    for dtype in ("int8", "int4"):
        pattern = "2:4" if dtype == "int8" else "4:8 in pairs"
        student, pruned = fresh(teacher, dtype)
        with pruned:
            yield f"{pattern}, no learning", accuracy(student, *test)
        for name, change in SPARSE.items():
            student, pruned = fresh(teacher, dtype)
            with pruned:
                missing = distil(student, teacher, *data, replace(base, **change))
                yield f"{pattern}, {name}", accuracy(student, *test)
            if name == "all three":
                sparse, masks, residual = student, pruned, missing
        for name, result in quantised(teacher, sparse, masks, residual, dtype, base, data, test):
            yield f"{pattern} and {dtype}, {name}", result


def quantised(
    teacher: nn.Module,
    sparse: nn.Module,
    masks: Compression,
    residual: list[float],
    dtype: str,
    settings: Settings,
    data: Data,
    test: Data,
) -> Iterator[tuple[str, float]]:
    """The second step, from the first one's student: scales alone, then training without and with factors."""
    ways: dict[str, list[float] | None] = {"equal factors": None, "aware factors": aware(residual)}
    student = copy.deepcopy(sparse)
    with integers(student, masks, dtype):
        student.train()
        with torch.no_grad():
            student(data[0][:512])
        yield "after training", accuracy(student, *test)
    for name, factors in ways.items():
        student = copy.deepcopy(sparse)
        slower = replace(settings, learning_rate=settings.learning_rate / 2)
        with integers(student, masks, dtype):
            distil(student, teacher, *data, slower, factors)
            yield name, accuracy(student, *test)


def integers(student: nn.Module, masks: Compression, dtype: str) -> Compression:
    """The student in integers, its masks those of the first step."""
    compression = Compression(student, dtype, sparse=False)
    compression.keep_masks_of(masks)
    return compression


def fresh(teacher: nn.Module, dtype: str) -> tuple[nn.Module, Compression]:
    """A copy of the teacher, pruned as `dtype` will want it."""
    student = copy.deepcopy(teacher)
    return student, Compression(student, "fp32", pairs=dtype == "int4")


def taught(seed: int, samples: int, epochs: int) -> nn.Module:
    """The dense teacher, as `accelsim train vit` makes it."""
    run = loop.start(loop.Settings(network="vit", epochs=epochs, seed=seed, samples=samples))
    loop.train(run, None)
    return run.module


def pictures(count: int, *, training: bool) -> Data:
    """Pictures from 0 to 1, and their labels."""
    found = fashion_mnist(training=training)
    values = torch.from_numpy(found.pictures[:count])[:, None].float() / 255
    return values, torch.from_numpy(found.labels[:count]).long()


if __name__ == "__main__":
    main()
