"""How fast the engine is, and what a whole command costs beside SCALE-Sim.

    python benchmarks/speed.py [--date YYYY-MM-DD] [-o benchmarks/results/speed.json]

CPU seconds are compared, not wall: they hardly depend on what else the machine does. SCALE-Sim's figures
are one run of version 3.0.0 each (weight stationary, default memory); its memory and ours differ, so the
cycles of the two columns are not the same question. Nothing here is a test. Linux only (peak memory).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from experiment import options, processor, provenance, save

import accelsim
from accelsim.accelerators.spatten import PRESETS
from accelsim.dram import DEVICES, Memory
from accelsim.machine import simulate
from accelsim.plan import Buffer, Layout, Plan, Stage
from accelsim.workload import Attention, Workload

CLOCK_HZ = 1e9
MEGA = 1e6


@dataclass(frozen=True, kw_only=True)
class EngineRow:
    """One plan through the engine: the best CPU seconds of three, after compilation."""

    plan: str
    jobs: int
    job_stages: int
    bursts: int
    cycles: int
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """A whole model through `accelsim.run`: CPU seconds of one run, after compilation."""

    work: str
    accelerator: str
    device: str
    layers: int
    megabytes: float
    bursts: int
    cycles: int
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class CommandRow:
    """One command in a fresh process, everything cached. `peer_*`: SCALE-Sim 3.0.0; None: no answer."""

    work: str
    command: str
    cycles: int
    compute_cycles: int
    cpu_seconds: float
    peak_megabytes: float
    peer_cycles: int | None
    peer_cpu_seconds: float
    peer_peak_megabytes: float


# Work, shape, array, and SCALE-Sim's cycles, CPU seconds and peak memory. The last one was stopped
# after 900 s of wall time without an answer.
GEMMS = (
    ("GEMM 512x768x768, 128x128", (512, 768, 768), 128, 46_312, 12.0, 393.0),
    ("GEMM 512x768x768, 32x32", (512, 768, 768), 32, 366_256, 54.0, 1200.0),
    ("GEMM 2048x4096x4096, 128x128", (2048, 4096, 4096), 128, None, 180.0, 10_400.0),
)


# SpAtten's published run of GPT-2-Medium on WikiText-2 with all techniques: keys (None: all) and heads that
# are left in each layer; the first of 32 tokens behind a prompt of 992 prunes no keys.
PROMPT, TOKENS = 992, 32
KEYS_LEFT = (None, None, 921, 819, 819, *6 * (614,), *13 * (307,))
HEADS_LEFT = (*16 * (16,), *6 * (13,), *2 * (10,))
VALUES_LEFT = 0.3  # of the keys, or of 1024 where all keys are left


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()

    engine = [measure(name, plan, memory) for name, plan, memory in plans()]
    print_engine(engine)
    model = measure_model()
    print_model(model)
    commands = [measure_command(*row) for row in GEMMS]
    print_commands(commands)
    made = provenance(given.date, "numpy", "numba")
    made["machine"]["processor"] = processor()
    results = {
        "command": "python benchmarks/speed.py",
        **made,
        "engine": [asdict(row) for row in engine],
        "models": [asdict(model)],
        "commands": [asdict(row) for row in commands],
    }
    save(given.output, results)
    print(f"\nwritten: {given.output}")


def plans() -> list[tuple[str, Plan, str | None]]:
    """Name, plan, memory device: no memory at all, a stream, and random reads that reorder."""
    generator = np.random.default_rng(0)
    return [
        ("pipeline, no memory", pipeline(200_000, generator), None),
        ("132 lanes on shared units, no memory", pipeline(200_000, generator, lanes=132), None),
        ("stream, HBM2 16 channels", reads(20_000, 100, generator, random=False), "HBM2-2000x16"),
        ("random reads, HBM2 16 channels", reads(20_000, 100, generator, random=True), "HBM2-2000x16"),
        ("random reads, DDR4", reads(10_000, 100, generator, random=True), "DDR4-2400"),
    ]


def pipeline(jobs: int, generator: np.random.Generator, *, lanes: int = 1) -> Plan:
    """Four stages of random lengths behind a buffer; with lanes, they share the units of all stages."""
    scope = "machine" if lanes > 1 else "lane"
    stages = tuple(Stage(name=name, scope=scope) for name in ("load", "multiply", "reduce", "store"))
    buffer = Buffer(name="tile", capacity=4, take="load", give="reduce")
    plan = Plan(layout=Layout(stages=stages, buffers=(buffer,), lanes=lanes), jobs=jobs)
    plan.busy[:] = generator.integers(1, 20, plan.busy.shape)
    plan.lag[:] = generator.integers(0, 5, plan.lag.shape)
    plan.drain[:] = generator.integers(0, 5, plan.drain.shape)
    plan.take[:] = plan.give[:] = 1
    plan.group[:] = np.arange(jobs) // 8
    return plan


def reads(jobs: int, bursts: int, generator: np.random.Generator, *, random: bool) -> Plan:
    """Jobs that fetch `bursts` bursts of 64 bytes each, then compute for a while."""
    plan = Plan(layout=Layout(stages=(Stage(name="fetch", port="read"), Stage(name="multiply"))), jobs=jobs)
    plan.busy[:, 1] = generator.integers(1, 40, jobs)
    job = np.arange(jobs)
    if random:
        address = generator.integers(0, 1 << 24, jobs * bursts) * 64
        plan.add_runs("fetch", np.repeat(job, bursts), address, 1, 64)
    else:
        plan.add_runs("fetch", job, job * bursts * 64, bursts, 64)
    return plan


def measure(name: str, plan: Plan, device: str | None) -> EngineRow:
    memory = Memory(dram=DEVICES[device], clock_hz=CLOCK_HZ) if device else None
    plan.check()
    timeline = simulate(plan, memory)  # compiles, or loads what was compiled
    seconds = best_of_three(lambda: simulate(plan, memory))
    return EngineRow(
        plan=name,
        jobs=plan.jobs,
        job_stages=plan.jobs * len(plan.layout.stages),
        bursts=timeline.traffic.read_bursts + timeline.traffic.write_bursts,
        cycles=timeline.cycles,
        cpu_seconds=seconds,
    )


def generation() -> Workload:
    """The published schedule, with drawn scores and tokens: 12 bits of each key (8 and 4), 8 of a value."""
    generator = np.random.default_rng(0)
    layers = []
    for token in range(TOKENS):
        length = PROMPT + 1 + token
        for number, (most, heads) in enumerate(zip(KEYS_LEFT, HEADS_LEFT, strict=True)):
            keys = length if token == 0 or most is None else most
            values = int(VALUES_LEFT * (1024 if keys == length else keys))
            layers.append(
                Attention(
                    name=f"token.{token}.layer.{number}",
                    heads=heads,
                    kv_heads=heads,
                    queries=1,
                    keys=keys,
                    dim=64,
                    value_dim=64,
                    bits=(12, 0),
                    values=np.full((1, heads, 1), values, np.int32),
                    scores=generator.integers(0, 4097, (1, heads, 1, keys)).astype(np.uint16),
                    tokens=np.sort(generator.choice(length, keys, replace=False)).astype(np.int32)[None, :],
                    dense_keys=length,
                    dense_heads=16,
                )
            )
    return Workload(model="GPT-2-Medium, all techniques", layers=tuple(layers), synthetic=True)


def measure_model() -> ModelRow:
    workload, machine = generation(), replace(PRESETS["full"], value_bits=8)
    begin = time.process_time()
    report = accelsim.run(workload, machine, baseline=False)
    seconds = time.process_time() - begin
    read = sum(layer.read_bytes for layer in report.layers)
    return ModelRow(
        work=workload.model,
        accelerator=machine.name,
        device=machine.dram.device,
        layers=len(workload.layers),
        megabytes=read / MEGA,
        bursts=read // machine.dram.burst_bytes,
        cycles=report.cycles,
        cpu_seconds=seconds,
    )


def best_of_three(work: Callable[[], object]) -> float:
    """CPU seconds."""
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def measure_command(
    work: str,
    shape: tuple[int, int, int],
    size: int,
    peer_cycles: int | None,
    peer_cpu_seconds: float,
    peer_peak_megabytes: float,
) -> CommandRow:
    """Runs the command twice and measures the second, so that nothing is compiled in it."""
    words = ["gemm", *map(str, shape), "--on", f"systolic:{size}", "--dataflow", "ws", "--json", "-"]
    # The child counts for itself. Its `ru_maxrss` would begin with the size of this process.
    script = (
        "import re, sys, time; from pathlib import Path; from accelsim.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "peak = re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text()).group(1)\n"
        "print(time.process_time(), peak, file=sys.stderr); sys.exit(status)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        )
    report = json.loads(done.stdout)
    seconds, peak = done.stderr.split()[-2:]
    return CommandRow(
        work=work,
        command=" ".join(["accelsim", *words]),
        cycles=report["cycles"],
        compute_cycles=report["compute_cycles"],
        cpu_seconds=float(seconds),
        peak_megabytes=float(peak) * 1024 / MEGA,
        peer_cycles=peer_cycles,
        peer_cpu_seconds=peer_cpu_seconds,
        peer_peak_megabytes=peer_peak_megabytes,
    )


def print_engine(rows: list[EngineRow]) -> None:
    print(f"{'engine':<40}{'CPU s':>8}{'jobs/s':>12}{'job-stages/s':>15}{'bursts/s':>12}")
    for row in rows:
        rates = [row.jobs / row.cpu_seconds, row.job_stages / row.cpu_seconds, row.bursts / row.cpu_seconds]
        jobs, stages, bursts = (f"{rate / MEGA:.2f} M" if rate else "-" for rate in rates)
        print(f"{row.plan:<40}{row.cpu_seconds:>8.2f}{jobs:>12}{stages:>15}{bursts:>12}")


def print_model(row: ModelRow) -> None:
    print(f"\n{row.work} on {row.accelerator}, {row.device}: {row.layers} layers, {row.megabytes:.1f} MB")
    rate = row.bursts / row.cpu_seconds / MEGA
    print(f"{row.cycles:,} cycles in {row.cpu_seconds:.2f} CPU s, {rate:.2f} M bursts/s with all else")


def print_commands(rows: list[CommandRow]) -> None:
    print(f"\n{'':<34}{'accelsim':^42}{'SCALE-Sim 3.0.0':^30}")
    columns = f"{'cycles':>12}{'CPU s':>8}{'peak MB':>10}"
    print(f"{'whole command, weight stationary':<34}{'compute':>12}{columns}{columns}")
    for row in rows:
        ours = (
            f"{row.compute_cycles:>12,}{row.cycles:>12,}{row.cpu_seconds:>8.1f}{row.peak_megabytes:>10,.0f}"
        )
        cycles = f"{row.peer_cycles:,}" if row.peer_cycles else "no answer"
        peer = f"{cycles:>12}{row.peer_cpu_seconds:>8.0f}{row.peer_peak_megabytes:>10,.0f}"
        print(f"{row.work:<34}{ours}{peer}")


if __name__ == "__main__":
    main()
