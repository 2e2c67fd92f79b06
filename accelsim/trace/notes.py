"""Which layers of a sparse model are dense, and why: told from the zeros, so that it holds for any origin."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.golden.formats import nm_pattern
from accelsim.workload import Layer, Matmul

GROUP_SIZES = (4, 8, 16, 32)
"""Values of M that are looked for, the smallest that explains all masks first."""


def dense_layers_note(layers: Sequence[Layer]) -> tuple[str, ...]:
    """One line that lists weights without a zero beside weights that have some; none if all are alike."""
    weighted = [layer for layer in layers if isinstance(layer, Matmul) and layer.weights]
    sparse = [layer for layer in weighted if layer.mask is not None]
    dense = [layer for layer in weighted if layer.mask is None]
    if not sparse or not dense:
        return ()
    pattern = _pattern(sparse)
    listed = ", ".join(f"{layer.name} ({_reason(layer, pattern)})" for layer in dense)
    return (f"left dense: {listed}",)


def _pattern(sparse: Sequence[Matmul]) -> tuple[int, int] | None:
    """The N:M that every mask satisfies; None if there is no N below M."""
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
