"""What the page shows of the workload itself: masks as pictures, and the sentence as it thins out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from accelsim.report.figures import Survival, heads, last_pass, mask_corner, mask_density, masked, tokens
from accelsim.report.page.picture import shaded
from accelsim.workload import Matmul, Workload

MOST_MASKS = 6
CORNER_ROWS, CORNER_COLUMNS, TILES = 24, 48, 48
MOST_WORDS = 256
"""Of a text that is shown word by word; a longer one is a picture."""
LEVELS = 5


@dataclass(frozen=True, kw_only=True)
class MaskPicture:
    """A mask: its first rows and columns as they are, and the whole in tiles. PNG as data URIs."""

    name: str
    shape: str
    density: float
    corner: str
    corner_shape: tuple[int, int]
    whole: str
    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Word:
    """A token as it is written; `level`: 1 to 5 by its importance, 0 for one that is gone."""

    text: str
    level: int


@dataclass(frozen=True, kw_only=True)
class WordRow:
    """A layer: what reached it, and the share of V that its rows fetched after local pruning."""

    layer: str
    kept: int
    of: int
    heads: str
    values: float | None
    words: tuple[Word, ...]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """`strip`: a PNG of layers x tokens where there are too many words to write. `last`: who is left."""

    masks: tuple[MaskPicture, ...]
    masks_left_out: int
    rows: tuple[WordRow, ...]
    has_words: bool
    strip: str
    strip_alt: str
    last: str


def pictures(workload: Workload | None) -> Pictures | None:
    """Pictures of a workload; None without one, or where nothing was pruned."""
    if workload is None:
        return None
    found, survival = masked(workload), tokens(workload)
    if not found and survival is None:
        return None
    chosen = _chosen(found)
    rows = tuple(_word_rows(workload, survival)) if survival else ()
    long = survival is not None and survival.kept.shape[1] > MOST_WORDS
    return Pictures(
        masks=tuple(_mask_picture(layer) for layer in chosen),
        masks_left_out=len(found) - len(chosen),
        rows=rows,
        has_words=bool(workload.words),
        strip=_strip(survival) if survival and long else "",
        strip_alt=_strip_alt(survival) if survival and long else "",
        last=_written(_survivors(workload.words, survival)) if survival and long else "",
    )


def _chosen(found: Sequence[Matmul]) -> list[Matmul]:
    """Some of them, at even distances, the first and the last among them."""
    if len(found) <= MOST_MASKS:
        return list(found)
    return [found[round(i * (len(found) - 1) / (MOST_MASKS - 1))] for i in range(MOST_MASKS)]


def _mask_picture(layer: Matmul) -> MaskPicture:
    assert layer.mask is not None
    corner, tiles = mask_corner(layer.mask, CORNER_ROWS, CORNER_COLUMNS), mask_density(layer.mask, TILES)
    return MaskPicture(
        name=layer.name,
        shape=" x ".join(f"{length:,}" for length in layer.mask.shape),
        density=layer.density,
        corner=shaded(corner.astype(np.float64)),
        corner_shape=(corner.shape[0], corner.shape[1]),
        whole=shaded(tiles),
        least=float(tiles.min()),
        most=float(tiles.max()),
    )


def _word_rows(workload: Workload, survival: Survival) -> Iterator[WordRow]:
    count = survival.kept.shape[1]
    texts = _texts(workload.words, count) if count <= MOST_WORDS else []
    heads_kept = heads(workload)
    for row, layer in enumerate(last_pass(workload)):
        levels = np.where(survival.kept[row], np.ceil(survival.importance[row] * LEVELS), 0).astype(int)
        levels = np.where(survival.kept[row], np.maximum(1, levels), 0)
        of_heads = "" if heads_kept is None else f"{heads_kept.counts[row]} of {heads_kept.kept.shape[1]}"
        yield WordRow(
            layer=layer.name,
            kept=survival.counts[row],
            of=count,
            heads=of_heads,
            values=None if layer.values is None else layer.density,
            words=tuple(
                Word(text=text, level=int(level)) for text, level in zip(texts, levels, strict=False)
            ),
        )


def _texts(words: Sequence[str], count: int) -> list[str]:
    """Words as they are written, with the blank before them; positions where there are none."""
    blanks = any(word.startswith(" ") for word in words)
    texts = []
    for place in range(count):
        word = words[place] if place < len(words) else ""
        if not word.strip():
            texts.append(f" #{place}" if place >= len(words) else " ·")
        elif word.startswith("##"):
            texts.append(word[2:])
        else:
            texts.append(word if blanks else f" {word}")
    return texts


def _survivors(words: Sequence[str], survival: Survival) -> list[str]:
    texts = _texts(words, survival.kept.shape[1])
    return [text for text, kept in zip(texts, survival.kept[-1], strict=True) if kept]


def _written(texts: Sequence[str]) -> str:
    return " ".join(text.strip() for text in texts)


def _strip(survival: Survival) -> str:
    return shaded(np.where(survival.kept, 0.25 + 0.75 * survival.importance, 0.0))


def _strip_alt(survival: Survival) -> str:
    counts = ", ".join(str(count) for count in survival.counts)
    return f"Tokens that reach each attention layer, of {survival.kept.shape[1]}: {counts}"
