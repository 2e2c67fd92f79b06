"""Quantised weights in folders of `transformers`: plain matrices here, or refused by the method's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from accelsim.models import compressed

KEYS = ("quantization_config", "compression_config", "sparsity_config")
"""Where a configuration says how its weights are stored; the latter two are of old compressed-tensors."""

Tensors = Mapping[str, torch.Tensor]
READERS: Mapping[str, Callable[[Tensors, Mapping[str, Any]], tuple[dict[str, torch.Tensor], str]]] = {
    compressed.METHOD: compressed.decompressed,
}


def storage(config: Mapping[str, Any]) -> dict[str, Any]:
    """How the weights are stored, with `quant_method`; empty if they are stored as they are.

    ValueError, in one line, for a method that is not read here, by its name.
    """
    found = {key: config[key] for key in KEYS if config.get(key)}
    if not found:
        return {}
    key, settings = next(iter(found.items()))
    if not isinstance(settings, Mapping):
        raise ValueError(f"{key} must be an object, not {type(settings).__name__}")
    settings = {"sparsity_config": settings} if key == "sparsity_config" else dict(settings)
    if key != "quantization_config" or "sparsity_config" in settings:
        settings.setdefault("quant_method", compressed.METHOD)
    method = settings.get("quant_method")
    if method not in READERS:
        raise ValueError(
            f"its weights are quantised by {method!r}, and of quantised weights only "
            f"{', '.join(READERS)} and GGUF are read"
        )
    return settings


def dense(tensors: Tensors, settings: Mapping[str, Any]) -> tuple[dict[str, torch.Tensor], str]:
    """Plain matrices under the names of the architecture, and a line for reports; `settings` of `storage`."""
    return READERS[settings["quant_method"]](tensors, settings)
