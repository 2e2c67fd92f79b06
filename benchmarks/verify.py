"""Holds units against their models and golden: many seeds on three simulators, at widths 1, 4 and 16.

    python benchmarks/verify.py [UNIT[:PRESET][,KEY=VALUE]...]... [--seeds 1..20] [--jobs 2]

A line of the results is a form on a simulator: rows and beats checked, mismatches, cycles of model and RTL,
and the difference, over all seeds; the exit status is 1 if anything differs. Stimulus as in `accelsim
verify`: ties, zeros, k = 1, k = n, sorted and constant rows up to the capacity, idling sources, waiting
sinks, resets. Builds are kept from run to run. Without a name: all of FORMS.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

from experiment import options, save, so_far
from hardware import chosen

import accelsim
from accelsim_rtl.kit import synthesis
from accelsim_rtl.kit.scenarios import Prepared
from accelsim_rtl.kit.simulators import SIMULATORS
from accelsim_rtl.kit.verify import Bench

WIDTHS = (1, 4, 16)

FORMS = (
    *(f"spatten.topk:{engine},width={width}" for engine in ("full", "radix") for width in WIDTHS),
    *(f"spatten.zero_eliminator:{policy},lanes={lanes}" for policy in ("full", "fast") for lanes in WIDTHS),
    *(f"sat.sore:paper,m={m},lanes={lanes}" for m in (4, 8) for lanes in WIDTHS),
)
ROWS_AT_ONCE = 200_000
"""Clocks after which a simulator is run on the seeds so far: few starts, bounded memory."""

SUMMED = ("checked", "mismatches", "model_cycles", "rtl_cycles", "cycle_difference")


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("forms", nargs="*", metavar="UNIT[:PRESET][,KEY=VALUE]...", default=FORMS)
    parser.add_argument("--seeds", default="1..20", metavar="N..M")
    parser.add_argument("--simulators", default=",".join(SIMULATORS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    given = parser.parse_args()
    first, last = map(int, given.seeds.split(".."))
    simulators = given.simulators.split(",")
    failed = False
    with ProcessPoolExecutor(given.jobs) as pool:
        for form in given.forms:
            for simulator in simulators:
                if simulator != "amaranth":
                    bench_of(form).build(simulator)
            shares = [range(first + job, last + 1, given.jobs) for job in range(given.jobs)]
            parts = list(pool.map(partial(check, form, simulators), shares))
            for simulator in simulators:
                row = {"form": form, "simulator": simulator, "seeds": given.seeds}
                row |= summed([each for part in parts for each in part[simulator]]) | {"date": given.date}
                print(json.dumps(row), flush=True)
                failed |= bool(row["mismatches"] or row["cycle_difference"] != 0)
                record(given.output, row)
    sys.exit(failed)


@cache
def bench_of(form: str) -> Bench:
    """The bench of words such as `spatten.topk:radix,width=4`."""
    return Bench(*chosen(form))


def check(form: str, simulators: list[str], seeds: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """By simulator the verdicts on all seeds, with the seconds that they took."""
    bench = bench_of(form)
    verdicts: dict[str, list[dict[str, Any]]] = {simulator: [] for simulator in simulators}
    waiting: list[Prepared] = []
    for seed in seeds:
        waiting.append(bench.prepare(seed))
        if seed == seeds[-1] or sum(map(rows_of, waiting)) > ROWS_AT_ONCE:
            for simulator in simulators:
                verdicts[simulator] += run(bench, waiting, simulator)
            waiting = []
    return verdicts


def run(bench: Bench, prepared: list[Prepared], simulator: str) -> list[dict[str, Any]]:
    """The verdicts of one run of a simulator, each with its share of the seconds."""
    started = time.perf_counter()
    verdicts = bench.run(prepared, simulator)
    seconds = (time.perf_counter() - started) / len(verdicts)
    for verdict in verdicts:
        for line in verdict.complaints[:5]:
            print(f"{bench.unit.name} on {simulator}, seed {verdict.seed}: {line}", file=sys.stderr)
    return [verdict.as_dict() | {"seconds": seconds} for verdict in verdicts]


def rows_of(prepared: Prepared) -> int:
    """Clocks of all scenarios."""
    return sum(len(scenario["rows"]) for scenario in prepared.scenarios)


def summed(verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over the seeds; the differences in cycles by size. None where a run did not end."""
    values = {
        name: None
        if any(each[name] is None for each in verdicts)
        else sum(abs(each[name]) for each in verdicts)
        for name in SUMMED
    }
    return values | {"seconds": round(sum(each["seconds"] for each in verdicts), 1)}


def record(output: Path, row: dict[str, Any]) -> None:
    """Put a row into the results, in the place of one of its form and simulator; in the order of FORMS."""
    rows = so_far(output).get("rows", [])
    rows = [other for other in rows if (other["form"], other["simulator"]) != (row["form"], row["simulator"])]
    rows.append(row)
    order = {form: number for number, form in enumerate(FORMS)}
    rows.sort(key=lambda each: (order.get(each["form"], len(order)), SIMULATORS.index(each["simulator"])))
    results = {
        "command": "python benchmarks/verify.py",
        "versions": {"accelsim": accelsim.__version__} | synthesis.versions(route=False),
    }
    save(output, results | {"rows": rows})


if __name__ == "__main__":
    main()
