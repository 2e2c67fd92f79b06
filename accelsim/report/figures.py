"""The numbers behind the pictures of a report: the HTML page and `accelsim.plot` draw the same ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import Bitmap
from accelsim.report.report import Report
from accelsim.report.rows import LayerRow
from accelsim.workload import Attention, Matmul, Workload

Shares = npt.NDArray[np.float64]

PROMPT, STEP = "prompt/", "step "


@dataclass(frozen=True, kw_only=True)
class Point:
    """Layers at one place of a roofline: operations for each byte of DRAM, 10^9 operations a second."""

    names: tuple[str, ...]
    intensity: float
    gops: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """`peak_gops` is None where a machine's peak is not known. A multiply-accumulate is two operations.

    `dense` are the layers of the unpruned model, `pruned` those that ran. Operations are those executed.
    """

    peak_gops: float | None
    peak_gbps: float
    dense: tuple[Point, ...]
    pruned: tuple[Point, ...]

    def roof(self, intensity: float) -> float:
        """10^9 operations a second that are possible at so many operations a byte."""
        slope = intensity * self.peak_gbps
        return slope if self.peak_gops is None else min(slope, self.peak_gops)


@dataclass(frozen=True, kw_only=True)
class StageCycles:
    """One stage over all layers and lanes: busy + stalled + idle = `total`."""

    name: str
    busy: int
    stalled: dict[str, int]
    idle: int

    @property
    def total(self) -> int:
        """Cycles of the stage's layers, times its lanes."""
        return self.busy + sum(self.stalled.values()) + self.idle

    def parts(self) -> dict[str, int]:
        """All that is not 0, in order."""
        every = {"busy": self.busy, **self.stalled, "idle": self.idle}
        return {name: cycles for name, cycles in every.items() if cycles}


@dataclass(frozen=True, kw_only=True, eq=False)
class Survival:
    """Tokens, or heads, of the first sequence over the attention layers.

    `kept`: (layers, all) bool, what reached the layer; `importance`: (layers, all), 0 to 1 of the layer's
    most important but the first, in float; 0 where nothing is known.
    """

    layers: tuple[str, ...]
    kept: npt.NDArray[np.bool_]
    importance: Shares

    @property
    def counts(self) -> list[int]:
        """How many reached each layer."""
        return [int(n) for n in self.kept.sum(axis=1)]


def roofline(report: Report) -> Roofline:
    """Roofs of the machine, and every simulated layer that moved bytes and executed operations."""
    dense = report.baseline.layers if report.baseline else ()
    peak = report.peak_ops_per_second
    return Roofline(
        peak_gops=None if peak is None else peak / 1e9,
        peak_gbps=report.peak_bytes_per_second / 1e9,
        dense=_points(dense),
        pruned=_points(report.layers),
    )


def _points(rows: Iterable[LayerRow]) -> tuple[Point, ...]:
    places: dict[tuple[float, float], list[LayerRow]] = {}
    for row in rows:
        if row.macs_done and row.dram_bytes and row.seconds:
            place = 2 * row.macs_done / row.dram_bytes, 2 * row.macs_done / row.seconds / 1e9
            places.setdefault(place, []).append(row)
    return tuple(
        Point(
            names=tuple(row.name for row in found),
            intensity=place[0],
            gops=place[1],
            seconds=math.fsum(row.seconds or 0.0 for row in found),
        )
        for place, found in places.items()
    )


def stage_cycles(report: Report) -> list[StageCycles]:
    """Every stage of the machine, in the order of first use."""
    found: dict[str, StageCycles] = {}
    for row in report.layers:
        for stage in row.stages:
            before = found.get(stage.name, StageCycles(name=stage.name, busy=0, stalled={}, idle=0))
            found[stage.name] = StageCycles(
                name=stage.name,
                busy=before.busy + stage.busy,
                stalled={
                    cause: before.stalled.get(cause, 0) + cycles for cause, cycles in stage.stalled.items()
                },
                idle=before.idle + stage.idle,
            )
    return list(found.values())


def operand_bytes(report: Report) -> dict[str, int]:
    """Bytes that the memory was asked for, by what they hold, over all layers."""
    total: dict[str, int] = {}
    for row in report.layers:
        for name, size in row.operand_bytes.items():
            total[name] = total.get(name, 0) + size
    return total


def energy_parts(report: Report) -> dict[str, float | None]:
    """pJ of DRAM, of the memories on chip and of the arithmetic."""
    return {"DRAM": report.dram_pj, "SRAM": report.sram_pj, "logic": report.logic_pj}


