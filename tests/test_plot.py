"""Plots: the same rows give the same picture, with one name in the legend for each method."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from accelsim import plot

ROWS = [{"epoch": 1, "loss": 1.5, "accuracy": 0.5}, {"epoch": 2, "loss": 0.5, "accuracy": 0.8}]


def test_equal_curves_give_equal_bytes_and_others_give_others(tmp_path: Path) -> None:
    runs = {"dense 0": ROWS, "dense 1": ROWS, "bdwp,2:8 0": ROWS[:1]}
    for name in ("a.png", "b.png"):
        plot.curves(tmp_path / name, runs, title="training")
    plot.curves(tmp_path / "c.png", {"dense 0": ROWS}, title="training")
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert first == (tmp_path / "b.png").read_bytes()
    assert first != (tmp_path / "c.png").read_bytes()
