"""How long the top-k engines take, beside the published latency model, on drawn rows and on those of a model.

    python benchmarks/topk.py [--rows 2000] [--no-model] [--date YYYY-MM-DD] [-o benchmarks/results/topk.json]

Three tables. The first holds our passes against the published latency model under its own rule for a pass
(sheet of the artefact's TopKLatencyModel, 400 trials a cell), and shows what the engines of this project
really take, cycles that their RTL takes too. The second has scores like a softmax's. The third has every
probability row of MiniLM on one text (needs the torch extra), a third of the values kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from experiment import options, provenance, save

import accelsim
from accelsim.units.topk import TopK, published_cycles, selection_cycles
from accelsim.units.topk.published import MEAN_CYCLES, WIDTHS

ROOT = Path(__file__).parents[1]
OVERHEAD = 3
TOKENS = 512

ENGINES = {
    "quick published": TopK(pivot="published", capacity=4096),
    "quick uniform": TopK(pivot="uniform", capacity=4096),
    "quick reservoir": TopK(capacity=4096),
    "quick rank_adaptive": TopK(pivot="rank_adaptive", capacity=4096),
    "quick reservoir, deep": TopK(form="deep", capacity=4096),
    "radix": TopK(engine="radix", capacity=4096),
}

WHY = (
    f"a pass of the RTL takes {TopK().pass_cycles - 1} cycles beside its lines "
    f"({TopK(form='deep').pass_cycles - 1} in the deep form) where the published rule has {OVERHEAD}: "
    "memory 3, compare, count, accumulate, decide in two, side, start; more where it is read (published 3, "
    "uniform 6) or chosen among samples (rank_adaptive 4); the time of radix does not depend on values"
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Cycles of one selection, without loading and filtering."""

    rows: str
    engine: str
    width: int
    mean: float
    percentile_99: float
    worst: int
    claim: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours to the published mean."""
        return self.mean / self.claim if self.claim else None


def main() -> None:
    parser = options(__file__, __doc__)
    parser.add_argument("--rows", type=int, default=2000, help="rows of a cell")
    parser.add_argument("--no-model", action="store_true", help="without MiniLM")
    given = parser.parse_args()

    published = published_table(given.rows)
    softmax = softmax_table(given.rows)
    model = [] if given.no_model else model_table()
    print_published(published)
    print_engines("scores like a softmax's: exp of a normal variable (deviation 2), 12 bits", softmax)
    print_engines(f"probability rows of MiniLM, docs/engine.md, {TOKENS} tokens, a third kept", model)
    results = {
        "command": "python benchmarks/topk.py",
        **provenance(given.date, "numpy", "numba"),
        "rows_of_a_cell": given.rows,
        "why_different": WHY,
        "published_rule": [as_row(cell) for cell in published],
        "softmax_like": [as_row(cell) for cell in softmax],
        "minilm": [as_row(cell) for cell in model],
    }
    save(given.output, results)
    print(f"\nwritten: {given.output}")


def published_table(rows: int) -> list[Cell]:
    """Permutations, as the published model draws them: its own rule at all widths, then the engines."""
    cells = []
    for (count, target), claims in MEAN_CYCLES.items():
        rng = np.random.default_rng(count + target)
        scores = rng.permuted(np.tile(np.arange(count, dtype=np.uint16), (rows, 1)), axis=1)
        keep, row_ids = np.full(rows, target + 1), np.arange(rows)
        name = f"n {count}, k {target + 1}"
        for width, claim in zip(WIDTHS, claims, strict=True):
            cycles, _ = published_cycles(width, OVERHEAD, scores, keep, row_ids)
            cells.append(cell(name, "published rule", width, cycles, claim))
        for engine, parameters in ENGINES.items():
            cycles, _ = selection_cycles(parameters, scores, keep, row_ids)
            cells.append(cell(name, engine, 16, cycles, claims[WIDTHS.index(16)]))
    return cells


def softmax_table(rows: int) -> list[Cell]:
    """Many zeros and ties: quick-select ends early."""
    cells = []
    for count, keep_share in ((64, 0.5), (256, 0.5), (256, 0.2), (1024, 0.5), (1024, 0.2)):
        rng = np.random.default_rng(count)
        powers = np.exp(2 * rng.standard_normal((rows, count)))
        scores = np.rint(powers / powers.sum(axis=1, keepdims=True) * 4096).clip(0, 4095).astype(np.uint16)
        keep = np.full(rows, round(count * keep_share))
        for engine, parameters in ENGINES.items():
            cycles, _ = selection_cycles(parameters, scores, keep, np.arange(rows))
            cells.append(cell(f"n {count}, k {keep[0]}", engine, 16, cycles))
    return cells


def model_table() -> list[Cell]:
    """Every row of every head and layer of a traced model."""
    from accelsim.models import load

    loaded = load("minilm", text=str(ROOT / "docs" / "engine.md"), tokens=TOKENS)
    workload = accelsim.trace(loaded.module, loaded.inputs, prune="spatten,values=0.33")
    cells: list[Cell] = []
    attention = [layer for layer in workload.layers if getattr(layer, "scores", None) is not None]
    for engine, parameters in ENGINES.items():
        found = []
        for layer in attention:
            scores = layer.scores.reshape(-1, layer.keys).clip(0, 4095)
            keep = layer.values.ravel().astype(np.int64)
            found.append(selection_cycles(parameters, scores, keep, np.arange(len(scores)))[0])
        keys = {layer.keys for layer in attention}
        name = f"{sum(map(len, found))} rows of {'/'.join(map(str, sorted(keys)))} keys"
        cells.append(cell(name, engine, 16, np.concatenate(found)))
    return cells


def cell(rows: str, engine: str, width: int, cycles: np.ndarray, claim: float | None = None) -> Cell:
    return Cell(
        rows=rows,
        engine=engine,
        width=width,
        mean=float(cycles.mean()),
        percentile_99=float(np.percentile(cycles, 99)),
        worst=int(cycles.max()),
        claim=claim,
    )


def as_row(one: Cell) -> dict[str, object]:
    row: dict[str, object] = {
        "rows": one.rows,
        "engine": one.engine,
        "width": one.width,
        "mean": round(one.mean, 1),
        "percentile_99": one.percentile_99,
        "worst": one.worst,
    }
    return row | ({"claim": one.claim, "ratio": round(one.mean / one.claim, 3)} if one.claim else {})


def print_published(cells: list[Cell]) -> None:
    print(f"{'selection':<18}{'engine':<24}{'width':>6}{'claim':>8}{'ours':>9}{'ratio':>7}{'worst':>8}")
    for one in cells:
        print(
            f"{one.rows:<18}{one.engine:<24}{one.width:>6}{one.claim:>8}{one.mean:>9.1f}"
            f"{one.ratio:>7.2f}{one.worst:>8}"
        )
    ratios = [one.ratio for one in cells if one.engine == "published rule" and one.ratio]
    print(f"under the published rule: {min(ratios):.3f} to {max(ratios):.3f} of the claim")
    print(f"why different: {WHY}")


def print_engines(title: str, cells: list[Cell]) -> None:
    if not cells:
        return
    print(f"\n{title}\n{'selection':<28}{'engine':<24}{'mean':>8}{'99 %':>8}{'worst':>8}")
    for one in cells:
        print(f"{one.rows:<28}{one.engine:<24}{one.mean:>8.1f}{one.percentile_99:>8.0f}{one.worst:>8}")


if __name__ == "__main__":
    main()
