"""Models of `transformers` in a local folder, in a safetensors file with its configuration, or on a hub.

Weights are read as tensors only (safetensors, or `weights_only=True`), and remote code is never run. Only
the hub is ever asked for anything, and only for what is named `owner/name` and lies nowhere here.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from accelsim.extras import require

LAYER_COUNTS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "decoder_layers")
MOST_NAMES = 3
HUB_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A module and what to say about its weights (lines for a report)."""

    module: nn.Module
    notes: tuple[str, ...] = ()


def load_folder(folder: Path) -> Checkpoint:
    """The model in a local folder of `transformers` layout."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"a model folder must hold config.json, and {str(folder)!r} does not")
    return _pretrained(f"model folder {str(folder)!r}", folder)


def load_safetensors(file: Path) -> Checkpoint:
    """The weights in `file`, in the model that the config.json beside it describes."""
    if not (file.parent / "config.json").is_file():
        raise ValueError(f"a safetensors file must have its config.json beside it, and {str(file)!r} has not")
    if file.name == "model.safetensors" or _is_shard(file):
        return _pretrained(f"model file {str(file)!r}", file.parent)
    return _pretrained(f"model file {str(file)!r}", file.parent, weights=file)


def load_hub(name: str) -> Checkpoint:
    """The model `owner/name`, from the cache of `transformers` or, when online, from its hub."""
    require(f"model {name!r}", "transformers")
    from huggingface_hub import try_to_load_from_cache

    what = f"model {name!r} of the hub"
    if try_to_load_from_cache(name, "config.json"):
        return _pretrained(what, name, local_files_only=True)
    if not _hub_answers():
        raise ValueError(f"{what} is not in the cache, and the hub cannot be reached")
    return _pretrained(what, name)


def _hub_answers() -> bool:
    """Asked once and briefly; the hub's own client would try for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        with urllib.request.urlopen(constants.ENDPOINT, timeout=HUB_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False


def _is_shard(file: Path) -> bool:
    """One of several files that an index beside them joins."""
    index = file.parent / "model.safetensors.index.json"
    try:
        files = json.loads(index.read_text())["weight_map"].values() if index.is_file() else ()
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return file.name in files


def _pretrained(
    what: str, source: str | Path, *, weights: Path | None = None, local_files_only: bool = False
) -> Checkpoint:
    """Load from a folder or a hub."""
    require(what, "transformers")
    with in_one_line(what):
        return _loaded(source, weights, local_files_only or isinstance(source, Path))


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """`transformers` loads in silence; a failure becomes a ValueError of one line about `what`."""
    try:
        with _quiet():
            yield
    except Exception as error:  # a file from a stranger can fail in any way, and none may look like ours
        raise ValueError(f"{what} does not load: {_reason(error)}") from error


def _loaded(source: str | Path, weights: Path | None, local_files_only: bool) -> Checkpoint:
    import transformers
    from safetensors.torch import load_file

    local: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local_files_only}
    config = transformers.AutoConfig.from_pretrained(source, **local)
    _check_layers(config.to_dict())
    architecture = _architecture(config)
    settings = local | {
        "weights_only": True,
        # Eager attention shows its scores, which pruning and tracing look at.
        "attn_implementation": "eager",
        "output_loading_info": True,
        # Reported below, in words of one line.
        "ignore_mismatched_sizes": True,
    }
    if weights is None:
        module, found = architecture.from_pretrained(source, **settings)
    else:
        settings |= {"config": config, "state_dict": load_file(weights)}
        module, found = architecture.from_pretrained(None, **settings)
    if not isinstance(module, nn.Module):
        raise ValueError(f"it must give a torch module, not {type(module).__name__}")
    for name, stored, wanted in sorted(found["mismatched_keys"]):
        raise ValueError(f"{name} must have shape {tuple(wanted)}, not {tuple(stored)}")
    missing = sorted(found["missing_keys"])
    if missing and len(missing) >= len(module.state_dict()):
        raise ValueError(f"it holds no weight of {type(module).__name__}")
    drawn = f"not in the checkpoint, drawn from the seed: {_listed(missing)}"
    return Checkpoint(module=module, notes=(drawn,) if missing else ())


def _architecture(config: Any) -> Any:
    """The class that the configuration names, if it is a model of `transformers`; else the bare model."""
    import transformers

    name = next(iter(getattr(config, "architectures", None) or ()), "")
    named = getattr(transformers, name, None) if isinstance(name, str) else None
    if isinstance(named, type) and issubclass(named, transformers.PreTrainedModel):
        return named
    return transformers.AutoModel


def _check_layers(config: Mapping[str, Any]) -> None:
    """A model without layers loads, and would give a report about nothing."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            _check_layers(value)
        elif key in LAYER_COUNTS and isinstance(value, int) and value < 1:
            raise ValueError(f"{key} must be >= 1, not {value}")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no load reports: what matters is said in one line."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _reason(error: BaseException) -> str:
    """The first line of an error, with its kind where the words alone say little."""
    lines = str(error).strip().splitlines()
    first = lines[0].strip() if lines else ""
    if type(error).__name__ == "UnpicklingError":
        return "its weights are a pickle that holds more than tensors, and nothing of it was run"
    if isinstance(error, ValueError | OSError) and first:
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _listed(names: list[str]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
