"""What every report must say of a trace, told from its layers, so that it holds for any origin.

Which layers of a sparse model are dense, and why; how many scores were kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.golden.formats import nm_pattern
from accelsim.layers.shrinking import BLOCK, CHANCE
from accelsim.sampling import said
from accelsim.stages import REPEATED
from accelsim.workload import Attention, Layer, Matmul

GROUP_SIZES = (4, 8, 16, 32)
"""Values of M that are looked for, the smallest that explains all masks first."""

SAID_SCORES = 1 << 28
"""Bytes of stored scores from which a note says how many there are."""


def scores_notes(layers: Sequence[Layer]) -> tuple[str, ...]:
    """Which rows' scores were kept, if not all, and how much room they take, if much."""
    scored = [layer for layer in layers if isinstance(layer, Attention) and layer.scores is not None]
    sampled = [layer for layer in scored if layer.score_rows is not None]
    rule = said(sum(layer.scored for layer in sampled), sum(layer.queries for layer in sampled))
    stored = sum(layer.scores.nbytes for layer in scored if layer.scores is not None)
    if stored >= SAID_SCORES:
        size = f"scores of the decided rows take {stored / 2**20:,.0f} MiB"
        return (rule, size) if rule else (size,)
    return (rule,) if rule else ()


def factors_note(layers: Sequence[Layer]) -> tuple[str, ...]:
    """One line where dense blocks stand around sparse cores; none where there are none."""
    if not any(layer.name.endswith((".before", ".behind")) for layer in layers):
        return ()
    return ("dense blocks stand around sparse cores, and the baseline has these blocks as well",)


def gone_note(gone: Sequence[str]) -> tuple[str, ...]:
    """One line that lists whole blocks that left; none where none did."""
    if not gone:
        return ()
    return (f"blocks that left, and that the baseline does not have either: {', '.join(gone)}",)


def shrunk_note(layers: Sequence[Layer]) -> tuple[str, ...]:
    """One line where outputs or inputs of weights left, one where heads did; none where none did."""
    weighted = [layer for layer in layers if isinstance(layer, Matmul) and layer.weights]
    less = sum(layer.is_shrunk for layer in weighted)
    told = []
    empty = sum(isinstance(layer, Attention) and layer.lost_heads > 0 for layer in layers)
    if empty:
        told.append(f"heads whose V is zero are taken out of {empty} attention layers")
    if not less:
        return tuple(told)
    told.append(
        f"outputs and inputs without a weight are taken out of {less} of {len(weighted)} products with "
        f"weights; beside other zeros fewer than one in {CHANCE} stay but for whole groups of {BLOCK}, and "
        "inputs leave only where no N:M is lost; picking those that stay out of a wider tensor is not counted"
    )
    return tuple(told)


def dense_layers_note(layers: Sequence[Layer]) -> tuple[str, ...]:
    """One line that lists weights that are whole beside weights that are not; none if all are alike."""
    weighted = [layer for layer in layers if isinstance(layer, Matmul) and layer.weights]
    sparse = [layer for layer in weighted if layer.mask is not None or layer.is_shrunk]
    dense = [layer for layer in weighted if layer.mask is None and not layer.is_shrunk]
    if not sparse or not dense:
        return ()
    pattern = _pattern(sparse)
    # A layer that runs again has the same weight.
    listed = dict.fromkeys(f"{REPEATED.sub('', layer.name)} ({_reason(layer, pattern)})" for layer in dense)
    return (f"left dense: {', '.join(listed)}",)


def _pattern(sparse: Sequence[Matmul]) -> tuple[int, int] | None:
    """The N:M that every mask satisfies; None if there is no N below M, or no mask."""
    if all(layer.mask is None for layer in sparse):
        return None
    most = dict.fromkeys(GROUP_SIZES, 0)
    for layer in sparse:
        if layer.mask is not None:
            found = nm_pattern(layer.mask.unpack(), GROUP_SIZES)
            most = {m: max(most[m], found[m]) for m in GROUP_SIZES}
    return next(((n, m) for m, n in most.items() if n < m), None)


def _reason(layer: Matmul, pattern: tuple[int, int] | None) -> str:
    if pattern is not None:
        n, m = pattern
        along = layer.group_span
        if along % m:
            return f"{along} weights along the reduction are no multiple of {m} for {n}:{m}"
    return "no zeros"
