"""Whole outputs and inputs without a single weight leave a product, as tools for structured pruning do it.

What is left is the product of the model whose layer is physically smaller, with the sizes of the unpruned one
beside it. `accelsim.trace` does this for every weight of an inference; a training step keeps its shapes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import Bitmap, mostly_keeps, nm_pattern
from accelsim.layers.matmul import Matmul

Mask = npt.NDArray[np.bool_]

GROUPS = (*range(2, 33, 2), 64, 128, 256)
"""Sizes of the groups that the machines here read along the reduction."""

CHANCE, BLOCK = 16, 32
"""Of so many outputs or inputs one at least must be gone, or a block of so many in a row (a head's width)."""

UNITS = tuple(2**power for power in range(9))
"""Neighbouring inputs that leave together, the fewest first."""


def shrunk(layer: Matmul) -> Matmul:
    """The product without the outputs and inputs that have no weight; the layer itself where it has none.

    All leave if what remains is dense. Beside other zeros less than one in `CHANCE` is no structure, and
    stays, but for whole aligned groups of `BLOCK`; and inputs leave if no N:M that a machine reads is lost by
    it, else in whole aligned groups of so many (2, 4 ... 256) that none is. Of a convolution whole channels
    leave, at all taps; with groups it stays as it is. So do a training step's products, and a weight of zeros
    alone: that nothing is left of a layer is a matter of the network.
    """
    if layer.mask is None or layer.stage or not layer.mask.bits.any():
        return layer
    form = _form(layer)
    if form is None:
        return layer
    kept: Mask = layer.mask.unpack().reshape(form)
    outputs: Mask = np.asarray(kept.any(axis=(0, 2, 3, 4)))
    inputs: Mask = np.asarray(kept.any(axis=(0, 1, 2, 3)))
    if outputs.all() and inputs.all():
        return layer
    if not kept[:, outputs][..., inputs].all():
        outputs, inputs = _by_structure(outputs), _by_structure(inputs)
    kept = kept[:, outputs]
    kept = kept[..., _staying(kept, inputs)]
    _, channels_out, rows, taps, channels_in = kept.shape
    n, k = channels_out * rows, taps * channels_in
    if (n, k) == (layer.n, layer.k):
        return layer
    dense = layer.dense()
    counted = {"output_channels": channels_out, "input_channels": channels_in}
    return replace(
        layer,
        n=n,
        k=k,
        dense_n=dense.n if n < dense.n else 0,
        dense_k=dense.k if k < dense.k else 0,
        geometry={name: counted.get(name, value) for name, value in layer.geometry.items()},
        mask=None if kept.all() else Bitmap.pack(kept.reshape(*layer.mask.shape[:-2], n, k)),
    )


def _form(layer: Matmul) -> tuple[int, int, int, int, int] | None:
    """The mask as (products, output channels, rows of each, taps, input channels); None if it stays whole."""
    geometry, n, k = layer.geometry, layer.n, layer.k
    if "kernel" not in geometry:
        return -1, n, 1, 1, k
    outputs, inputs = geometry.get("output_channels"), geometry.get("input_channels")
    if geometry.get("groups") != 1 or not isinstance(outputs, int) or not isinstance(inputs, int):
        return None
    if min(outputs, inputs) < 1 or n % outputs or k % inputs:
        return None
    return -1, outputs, n // outputs, k // inputs, inputs


def _staying(kept: Mask, inputs: Mask) -> Mask:
    """Which inputs of (..., inputs) stay; those not in `inputs` may go."""
    if inputs.all() or kept[..., inputs].all():
        return inputs
    before = _patterns(kept)
    for unit in UNITS:
        staying = _in_groups(inputs, unit)
        after = _patterns(left := kept[..., staying])
        if all(after.get(m, m) <= n for m, n in before.items() if m <= left.shape[-1]):
            return staying
    return np.ones_like(inputs)


def _by_structure(stays: Mask) -> Mask:
    """Which stay if those do that went by chance: pruning of single weights leaves some here and there."""
    few = int((~stays).sum()) * CHANCE < stays.size
    return _in_groups(stays, BLOCK) if few else stays


def _in_groups(stays: Mask, unit: int) -> Mask:
    """Which stay if only whole aligned groups go."""
    padded = np.append(stays, np.zeros(-stays.size % unit, np.bool_)).reshape(-1, unit)
    return np.asarray(np.repeat(padded.any(axis=1), unit)[: stays.size])


def _patterns(kept: Mask) -> dict[int, int]:
    """The N of each M that some machine takes for a pattern.

    Arrays take any N that at least half of the groups keep; tensor cores 1:2, 2:4 and 4:8, and the one that
    Sparseloop describes 2:M, however few weights there are.
    """
    most = nm_pattern(kept, [m for m in GROUPS if m <= kept.shape[-1]])
    return {
        m: n for m, n in most.items() if n < m and (n <= 2 or (m == 8 and n <= 4) or mostly_keeps(kept, n, m))
    }
