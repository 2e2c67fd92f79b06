"""Plots of results as PNG or SVG files, by the name's ending. Needs matplotlib, which is imported here alone.

The numbers are those of `accelsim.report.figures`, as in the HTML report. Equal input gives equal bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from accelsim.extras import require
from accelsim.files import replaced
from accelsim.report import Report
from accelsim.report.figures import (
    Survival,
    front,
    heads,
    last_pass,
    mask_density,
    masked,
    stage_cycles,
    tokens,
)
from accelsim.report.figures import roofline as roofline_of
from accelsim.workload import Workload

File = str | os.PathLike[str]

COLOURS = {
    "busy": "#14968c",
    "input": "#7fa7dd",
    "after": "#a58bd0",
    "buffer": "#e6b84a",
    "unit": "#d987b3",
    "upstream": "#79c3dc",
    "memory": "#dd6a45",
    "idle": "#e8ecf1",
}
DENSE, PRUNED, BEST = "#a9b4c0", "#14968c", "#dd6a45"
DPI = 110
MOST_WORDS = 64  # that are written below an importance map
MOST_MASKS = 6

# Dates and versions would make equal plots differ.
METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def roofline(path: File, report: Report) -> None:
    """The machine's roofs with every layer: filled as it ran, hollow as it would run unpruned.

    Points are as large as the layer's share of the time. ValueError where no layer moved bytes and computed.
    """
    found = roofline_of(report)
    if not found.pruned:
        raise ValueError(f"a roofline must have a layer that computes, and {report.model} on it has none")
    points = [*found.dense, *found.pruned]
    low = min(point.intensity for point in points) / 2
    high = 2 * max([point.intensity for point in points] + [(found.peak_gops or 0) / found.peak_gbps])
    with _figure(path, (6.4, 4.4)) as (_, axes):
        across = np.geomspace(low, high, 200)
        axes.loglog(across, [found.roof(float(x)) for x in across], color="#333333", linewidth=1.4)
        for kind, rows in (("dense", found.dense), ("pruned", found.pruned)):
            for point in rows:
                share = point.seconds / report.seconds
                axes.scatter(
                    point.intensity,
                    point.gops,
                    s=12 + 220 * min(1.0, share),
                    facecolor="none" if kind == "dense" else PRUNED,
                    edgecolor=DENSE if kind == "dense" else "white",
                    alpha=0.85,
                    zorder=3,
                )
        axes.set_xlabel("operations for each byte of DRAM")
        axes.set_ylabel("10⁹ operations a second")
        axes.set_title(f"{report.model} on {_machine(report)}")
        axes.grid(which="major", alpha=0.3)


def cycle_breakdown(path: File, report: Report) -> None:
    """Each stage's cycles over all layers: busy, stalled by cause, idle. ValueError if nothing ran."""
    stages = stage_cycles(report)
    if not stages:
        raise ValueError(f"a breakdown must have a simulated layer, and {report.model} has none")
    with _figure(path, (7.2, 1.2 + 0.34 * len(stages))) as (_, axes):
        for place, stage in enumerate(stages):
            left = 0.0
            for kind, cycles in stage.parts().items():
                share = cycles / stage.total
                axes.barh(place, share, left=left, color=COLOURS[kind], label=kind, height=0.7)
                left += share
        axes.set_yticks(range(len(stages)), [stage.name for stage in stages])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_title(f"{report.model} on {_machine(report)}: cycles of each stage")
        shown, labels = axes.get_legend_handles_labels()
        first = {label: handle for handle, label in zip(shown, labels, strict=True)}
        kinds = [kind for kind in COLOURS if kind in first]
        axes.legend(
            [first[kind] for kind in kinds],
            kinds,
            ncols=8,
            fontsize=8,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.12),
        )


