"""Random plans and memories, small and valid, that reach the corners of `docs/engine.md`.

`draw(rng)` gives one (plan, memory). Most plans finish; some deadlock, because jobs hold buffers
that others need, or wait for each other. Numbers are small, so that events coincide often.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from accelsim.dram import DDR4_2400, Cache, Dram, Memory
from accelsim.plan import Buffer, Layout, Plan, Scope, Stage

SCOPES: tuple[Scope, ...] = ("lane", "site", "machine")


def draw(rng: np.random.Generator, most_jobs: int = 9) -> tuple[Plan, Memory | None]:
    """One plan of 1 to `most_jobs` jobs that `Plan.check` accepts, and a memory or None."""
    layout = draw_layout(rng)
    plan = Plan(layout=layout, jobs=int(rng.integers(1, most_jobs + 1)))
    fill_times(rng, plan)
    fill_buffers(rng, plan)
    fill_runs(rng, plan)
    fill_after(rng, plan)
    plan.check()
    return plan, draw_memory(rng) if rng.random() < 0.9 else None


def chance(rng: np.random.Generator, *choices: float) -> float:
    """One of the choices."""
    return float(choices[int(rng.integers(len(choices)))])


def draw_layout(rng: np.random.Generator) -> Layout:
    """1 to 5 stages on units and ports that they may share, up to 3 buffers, 1 to 6 lanes."""
    lanes = int(rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]))
    sites = int(rng.integers(1, lanes + 1))
    share, memory = chance(rng, 0.0, 0.3, 0.7), chance(rng, 0.0, 0.4, 0.8)
    # A crowd: everything is shared by the machine, and one port serves almost all.
    crowd = rng.random() < 0.2
    stages: list[Stage] = []
    for index in range(int(rng.integers(1, 6))):
        unit, scope = f"u{index}", "machine" if crowd else SCOPES[int(rng.integers(3))]
        if stages and rng.random() < share:
            other = stages[int(rng.integers(len(stages)))]
            unit, scope = other.unit, other.scope
        port = ""
        if rng.random() < memory:
            ports = [stage.port for stage in stages if stage.port and stage.scope == scope]
            port = str(rng.choice(ports)) if ports and rng.random() < (0.9 if crowd else 0.5) else f"p{index}"
        write = bool(port) and rng.random() < 0.4
        priority = int(rng.integers(-1, 2))
        stages.append(
            Stage(name=f"s{index}", unit=unit, scope=scope, priority=priority, port=port, write=write)
        )
    buffers = [draw_buffer(rng, index, stages, lanes) for index in range(int(rng.integers(0, 4)))]
    return Layout(stages=tuple(stages), buffers=tuple(buffers), lanes=lanes, sites=sites)


def draw_buffer(rng: np.random.Generator, index: int, stages: list[Stage], lanes: int) -> Buffer:
    """A buffer over some of the stages, shared by lanes only where its taker is arbitrated."""
    take = int(rng.integers(len(stages)))
    give = int(rng.integers(take, len(stages)))
    shareable = lanes == 1 or stages[take].scope != "lane"
    return Buffer(
        name=f"b{index}",
        capacity=int(rng.integers(1, 7)),
        take=stages[take].name,
        give=stages[give].name,
        scope=SCOPES[int(rng.integers(3))] if shareable else "lane",
    )


def fill_times(rng: np.random.Generator, plan: Plan) -> None:
    """Cycles, flags and groups. Some plans, and some groups of any plan, take no time at all."""
    shape = plan.busy.shape
    for column in (plan.busy, plan.lag, plan.drain):
        top = int(rng.choice([0, 1, 3, 3, 8]))
        column[:] = rng.integers(0, top + 1, shape) * (rng.random(shape) < chance(rng, 0.5, 1.0))
    plan.whole[:] = rng.random(shape) < chance(rng, 0.0, 0.3, 1.0)
    plan.skip[:] = rng.random(shape) < chance(rng, 0.0, 0.0, 0.3, 0.7)
    steps = rng.integers(1, 3, plan.jobs) * (rng.random(plan.jobs) < chance(rng, 0.1, 0.4, 1.0))
    plan.group[:] = np.cumsum(steps)
    for group in np.unique(plan.group)[rng.random(len(np.unique(plan.group))) < 0.1]:
        rows = plan.group == group
        plan.busy[rows] = plan.lag[rows] = plan.drain[rows] = 0
        plan.skip[rows] |= rng.random((int(rows.sum()), shape[1])) < 0.5


def fill_buffers(rng: np.random.Generator, plan: Plan) -> None:
    """Takes that fit, and gives by the same job or a later one of the group; the last gives the rest."""
    last = np.append(plan.group[1:] != plan.group[:-1], True)
    for index, buffer in enumerate(plan.layout.buffers):
        keep = chance(rng, 0.0, 0.5)
        greedy = rng.random() < 0.4
        held = 0
        for job in range(plan.jobs):
            most = buffer.capacity if greedy else buffer.capacity - held
            take = int(rng.integers(0, most + 1)) if rng.random() < 0.8 else 0
            give = held + take
            if not last[job] and rng.random() < keep:
                give = int(rng.integers(0, give + 1))
            plan.take[job, index], plan.give[job, index] = take, give
            held += take - give


def fill_runs(rng: np.random.Generator, plan: Plan) -> None:
    """Up to 3 runs for an operation of a memory stage, some operations without any, rows in any order."""
    rows = []
    most = int(rng.choice([2, 4, 8]))
    span = int(rng.choice([32, 64, 256, 2048]))
    silent = chance(rng, 0.0, 0.3)
    for stage in plan.layout.stages:
        column = plan.layout.stage(stage.name)
        for job in range(plan.jobs if stage.port else 0):
            if plan.skip[job, column] or rng.random() < silent:
                continue
            for _ in range(int(rng.choice([1, 1, 2, 3]))):
                count = int(rng.integers(1, most + 1))
                stride = int(rng.choice([8, 8, 8, 0, 16, 32, 64, -8, 5]))
                address = int(rng.integers(0, span)) + max(0, -stride * (count - 1))
                rows.append((stage.name, job, address, count, stride))
    for index in rng.permutation(len(rows)) if rng.random() < 0.3 else range(len(rows)):
        plan.add_runs(*rows[index])


def fill_after(rng: np.random.Generator, plan: Plan) -> None:
    """Edges to operations of lower jobs, or of earlier stages; now and then to any operation."""
    stages = len(plan.layout.stages)
    forward = chance(rng, 0.0, 0.0, 0.4)
    for _ in range(int(rng.choice([0, 0, 0, 1, 2, 5]))):
        job, stage = int(rng.integers(plan.jobs)), int(rng.integers(stages))
        if rng.random() < forward:
            other_job, other_stage = int(rng.integers(plan.jobs)), int(rng.integers(stages))
        elif job and rng.random() < 0.8:
            other_job, other_stage = int(rng.integers(job)), int(rng.integers(stages))
        elif stage:
            other_job, other_stage = job, int(rng.integers(stage))
        else:
            continue
        names = plan.layout.stages
        plan.add_after(names[stage].name, job, names[other_stage].name, other_job)


def draw_memory(rng: np.random.Generator) -> Memory:
    """1 to 4 channels of a few banks; clocks faster or slower than the machine's; a cache of a few lines."""
    device = draw_device(rng)
    cycles = Fraction(int(rng.integers(1, 8)), int(rng.integers(1, 8)))
    clock_hz = 1e9 if rng.random() < 0.4 else float(Fraction(10**9) * cycles)
    if rng.random() < 0.5:
        return Memory(dram=device, clock_hz=clock_hz)
    bursts = int(rng.choice([1, 1, 2, 4]))
    line, ways = bursts * device.burst_bytes, int(rng.integers(1, 4))
    slices = line * device.channels
    cache = Cache(
        bytes=slices * ways * int(rng.integers(1, 4)),
        line_bytes=line,
        ways=ways,
        bandwidth=slices * 1e9 * float(rng.choice([0.4, 1.0, 1.5, 3.0])),
        hit_latency=1e-9 * float(rng.integers(0, 6)),
        miss_latency=1e-9 * float(rng.integers(0, 6)),
        pending=int(rng.choice([1, 2, 4, 100])),
    )
    return Memory(
        dram=replace(device, interleave=max(line, device.interleave)), clock_hz=clock_hz, cache=cache
    )


