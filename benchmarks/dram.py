"""Our DRAM bandwidths beside Ramulator 2.1's and DRAMsim3's, and how fast the model is.

    python benchmarks/dram.py [--date YYYY-MM-DD] [-o benchmarks/results/dram.json]

1,000,000 reads in order, or at random over 1 GiB (ten seeds: the peers' generators are not known), offered as
fast as they are accepted, every burst simulated but where closed form is named. The peers' figures are one
run each of Ramulator 2.1 and DRAMsim3, FR-FCFS, open rows, all-bank refresh. CPU seconds are compared, not
wall. Nothing here is a test.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from experiment import options, provenance, save

from accelsim.dram.banks import Integers
from accelsim.dram.checker import violations
from accelsim.dram.presets import DDR4_2400, DEVICES, HBM2_2000
from accelsim.dram.simulation import simulate
from accelsim.dram.timing import Device
from accelsim.dram.trace import Chunk

REQUESTS = 1_000_000
SEEDS = 10
GIBIBYTE = 1 << 30
CHECKED = 100_000
LONG = 8_000_000
REPEATS = 3
# hwcomponents, with CACTI 7.
ESTIMATED = {"HBM2": 6.25, "HBM3": 4.05, "LPDDR4": 8.0}

TWO_RANKS = replace(DDR4_2400, ranks=2)
XOR = replace(HBM2_2000, mapping="MOP4CLXOR")
# DRAMsim3's DDR4_8Gb_x8_2400 and HBM2_8Gb_x128: its timings and mappings, and HBM2 without pseudo-channels,
# whose burst of 64 bytes takes the two clocks of its tCCD_L.
DRAMSIM3_DDR4 = replace(
    TWO_RANKS,
    CL=16,
    CWL=16,
    tRCDRD=16,
    tRCDWR=16,
    tRP=16,
    tRC=55,
    tWR=19,
    tRFC=420,
    mapping="RoChRaBaBgCo",
)
DRAMSIM3_HBM2 = replace(
    HBM2_2000,
    pseudo_channels=1,
    burst_bytes=64,
    columns=16,
    rows=1 << 15,
    CWL=4,
    tRCDWR=14,
    tRTP=6,
    tRRD_L=6,
    tCCD_L=2,
    tFAW=30,
    tRFC=260,
    tRFCpb=0,
    activate_clocks=1,
    mapping="RoRaBgBaChCo",
    offers=8,
)
RULES = "same rules"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A published bandwidth beside ours (at random: the mean over the seeds, and their range)."""

    peer: str
    memory: str
    mapping: str
    pattern: str
    claim_gbps: float
    ours_gbps: float
    lowest_gbps: float
    highest_gbps: float
    ratio: float
    why_different: str
    requests_per_cpu_second: float


# Peer, memory, device, in order, at random, why ours may differ.
PEERS: tuple[tuple[str, str, Device, float | None, float | None, str], ...] = (
    ("Ramulator 2.1", "DDR4-2400, 1 rank", DDR4_2400, 14.33, 11.08, RULES),
    ("Ramulator 2.1", "DDR4-2400, 2 ranks", TWO_RANKS, 12.16, 17.66, RULES),
    ("Ramulator 2.1", "HBM2, 8 channels x 2", HBM2_2000, 129.3, 72.1, RULES),
    ("Ramulator 2.1", "HBM2, 8 channels x 2", XOR, 223.2, None, RULES),
    (
        "DRAMsim3",
        "DDR4-2400, 2 ranks",
        DRAMSIM3_DDR4,
        14.96,
        16.85,
        "its mapping and timings; our scheduler and queues, ranks refreshed together",
    ),
    (
        "DRAMsim3",
        "HBM2, 8 channels, tCCD_L 2",
        DRAMSIM3_HBM2,
        235.8,
        61.7,
        "its mapping, timings and 64 B bursts; our scheduler and queues",
    ),
)


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument(
        "--checked", type=int, default=CHECKED, help="requests of each device that the checker looks at"
    )
    given = parser.parse_args()
    simulate(DDR4_2400, [in_order(10)], every_burst=True)  # compiles, or loads what was compiled
    rows = list(compare())
    lengths = {str(count): growth(count) for count in (250_000, 1_000_000, 4_000_000)}
    channels = {str(count): per_second(replace(HBM2_2000, channels=count)) for count in (1, 2, 4, 8, 16)}
    speeds = {name: speed(device) for name, device in DEVICES.items()}
    long = {name: regular(device) for name, device in DEVICES.items()}
    bits = {name: energies(device) for name, device in DEVICES.items()}
    print(f"million requests a CPU second, best and worst of {REPEATS}: {speeds}")
    print(f"million of {LONG:,} requests in order a CPU second, regular ones in closed form: {long}")
    print(f"pJ a bit in order and at random, without drivers and termination: {bits}")
    print(f"an estimator's pJ a bit (hwcomponents): {ESTIMATED}")
    print(f"megabytes after so many requests: {lengths}")
    print(f"million requests a second, HBM2 at random, by channels: {channels}")
    results: dict[str, Any] = {
        "command": f"python benchmarks/dram.py --checked {given.checked}",
        **provenance(given.date, "numpy", "numba"),
        "requests": REQUESTS,
        "seeds": SEEDS,
        "rows": [asdict(row) for row in rows],
        "peak_megabytes_by_requests": lengths,
        "million_requests_per_cpu_second_by_channels": channels,
        "million_requests_per_cpu_second": speeds,
        "million_regular_requests_per_cpu_second": long,
        "picojoules_a_bit": bits,
        "picojoules_a_bit_estimated": ESTIMATED,
        "checked": {},
    }
    for name, device in DEVICES.items():
        # The longest part: what is known is written after each device.
        found = check(device, given.checked)
        results["checked"][name] = {"requests": given.checked, "violations": found}
        save(given.output, results)
        print(f"violations found in {given.checked:,} requests, {name}: {found}", flush=True)
    print(f"written: {given.output}", flush=True)


