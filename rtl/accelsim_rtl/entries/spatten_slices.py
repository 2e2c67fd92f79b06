"""Layers for the machine `spatten` out of a traced workload: its tokens, heads, widths and values.

A workload holds probabilities, not Q and K. Row r of a slice has a query that is zero but for element r, and
element r of every key is the logarithm of its probability in that row, so that one set of keys serves all
rows of a head, as in the model. V are drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelsim.units.spatten import Machine as Parameters
from accelsim.workload import Attention, Workload
from accelsim_rtl.entries.spatten_layers import Layer
from accelsim_rtl.kit.replay import UnfitError

MOST_LAYERS, MOST_HEADS, MOST_QUERIES = 3, 2, 3
"""Of a workload, that a seed draws."""

THRESHOLD = 0.1
"""Of the largest probability, below which a row wants its least significant parts (paper, section 5)."""

SCORE_UNITS = 4096
"""Of the probabilities of a workload."""


def slices(
    parameters: Parameters, workload: Workload, generator: np.random.Generator
) -> tuple[list[Layer], str]:
    """Some heads and queries of some layers, and a line that says which. Raises UnfitError if none fits."""
    traced = [layer for layer in workload.layers if isinstance(layer, Attention) and layer.scores is not None]
    if not traced:
        raise UnfitError(
            "a workload must have attention with its scores, such as that of --prune spatten,tokens=0.5, not "
            f"{workload.model!r}"
        )
    fitting = [layer for layer in traced if _fits(parameters, layer)]
    if not fitting:
        least = min(traced, key=lambda layer: layer.keys)
        raise UnfitError(
            f"the machine must hold a layer of {workload.model!r}, of {least.keys} keys or more and "
            f"vectors of {least.dim} elements, not {parameters.head.keys} keys at most and "
            f"{parameters.head.multipliers} places"
        )
    chosen = sorted(generator.permutation(len(fitting))[:MOST_LAYERS].tolist())
    layers = [_slice(parameters, fitting[place], generator) for place in chosen]
    rows = sum(len(layer.heads) * layer.queries for layer in layers)
    names = ", ".join(fitting[place].name for place in chosen)
    return (
        layers,
        f"{rows} rows of {len(layers)} of {len(traced)} layers of {workload.model} ({names}); V drawn",
    )


def _fits(parameters: Parameters, layer: Attention) -> bool:
    """Whether the stores hold a head of it, and the converter its widths."""
    most = max(layer.dim, layer.value_dim)
    level = max(parameters.least_level, (most - 1).bit_length())
    holds = parameters.store.pieces * parameters.lanes >> level
    widths = {width for width in _widths(parameters, layer).values() if width}
    record = -(-most * max(widths) // parameters.beat_bits)
    return (
        level <= parameters.head.dot.levels
        and layer.keys <= min(parameters.head.keys, holds)
        and widths <= set(parameters.widths)
        and record < 1 << parameters.burst_bits
        and _positions(layer).max() < 1 << parameters.position_bits
    )


def _widths(parameters: Parameters, layer: Attention) -> dict[str, int]:
    """Of Q, K, V and least significant parts; unquantised layers have the machine's."""
    msb, lsb = layer.bits or (parameters.widths[-1], 0)
    value = layer.value_bits or (msb if layer.bits else parameters.widths[-1])
    return {"query": msb + lsb, "key": msb, "value": value, "least": lsb}


def _positions(layer: Attention) -> npt.NDArray[np.int64]:
    tokens = np.arange(layer.keys)[None] if layer.tokens is None else layer.tokens
    return tokens.astype(np.int64)


def _slice(parameters: Parameters, layer: Attention, generator: np.random.Generator) -> Layer:
    """Some of the heads and rows of one sequence of a layer, that keep as many values each."""
    assert layer.scores is not None
    sequence = int(generator.integers(layer.batch))
    heads = sorted(generator.permutation(layer.heads)[:MOST_HEADS].tolist())
    own = np.arange(layer.queries) if layer.score_rows is None else layer.score_rows
    kept = np.full((len(heads), layer.queries), layer.keys)
    if layer.values is not None:
        kept = layer.values[sequence][heads]
    values = int(generator.choice(kept[:, own].ravel()))
    rows = np.flatnonzero((kept[:, own] == values).all(axis=0))
    if not len(rows):
        heads, kept = heads[:1], kept[:1]
        values = int(generator.choice(kept[0, own]))
        rows = np.flatnonzero(kept[0, own] == values)
    rows = np.sort(generator.permutation(rows)[: min(MOST_QUERIES, layer.dim)])
    tokens = _positions(layer)[sequence if layer.tokens is not None else 0].tolist()
    widths = _widths(parameters, layer)
    scores = layer.scores[sequence][np.ix_(heads, rows)].astype(np.int64)
    query, key, scale = _operands(parameters, layer.dim, scores, widths, tokens)
    half = 1 << (widths["value"] - 1)
    return Layer(
        query=query,
        key=key,
        value=generator.integers(-half, half, (len(heads), tokens[-1] + 1, layer.value_dim)),
        tokens=tokens,
        heads=[(place, place) for place in range(len(heads))],
        queries=len(rows),
        widths=widths,
        score_scale=scale,
        values=values,
        threshold=round(THRESHOLD * parameters.head.form.one) if widths["least"] else 0,
        streamed=layer.queries == 1 and values < layer.keys,
    )


def _operands(
    parameters: Parameters,
    dim: int,
    scores: npt.NDArray[np.int64],
    widths: dict[str, int],
    tokens: list[int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float]:
    """Q, K and the scale of their products, whose softmax is the scores (heads, rows, keys)."""
    heads, rows, _ = scores.shape
    logarithms = np.log(np.maximum(scores, 0.5) / SCORE_UNITS)
    middle = (logarithms.max(axis=2) + logarithms.min(axis=2)) / 2
    centred = logarithms - middle[:, :, None]
    most = (1 << (widths["query"] - 1)) - 1
    step = max(2.0**-parameters.head.form.score_fraction_bits, float(np.abs(centred).max()) / most)
    key = np.zeros((heads, tokens[-1] + 1, dim), np.int64)
    key[:, tokens, :rows] = np.rint(centred / step).astype(np.int64).transpose(0, 2, 1)
    query = np.zeros((heads, max(rows, 1), dim), np.int64)
    # Above what the first pass leaves out.
    query[:, np.arange(rows), np.arange(rows)] = 1 << widths["least"]
    return query, key, step / (1 << widths["least"])
