"""SpAtten on real text: techniques one by one with their accuracy, rows that re-fetch, growth.

    python benchmarks/spatten_text.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/spatten_text.json]

Parts: minilm and smollm2, the techniques one by one; minilm-curve and smollm2-curve, DRAM bytes saved against
accuracy lost; growth; without one, all. Text: the Brown corpus. Accuracy: MiniLM's head on rated sentences;
SmolLM2's perplexity on the last 32 of 1,024 tokens, one by one behind the others, windows drawn from seed 0.
Nothing is trained after pruning: the paper's figures are after fine-tuning. Parts that are not run keep their
results in the file. About 10 CPU minutes for each part of SmolLM2. Nothing here is a test.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from experiment import options, provenance, save, so_far, some_of

import accelsim
from accelsim.ablation import ablate, techniques
from accelsim.accuracy import prepare
from accelsim.accuracy.perplexity import Perplexity
from accelsim.datasets import brown
from accelsim.models import load
from accelsim.models.loading import Model
from accelsim.prune import Recipe, Spatten, parse
from accelsim.report import Accuracy
from accelsim.report.ablation import to_list
from accelsim.run import SkippedLayersWarning
from accelsim.trace import trace
from accelsim.workload import Attention, Workload

RECIPES = {
    "minilm": "spatten,tokens=0.5,heads=0.9,values=0.5,bits=8",
    "smollm2": "spatten,tokens=0.5,values=0.3,channels=0.8,bits=6+4",
}
TOKENS = {"minilm": 256, "smollm2": 960}
GENERATED = 32
SAMPLES = {"minilm": 500, "smollm2": 8}
"""Sentences, and windows."""

# From what costs nothing to what costs much. Losses: points of accuracy, and the share that perplexity rises.
CURVES = {
    "minilm": (
        "bits=8",
        "bits=8,heads=0.9",
        "bits=8,heads=0.9,tokens=0.95",
        "bits=8,heads=0.9,tokens=0.9",
        "bits=8,heads=0.9,tokens=0.8",
        "bits=8,heads=0.9,tokens=0.65",
        "bits=8,heads=0.9,tokens=0.5",
    ),
    "smollm2": (
        "bits=8",
        "bits=6+4",
        "bits=6+4,values=0.5",
        "bits=6+4,values=0.5,tokens=0.9",
        "bits=6+4,values=0.3,tokens=0.75",
        "bits=6+4,values=0.3,tokens=0.5",
    ),
}
LOSSES = (0.0, 0.01, 0.02, 0.05)
READ = ("recipe", "dram_reduction", "dram_reduction_of_32_bits", "loss")
PAPER_BITS = 32
"""Of the dense model that the paper's savings are of, as its 5.1x shows; ours has 12 (`dense_bits`)."""

Row = dict[str, Any]


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("parts", metavar="PART", **some_of(PARTS))
    given = parser.parse_args()
    warnings.simplefilter("ignore", SkippedLayersWarning)
    results = so_far(given.output)
    for part in given.parts:
        begin = time.process_time()
        found = PARTS[part]()
        results[part] = {
            "command": f"python benchmarks/spatten_text.py {part}",
            **provenance(given.date, "numpy", "torch", "transformers"),
            "cpu_seconds": round(time.process_time() - begin),
            **found,
        }
        save(given.output, results)
    print(f"\nwritten: {given.output}")


