"""Small networks that `accelsim train` trains, by name, and the folders that it saves them in.

A folder holds model.safetensors and config.json, `{"model_type": "accelsim", "network": "resnet9"}`, and of a
network of another form its `widths`, or the blocks that it is `without`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from accelsim.models.resnet9 import ResNet9, Widths
from accelsim.models.small_vit import SmallVit
from accelsim.words import unknown

MODEL_TYPE = "accelsim"
WEIGHTS, CONFIGURATION = "model.safetensors", "config.json"

MOST_CHANNELS = 4096
"""Of a layer in a file that anybody may have written."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a small network is made and trained: by SGD with momentum, as SAT's update unit does it."""

    sentence: str
    make: Callable[..., nn.Module]
    learning_rate: float
    weight_decay: float


NETWORKS = {
    "resnet9": Network(
        sentence="ResNet-9 at a quarter of its width.",
        make=ResNet9,
        learning_rate=0.02,
        weight_decay=5e-4,
    ),
    "vit": Network(
        sentence="A vision transformer of 4 blocks of width 64.",
        make=SmallVit,
        learning_rate=0.1,
        weight_decay=1e-4,
    ),
}


def network(name: str) -> Network:
    """The network of that name. ValueError names the nearest."""
    if name not in NETWORKS:
        raise ValueError(unknown("network", name, NETWORKS))
    return NETWORKS[name]


def made(name: str, form: Mapping[str, Any]) -> nn.Module:
    """A network of these `widths`, `without` some blocks. ValueError for a form that it cannot have."""
    kind = network(name)
    widths, without = form.get("widths"), form.get("without", [])
    if widths is None:
        module = kind.make()
    else:
        whole = [width for width in widths if isinstance(width, int) and 1 <= width <= MOST_CHANNELS]
        if name != "resnet9" or len(whole) != len(widths) or len(whole) != len(Widths._fields):
            raise ValueError(f"widths must be {len(Widths._fields)} whole numbers of resnet9, not {widths}")
        module = kind.make(widths=Widths(*whole))
    for block in without:
        parent, _, own = str(block).rpartition(".")
        if str(block) not in dict(module.named_modules()) or not own:
            raise ValueError(f"without must name blocks of {name}, not {block!r}")
        setattr(module.get_submodule(parent), own, nn.Identity())
    return module


def network_of(folder: Path) -> str | None:
    """Which of these networks a folder says that it holds; None for any other folder."""
    settings = _configuration(folder)
    return str(settings.get("network")) if settings.get("model_type") == MODEL_TYPE else None


def _configuration(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def load_trained(folder: Path) -> nn.Module:
    """The network that a folder of `accelsim train` holds. ValueError if its weights do not fit."""
    module = made(str(network_of(folder)), _configuration(folder))
    try:
        module.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{folder / WEIGHTS} must hold the weights of {type(module).__name__}: {said}"
        ) from None
    return module
