"""Models of `transformers` in a local folder, or in a safetensors file with its configuration.

Weights are read from safetensors only, code that comes with a model is never run, and nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.extras import require
from accelsim.models import quantised

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "encoder_layers", "decoder_layers")
MOST_LAYERS = 10_000
MOST_NAMES = 3
PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
"""Files that may hold code as well as weights."""
UNSTORED_SHARE = 8
"""A model may be this many times as large as its weights; one that is larger has another configuration."""
UNSTORED_WEIGHTS = 10**8
MOST_PACKED = 16
"""Weights in one stored number: 4 bits each in words of 32, every other one left out."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A module and what to say about its weights (lines for a report)."""

    module: nn.Module
    notes: tuple[str, ...] = ()


def load_folder(folder: Path, what: str = "") -> Checkpoint:
    """The model in a local folder of `transformers` layout; `what` it is called in errors."""
    what = what or f"model folder {str(folder)!r}"
    if not (folder / "config.json").is_file():
        raise ValueError(f"a model folder must hold config.json, and {str(folder)!r} does not")
    with in_one_line(what):
        return _loaded(folder, _weight_files(folder))


def load_safetensors(file: Path) -> Checkpoint:
    """The weights in `file`, in the model that the config.json beside it describes."""
    if not (file.parent / "config.json").is_file():
        raise ValueError(f"a safetensors file must have its config.json beside it, and {str(file)!r} has not")
    with in_one_line(f"model file {str(file)!r}"):
        shards = _shards(file.parent)
        return _loaded(file.parent, shards if file in shards else [file])


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """`transformers` loads in silence; a failure becomes a ValueError of one line about `what`."""
    require(what, "transformers")
    try:
        with _quiet():
            yield
    except Exception as error:  # a file from a stranger can fail in any way, and none may look like ours
        raise ValueError(f"{what} does not load: {_reason(error)}") from error


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors of a folder: one, or the shards that an index joins."""
    shards = _shards(folder)
    found = sorted(folder.glob("*.safetensors"))
    if shards or folder / WHOLE in found:
        return shards or [folder / WHOLE]
    if len(found) == 1:
        return found
    if found:
        names = _listed([file.name for file in found])
        raise ValueError(f"it must hold {WHOLE} or its index, not {names}")
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise ValueError(f"its weights must be safetensors, not {_listed(pickles)}: a pickle may hold code")
    raise ValueError(f"it must hold {WHOLE}, and holds no weights")


def _shards(folder: Path) -> list[Path]:
    """The files that the index of a folder joins; none if it has no index, or the one file beside it."""
    index = folder / INDEX
    if not index.is_file() or (folder / WHOLE).is_file():
        return []
    places = json.loads(index.read_text(encoding="utf-8"))
    places = places.get("weight_map") if isinstance(places, Mapping) else None
    if not isinstance(places, Mapping) or not places:
        raise ValueError(f"{index.name} must hold a weight_map of names and files")
    shards = []
    for name in sorted({str(value) for value in places.values()}):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{index.name} must name safetensors beside it, not {name!r}")
        if not (folder / name).is_file():
            raise ValueError(f"{name}, which {index.name} names, must be there")
        shards.append(folder / name)
    return shards


def _loaded(folder: Path, files: list[Path]) -> Checkpoint:
    import transformers

    described = checked_description(folder)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    _check_layers(config.to_dict())
    architecture = _architecture(config)
    stored = quantised.storage(described)
    notes = []
    settings = {
        "config": config,
        "trust_remote_code": False,
        "local_files_only": True,
        "use_safetensors": True,
        # Eager attention shows its scores, which pruning and tracing look at.
        "attn_implementation": "eager",
        "output_loading_info": True,
        # Reported below, in words of one line.
        "ignore_mismatched_sizes": True,
    }
    _check_size(architecture, config, files, packed=bool(stored))
    if not stored and files[0].name in (WHOLE, *(shard.name for shard in _shards(folder))):
        module, found = architecture.from_pretrained(folder, **settings)
    else:
        tensors = stored_tensors(files)
        if stored:
            tensors, said = quantised.dense(tensors, stored)
            notes.append(said)
            for key in quantised.KEYS:
                if hasattr(config, key):
                    delattr(config, key)
        module, found = architecture.from_pretrained(None, state_dict=tensors, **settings)
    if not isinstance(module, nn.Module):
        raise ValueError(f"it must give a torch module, not {type(module).__name__}")
    return Checkpoint(module=module, notes=(*notes, *_differences(module, found)))


def checked_description(folder: Path) -> Mapping[str, Any]:
    """What config.json says; refuses code that it brings along, and weights that are not read here."""
    described = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if not isinstance(described, Mapping):
        raise ValueError(f"config.json must hold an object, not {type(described).__name__}")
    if described.get("auto_map"):
        raise ValueError(
            "its config.json names code of its own (auto_map), and no code that comes with a model is run; "
            "without auto_map, an architecture of transformers loads"
        )
    quantised.storage(described)
    return described


def stored_tensors(files: list[Path]) -> dict[str, torch.Tensor]:
    """The tensors of safetensors files by name; the last file wins."""
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        tensors |= load_file(file)
    return tensors


def _check_size(architecture: Any, config: Any, files: list[Path], *, packed: bool) -> None:
    """Before weights that no file holds are drawn, and fill the memory."""
    from safetensors import safe_open

    stored = 0
    for file in files:
        with safe_open(file, "pt") as content:
            stored += sum(prod(content.get_slice(name).get_shape()) for name in content.keys())  # noqa: SIM118
    with torch.device("meta"):
        module = architecture._from_config(deepcopy(config))
    described = sum(weight.numel() for weight in module.parameters())
    share = MOST_PACKED * UNSTORED_SHARE if packed else UNSTORED_SHARE
    if described > UNSTORED_WEIGHTS and described > share * stored:
        raise ValueError(f"its config.json describes {described} weights, and its files hold {stored}")


def _differences(module: nn.Module, found: Mapping[str, Any]) -> tuple[str, ...]:
    """What weights were not in the files, or not in the model. ValueError if that leaves nothing."""
    for name, stored, wanted in sorted(found["mismatched_keys"]):
        raise ValueError(f"{name} must have shape {tuple(wanted)}, not {tuple(stored)}")
    missing, unexpected = sorted(found["missing_keys"]), sorted(found["unexpected_keys"])
    if missing and len(missing) >= len(module.state_dict()):
        raise ValueError(f"it holds no weight of {type(module).__name__}")
    notes = []
    if missing:
        notes.append(f"not in the checkpoint, drawn from the seed: {_listed(missing)}")
    if unexpected:
        notes.append(f"in the checkpoint, and no part of {type(module).__name__}: {_listed(unexpected)}")
    return tuple(notes)


def _architecture(config: Any) -> Any:
    """The class that the configuration names, if it is a model of `transformers`; else the bare model."""
    import transformers

    name = next(iter(getattr(config, "architectures", None) or ()), "")
    named = getattr(transformers, name, None) if isinstance(name, str) else None
    if isinstance(named, type) and issubclass(named, transformers.PreTrainedModel):
        return named
    mapping = transformers.MODEL_MAPPING
    if type(config) not in mapping:
        raise ValueError(f"transformers has no model for {type(config).__name__}")
    found = mapping[type(config)]
    return found[0] if isinstance(found, tuple) else found


def _check_layers(config: Mapping[str, Any]) -> None:
    """A model without layers loads, and would give a report about nothing; one of millions never ends."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            _check_layers(value)
        elif key in LAYER_COUNTS and isinstance(value, int) and not 1 <= value <= MOST_LAYERS:
            raise ValueError(f"{key} must be >= 1 and at most {MOST_LAYERS}, not {value}")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no load reports: what matters is said in one line."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        # Some bars ask nobody.
        with redirect_stderr(StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _reason(error: BaseException) -> str:
    """The first line of an error (and the next after a colon), with its kind if that says more."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    first = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    if isinstance(error, ValueError | OSError) and first:
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _listed(names: list[str]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