def table(spec: str) -> Row:
    """Each technique with time, bytes, energy and accuracy; of the whole recipe, rows that re-fetch.

    Of a decoder the tokens behind a prompt alone, whose own pass is left out.
    """
    words, machine = RECIPES[spec], accelsim.SpAtten()
    model, recipe = read(spec), parse(words)
    assert isinstance(recipe, Spatten)
    several = list(dict.fromkeys(each.recipe for each in techniques(recipe, machine) if each.recipe))
    judged = dict(zip(several, accuracies(model, several), strict=True))
    whole = workload(model, recipe)
    made = ablate(
        lambda some: workload(model, some),
        accelsim.run(whole, machine),
        recipe,
        machine,
        accuracy=judged.get,
    )
    rows = to_list(made)
    print(f"\n{spec} on spatten:full, {words}\n{judged[recipe].metric}, {judged[recipe].samples} samples")
    print(f"{'technique':<17} {'us':>9} {'step':>6} {'total':>7} {'MB':>8} {'mJ':>8} {'accuracy':>9}  change")
    for row, step in zip(rows, made, strict=True):
        row["accuracy_change"] = difference(step.accuracy)
        print(
            f"{row['name']:<17} {row['seconds'] * 1e6:>9.1f} {row['step_speedup']:>6.2f} "
            f"{row['speedup']:>7.2f} {row['bytes'] / 1e6:>8.2f} {(row['energy_pj'] or 0) / 1e9:>8.3f} "
            f"{row['accuracy']:>9.4g}  {row['accuracy_change'] or '-'}"
        )
    share = refetched(whole)
    print(f"rows that re-fetch: {'none can' if share is None else f'{share:.1%}'} (paper: 5.9 % on average)")
    return {
        "recipe": words,
        "metric": judged[recipe].metric,
        "samples": judged[recipe].samples,
        "spread": "95 % bootstrap interval, paired",
        "refetched_share": share,
        "rows": rows,
    }


def curve(spec: str) -> Row:
    """DRAM bytes saved against accuracy lost, recipe by recipe, and how far one comes at a given loss."""
    model, machine = read(spec), accelsim.SpAtten()
    recipes = [f"spatten,{words}" for words in CURVES[spec]]
    judged = accuracies(model, [parse(words) for words in recipes])
    rows = []
    print(f"\n{spec} on spatten:full, {judged[0].metric}: {judged[0].dense:.4g}, {judged[0].samples} samples")
    print(f"{'recipe':<50} {'DRAM':>7} {'of 32 bits':>10} {'speed':>6} {'accuracy':>9} {'loss':>7}  interval")
    for words, found in zip(recipes, judged, strict=True):
        work = workload(model, parse(words))
        report = accelsim.run(work, machine)
        wide = accelsim.run(work.dense(), replace(machine, dense_bits=PAPER_BITS), baseline=False)
        row = {
            "recipe": words,
            "dram_reduction": report.dram_reduction,
            "dram_reduction_of_32_bits": wide.dram_bytes / report.dram_bytes,
            "speedup": report.speedup,
            "energy_saving": report.energy_saving,
            "accuracy": found.pruned,
            "refitted": found.refitted,
            "refetched_share": refetched(work),
            **losses(found),
        }
        rows.append(row)
        print(
            f"{words:<50} {row['dram_reduction']:>6.2f}x {row['dram_reduction_of_32_bits']:>9.2f}x "
            f"{row['speedup']:>5.2f}x {found.pruned:>9.4g} {row['loss']:>7.2%}  {row['loss_interval']}"
        )
    return {
        "metric": judged[0].metric,
        "dense": judged[0].dense,
        "samples": judged[0].samples,
        "loss_is": "points of accuracy" if judged[0].refitted is not None else "rise of perplexity, relative",
        "rows": rows,
        **readings(rows),
    }


def losses(found: Accuracy) -> Row:
    """Loss of accuracy in points, or the share that perplexity rises, with its interval."""
    change = difference(found)
    assert found.dense is not None
    assert change is not None
    low, high = change
    if found.refitted is not None:
        return {"loss": found.dense - found.pruned, "loss_interval": (-high, -low)}
    return {
        "loss": found.pruned / found.dense - 1,
        "loss_interval": (low / found.dense, high / found.dense),
    }


def readings(rows: list[Row]) -> Row:
    """The largest saving at each loss, and where the samples cannot tell the loss from none."""

    def most(some: list[Row]) -> Row:
        best = max(some, key=lambda row: row["dram_reduction"], default=None)
        return {name: best[name] if best else None for name in READ}

    at_loss = {f"{limit:.0%}": most([row for row in rows if row["loss"] <= limit]) for limit in LOSSES}
    untold = most([row for row in rows if row["loss_interval"][0] <= 0])
    for name, found in [*at_loss.items(), ("none that the samples can tell", untold)]:
        if found["recipe"] is None:
            print(f"at a loss of {name}: nothing is saved")
        else:
            print(
                f"at a loss of {name}: DRAM falls {found['dram_reduction']:.2f}x, of {PAPER_BITS} bits "
                f"{found['dram_reduction_of_32_bits']:.2f}x ({found['recipe']})"
            )
    return {"at_a_loss_of": at_loss, "at_no_loss_that_the_samples_can_tell": untold}


