"""SpAtten-1/8 beside A3 and MnnFast, as the SpAtten paper compares them (its table of accelerators).

    python benchmarks/rivals.py [--date YYYY-MM-DD] [-o benchmarks/results/rivals.json]

Three works: BERT-Base over 128 tokens by its shapes (scores are drawn, A3's candidates are a rule), MiniLM on
a text and a ViT-S on a drawn picture, both with their own Q, K and scores. Published figures are of 22 BERT
workloads whose pruning is not published; ours are of one recipe. GOP/s are those of the dense model.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from experiment import Row, finish, options

import accelsim
from accelsim.accelerators import find
from accelsim.models import load, network
from accelsim.report import Report
from accelsim.run import SkippedLayersWarning
from accelsim.workload import Attention, Workload

SOURCE = "SpAtten, HPCA 2021, table of accelerators"
TOKENS = 128
TEXT = str(Path(__file__).parents[1] / "docs" / "engine.md")
# The paper's mean over all benchmarks is 1.9 times fewer operations by tokens and local values: 0.7^2 is 1/2.
RECIPE = "spatten,tokens=0.7,heads=0.9,bits=8+0"

Works = dict[str, tuple[Workload, Workload]]
"""By name: pruned for SpAtten, and whole for the others."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the table says of a machine, and of SpAtten-1/8 over it."""

    gops: float
    gops_per_joule: float
    mm2: float | None
    why: str
    speed: float | None = None
    energy: float | None = None


A3 = Claim(
    gops=221,
    gops_per_joule=269,
    mm2=2.08,
    why="claim is 128 GOP/s x 1.73; in ours loading and sorting are exposed and charged",
    speed=1.6,
    energy=1.4,
)
CLAIMS = {
    "spatten:eighth": Claim(
        gops=360,
        gops_per_joule=382,
        mm2=1.55,
        why="the pruning of the 22 workloads is not published; their rows are as short as ours",
    ),
    "a3:base": replace(A3, why="claim is with approximation; in ours loading K and V is exposed"),
    "a3:conservative": A3,
    "a3:aggressive": A3,
    "mnnfast": Claim(
        gops=120,
        gops_per_joule=120,
        mm2=None,
        why="the paper's own simulator, and 1 W by assumption; QxK of every key bounds both",
        speed=3.0,
        energy=3.2,
    ),
}


def main() -> None:
    parser = options(__file__, __doc__)
    given = parser.parse_args()
    found = rows({**shapes(), **real()})
    print(f"{'quantity':<52} {'work':<26} {'claim':>8} {'ours':>8} {'ratio':>6}  why different")
    for row in found:
        print(
            f"{row.quantity:<52} {row.work:<26} {row.claim:>8.4g} {row.ours:>8.4g} {row.ratio:>6.2f}  "
            f"{row.why_different}"
        )
    finish(given, "numpy", "numba", "torch", recipe=RECIPE, rows=[asdict(row) for row in found])


def rows(works: Works) -> list[Row]:
    """All rows: throughput done and of the dense model, GOP/J, area, and SpAtten over the others."""
    made = []
    for work, (pruned, whole) in works.items():
        reports = {}
        for on in CLAIMS:
            for arrays in ("together", "in_turn") if not on.startswith("spatten") else ("together",):
                name = on if arrays == "together" else f"{on}, arrays in turn"
                reports[name] = _report(pruned if on.startswith("spatten") else whole, on, arrays)
        for name, report in reports.items():
            made += _of_machine(work, name, report)
        made += _over_the_others(work, reports)
    return made


def shapes() -> Works:
    """BERT-Base by its shapes."""
    pruned, whole = (
        _attention_only(network("bert-base", recipe, tokens=TOKENS)) for recipe in (RECIPE, None)
    )
    return {f"BERT-Base, {TOKENS} tokens": (pruned, whole)}


def real() -> Works:
    """Real models with their own Q, K and scores."""
    works = {}
    for name in ("minilm", "vit-s"):
        model = load(name, tokens=TOKENS, text=TEXT) if name == "minilm" else load(name)
        pruned, whole = (
            accelsim.trace(model.module, model.inputs, recipe, name=name, scores=recipe is None)
            for recipe in (RECIPE, None)
        )
        (tokens,) = {layer.keys for layer in whole.layers if isinstance(layer, Attention)}
        works[f"{name}, {tokens} tokens"] = _attention_only(pruned), _attention_only(whole)
    return works


def _attention_only(workload: Workload) -> Workload:
    return replace(workload, layers=tuple(layer for layer in workload.layers if isinstance(layer, Attention)))


def _report(workload: Workload, on: str, arrays: str) -> Report:
    machine = find(on)[2]
    if arrays == "in_turn":
        machine = replace(machine, arrays=arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkippedLayersWarning)
        return accelsim.run(workload, machine, baseline=False)


def _of_machine(work: str, name: str, report: Report) -> list[Row]:
    claim = CLAIMS[name.partition(",")[0]]
    done, dense = report.gops_done or 0.0, report.gops_dense or 0.0
    seen = [row.facts["kept_probability"] for row in report.layers if "kept_probability" in row.facts]
    kept = f"; keeps {sum(map(float, seen)) / len(seen):.0%} of the probability" if seen else ""
    made = [
        _row(f"{name}: GOP/s of the dense model", work, claim.gops, dense, claim.why + kept),
        _row(f"{name}: GOP/s done", work, claim.gops, done, "operations that are skipped do not count"),
    ]
    # Events and area are the same in both readings.
    if report.total_pj and not name.endswith("in turn"):
        per_joule = 2 * report.macs_dense / (report.total_pj * 1e-12) / 1e9
        why = "no leakage, clock tree, control or pads in ours; the claim has them, and other works"
        made.append(_row(f"{name}: GOP/J of the dense model", work, claim.gops_per_joule, per_joule, why))
    if claim.mm2 and report.area_mm2 and work.startswith("BERT") and not name.endswith("in turn"):
        why = "multipliers, comparators and memories alone are counted in ours"
        made.append(_row(f"{name}: area, mm2", "-", claim.mm2, report.area_mm2, why))
    return made


def _over_the_others(work: str, reports: dict[str, Report]) -> list[Row]:
    """SpAtten-1/8 over the others, in time and in energy, for the same dense model."""
    ours, made = reports["spatten:eighth"], []
    for name, report in reports.items():
        claim = CLAIMS[name.partition(",")[0]]
        why = "of the rows above: recipe, memory and what is charged differ from the paper's"
        if claim.speed:
            speed = report.seconds / ours.seconds
            made.append(_row(f"SpAtten-1/8 over {name}: speed", work, claim.speed, speed, why))
        if claim.energy and report.total_pj and ours.total_pj and not name.endswith("in turn"):
            energy = report.total_pj / ours.total_pj
            made.append(_row(f"SpAtten-1/8 over {name}: energy", work, claim.energy, energy, why))
    return made


def _row(quantity: str, work: str, claim: float, ours: float, why: str) -> Row:
    return Row(
        source=SOURCE,
        quantity=quantity,
        work=work,
        claim=claim,
        ours=float(f"{ours:.4g}"),
        ratio=round(ours / claim, 3),
        why_different=why,
    )


if __name__ == "__main__":
    main()
