"""The decisions of a traced workload as work for a unit: what `accelsim verify UNIT --workload FILE` runs.

A workload holds more than a simulator of clocks can take, so a seed draws some, spread over the layers; how
many of how many is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.attention import local_values
from accelsim.workload import Attention, Matmul, Workload
from accelsim_rtl.kit.unit import Transaction

MOST_ROWS = 32
"""Rows of scores that a seed draws."""

MOST_TILES = 64
"""Groups in every lane of SORE that a seed draws."""


class UnfitError(ValueError):
    """A workload holds no work for a unit, or none that its parameters can take."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Transactions, and one line on where they come from."""

    transactions: list[Transaction]
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreRow:
    """A row of attention probabilities (keys,) x 4096, how many values are kept, the number of the row."""

    scores: npt.NDArray[np.int64]
    values: int
    number: int

    @property
    def keep(self) -> npt.NDArray[np.bool_]:
        """Which values stay, as golden selects them."""
        return local_values(self.scores, self.values)


def score_rows(
    workload: Workload, generator: np.random.Generator, *, longest: int | None = None
) -> tuple[list[list[ScoreRow]], str]:
    """Rows in which local values were pruned, layer by layer, and a line that says which.

    longest: keys of the longest row that a unit takes. Raises UnfitError if there is no such row.
    """
    pruned = [layer for layer in workload.layers if _prunes(layer)]
    if not pruned:
        raise UnfitError(
            "a workload must have attention whose local values were pruned, with its scores, such as that of "
            f"--prune spatten,values=0.3; {workload.model!r} has none"
        )
    fitting = [layer for layer in pruned if longest is None or layer.keys <= longest]
    if not fitting:
        least = min(layer.keys for layer in pruned)
        raise UnfitError(f"capacity must be {least} or more for rows of {workload.model!r}, not {longest}")
    choices = [_selecting(layer) for layer in fitting]
    drawn = [
        [_row(layer, places[place]) for place in chosen]
        for layer, places, chosen in zip(fitting, choices, _spread(choices, generator), strict=True)
    ]
    held = sum(map(len, choices))
    left = len(pruned) - len(fitting)
    sentence = f"{sum(map(len, drawn))} of {held} rows of {len(fitting)} layers of {workload.model}"
    return drawn, sentence + (f" ({left} layers have rows longer than {longest})" if left else "")


