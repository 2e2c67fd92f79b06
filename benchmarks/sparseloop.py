"""Sparseloop's tensor cores (MICRO 2022 artefact, fig. 15) beside `stc:sparseloop`. Nothing is fitted.

    python benchmarks/sparseloop.py [--date YYYY-MM-DD] [-o benchmarks/results/sparseloop.json]

Four layers of ResNet-50 as int8 GEMMs, M rows of weights. Cycles must be equal; energies are those of the
artefact's own tables. Mappings are not copied from it: ours follow one rule (`sparseloop_traffic`). The
dual-side core (DSTC) is not modelled.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from experiment import finish, options

import accelsim
from accelsim.accelerators import find
from accelsim.accelerators.base import Accelerator
from accelsim.report import Report
from accelsim.synthetic import gemm


@dataclass(frozen=True, kw_only=True)
class Row:
    """One published figure beside ours; `claim` and `ratio` are None where none is published."""

    work: str
    machine: str
    quantity: str
    claim: float | None
    ours: float
    ratio: float | None
    why_different: str


@dataclass(frozen=True, kw_only=True)
class Point:
    """A layer: M rows of weights, K, N columns; the share of its activations that is not zero; and uJ."""

    m: int
    k: int
    n: int
    density: float
    dense_uj: float
    sparse_uj: float

    @property
    def name(self) -> str:
        return f"M{self.m} K{self.k} N{self.n}"


POINTS = (
    Point(m=128, k=1152, n=1024, density=0.44, dense_uj=276.58, sparse_uj=173.42),
    Point(m=512, k=1024, n=256, density=0.27, dense_uj=247.59, sparse_uj=132.61),
    Point(m=512, k=128, n=1024, density=0.56, dense_uj=119.51, sparse_uj=79.80),
    Point(m=512, k=256, n=1024, density=0.82, dense_uj=205.45, sparse_uj=126.03),
)
INDICES = "indices of weights are charged in DRAM, where the artefact charges nothing for them"
MAPPING = "same mapping and table"


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    rows = compare()
    print(
        f"{'work':<18} {'machine':<30} {'quantity':<12} {'claim':>9} {'ours':>9} {'ratio':>6}  why different"
    )
    for row in rows:
        claim, ratio = ("-" if value is None else f"{value:.6g}" for value in (row.claim, row.ratio))
        print(
            f"{row.work:<18} {row.machine:<30} {row.quantity:<12} {claim:>9} {row.ours:>9.6g} "
            f"{ratio[:6]:>6}  {row.why_different}"
        )
    finish(
        given,
        "numpy",
        "numba",
        rows=[asdict(row) for row in rows],
        assumptions=list(_core("sparseloop").assumptions()),
    )


def compare() -> list[Row]:
    """All rows, layer by layer."""
    rows = []
    for point in POINTS:
        cycles = point.m * point.k * point.n // 1024
        dense, sparse = _core("sparseloop_dense"), _core("sparseloop")
        rows += _both(point, "TC", dense, None, cycles, point.dense_uj, MAPPING)
        rows += _both(point, "STC, 2:4", sparse, (2, 4), cycles // 2, point.sparse_uj, INDICES)
        claim = 248.15 if point is POINTS[0] else None
        rows += _both(point, "STC, dense weights", sparse, None, cycles, claim, MAPPING)
        rows += _both(point, "STC, 2:8", sparse, (2, 8), cycles // 2, None, "as 2:4: nothing more is skipped")
        rows += _flexible(point, cycles)
        gated = replace(sparse, activations="gated", activation_density=point.density)  # type: ignore[type-var]
        why = "zero activations gated, at the layer's density; the artefact's STC rows gate none"
        rows += _both(point, "STC, 2:4, gated", gated, (2, 4), None, None, why)
    return rows


def _flexible(point: Point, cycles: int) -> list[Row]:
    """Up to 2:8: shared memory gives 42 of the 76 words a clock that would keep the elements busy."""
    core = _core("sparseloop_flexible")
    report = _run(point, core, (2, 8))
    known = {"M512 K128 N1024": 29648}
    why = "shared memory binds: 64 words of activations, 8 of weights and their 4 of indices, of 42 a clock"
    rows = [
        _row(point, "STC flexible, 2:8", "cycles", known.get(point.name), report.cycles, why),
        _row(
            point,
            "STC flexible, 2:8",
            "utilisation",
            0.55,
            float(report.layers[0].facts["utilisation"]),
            "42 / 76",
        ),
    ]
    both = replace(core, activations="compressed", activation_density=point.density)  # type: ignore[type-var]
    found = _run(point, both, (2, 8)).cycles
    claim = 32768 if point.k == 1024 else None
    words = 64 * (point.density + 0.125) + 12
    why = f"{words:.0f} words a clock, of 42" + ("" if words > 42 else ": the elements bind")
    rows.append(_row(point, "STC flexible, both compressed", "cycles", claim, found, why))
    return rows


def _both(
    point: Point,
    machine: str,
    core: Accelerator,
    pattern: tuple[int, int] | None,
    cycles: float | None,
    microjoules: float | None,
    why: str,
) -> list[Row]:
    """Cycles and energy of one run."""
    report = _run(point, core, pattern)
    found = (report.total_pj or 0.0) / 1e6
    return [
        _row(point, machine, "cycles", cycles, report.cycles, ""),
        _row(point, machine, "energy, uJ", microjoules, found, why),
    ]


def _run(point: Point, core: Accelerator, pattern: tuple[int, int] | None) -> Report:
    workload = gemm(
        point.n, point.m, point.k, pattern=pattern, dtype="int8", generator=np.random.default_rng(0)
    )
    return accelsim.run(workload, core, baseline=False)


def _row(point: Point, machine: str, quantity: str, claim: float | None, ours: float, why: str) -> Row:
    ratio = ours / claim if claim else None
    return Row(
        work=point.name,
        machine=machine,
        quantity=quantity,
        claim=claim,
        ours=ours,
        ratio=ratio,
        why_different=why,
    )


def _core(preset: str) -> Accelerator:
    return find(f"stc:{preset}")[2]


if __name__ == "__main__":
    main()
