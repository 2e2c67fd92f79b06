"""Pieces of a workload's pruned weights for the tensor core: what `accelsim verify stc --workload` runs.

A workload says which weights stay, not how large they are: those are drawn, none of them zero, and so are
the activations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelsim.golden.fragments import COLUMNS, ROWS
from accelsim.units.stc.gemm import Gemm
from accelsim.units.stc.images import Images, images
from accelsim.units.stc.lane import Types
from accelsim.workload import Workload
from accelsim_rtl.entries.stc_gemm import drawn_elements, result_lines
from accelsim_rtl.kit.replay import UnfitError, mask_blocks

MOST_BLOCKS = 4
BLOCK_BYTES = 128
"""Of k of a block: two runs of metadata."""


def kept_weights(
    parameters: Types, mask: npt.NDArray[np.bool_], generator: np.random.Generator
) -> npt.NDArray[Any]:
    """Weights that are not zero where the mask keeps them, raw."""
    bits = parameters.element_bits
    if parameters.floating:
        drawn = generator.standard_normal(mask.shape).astype(np.float16)
        return np.where(drawn == 0, np.float16(1), drawn).view(np.uint16) * mask
    return generator.integers(1, 1 << bits, mask.shape, dtype=f"u{bits // 8}") * mask


def pruned_images(
    parameters: Gemm, workload: Workload, generator: np.random.Generator
) -> tuple[list[Images], str]:
    """GEMMs of blocks of a workload's 2:4 weights, with metadata as PyTorch has it, and a line on them.

    Raises UnfitError if there is no such weight, or if the machine is dense.
    """
    if not parameters.sparse:
        raise UnfitError("sparse must be true to replay pruned weights")
    rows, k = ROWS * parameters.metadata_tiles, BLOCK_BYTES * 8 // parameters.element_bits
    form = parameters.form
    blocks, sentence = mask_blocks(
        workload, generator, n=form.kept, m=form.group, shape=(rows, k), most=MOST_BLOCKS
    )
    found, place = [], 0
    for block in blocks:
        mask = block.mask[block.row : block.row + rows, block.column : block.column + k]
        weights = kept_weights(parameters, mask, generator)
        activations = drawn_elements(parameters, (COLUMNS, k), generator)
        found.append(images(parameters, weights, activations, sparse=True, base=place))
        place = found[-1].job.d + result_lines(found[-1].job)
    return found, f"{sentence}; weights and activations are drawn"
