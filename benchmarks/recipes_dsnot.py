"""What DSnoT's swaps change in the layers of SmolLM2's first blocks, on text that was not calibrated on.

Run by `python benchmarks/recipes.py dsnot`.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch

from accelsim.accuracy.task import tokenizer_of
from accelsim.datasets import shakespeare
from accelsim.models import load
from accelsim.prune import Composed, parse
from accelsim.prune.blocks import chain_of, without_cache
from accelsim.prune.fitting import cut_layer
from accelsim.prune.kinds import KINDS, kind_of
from accelsim.prune.matrices import Matrix, matrices
from accelsim.prune.refinements.dsnot import dsnot
from accelsim.prune.statistics import Seen, watching

BLOCKS, LENGTH, CALIBRATING, JUDGING = 4, 256, 6, 4
CHARACTERS = 60_000
NEEDS = frozenset({"squares", "moments", "gram"})

Row = dict[str, Any]


def layer_errors(book: Any) -> None:
    """One row for each kind of layer: the error of Wanda's 2:4 before and behind the swaps."""
    recipe = parse("wanda,2:4,dsnot,skip=none")
    assert isinstance(recipe, Composed)
    model = load("smollm2", tokens=16)
    body = next(iter(shakespeare().values()))[:CHARACTERS]
    ids = tokenizer_of(model)(body)["input_ids"]
    starts = range(0, LENGTH * (CALIBRATING + JUDGING), LENGTH)
    windows = [{"input_ids": torch.tensor(ids[start : start + LENGTH])[None]} for start in starts]
    found: list[Row] = []
    with torch.no_grad(), without_cache(model.module):
        first = chain_of(model.module, windows[:CALIBRATING])
        others = chain_of(model.module, windows[CALIBRATING:])
        assert first is not None
        assert others is not None
        for index in range(BLOCKS):
            inside = [
                each for each in matrices(model.module) if each.name.startswith(f"{first.names[index]}.")
            ]
            seen, judged = _watched(first, index, inside), _watched(others, index, inside)
            found += [_row(each, seen[each.name], judged[each.name], recipe) for each in inside]
            first.advance(index)
            others.advance(index)
    for kind in KINDS:
        own = [row for row in found if row["kind"] == kind]
        if own and not book.has(kind=kind):
            names = [name for name in own[0] if name not in ("kind", "layer")]
            row = {"kind": kind, "layers": len(own)}
            row |= {name: round(sum(each[name] for each in own) / len(own), 5) for name in names}
            book.add(row, recipe=str(recipe), of=_said())
            print(row, flush=True)


def _said() -> str:
    return (
        f"mean over the layers of the first {BLOCKS} blocks of the dense network, calibrated on "
        f"{CALIBRATING} windows of {LENGTH} tokens of Shakespeare, judged on the next {JUDGING}; errors are "
        "mean squares beside the output's, gaps the part of them that a bias would take away"
    )


def _watched(passing: Any, index: int, inside: list[Matrix]) -> dict[str, Seen]:
    with watching(inside, NEEDS) as watch:
        for sample in range(len(passing.states)):
            passing.run(index, sample)
            watch.passed()
        return {each.name: watch.of(each) for each in inside}


def _row(matrix: Matrix, seen: Seen, judged: Seen, recipe: Composed) -> Row:
    """Errors and gaps of one layer with Wanda's mask, and with that behind the swaps."""
    dense = matrix.read()
    cut = cut_layer(matrix.name, dense, seen, recipe, recipe.amount)
    before, kept = _lost(dense, cut.weight, judged), cut.kept.clone()
    dsnot(cut, recipe.set(recipe.words[3]))
    after = _lost(dense, cut.weight, judged)
    names = ("wanda_error", "wanda_gap", "dsnot_error", "dsnot_gap")
    swaps = int((cut.kept != kept).sum()) / 2 / dense.shape[1]
    figures = dict(zip(names, chain(before, after), strict=True))
    return {"layer": matrix.name, "kind": kind_of(matrix.name), **figures, "swaps_a_row": swaps}


def _lost(dense: torch.Tensor, weight: torch.Tensor, judged: Seen) -> tuple[float, float]:
    """E |(W - W') x|^2, and |(W - W') E x|^2, both over E |W x|^2."""
    second, change = judged.gram[0].double() / 2, (dense - weight)[0].double()

    def power(matrix: torch.Tensor) -> float:
        return float(((matrix @ second) * matrix).sum())

    whole = power(dense[0].double())
    gap = float((change @ judged.means[0].double()).square().sum())
    return power(change) / whole, gap / whole