def group_tiles(
    workload: Workload, generator: np.random.Generator, *, n: int, m: int, lanes: int
) -> tuple[list[npt.NDArray[np.bool_]], str]:
    """Tiles (lanes, m) of weight masks that keep n of every m along k, and a line that says which.

    Lane l is row l of `lanes` rows of the weight; rows that are missing at its end are empty. Raises
    UnfitError if no layer has such a mask.
    """
    fitting = _fitting(workload, n, m)
    counts = [-(-(layer.mask.size // layer.k) // lanes) * (layer.k // m) for layer in fitting]
    tiles = []
    for layer, count, share in zip(fitting, counts, spread(counts, MOST_TILES), strict=True):
        kept = layer.mask.unpack().reshape(-1, layer.k)
        for place in sorted(map(int, generator.choice(count, share, replace=False))):
            row, column = place // (layer.k // m) * lanes, place % (layer.k // m) * m
            part = kept[row : row + lanes, column : column + m]
            tiles.append(np.pad(part, ((0, lanes - len(part)), (0, 0))))
    where = f"{len(tiles)} of {sum(counts)} tiles of {lanes} groups of {len(fitting)} layers"
    return tiles, f"{where} of {workload.model}; magnitudes are drawn, above and below what the mask keeps"


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskBlock:
    """A block of rows and columns of a layer's weight mask, padded at the edges, and where it stands."""

    mask: npt.NDArray[np.bool_]
    """Of the whole layer: (rows, k), both padded to whole blocks."""

    row: int
    column: int


def mask_blocks(
    workload: Workload, generator: np.random.Generator, *, n: int, m: int, shape: tuple[int, int], most: int
) -> tuple[list[MaskBlock], str]:
    """At most `most` blocks of `shape` of weight masks that keep n of every m along k, and a line on them.

    Raises UnfitError if no layer has such a mask.
    """
    fitting = _fitting(workload, n, m)
    rows, columns = shape
    blocks, held = [], 0
    masks = [layer.mask.unpack().reshape(-1, layer.k) for layer in fitting]
    counts = [-(-len(mask) // rows) * -(-mask.shape[1] // columns) for mask in masks]
    for mask, count, share in zip(masks, counts, spread(counts, most), strict=True):
        held += count
        padded = np.pad(mask, ((0, -len(mask) % rows), (0, -mask.shape[1] % columns)))
        across = padded.shape[1] // columns
        for place in sorted(map(int, generator.choice(count, share, replace=False))):
            blocks.append(MaskBlock(mask=padded, row=place // across * rows, column=place % across * columns))
    where = f"{len(blocks)} of {held} blocks of {rows} rows by {columns} of {len(fitting)} layers"
    return blocks, f"{where} of {workload.model}"


def _fitting(workload: Workload, n: int, m: int) -> list[Any]:
    """Layers whose weights keep n of every m. Raises UnfitError if there is none."""
    fitting = [layer for layer in workload.layers if _keeps(layer, n, m)]
    if not fitting:
        raise UnfitError(
            f"a workload must have weights that keep {n} of every {m} along k, such as those of --prune "
            f"magnitude,{n}:{m}; {workload.model!r} has none"
        )
    return fitting


def _keeps(layer: Any, n: int, m: int) -> bool:
    """Whether groups of m weights keep at most n, and one of them all n."""
    if not isinstance(layer, Matmul) or layer.mask is None or layer.k % m:
        return False
    return bool(layer.mask.unpack().reshape(-1, m).sum(axis=1).max() == n)


def spread(counts: Sequence[int], most: int) -> list[int]:
    """Shares of `most`, as even as `counts` allows: each at most its count."""
    shares = [0] * len(counts)
    left = min(most, sum(counts))
    while left:
        open_places = [place for place, count in enumerate(counts) if shares[place] < count]
        each = max(1, left // len(open_places))
        for place in open_places:
            more = min(each, counts[place] - shares[place], left)
            shares[place] += more
            left -= more
    return shares


def _spread(choices: Sequence[Sequence[Any]], generator: np.random.Generator) -> Iterator[list[int]]:
    """Places within each of `choices`, MOST_ROWS in all, rising."""
    counts = [len(choice) for choice in choices]
    for count, share in zip(counts, spread(counts, MOST_ROWS), strict=True):
        yield sorted(map(int, generator.choice(count, share, replace=False)))


def _prunes(layer: Any) -> bool:
    return isinstance(layer, Attention) and layer.scores is not None and bool(len(_selecting(layer)))


def _selecting(layer: Attention) -> npt.NDArray[np.int64]:
    """(rows, 4): sequence, head, query and place among the scores of rows that keep some of their values."""
    if layer.values is None or layer.scores is None:
        return np.empty((0, 4), np.int64)
    queries = np.arange(layer.queries) if layer.score_rows is None else np.asarray(layer.score_rows)
    kept = layer.values[:, :, queries]
    sequence, head, place = np.nonzero((kept >= 1) & (kept < layer.keys))
    return np.stack([sequence, head, queries[place], place], axis=1)


def _row(layer: Attention, where: npt.NDArray[np.int64]) -> ScoreRow:
    sequence, head, query, place = map(int, where)
    assert layer.scores is not None
    assert layer.values is not None
    return ScoreRow(
        scores=layer.scores[sequence, head, place].astype(np.int64),
        values=int(layer.values[sequence, head, query]),
        number=(sequence * layer.heads + head) * layer.queries + query,
    )