def draw_device(rng: np.random.Generator) -> Dram:
    """Short timings, so that much happens in few clocks; one data bus or two, one command bus or two."""
    doubled = rng.random() < 0.4
    two_buses = rng.random() < 0.5
    short = {name: int(rng.integers(1, 7)) for name in ("tRCDRD", "tRCDWR", "tRP", "tWR", "tRTP", "tRFC")}
    burst = int(rng.integers(1, 4))
    write, rank = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    banks, groups = int(rng.choice([1, 2])), int(rng.choice([1, 2]))
    device = replace(
        DDR4_2400,
        device="drawn",
        clock_ps=1000,
        burst_bytes=8,
        channels=int(rng.choice([1, 1, 2, 3, 4])),
        ranks=1 if doubled else int(rng.choice([1, 1, 2])),
        pseudo_channels=2 if doubled else 1,
        bank_groups=groups,
        banks=banks,
        rows=1 << 12,
        columns=int(rng.choice([4, 8])),
        BL=burst,
        CL=write + int(rng.integers(0, 4)),
        CWL=write,
        **short,
        tRAS=short["tRCDRD"] + int(rng.integers(1, 6)),
        tRC=short["tRCDRD"] + short["tRP"] + 6,
        tCCD_S=burst,
        tCCD_L=burst + int(rng.integers(0, 3)),
        tRRD_S=rank,
        tRRD_L=rank + int(rng.integers(0, 3)),
        tWTR_S=rank,
        tWTR_L=rank + int(rng.integers(0, 3)),
        tFAW=int(rng.integers(4, 14)),
        tREFI=10_000,
        tCS=int(rng.integers(0, 3)),
        buses=2 if two_buses else 1,
        activate_clocks=int(rng.choice([1, 2])) if two_buses else 1,
        queue=int(rng.choice([4, 5, 8, 32])),
        interleave=int(rng.choice([0, 0, 16, 32])),
        outstanding=int(rng.choice([0, 0, 1, 3, 8])),
    )
    busy = device.units * (device.tRAS + device.tWR + device.CWL + device.BL + device.tRP + 2) + device.tRFC
    return replace(device, tREFI=busy + int(rng.choice([1, 30, 300])))
