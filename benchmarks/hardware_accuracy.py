"""What the machine's arithmetic costs whole models: 12-bit Linear, golden's softmax, 6+4 bits beside float.

    python benchmarks/hardware_accuracy.py [MODEL]... [--all] [--date YYYY-MM-DD] [-o FILE]

MODEL: minilm (rated sentences) or smollm2 (perplexity on Brown); without one, both. Every Linear layer and
every attention is computed in integers, bit for bit as `accelsim.golden`, with 6+4 bits of Q and K; `--all`:
in the other arithmetics, too. Nothing is trained. What is not run keeps its results in the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from experiment import options, provenance, save, so_far, some_of

from accelsim.accelerators.spatten import PRESETS
from accelsim.accuracy import prepare
from accelsim.accuracy.perplexity import Perplexity
from accelsim.models import load
from accelsim.report import Accuracy
from accelsim_kernels import Arithmetic, hardware_arithmetic
from accelsim_kernels.compiled import threads

MACHINE = replace(PRESETS["full"], weight_bits=12)
SAMPLES = {"minilm": 1000, "smollm2": 8}

# Bits of Q and K (MSB, LSB), of V, and the fraction of V that a row uses.
ARITHMETICS = {
    "6+4 bits, V of 12": ((6, 4), 12, 1.0),
    "12 bits": ((12, 0), 12, 1.0),
    "6+4 bits, V of 6": ((6, 4), 6, 1.0),
    "6+4 bits, V of 12, values 0.5": ((6, 4), 12, 0.5),
}


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("models", metavar="MODEL", **some_of(SAMPLES))
    parser.add_argument("--all", action="store_true", help="every arithmetic, not only the machine's whole")
    parser.add_argument("--samples", type=int, help="sentences or windows, in place of the usual ones")
    given = parser.parse_args()
    results = so_far(given.output)
    chosen = list(ARITHMETICS)[: None if given.all else 1]
    for spec in given.models:
        for found in measured(spec, given.samples or SAMPLES[spec], chosen):
            others = [row for row in results.get(spec, {}).get("rows", []) if row["arithmetic"] not in chosen]
            results[spec] = {
                "command": f"python benchmarks/hardware_accuracy.py {spec} --all",
                **provenance(given.date, "numpy", "numba", "torch", "transformers"),
                "threads": threads(),
                **found,
                "rows": found["rows"] + others,
            }
            save(given.output, results)
    print(f"\nwritten: {given.output}")


def measured(spec: str, samples: int, arithmetics: list[str]) -> Iterator[dict[str, Any]]:
    """The task in float, and in one arithmetic more each time."""
    model = load(spec)
    task: Any = prepare(model, samples=samples).task
    if isinstance(task, Perplexity):
        first = next(iter(task.windows))
        task = replace(task, windows={first: task.windows[first]})
    dense, in_float = timed(lambda: task.outputs(model.module, lambda _: None))
    rows = []
    for name in arithmetics:
        bits, value_bits, value_keep = ARITHMETICS[name]
        arithmetic = Arithmetic.of(replace(MACHINE, value_bits=value_bits), bits=bits, value_keep=value_keep)
        with hardware_arithmetic(model.module, arithmetic):
            outputs, seconds = timed(lambda: task.outputs(model.module, lambda _: None))
        rows.append(row(name, task.judged(dense, outputs), seconds))
        print_row(spec, rows[-1], in_float)
        yield {"metric": task.judged(dense, dense).metric, "float": in_float, "rows": rows}


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What it gives, and its CPU and wall seconds."""
    begin, wall = time.process_time(), time.perf_counter()
    found = work()
    seconds = {"cpu_seconds": time.process_time() - begin, "wall_seconds": time.perf_counter() - wall}
    return found, {name: round(value, 1) for name, value in seconds.items()}


def row(name: str, found: Accuracy, seconds: dict[str, float]) -> dict[str, Any]:
    """One arithmetic beside float."""
    interval = found.spread.difference if found.spread else None
    return {
        "arithmetic": name,
        "float": found.dense,
        "hardware": found.pruned,
        "refitted": found.refitted,
        "samples": found.samples,
        "difference": interval,
        **seconds,
    }


def print_row(spec: str, row: dict[str, Any], in_float: dict[str, float]) -> None:
    print(
        f"{spec:<9}{row['arithmetic']:<30} float {row['float']:<9.5g} hardware {row['hardware']:<9.5g}"
        f"difference {row['difference']}  "
        f"{row['wall_seconds']} s, {row['cpu_seconds']} CPU s ({in_float['cpu_seconds']} in float)",
        flush=True,
    )


if __name__ == "__main__":
    main()