def last_pass(workload: Workload) -> list[Attention]:
    """Attention layers of the forward pass, or of the last pass of a generation."""
    found = [layer for layer in workload.layers if isinstance(layer, Attention)]
    passes = list(dict.fromkeys(_pass_of(layer.name) for layer in found))
    return [layer for layer in found if _pass_of(layer.name) == passes[-1]]


def _pass_of(name: str) -> str:
    first, slash, _ = name.partition("/")
    return first if slash and (f"{first}/" == PROMPT or first.startswith(STEP)) else ""


def tokens(workload: Workload) -> Survival | None:
    """Which tokens reach each attention layer; None where none was ever pruned."""
    layers = last_pass(workload)
    if not any(layer.tokens is not None for layer in layers):
        return None
    count = max(layer.dense_keys or layer.keys for layer in layers)
    kept, importance = np.zeros((len(layers), count), np.bool_), np.zeros((len(layers), count))
    for row, layer in enumerate(layers):
        here = np.arange(layer.keys) if layer.tokens is None else layer.tokens[0]
        kept[row, here] = True
        if layer.token_scores is not None:
            importance[row, here] = _relative(layer.token_scores[0])
    return Survival(layers=tuple(layer.name for layer in layers), kept=kept, importance=importance)


def heads(workload: Workload) -> Survival | None:
    """Which heads reach each attention layer; None where none was ever pruned."""
    layers = last_pass(workload)
    if not any(layer.head_ids is not None for layer in layers):
        return None
    count = max(layer.dense_heads or layer.heads for layer in layers)
    kept, importance = np.zeros((len(layers), count), np.bool_), np.zeros((len(layers), count))
    for row, layer in enumerate(layers):
        here = np.arange(layer.heads) if layer.head_ids is None else layer.head_ids
        kept[row, here] = True
        if layer.head_scores is not None:
            importance[row, here] = _relative(layer.head_scores)
    return Survival(layers=tuple(layer.name for layer in layers), kept=kept, importance=importance)


def _relative(scores: npt.NDArray[np.integer]) -> Shares:
    """Rank among those that are here, 0 to 1: the first token often takes most of the attention."""
    order = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    return (order + 1.0) / scores.size


def masked(workload: Workload) -> list[Matmul]:
    """Products whose weights have a mask that leaves something out."""
    return [
        layer
        for layer in workload.layers
        if isinstance(layer, Matmul) and layer.mask is not None and layer.zeros
    ]


def mask_corner(mask: Bitmap, rows: int, columns: int) -> npt.NDArray[np.bool_]:
    """The first rows and columns of a mask, as they are: groups can be seen."""
    kept = _rows_of(mask, rows)
    return np.asarray(kept[:, :columns])


def mask_density(mask: Bitmap, side: int) -> Shares:
    """The whole mask in at most `side` x `side` tiles: the share that each keeps."""
    kept = mask.unpack().reshape(-1, mask.shape[-1])
    down, across = _cuts(kept.shape[0], side), _cuts(kept.shape[1], side)
    sums = np.add.reduceat(kept, down, axis=0, dtype=np.int64)
    sums = np.add.reduceat(sums, across, axis=1)
    sizes = np.outer(_lengths(down, kept.shape[0]), _lengths(across, kept.shape[1]))
    return np.asarray(sums / sizes, np.float64)


def _rows_of(mask: Bitmap, rows: int) -> npt.NDArray[np.bool_]:
    width = mask.shape[-1]
    count = min(rows * width, math.prod(mask.shape))
    bits = np.unpackbits(mask.bits[: -(-count // 8)], count=count, bitorder="little")
    return bits.reshape(-1, width).astype(np.bool_)


def _cuts(length: int, pieces: int) -> npt.NDArray[np.int64]:
    count = min(length, pieces)
    return np.arange(count, dtype=np.int64) * length // count


def _lengths(cuts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    return np.diff(np.append(cuts, length))


def ticks(low: float, high: float) -> list[float]:
    """Numbers from `low` to `high` for a logarithmic axis: powers of ten, with 2 and 5 of them if few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if math.log10(high / low) < 3 else (1,)
    every = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in digits]
    return [value for value in every if low * 0.999 <= value <= high * 1.001]


def front(points: Iterable[Sequence[float]]) -> list[int]:
    """Which points no other one beats: less is better in every coordinate. Equal points are all in it.

    Indices, in the order of the points. A point with a NaN is in no front. ValueError for points of different
    lengths.
    """
    values = np.array([list(point) for point in points], np.float64)
    found = []
    for index, point in enumerate(values):
        if np.isnan(point).any():
            continue
        beaten = (values <= point).all(axis=1) & (values < point).any(axis=1)
        if not beaten.any():
            found.append(index)
    return found
