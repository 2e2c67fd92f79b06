"""Design space of SpAtten: top-k width and engine, SRAM, multipliers, channels. Nothing here is a test.

    python benchmarks/spatten_space.py [--date YYYY-MM-DD] [-o RESULTS.json] [--no-plot]

Three works, with drawn scores: one token of GPT-2-Small after 1,023 others by the published kept counts (6+4
bits, 7 % of the rows re-fetch, a fifth of the values), and two layers of BERT-Base over 64 tokens (8 bits),
with all values and with half of them, which every row then selects. Each point is one simulation; time and
energy are beside those of the preset. The plots need matplotlib.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from experiment import finish, options

import accelsim
from accelsim.accelerators.spatten import PRESETS
from accelsim.synthetic import attention
from accelsim.workload import Workload

# Keys that the published GPT-2-Small schedule keeps, layer by layer; a fifth of them keep their V.
KEPT_KEYS = (921, 716, *[204] * 4, *[102] * 6)
REFETCHED = 0.07
HEADS, DIM = 12, 64

WIDTHS = (1, 2, 4, 8, 16, 32)
SRAM_KIB = (48, 96, 144, 192, 384, 768)
MULTIPLIERS = (64, 128, 256, 512, 1024)
CHANNELS = (2, 4, 8, 16, 32)

CLAIM = 3.0  # a 16-wide engine over a 1-wide one, system level, GPT-2 (section 5)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One machine on one work. `reason`: why it does not fit; then there are no figures."""

    work: str
    machine: str
    parameter: str
    series: str
    value: int
    seconds: float | None = None
    dram_bytes: int | None = None
    dram_pj: float | None = None
    total_pj: float | None = None
    area_mm2: float | None = None
    bottleneck: str | None = None
    reason: str = ""


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--no-plot", action="store_true", help="write no picture beside the results")
    given = parser.parse_args()
    points = list(space())
    for point in points:
        shown = f"{1e6 * point.seconds:10.2f} us" if point.seconds else f"  refused: {point.reason}"
        energy = f"{1e-6 * point.total_pj:10.2f} uJ" if point.total_pj else ""
        print(
            f"{point.work:<22} {point.machine:<7} {point.parameter:<16} {point.series:<6} "
            f"{point.value:>8} {shown} {energy}"
        )
    rows = claims(points)
    for row in rows:
        print(f"{row['quantity']}: claim {row['claim']}, ours {row['ours']}: {row['why_different']}")
    finish(given, "numpy", "numba", claims=rows, points=[asdict(point) for point in points])
    if not given.no_plot:
        plot(points, picture := given.output.with_suffix(".png"))
        print(f"written: {picture}")


def works() -> dict[str, Workload]:
    """A generating work, and reading ones that wait for the arrays and for the selection."""
    rng = np.random.default_rng(0)
    layers = []
    for index, keys in enumerate(KEPT_KEYS):
        (layer,) = attention(
            keys=keys, values=keys // 5, heads=HEADS, dim=DIM, bits=(6, 4), refetch=REFETCHED, generator=rng
        ).layers
        layers.append(layer.renamed(f"layer.{index}"))
    generation = Workload(model="GPT-2-Small, 1 token", layers=tuple(layers), synthetic=True)
    reading = {
        name: attention(
            keys=64, values=values, queries=64, heads=HEADS, layers=2, dim=DIM, bits=(8, 0), generator=rng
        )
        for name, values in (("BERT-Base, 64 tokens", 64), ("BERT-Base, half of V", 32))
    }
    return {generation.model: generation, **reading}


def space() -> Iterator[Point]:
    """All points: the top-k on both machines, the rest on the full one."""
    for work, workload in works().items():
        for name in ("full", "eighth"):
            for engine in ("quick", "radix"):
                for width in WIDTHS:
                    changes = {"topk.width": width, "topk.engine": engine}
                    yield measure(work, workload, name, "topk.width", engine, width, changes)
        for parameter, values, unit in (
            ("sram_bytes", SRAM_KIB, 1024),
            ("multipliers", MULTIPLIERS, 1),
            ("dram.channels", CHANNELS, 1),
        ):
            for value in values:
                changes = {parameter: value * unit}
                yield measure(work, workload, "full", parameter, "quick", value * unit, changes)


