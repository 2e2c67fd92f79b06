"""Models that a hub has: asked for once and briefly, and fetched as configuration and safetensors only."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from accelsim.models.checkpoints import PICKLES, checked_description, in_one_line

HUB_SECONDS = 10
CODE, BELOW = "*.py", "*/*"
OTHERS = ("*.h5", "*.msgpack", "*.onnx", "*.ot", "*.gguf", "*.mlmodel", "*.tflite")
"""The same weights for other frameworks."""


def fetched(name: str) -> Path:
    """The folder of the model `owner/name` in the cache, fetched before if the hub answers.

    No file of a kind that can hold code is fetched. ValueError, in one line, if there is no such model, if
    the hub cannot be reached, or if its weights are no safetensors.
    """
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    what = f"model {name!r} of the hub"
    pickles = [f"*{suffix}" for suffix in PICKLES]
    config = try_to_load_from_cache(name, "config.json")
    if isinstance(config, str) and any(Path(config).parent.glob("*.safetensors")):
        return Path(config).parent
    if not _answers():
        raise ValueError(f"{what} is not in the cache, and the hub cannot be reached")
    _check_files(what, name)
    try:
        folder = snapshot_download(name, allow_patterns="config.json")
        with in_one_line(what):
            checked_description(Path(folder))
        folder = snapshot_download(name, ignore_patterns=[CODE, BELOW, *OTHERS, *pickles])
    except ValueError:
        raise
    except Exception as error:  # whatever goes wrong between here and the hub is one line
        raise ValueError(f"{what} cannot be fetched: {first_line(error)}") from error
    return Path(folder)


def first_line(error: BaseException) -> str:
    """What an error says first, or its kind if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def _check_files(what: str, name: str) -> None:
    """Before anything large is fetched."""
    from huggingface_hub import HfApi

    try:
        files = HfApi().list_repo_files(name)
    except Exception as error:
        raise ValueError(f"{what} cannot be had: {first_line(error)}") from error
    if "config.json" not in files:
        raise ValueError(f"{what} must hold config.json, and does not")
    if not any(file.endswith(".safetensors") and "/" not in file for file in files):
        raise ValueError(f"{what} must hold safetensors, and does not: a pickle may hold code")


def _answers() -> bool:
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
