"""SAT's published speed-up beside ours: a training step of five networks, dense against bidirectional N:M.

    python benchmarks/paper_sat.py [--date YYYY-MM-DD] [--plot FILE.png] [-o FILE.json]

The abstract (Fang et al., IEEE TCAD 2023) states a mean of 1.75 at 2:8; networks, batches, buffers, latencies
and what surrounds the products are not in it. So there is a band, one row for each set of active terms.
Nothing is fitted. `--plot` needs matplotlib.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from experiment import options, provenance, save

import accelsim
from accelsim.accelerators.sat import PAPER, Sat, methods
from accelsim.models import network
from accelsim.report import Report
from accelsim.workload import Matmul, Workload

CLAIM = 1.75

# The five networks as far as they are known, and the other reading of the two that are not.
FIVE = {"resnet-9": 512, "vit-cifar": 512, "vgg-19-cifar": 512, "resnet-18-tiny": 512, "resnet-50": 256}
OTHERS = {"vit-cifar-2048": 512, "resnet-18-tiny-3x3": 512}
PATTERNS = ("2:4", "2:8", "2:16")
BATCHES = (8, 32, 128, 512)

FAST = replace(PAPER, most_bursts=1 << 16)
TERMS: dict[str, Sat] = {
    "fill and drain overlap, 4 channels": replace(
        FAST, overlapped=True, dram=replace(PAPER.dram, channels=4)
    ),
    "4 channels": replace(FAST, dram=replace(PAPER.dram, channels=4)),
    "default: exposed fill, 1 channel, no passes": FAST,
    "adder 8, interleave 8": replace(FAST, adder_latency=8, interleave=8, multiplier_latency=4),
    "one weight an element (slot)": replace(FAST, sparse_mode="slot"),
    "weights never expanded": replace(FAST, expand=False),
    "reduction on the fly": replace(FAST, reduction="on-the-fly"),
    "output stationary alone": replace(FAST, dataflow="os"),
    "weight stationary alone": replace(FAST, dataflow="ws"),
    "norm and relu passes": replace(FAST, passes=("norm", "relu")),
    "im2col pass": replace(FAST, passes=("im2col",)),
    "norm, relu, residual and im2col passes": replace(FAST, passes=("norm", "relu", "residual", "im2col")),
}


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--plot", type=Path, help="draw the speed-ups and the band")
    given = parser.parse_args()
    results = {
        "command": "python benchmarks/paper_sat.py",
        **provenance(given.date, "numpy", "numba"),
        "synthetic": "shapes of the networks, drawn masks",
        "claim": {"mean_speedup_2_8": CLAIM, "source": "abstract"},
        "peak_gflops": {pattern: PAPER.peak_gflops(*_numbers(pattern)) for pattern in ("1:1", *PATTERNS)},
        "methods_ideal": {pattern: methods.ideal_speedups(*_numbers(pattern)) for pattern in PATTERNS},
        "networks": networks(),
        "band_2_8": band(),
        "scheduler": scheduler(),
        "reduction": reduction(),
        "interleave": interleave(),
        "share_by_batch": shares(),
        "assumptions": list(PAPER.assumptions()),
    }
    save(given.output, results)
    print(f"written: {given.output}")
    if given.plot:
        draw(results, given.plot)


def networks() -> list[dict[str, Any]]:
    """Ideal (by multiply-accumulates) and achieved speed-up, by network and pattern."""
    rows = []
    print(f"{'network':<20} {'batch':>5} {'pattern':>7} {'ideal':>6} {'ours':>6} {'cpu s':>6}")
    for name, batch in (FIVE | OTHERS).items():
        for pattern in PATTERNS:
            started = time.process_time()
            report = step(FAST, name, batch, pattern)
            seconds = time.process_time() - started
            row = {
                "network": name,
                "batch": batch,
                "pattern": pattern,
                "ideal": bound(_workload(name, batch, pattern)),
                "achieved": report.speedup,
                "dense_seconds": report.baseline.seconds if report.baseline else None,
                "seconds": report.seconds,
                "cpu_seconds": round(seconds, 2),
            }
            rows.append(row)
            print(
                f"{name:<20} {batch:>5} {pattern:>7} {row['ideal']:>6.3f} {row['achieved']:>6.3f} "
                f"{seconds:>6.1f}",
                flush=True,
            )
    return rows


def band() -> dict[str, Any]:
    """Mean speed-up over the five at 2:8 for each set of active terms, lowest and highest."""
    rows = []
    print(f"\n{'active terms at 2:8':<46} {'mean':>6}   five networks")
    for terms, machine in TERMS.items():
        found = {name: step(machine, name, batch, "2:8") for name, batch in FIVE.items()}
        speedups = {name: report.speedup or 0.0 for name, report in found.items()}
        row = {
            "terms": terms,
            "mean": fmean(speedups.values()),
            "speedups": speedups,
            "seconds": sum(report.seconds for report in found.values()),
            "dense_seconds": sum(report.baseline.seconds for report in found.values() if report.baseline),
        }
        rows.append(row)
        print(
            f"{terms:<46} {row['mean']:>6.3f}   {' '.join(f'{s:.2f}' for s in speedups.values())}", flush=True
        )
    means = [row["mean"] for row in rows]
    print(f"band {min(means):.3f} to {max(means):.3f}; claim {CLAIM} (abstract)")
    return {"lowest": min(means), "highest": max(means), "rows": rows}


def scheduler() -> list[dict[str, Any]]:
    """Seconds of a 2:8 step where each stage of each layer has its own dataflow, and where all have one."""
    rows = []
    print(f"\n{'network':<20} {'chosen s':>9} {'os s':>8} {'ws s':>8} {'gain':>6}")
    for name, batch in FIVE.items():
        chosen, *fixed = (
            step(machine, name, batch, "2:8").seconds
            for machine in (FAST, replace(FAST, dataflow="os"), replace(FAST, dataflow="ws"))
        )
        gain = min(fixed) / chosen
        rows.append({"network": name, "seconds": chosen, "os": fixed[0], "ws": fixed[1], "gain": gain})
        print(f"{name:<20} {chosen:>9.3f} {fixed[0]:>8.3f} {fixed[1]:>8.3f} {gain:>6.3f}", flush=True)
    return rows


def reduction() -> list[dict[str, Any]]:
    """N:M copies made once against copies made at each fetch, with and without a transposing buffer."""
    rows = []
    print(f"\n{'2:8 step':<20} {'batch':>5} {'once s':>8} {'at fetch':>8} {'unturned':>8}")
    fly = replace(FAST, reduction="on-the-fly")
    for name in ("resnet-9", "resnet-18-tiny"):
        for batch in BATCHES:
            once, again, unturned = (
                step(machine, name, batch, "2:8").seconds
                for machine in (FAST, fly, replace(fly, transpose_buffer=False))
            )
            rows.append({"network": name, "batch": batch, "once": once, "fetch": again, "unturned": unturned})
            print(f"{name:<20} {batch:>5} {once:>8.3f} {again:>8.3f} {unturned:>8.3f}", flush=True)
    return rows


def interleave() -> list[dict[str, Any]]:
    """An adder of 8 cycles with more and more sums in turn, ResNet-9."""
    rows = []
    print(f"\n{'interleave, adder 8':<20} {'dense s':>8} {'2:8 s':>8}")
    for sums in (1, 2, 4, 8, 16):
        report = step(replace(FAST, adder_latency=8, interleave=sums), "resnet-9", 512, "2:8")
        dense = report.baseline.seconds if report.baseline else None
        rows.append({"interleave": sums, "dense_seconds": dense, "seconds": report.seconds})
        print(f"{sums:<20} {dense:>8.3f} {report.seconds:>8.3f}", flush=True)
    return rows


def shares() -> list[dict[str, Any]]:
    """Share of the updates, and of SORE's own clocks, in a 2:8 step by batch."""
    rows = []
    print(f"\n{'network':<20} {'batch':>5} {'update':>7} {'SORE clocks':>11}")
    for name in ("resnet-18-tiny", "vgg-19-cifar"):
        for batch in BATCHES:
            report = step(FAST, name, batch, "2:8")
            updates = [row for row in report.layers if row.op == "update"]
            update = sum(row.cycles or 0 for row in updates) / report.cycles
            reduced = sum(int(row.facts["sore_clocks"]) for row in updates) / report.cycles
            rows.append({"network": name, "batch": batch, "update": update, "sore": reduced})
            print(f"{name:<20} {batch:>5} {update:>7.2%} {reduced:>11.2%}", flush=True)
    return rows