def measure(
    work: str, workload: Workload, name: str, parameter: str, series: str, value: int, changes: dict[str, Any]
) -> Point:
    """One simulation, or the reason why there is none."""
    point = Point(work=work, machine=name, parameter=parameter, series=series, value=value)
    machine = PRESETS[name]
    try:
        topk = {path.partition(".")[2]: to for path, to in changes.items() if path.startswith("topk.")}
        dram = {path.partition(".")[2]: to for path, to in changes.items() if path.startswith("dram.")}
        own = {path: to for path, to in changes.items() if "." not in path}
        machine = replace(
            machine, topk=replace(machine.topk, **topk), dram=replace(machine.dram, **dram), **own
        )
    except ValueError as error:
        return replace(point, reason=str(error))
    for layer in workload.layers:
        if reason := machine.refuse(layer):
            return replace(point, reason=reason)
    report = accelsim.run(workload, machine, baseline=False)
    return replace(
        point,
        seconds=report.seconds,
        dram_bytes=report.dram_bytes,
        dram_pj=report.dram_pj,
        total_pj=report.total_pj,
        area_mm2=report.area_mm2,
        bottleneck=report.bottleneck,
    )


def claims(points: list[Point]) -> list[dict[str, Any]]:
    """What the paper says of these sweeps, beside ours."""

    def seconds(work: str, machine: str, parameter: str, series: str, value: int) -> float:
        (found,) = (
            point.seconds
            for point in points
            if (point.work, point.machine, point.parameter, point.series, point.value)
            == (work, machine, parameter, series, value)
        )
        return found or float("nan")

    rows = []
    generation, _, selecting = works()
    for work in (generation, selecting):
        for machine in ("full", "eighth"):
            for engine in ("quick", "radix"):
                narrow, wide, wider = (
                    seconds(work, machine, "topk.width", engine, width) for width in (1, 16, 32)
                )
                rows += [
                    _row(
                        f"{work}, {machine}, {engine}: 16-wide over 1-wide",
                        CLAIM,
                        narrow / wide,
                        _why_width(work, machine, engine),
                    ),
                    _row(
                        f"{work}, {machine}, {engine}: 32-wide over 16-wide",
                        1.0,
                        wide / wider,
                        "no gain beyond 16 (section 5): QxK makes 8 scores a cycle",
                    ),
                ]
    preset, double = (seconds(generation, "full", "sram_bytes", "quick", size << 10) for size in (192, 384))
    why = "nothing gained above 196 KB (section 5): K and V of a row are used once"
    return [*rows, _row(f"{generation}, full: SRAM of 384 over 192 KiB", 1.0, preset / double, why)]


def _why_width(work: str, machine: str, engine: str) -> str:
    if "BERT" in work:
        return "every row selects among its values; the paper's figure is of GPT-2, with its own trace"
    told = "rows of 102 to 921 keys select one after another; the paper's trace and pivots are not published"
    if machine == "eighth":
        told += "; an eighth of the bandwidth hides more of the selection"
    return told + ("; passes of fixed length instead of pivots" if engine == "radix" else "")


def _row(quantity: str, claim: float, ours: float, why: str) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "claim": claim,
        "ours": float(f"{ours:.4g}"),
        "ratio": round(ours / claim, 3),
        "why_different": why,
    }


def plot(points: list[Point], path: Path) -> None:
    """Time and energy against each parameter, beside those of the preset; one column a parameter."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    presets = {"topk.width": 16, "sram_bytes": 196_608, "multipliers": 512, "dram.channels": 16}
    figure, axes = pyplot.subplots(2, len(presets), figsize=(16, 7), constrained_layout=True)
    for column, (parameter, preset) in enumerate(presets.items()):
        lines: dict[tuple[str, str, str], list[Point]] = {}
        for point in points:
            if point.parameter == parameter and point.seconds:
                lines.setdefault((point.work, point.machine, point.series), []).append(point)
        for (work, machine, series), found in lines.items():
            base = next((point for point in found if point.value == preset), found[0])
            style = "-" if series == "quick" else "--"
            label = f"{work}, {machine}" + (f", {series}" if parameter == "topk.width" else "")
            for row, figure_of in enumerate(("seconds", "total_pj")):
                axes[row, column].plot(
                    [point.value for point in found],
                    [getattr(point, figure_of) / getattr(base, figure_of) for point in found],
                    style,
                    marker="o" if "GPT" in work else "s",
                    markersize=4,
                    label=label,
                )
        for row, name in enumerate(("time", "energy")):
            axis = axes[row, column]
            axis.set_xscale("log", base=2)
            axis.set_xlabel(parameter)
            axis.set_ylabel(f"{name}, preset ({preset}) = 1")
            axis.grid(visible=True, alpha=0.3)
        axes[0, column].legend(fontsize=6)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