def pareto(
    path: File,
    rows: Sequence[Mapping[str, Any]],
    x: str,
    y: str,
    *,
    more: Sequence[str] = (),
    name: str = "",
    title: str = "",
) -> list[int]:
    """Rows as points, with the front that no other row beats; gives its indices.

    Less of `x` and `y` is better; of those named in `more`, more is. `name`: the column whose text stands at
    the points of the front. Rows without a figure are left out. ValueError for a column that no row has.
    """
    _require_columns(rows, x, y)
    points = [(_number(row.get(x)), _number(row.get(y))) for row in rows]
    signs = -1.0 if x in more else 1.0, -1.0 if y in more else 1.0
    best = front([(signs[0] * a, signs[1] * b) for a, b in points])
    with _figure(path, (6.4, 4.4)) as (_, axes):
        axes.scatter(*zip(*points, strict=True), color=DENSE, s=22, zorder=2)
        line = sorted(points[index] for index in best)
        axes.plot(
            *zip(*line, strict=True), color=BEST, marker="o", markersize=5, drawstyle="default", zorder=3
        )
        for index in best if name else []:
            axes.annotate(
                str(rows[index].get(name, "")),
                points[index],
                fontsize=7,
                xytext=(5, 4),
                textcoords="offset points",
            )
        axes.set_xlabel(_label(x, x in more))
        axes.set_ylabel(_label(y, y in more))
        axes.set_title(title)
        axes.grid(alpha=0.3)
    return best


def heat_map(
    path: File, rows: Sequence[Mapping[str, Any]], x: str, y: str, value: str, *, title: str = ""
) -> None:
    """A sweep over two parameters: `value` at each pair of `x` and `y`; empty where there is no row.

    Of rows with the same pair the last counts. ValueError for a column that no row has.
    """
    _require_columns(rows, x, y, value)
    across = _sorted({row[x] for row in rows if x in row})
    up = _sorted({row[y] for row in rows if y in row})
    grid = np.full((len(up), len(across)), np.nan)
    for row in rows:
        if x in row and y in row:
            grid[up.index(row[y]), across.index(row[x])] = _number(row.get(value))
    with _figure(path, (1.8 + 0.62 * len(across), 1.4 + 0.42 * len(up))) as (figure, axes):
        image = axes.imshow(grid, cmap="viridis", aspect="auto", origin="lower")
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2 if np.isfinite(grid).any() else 0.0
        for (i, j), number in np.ndenumerate(grid):
            if np.isfinite(number):
                colour = "white" if number < middle else "black"
                axes.text(j, i, f"{number:.3g}", ha="center", va="center", fontsize=7, color=colour)
        axes.set_xticks(range(len(across)), [str(each) for each in across])
        axes.set_yticks(range(len(up)), [str(each) for each in up])
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_title(title or value)
        figure.colorbar(image, ax=axes, label=value)