def growth() -> Row:
    """Seconds of simulation (the trace apart) over tokens generated behind the prompt, and their fit."""
    model, machine = read("smollm2"), accelsim.SpAtten()
    recipe = "spatten,tokens=0.5,values=0.3,bits=6+4"
    begin = time.process_time()
    whole = trace(model.module, model.inputs, recipe, name="smollm2", generate=GENERATED)
    traced = time.process_time() - begin
    accelsim.run(first_tokens(whole, 1), machine)  # compiles
    counts = np.array([4, 8, 16, 32])
    took, with_prompt = [], 0.0
    for count in counts.tolist():
        begin = time.process_time()
        accelsim.run(first_tokens(whole, count), machine)
        took.append(time.process_time() - begin)
    begin = time.process_time()
    accelsim.run(whole, machine)
    with_prompt = time.process_time() - begin
    slope, start = np.polyfit(counts, took, 1)
    residual = float(np.abs(np.polyval([slope, start], counts) - took).max() / took[-1])
    print(f"trace {traced:.1f} CPU s; tokens {counts.tolist()}: {[round(each, 2) for each in took]} CPU s")
    print(
        f"fit: {start:.2f} + {slope:.3f} s a token, off by at most {residual:.1%}; "
        f"with the prompt {with_prompt:.1f} s"
    )
    return {
        "trace_cpu_seconds": traced,
        "tokens": counts.tolist(),
        "seconds": took,
        "fit": {"start": float(start), "per_token": float(slope), "largest_residual": residual},
        "seconds_with_prompt": with_prompt,
        "refetched_share": refetched(steps(whole)),
    }


PARTS: dict[str, Callable[[], Row]] = {
    "minilm": partial(table, "minilm"),
    "smollm2": partial(table, "smollm2"),
    "minilm-curve": partial(curve, "minilm"),
    "smollm2-curve": partial(curve, "smollm2"),
    "growth": growth,
}


def read(spec: str) -> Model:
    """The model on the first tokens of a text of the corpus."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "text.txt"
        file.write_text(next(iter(brown().values())))
        return load(spec, text=str(file), tokens=TOKENS[spec])


def workload(model: Model, recipe: Recipe | None) -> Workload:
    """The model under a recipe; of a decoder, the tokens that it generates."""
    generate = GENERATED if model.name == "smollm2" else None
    return steps(trace(model.module, model.inputs, recipe, name=model.name, generate=generate))


def accuracies(model: Model, several: Sequence[Recipe]) -> list[Accuracy]:
    """The model's task under each of some recipes, on one corpus; the last one prunes tokens."""
    made = prepare(model, several[-1], samples=SAMPLES[model.name])
    if isinstance(made.task, Perplexity):
        name = next(iter(made.task.windows))
        made = replace(made, task=replace(made.task, windows={name: made.task.windows[name]}))
    return made.measure_each([(recipe,) for recipe in several])


def difference(found: Accuracy | None) -> tuple[float, float] | None:
    """Interval of the pruned figure less the dense one."""
    return found.spread.difference if found and found.spread else None


def steps(workload: Workload) -> Workload:
    """Without the pass over a prompt."""
    return replace(
        workload, layers=tuple(each for each in workload.layers if not each.name.startswith("prompt/"))
    )


def first_tokens(workload: Workload, count: int) -> Workload:
    """The first tokens behind the prompt."""
    names = tuple(f"step {index}/" for index in range(1, count + 1))
    return replace(workload, layers=tuple(each for each in workload.layers if each.name.startswith(names)))


def refetched(workload: Workload) -> float | None:
    """Share of the rows that fetched their LSBs; None where there are none."""
    flags = list(_flags(workload))
    return float(np.concatenate(flags).mean()) if flags else None


def _flags(workload: Workload) -> Iterator[Any]:
    for layer in workload.layers:
        if isinstance(layer, Attention) and layer.refetch is not None:
            yield layer.refetch.ravel()


if __name__ == "__main__":
    main()
