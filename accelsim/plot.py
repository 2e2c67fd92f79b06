"""Plots of results as PNG files. Needs matplotlib, which is imported here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelsim.extras import require


def curves(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str) -> None:
    """Training loss and test accuracy over epochs, a colour for each name before a space (the method).

    `runs`: by name, rows with epoch, loss and accuracy. The same rows give the same bytes.
    """
    require("a plot", "matplotlib", extra="plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    methods = list(dict.fromkeys(name.partition(" ")[0] for name in runs))
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
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