def importance(path: File, workload: Workload) -> None:
    """Tokens over the attention layers, by rank of importance, and heads below; white is pruned.

    With the words of a short text. ValueError where neither tokens nor heads were pruned.
    """
    maps = [
        (kind, found) for kind, found in (("token", tokens(workload)), ("head", heads(workload))) if found
    ]
    if not maps:
        raise ValueError(f"an importance map must have pruned tokens or heads, and {workload.model} has none")
    layers = len(last_pass(workload))
    widest = max(found.kept.shape[1] for _, found in maps)
    size = (max(5.0, min(16.0, 0.24 * widest)), 1.4 * len(maps) + 0.26 * layers * len(maps) + 0.8)
    with _figure(path, size, rows=len(maps)) as (_, axes):
        for (kind, found), panel in zip(maps, np.atleast_1d(axes), strict=True):
            panel.imshow(_shown(found), cmap="BuGn", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            panel.set_yticks(range(layers), range(layers))
            panel.set_ylabel("layer")
            panel.set_xlabel(f"{kind} (rank of importance by shade)")
            if kind == "token" and 0 < len(workload.words) <= MOST_WORDS:
                words = [word.strip() for word in workload.words]
                panel.set_xticks(range(len(words)), words, rotation=60, ha="right", fontsize=7)


def masks(path: File, workload: Workload, *, tiles: int = 64) -> None:
    """Weight masks in `tiles` x `tiles` tiles, by the share that each keeps. ValueError without a mask."""
    found = masked(workload)[:MOST_MASKS]
    if not found:
        raise ValueError(f"a map of masks must have a pruned weight, and {workload.model} has none")
    with _figure(path, (2.3 * len(found), 2.6), columns=len(found)) as (_, axes):
        for layer, panel in zip(found, np.atleast_1d(axes), strict=True):
            assert layer.mask is not None
            panel.imshow(mask_density(layer.mask, tiles), cmap="BuGn", vmin=0, vmax=1, aspect="auto")
            panel.set_title(f"{layer.name[-28:]}\n{layer.density:.0%} kept", fontsize=7)
            panel.set_xticks([])
            panel.set_yticks([])


def curves(path: File, runs: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str) -> None:
    """Training loss and test accuracy over epochs, a colour for each name before a space (the method).

    `runs`: by name, rows with epoch, loss and accuracy.
    """
    methods = list(dict.fromkeys(name.partition(" ")[0] for name in runs))
    with _figure(path, (9, 3.6), columns=2) as (figure, (left, right)):
        for name, rows in runs.items():
            method = name.partition(" ")[0]
            first = method not in [line.get_label() for line in left.get_lines()]
            style: dict[str, Any] = {"color": f"C{methods.index(method)}", "marker": "o", "markersize": 3}
            style["label"] = method if first else "_nolegend_"
            epochs = [row["epoch"] for row in rows]
            left.plot(epochs, [row["loss"] for row in rows], **style)
            right.plot(epochs, [row["accuracy"] for row in rows], **style)
        for axes, what in ((left, "training loss"), (right, "test accuracy")):
            axes.set_xlabel("epoch")
            axes.set_ylabel(what)
            axes.legend()
            axes.grid(alpha=0.3)
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.suptitle(title)


@contextmanager
def _figure(
    path: File, size: tuple[float, float], *, rows: int = 1, columns: int = 1
) -> Iterator[tuple[Any, Any]]:
    """A figure with its axes, which is written to the file at the end; nothing is if anything is raised."""
    require("a plot", "matplotlib", extra="plot")
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in METADATA:
        raise ValueError(f"a plot must be a .png or .svg file, not {str(path)!r}")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Ids in an SVG file are made from a salt, which is drawn if none is given.
    with mpl.rc_context({"svg.hashsalt": "accelsim", "svg.fonttype": "none"}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, figure.subplots(rows, columns)
        replaced(
            Path(path), lambda draft: figure.savefig(draft, format=kind, dpi=DPI, metadata=METADATA[kind])
        )


def _shown(found: Survival) -> Any:
    """Importance where something is kept, from a third up; nothing elsewhere."""
    shades = np.where(found.kept, 0.3 + 0.7 * found.importance, np.nan)
    return np.ma.masked_invalid(shades)


def _machine(report: Report) -> str:
    return f"{report.accelerator}:{report.preset}" if report.preset else report.accelerator


def _label(name: str, more: bool) -> str:
    return f"{name.replace('_', ' ')} ({'more' if more else 'less'} is better)"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _sorted(values: set[Any]) -> list[Any]:
    """Numbers by size, then texts."""
    numbers = [value for value in values if not isinstance(value, str)]
    return [*sorted(numbers), *sorted(value for value in values if isinstance(value, str))]


def _require_columns(rows: Sequence[Mapping[str, Any]], *names: str) -> None:
    for name in names:
        if not any(name in row for row in rows):
            known = ", ".join(dict.fromkeys(key for row in rows for key in row)) or "no columns"
            raise ValueError(f"a plot's column must be one of {known}, not {name!r}")