@cache
def step(machine: Sat, name: str, batch: int, pattern: str) -> Report:
    """One training step of the network with BDWP, and the dense one."""
    return accelsim.run(_workload(name, batch, pattern), machine)


@cache
def _workload(name: str, batch: int, pattern: str) -> Workload:
    return network(name, f"bdwp,{pattern}", batch=batch, train=True)


def bound(work: Workload) -> float:
    """Multiply-accumulates of the dense step by those whose weights are kept."""
    products = [layer for layer in work.layers if isinstance(layer, Matmul)]
    return sum(layer.macs for layer in products) / sum(layer.m * layer.kept for layer in products)


def _numbers(pattern: str) -> tuple[int, int]:
    kept, group = pattern.split(":")
    return int(kept), int(group)


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Speed-ups by network and pattern beside their bounds, and the band beside the claim."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.5), layout="constrained")
    names = list(dict.fromkeys(row["network"] for row in results["networks"]))
    for place, pattern in enumerate(PATTERNS):
        rows = [row for row in results["networks"] if row["pattern"] == pattern]
        at = [index + 0.27 * (place - 1) for index in range(len(rows))]
        left.bar(at, [row["achieved"] for row in rows], width=0.25, label=pattern)
        left.scatter(at, [row["ideal"] for row in rows], marker="_", color="black", s=80)
    left.set_xticks(range(len(names)), names, rotation=30, ha="right")
    left.set_ylabel("dense / N:M time of a step (line: bound)")
    left.legend()
    rows = results["band_2_8"]["rows"]
    right.barh([row["terms"] for row in rows], [row["mean"] for row in rows])
    right.axvline(CLAIM, color="black", linestyle="--", label=f"abstract: {CLAIM}")
    right.set_xlabel("mean of five networks at 2:8")
    right.legend()
    figure.savefig(path, metadata={"Date": None})
    print(f"drawn: {path}")


if __name__ == "__main__":
    main()
