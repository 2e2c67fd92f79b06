"""Accuracy of dense and of N:M training, with their curves, and what the step that was trained costs on SAT.

    python benchmarks/training.py [--samples 6000] [--epochs 5] [--seeds 0 1 2] [-o FILE.json]

ResNet-9 at a quarter of its width on the first `samples` training pictures of Fashion-MNIST, tested on all
10,000 test pictures; a seed draws the weights and the order. A subset and few epochs, so that it ends within
a quarter of an hour of processor time: the figures compare methods, they are not the network's best. Beside
FILE.json a plot FILE.png is written. Checkpoints lie in --work; a second call goes on from them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiment import options, provenance, save

import accelsim
from accelsim import plot
from accelsim.prune.recipes import NmTraining, parse
from accelsim.training import checkpoint, loop, saving

METHODS = ("dense", "bdwp,2:8")


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--samples", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", default="build/training", help="folder of checkpoints")
    given = parser.parse_args()
    # Seed by seed, so that a run that is cut short has compared both methods.
    runs = {(method, seed): trained(method, seed, given) for seed in given.seeds for method in METHODS}
    steps = {method: costs(runs[method, given.seeds[0]]) for method in METHODS}
    results = {
        "command": f"python benchmarks/training.py --samples {given.samples} --epochs {given.epochs} "
        f"--seeds {' '.join(map(str, given.seeds))}",
        **provenance(given.date, "torch"),
        "what": f"ResNet-9, quarter width, first {given.samples} of 60,000 training pictures, "
        f"{given.epochs} epochs, batch {runs['dense', given.seeds[0]].settings.batch}, 10,000 test pictures",
        "accuracy": {method: spread([runs[method, seed] for seed in given.seeds]) for method in METHODS},
        "sat_cycles_of_a_step": steps,
        "runs": [
            {"method": method, "seed": seed, "epochs": [asdict(row) for row in run.rows]}
            for (method, seed), run in runs.items()
        ],
    }
    save(given.output, results)
    curves = {f"{method} {seed}": [asdict(row) for row in run.rows] for (method, seed), run in runs.items()}
    title = f"ResNet-9, quarter width, Fashion-MNIST ({given.samples} pictures), seeds {given.seeds}"
    plot.curves(given.output.with_suffix(".png"), curves, title=title)


def trained(method: str, seed: int, given: argparse.Namespace) -> loop.Run:
    """One run to its end, from its checkpoint on."""
    recipe = None if method == "dense" else parse(method)
    assert recipe is None or isinstance(recipe, NmTraining)
    settings = loop.Settings(
        network="resnet9", recipe=recipe, epochs=given.epochs, seed=seed, samples=given.samples
    )
    folder = Path(given.work)
    folder.mkdir(parents=True, exist_ok=True)
    name = method.replace(",", "-").replace(":", "-")
    file = folder / f"{name}-{seed}-{given.samples}-{given.epochs}.pt"
    run = loop.start(settings)
    state = checkpoint.load(file, settings.plain())
    if state is not None:
        run.restore(state)
    start = time.process_time()
    loop.train(run, file)
    print(f"{method}, seed {seed}: {run.rows[-1]}, {time.process_time() - start:.0f} CPU-s", flush=True)
    return run


def spread(runs: list[loop.Run]) -> dict[str, Any]:
    """Mean, range and standard deviation over the seeds, after the last epoch."""
    found = [run.rows[-1].accuracy for run in runs]
    return {
        "mean": round(statistics.fmean(found), 4),
        "least": min(found),
        "most": max(found),
        "deviation": round(statistics.stdev(found), 4) if len(found) > 1 else None,
        "seeds": [run.settings.seed for run in runs],
    }


def costs(run: loop.Run) -> dict[str, int]:
    """Cycles of the run's own step on SAT: forward, backward, weight gradients, updates where simulated."""
    report = accelsim.run(saving.step_of(run), accelsim.Sat(), baseline=False)
    cycles: Counter[str] = Counter()
    for layer in report.layers:
        if layer.cycles is not None:
            cycles[layer.name.rpartition(".")[2]] += layer.cycles
    return {**cycles, "total": report.cycles}


if __name__ == "__main__":
    main()
