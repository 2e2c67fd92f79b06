"""Our energies and areas beside published ones. Nothing here is fitted, and nothing here is a test.

    python benchmarks/energy.py [--date YYYY-MM-DD] [-o benchmarks/results/energy.json]

SpAtten's power and area (HPCA 2021: power over 30 benchmarks whose inputs are not published) beside ours on
two kinds of attention; memories and multipliers beside one run of hwcomponents with CACTI 7.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from experiment import Row, finish, options

import accelsim
from accelsim.energy import Energy, area_mm2
from accelsim.report import Report
from accelsim.synthetic import attention

UNCOUNTED = "control, clock tree, crossbars, fetcher, leakage and idle lanes are not counted"
SELECTION = ("comparators", "selection memories")


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    rows = [*spatten(), *components()]
    print(
        f"{'source':<20} {'quantity':<34} {'work':<34} {'claim':>9} {'ours':>9} {'ratio':>6}  why different"
    )
    for row in rows:
        print(
            f"{row.source:<20} {row.quantity:<34} {row.work:<34} {row.claim:>9.4g} {row.ours:>9.4g} "
            f"{row.ratio:>6.2f}  {row.why_different}"
        )
    finish(given, "numpy", "numba", rows=[asdict(row) for row in rows])


def spatten() -> list[Row]:
    """Watts of a reading and of a generating workload, and the areas, which depend on none."""
    machine = accelsim.SpAtten()
    works = {
        "512 rows of 256 keys, 8 bits": {"queries": 512, "keys": 256, "values": 256, "bits": (8, 0)},
        "1 row of 512 keys, 6+4 bits": {
            "queries": 1,
            "keys": 512,
            "values": 154,
            "bits": (6, 4),
            "refetch": 0.06,
        },
    }
    rows = []
    for work, counts in works.items():
        workload = attention(heads=12, layers=2, dim=64, generator=np.random.default_rng(0), **counts)
        report = accelsim.run(workload, machine, baseline=False)
        for name, claim in (("dram", 5.71), ("sram", 1.24), ("logic", 1.36)):
            watts = _watts(report, getattr(report, f"{name}_pj"))
            why = (
                "pins are not counted; the work differs"
                if name == "dram"
                else f"{UNCOUNTED}; the work differs"
            )
            rows.append(_row("SpAtten, HPCA 2021", f"{name} power, W", work, claim, watts, why))
        selection = sum(report.part_pj[name] for name in SELECTION)
        share = selection / report.total_pj if report.total_pj else 0.0
        why = "share of all power; a third of the values is kept in the second work, all in the first"
        rows.append(_row("SpAtten, HPCA 2021", "top-k share of power", work, 0.010, share, why))
    parts = machine.parts()
    why = f"{UNCOUNTED}, nor are wiring and FIFOs of the fetcher"
    rows.append(_row("SpAtten, HPCA 2021", "area, mm2", "-", 18.71, area_mm2(parts), why))
    selection_mm2 = area_mm2(part for part in parts if part.name in SELECTION)
    why = "of our counted area; zero eliminators and control of the engines are not counted"
    share = selection_mm2 / area_mm2(parts)
    return [*rows, _row("SpAtten, HPCA 2021", "top-k share of area", "-", 0.027, share, why)]


def components() -> list[Row]:
    """Single parts at 45 and 40 nm."""
    rows = []
    why = "theirs is a synthesised library cell (Aladdin), ours the table of ISSCC 2014"
    for node, claims in ((45, (0.912, 2.052, 3.648, 14.59)), (40, (0.793, 1.783, 3.170, 12.68))):
        for bits, claim in zip((8, 12, 16, 32), claims, strict=True):
            ours = Energy(node_nm=node).multiply(f"int{bits}").pj
            rows.append(_row("hwcomponents", f"multiplier {bits} bits, pJ", f"{node} nm", claim, ours, why))
    why = "the same for adders"
    for node, claims in ((45, (0.060, 0.091, 0.121, 0.242)), (40, (0.053, 0.079, 0.105, 0.210))):
        for bits, claim in zip((8, 12, 16, 32), claims, strict=True):
            ours = Energy(node_nm=node).add(f"int{bits}").pj
            rows.append(_row("hwcomponents", f"adder {bits} bits, pJ", f"{node} nm", claim, ours, why))
    why = "CACTI lays the memory out anew for each width; ours is linear in the width"
    for bits, claim in ((32, 23.1), (64, 33.8), (128, 49.8), (768, 153.0)):
        ours = Energy(node_nm=40).sram(196_608, bits).pj
        rows.append(_row("CACTI 7", f"SRAM 196 KB, {bits} bits, pJ", "40 nm", claim, ours, why))
    why = "the wires between banks: half the side of the memory in ours"
    for node, claim in ((45, 31.8), (40, 26.4)):
        ours = Energy(node_nm=node).sram(196_608, 64, banks=12).pj
        rows.append(_row("CACTI 7", "SRAM 196 KB, 64 bits, 12 banks, pJ", f"{node} nm", claim, ours, why))
    return rows


def _watts(report: Report, picojoules: float | None) -> float:
    return (picojoules or 0.0) * 1e-12 / report.seconds


def _row(source: str, quantity: str, work: str, claim: float, ours: float, why: str) -> Row:
    return Row(
        source=source,
        quantity=quantity,
        work=work,
        claim=claim,
        ours=float(f"{ours:.4g}"),
        ratio=round(ours / claim, 3),
        why_different=why,
    )


if __name__ == "__main__":
    main()
