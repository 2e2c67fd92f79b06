"""Plots: the same rows give the same picture, with one name in the legend for each method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import accelsim
from accelsim import Attention, Matmul, Report, Workload
from accelsim.extras import MissingExtraError
from accelsim.golden.formats import Bitmap
from accelsim.report.figures import front

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


@pytest.fixture(scope="module")
def report() -> Report:
    """A pruned product and a pruned attention on a small array."""
    kept = np.zeros((24, 32), np.bool_)
    kept[:, ::2] = True
    attention = {"kv_heads": 2, "dim": 16, "value_dim": 16, "dense_keys": 8, "dense_queries": 8}
    layers = (
        Matmul(name="up", m=16, n=24, k=32, mask=Bitmap.pack(kept)),
        Attention(name="first", heads=2, queries=8, keys=8, **attention),
        Attention(
            name="second",
            heads=2,
            queries=5,
            keys=5,
            tokens=np.array([[0, 1, 3, 4, 7]], np.int32),
            **attention,
        ),
    )
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    return accelsim.run(Workload(model="m", layers=layers, words=words), accelsim.Systolic(rows=4, cols=4))


ROWS_OF_A_SWEEP = [
    {"width": width, "engine": engine, "seconds": (2 if engine == "slow" else 1) * 16 / width, "area": width}
    for width in (1, 4, 16)
    for engine in ("fast", "slow")
]


def drawn(path: Path, which: str, report: Report) -> bytes:
    """The file of one kind of plot."""
    assert report.workload is not None
    if which in ("roofline", "cycle_breakdown"):
        getattr(plot, which)(path, report)
    elif which in ("importance", "masks"):
        getattr(plot, which)(path, report.workload)
    elif which == "pareto":
        plot.pareto(path, ROWS_OF_A_SWEEP, "area", "seconds", name="engine", title="space")
    else:
        plot.heat_map(path, ROWS_OF_A_SWEEP, "width", "engine", "seconds")
    return path.read_bytes()


KINDS = ["roofline", "cycle_breakdown", "importance", "masks", "pareto", "heat_map"]


@pytest.mark.parametrize("which", KINDS)
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plot_is_a_picture_with_the_same_bytes_each_time(
    tmp_path: Path, report: Report, which: str, ending: str
) -> None:
    first = drawn(tmp_path / f"a.{ending}", which, report)
    assert first == drawn(tmp_path / f"b.{ending}", which, report)
    assert first.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"a.{ending}", f"b.{ending}"]


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("roofline", ["operations for each byte of DRAM", "m on systolic"]),
        ("cycle_breakdown", ["fetch", "array", "store", "busy"]),
        ("importance", ["layer", "three", "eight"]),
        ("masks", ["up", "50% kept"]),
        ("pareto", ["area (less is better)", "space", "fast"]),
        ("heat_map", ["width", "engine", "slow", "32"]),
    ],
)
def test_a_plot_says_what_it_shows(tmp_path: Path, report: Report, which: str, words: list[str]) -> None:
    text = drawn(tmp_path / "a.svg", which, report).decode()
    for word in words:
        assert word in text


def test_other_values_give_another_picture(tmp_path: Path) -> None:
    plot.heat_map(tmp_path / "a.png", ROWS_OF_A_SWEEP, "width", "engine", "seconds")
    other = [{**row, "seconds": row["seconds"] + row["width"]} for row in ROWS_OF_A_SWEEP]
    plot.heat_map(tmp_path / "b.png", other, "width", "engine", "seconds")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_the_front_is_what_no_other_point_beats() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        points = generator.integers(0, 6, (30, 3)).tolist()
        plain = [
            index
            for index, point in enumerate(points)
            if not any(
                all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points
            )
        ]
        assert front(points) == plain
    assert front([(1.0, float("nan")), (2.0, 2.0)]) == [1]
    assert front([]) == []


def test_more_may_be_better(tmp_path: Path) -> None:
    rows = [
        {"cost": 1, "speed": 1},
        {"cost": 2, "speed": 5},
        {"cost": 3, "speed": 4},
        {"cost": 4, "speed": None},
    ]
    assert plot.pareto(tmp_path / "a.png", rows, "cost", "speed", more=["speed"]) == [0, 1]
    assert plot.pareto(tmp_path / "b.png", rows, "cost", "speed") == [0]


def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(
    tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Workload(model="m", layers=(Matmul(name="up", m=4, n=4, k=4),))
    with pytest.raises(ValueError, match=r"must be a \.png or \.svg file, not .*a\.gif"):
        plot.roofline(tmp_path / "a.gif", report)
    with pytest.raises(
        ValueError, match="a plot's column must be one of width, engine, seconds, area, not 'x'"
    ):
        plot.heat_map(tmp_path / "a.png", ROWS_OF_A_SWEEP, "x", "engine", "seconds")
    with pytest.raises(ValueError, match="m has none"):
        plot.importance(tmp_path / "a.png", nothing)
    with pytest.raises(ValueError, match="m has none"):
        plot.masks(tmp_path / "a.png", nothing)
    with pytest.raises(FileNotFoundError):
        plot.roofline(tmp_path / "nowhere" / "a.png", report)
    monkeypatch.setattr("accelsim.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"a plot needs matplotlib: pip install 'accelsim\[plot\]'"):
        plot.roofline(tmp_path / "a.png", report)
    assert not list(tmp_path.iterdir())
