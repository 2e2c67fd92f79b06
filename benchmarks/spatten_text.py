"""SpAtten on real text: techniques one by one with their accuracy, rows that re-fetch, growth.

    python benchmarks/spatten_text.py [PART]... [--date YYYY-MM-DD] [-o benchmarks/results/spatten_text.json]

Parts: minilm, smollm2, curve, growth; without one, all. Text: the Brown corpus. Accuracy: MiniLM's head on
rated sentences; SmolLM2's perplexity on the last 32 of 1,024 tokens, one by one behind the others. Parts that
are not run keep their results in the file. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import accelsim
from accelsim.ablation import ablate, techniques
from accelsim.accuracy import Evaluation, prepare
from accelsim.accuracy.perplexity import Perplexity
from accelsim.datasets import brown
from accelsim.models import load
from accelsim.prune import Spatten, parse
from accelsim.report.ablation import to_list
from accelsim.run import SkippedLayersWarning
from accelsim.trace import trace
from accelsim.workload import Attention, Workload

RESULTS = Path(__file__).parent / "results" / "spatten_text.json"
MINILM = "spatten,tokens=0.5,heads=0.9,values=0.5,bits=8"
SMOLLM2 = "spatten,tokens=0.5,values=0.3,channels=0.8,bits=6+4"
CURVE = ("tokens=0.9", "tokens=0.8", "tokens=0.7", "tokens=0.5", "tokens=0.35")
PROMPT, GENERATED = 960, 32
SENTENCES, WINDOWS = 500, 2

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
    warnings.simplefilter("ignore", SkippedLayersWarning)
    results = json.loads(given.output.read_text()) if given.output.is_file() else {}
    for part in given.parts or PARTS:
        begin = time.process_time()
        found = PARTS[part]()
        results[part] = {
            "command": f"python benchmarks/spatten_text.py {part}",
            "date": given.date,
            "machine": {"system": platform.system(), "python": platform.python_version()},
            "versions": {
                "accelsim": accelsim.__version__,
                **{name: version(name) for name in ("numpy", "torch", "transformers")},
            },
            "cpu_seconds": round(time.process_time() - begin),
            **found,
        }
        given.output.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {given.output}")


def minilm() -> Row:
    """The whole table of an encoder."""
    return table("minilm", MINILM, tokens=256, samples=SENTENCES)


def smollm2() -> Row:
    """The whole table of a decoder: 32 tokens behind a prompt, whose own pass is left out."""
    return table("smollm2", SMOLLM2, tokens=PROMPT, samples=WINDOWS, generate=GENERATED)


def table(spec: str, words: str, *, tokens: int, samples: int, generate: int | None = None) -> Row:
    """Each technique with time, bytes, energy and accuracy; of the whole recipe, rows that re-fetch."""
    model, recipe, machine = read(spec, tokens), parse(words), accelsim.SpAtten()
    assert isinstance(recipe, Spatten)
    several = list(dict.fromkeys(each.recipe for each in techniques(recipe, machine) if each.recipe))
    judged = dict(
        zip(several, evaluation(model, recipe, samples).measure_each([(s,) for s in several]), strict=True)
    )

    def make(some: Spatten | None) -> Workload:
        return steps(trace(model.module, model.inputs, some, name=spec, generate=generate))

    whole = make(recipe)
    report = accelsim.run(whole, machine)
    made = ablate(make, report, recipe, machine, accuracy=judged.get)
    rows = to_list(made)
    print(f"\n{spec} on spatten:full, {words}: {judged[recipe].metric}")
    print(f"{'technique':<17} {'us':>9} {'step':>6} {'total':>7} {'MB':>8} {'mJ':>8} {'accuracy':>9}")
    for row in rows:
        print(
            f"{row['name']:<17} {row['seconds'] * 1e6:>9.1f} {row['step_speedup']:>6.2f} "
            f"{row['speedup']:>7.2f} "
            f"{row['bytes'] / 1e6:>8.2f} {(row['energy_pj'] or 0) / 1e9:>8.3f} {row['accuracy']:>9.4g}"
        )
    share = refetched(whole)
    print(f"rows that re-fetch: {'none can' if share is None else f'{share:.1%}'} (paper: 5.9 % on average)")
    return {
        "recipe": words,
        "metric": judged[recipe].metric,
        "samples": judged[recipe].samples,
        "refetched_share": share,
        "rows": rows,
    }


def curve() -> Row:
    """DRAM bytes saved against accuracy lost, for the encoder."""
    model, machine = read("minilm", 256), accelsim.SpAtten()
    recipes = [f"spatten,{words},heads=0.9,bits=8" for words in CURVE]
    several = [(parse(words),) for words in recipes]
    judged = evaluation(model, several[0][0], SENTENCES).measure_each(several)
    rows = []
    for words, found in zip(recipes, judged, strict=True):
        report = accelsim.run(trace(model.module, model.inputs, words, name="minilm"), machine)
        assert found.dense is not None
        rows.append(
            {
                "recipe": words,
                "dram_reduction": report.dram_reduction,
                "speedup": report.speedup,
                "accuracy": found.pruned,
                "loss": found.dense - found.pruned,
            }
        )
        print(f"{words:<40} DRAM {report.dram_reduction or 0:>6.2f}x  accuracy {found.pruned:.3f}")
    free = [row["dram_reduction"] for row in rows if row["loss"] <= 1 / SENTENCES]
    at_no_loss = max(free, default=1.0)
    print(f"at no loss (one of {SENTENCES} sentences) DRAM falls {at_no_loss:.2f}x")
    return {"rows": rows, "dram_reduction_at_no_loss": at_no_loss}


def growth() -> Row:
    """Seconds of simulation (the trace apart) over tokens generated behind the prompt, and their fit."""
    model, machine = read("smollm2", PROMPT), accelsim.SpAtten()
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


PARTS = {"minilm": minilm, "smollm2": smollm2, "curve": curve, "growth": growth}


def read(spec: str, tokens: int) -> Any:
    """The model on the first tokens of a text of the corpus."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "text.txt"
        file.write_text(next(iter(brown().values())))
        return load(spec, text=str(file), tokens=tokens)


def evaluation(model: Any, recipe: Any, samples: int) -> Evaluation:
    """The model's task, on one corpus."""
    made = prepare(model, recipe, samples=samples)
    if isinstance(made.task, Perplexity):
        name = next(iter(made.task.windows))
        made = replace(made, task=replace(made.task, windows={name: made.task.windows[name]}))
    return made


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