def compare() -> Iterator[Row]:
    """Every figure of the peers, printed as it is measured."""
    print(f"{'peer':<14} {'memory':<36} {'mapping':<13} {'pattern':<9} claim    ours  ratio  Mreq/CPU s  why")
    for peer, memory, device, ordered, random, why in PEERS:
        for pattern, claim in (("in order", ordered), ("at random", random)):
            if claim is None:
                continue
            seeds = SEEDS if pattern == "at random" else 1
            figures, seconds = [], []
            for seed in range(seeds):
                chunk = at_random(device, REQUESTS, seed) if pattern == "at random" else in_order(REQUESTS)
                begin = time.process_time()
                figures.append(simulate(device, [chunk], every_burst=True).gbps or 0.0)
                seconds.append(time.process_time() - begin)
            ours = sum(figures) / seeds
            row = Row(
                peer=peer,
                memory=memory,
                mapping=device.mapping,
                pattern=pattern,
                claim_gbps=claim,
                ours_gbps=round(ours, 3),
                lowest_gbps=round(min(figures), 3),
                highest_gbps=round(max(figures), 3),
                ratio=round(ours / claim, 4),
                why_different=why,
                requests_per_cpu_second=round(REQUESTS / min(seconds)),
            )
            print(f"{peer:<14} {memory:<36} {device.mapping:<13} {pattern:<9} {claim:>5}", end=" ")
            print(
                f"{ours:>7.2f} {row.ratio:>6.3f} {row.requests_per_cpu_second / 1e6:>11.2f}  {why}",
                flush=True,
            )
            yield row


def in_order(count: int, begin: int = 0) -> Chunk:
    zeros = np.zeros(count, np.int64)
    return Chunk(lines=np.arange(begin, begin + count), writes=zeros, earliest=zeros)


def at_random(device: Device, count: int, seed: int) -> Chunk:
    zeros = np.zeros(count, np.int64)
    lines = np.random.default_rng(seed).integers(0, GIBIBYTE // device.burst_bytes, count)
    return Chunk(lines=lines, writes=zeros, earliest=zeros)


def growth(count: int) -> float:
    """Peak megabytes of this process once `count` requests went through in chunks."""
    chunks = (in_order(50_000, begin) for begin in range(0, count, 50_000))
    simulate(DDR4_2400, chunks, every_burst=True)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def per_second(device: Device) -> float:
    """Million requests at random a CPU second."""
    chunk = at_random(device, REQUESTS // 2, 0)
    begin = time.process_time()
    simulate(device, [chunk], every_burst=True)
    return round(REQUESTS / 2 / (time.process_time() - begin) / 1e6, 2)


def speed(device: Device) -> dict[str, list[float]]:
    """Million requests a CPU second in order and at random: the best and the worst of the repeats."""
    found = {}
    for pattern, chunk in (("in order", in_order(REQUESTS)), ("at random", at_random(device, REQUESTS, 0))):
        rates = []
        for _ in range(REPEATS):
            begin = time.process_time()
            simulate(device, [chunk], every_burst=True)
            rates.append(round(REQUESTS / (time.process_time() - begin) / 1e6, 2))
        found[pattern] = [max(rates), min(rates)]
    return found


def regular(device: Device) -> dict[str, object]:
    """Million requests in order a CPU second: regular ones in closed form, and burst by burst."""
    rates, share = [], 0.0
    for every_burst in (False, True):
        begin = time.process_time()
        totals = simulate(device, [in_order(LONG)], every_burst=every_burst)
        rates.append(round(LONG / (time.process_time() - begin) / 1e6, 2))
        share = max(share, totals.advanced / LONG)
    return {"repeats": rates[0], "share advanced": round(share, 3), "every burst": rates[1]}


def energies(device: Device) -> dict[str, float]:
    """Picojoules a bit in order and at random."""
    chunks = {"in order": in_order(REQUESTS // 4), "at random": at_random(device, REQUESTS // 4, 0)}
    found = {}
    for pattern, chunk in chunks.items():
        energy = simulate(device, [chunk]).energy
        if energy:
            found[pattern] = round(energy.total / (len(chunk.lines) * device.burst_bytes * 8), 2)
    return found


def check(device: Device, count: int) -> int:
    """Violations in half in order, half at random, a third of it writes; a million requests at a time."""
    found = 0
    piece = min(count, REQUESTS) // 2
    for seed in range(max(1, count // REQUESTS)):
        logs: list[Integers] = []
        random = at_random(device, piece, seed)
        writes = (np.random.default_rng(seed).random(piece) < 1 / 3).astype(np.int64)
        simulate(device, [in_order(piece), replace(random, writes=writes)], commands=logs.append)
        rows = (row for log in logs for row in log.tolist())
        found += len(violations(device, rows))
    return found


if __name__ == "__main__":
    main()
