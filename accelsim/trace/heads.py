"""Heads that give nothing: their V is zero, so that no machine has to ask for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from accelsim.layers import DECISIONS
from accelsim.workload import Attention


def without_empty_heads(layer: Attention, values: torch.Tensor) -> Attention:
    """The layer of the heads that have a V in any sequence; as it is where all have, or none.

    values: batch x heads x keys x value_dim in any shape. Heads that share K and V stay, as do shapes without
    values.
    """
    batch, heads = layer.batch, layer.heads
    whole = layer.kv_heads == heads and layer.head_ids is None
    if values.device.type == "meta" or not whole:
        return layer
    if values.numel() != batch * heads * layer.keys * layer.value_dim:
        return layer
    stays = (values.detach().reshape(batch, heads, -1) != 0).any(dim=2).any(dim=0).cpu().numpy()
    if stays.all() or not stays.any():
        return layer
    seen: dict[str, Any] = {}
    for name, (_, axes, _) in DECISIONS.items():
        array = getattr(layer, name)
        own = [axis for axis, size in enumerate(axes) if size in ("heads", "kv_heads")]
        if array is not None and own:
            seen[name] = np.compress(stays, array, axis=own[0])
    return replace(
        layer,
        heads=int(stays.sum()),
        kv_heads=int(stays.sum()),
        dense_heads=heads,
        head_ids=np.flatnonzero(stays).astype(np.int32),
        **seen,
    )
