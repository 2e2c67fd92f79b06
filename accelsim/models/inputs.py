"""Inputs for a module: drawn from a seed, or a text file through the model's tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from accelsim.models.candidates import DEFAULT_SIDE, DEFAULT_TOKENS, candidates, maximum_tokens, shaped
from accelsim.models.checkpoints import in_one_line
from accelsim.prune.blocks import call

TOKENIZERS = ("tokenizer.json", "vocab*", "*.model", "*.spm", "*.tiktoken", "merges.txt")
"""Files of which a tokenizer has at least one."""
MOST_WORDS = 4096
"""Of a text, that a workload keeps to show them in pictures."""
HOW_TO_SAY = "say --input 1x3x32x32, or let a factory give them (file.py:factory)"


def ran(module: nn.Module, given: Any) -> Any:
    """As `call`; an error inside the module becomes a ValueError of one line that says what it was fed."""
    try:
        return call(module, given)
    except Exception as error:
        said = _first_line(error) or "no reason given"
        fed = f"{type(module).__name__} fails on inputs {described(given)}"
        raise ValueError(f"{fed}: {type(error).__name__}: {said}") from error


def drawn(
    module: nn.Module, *, seed: int, tokens: int | None = None, shape: str | Sequence[int] | None = None
) -> Any:
    """Inputs of one sample drawn from `seed`; what they look like follows from the module.

    Models that name their main input (`transformers`) get token ids, pictures or sound; other modules get
    `shape`, or what their first layer takes: 1xCx32x32 for a convolution, 1xF for a linear layer,
    1x`tokens` ids for an embedding. ValueError if nothing can be told from the module.
    """
    if shape is not None:
        return shaped(module, parsed_shape(shape), seed)
    given = list(candidates(module, seed, tokens))
    if len(given) == 1:
        return given[0]
    said = ""
    for each in given:
        try:
            with torch.no_grad():
                call(module, each)
            return each
        except Exception as error:  # a model says in its own way that it takes something else
            said = said or f" ({described(each)} gives {type(error).__name__}: {_first_line(error)})"
    if given:
        raise ValueError(f"the inputs of {type(module).__name__} cannot be told from it{said}: {HOW_TO_SAY}")
    return _for_first_layer(np.random.default_rng(seed), module, tokens or DEFAULT_TOKENS)


def from_text(module: nn.Module, folder: Path | None, file: str, tokens: int | None) -> dict[str, Any]:
    """The text of `file` through the tokenizer in `folder`, truncated to `tokens` and the model's maximum."""
    if folder is None or getattr(module, "main_input_name", None) != "input_ids":
        raise ValueError(f"text {file!r} needs a model with a tokenizer, not {type(module).__name__}")
    if not Path(file).is_file():
        raise ValueError(f"text must be a file, and there is no {file!r}")
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"text {file!r} must be UTF-8: {error.reason} at byte {error.start}") from error
    limit = min(n for n in (tokens, maximum_tokens(module), 10**9) if n is not None)
    ids = tokenizer(folder)([text], truncation=True, max_length=limit)["input_ids"]
    if not ids[0]:
        raise ValueError(f"text {file!r} must hold at least one token, not 0")
    return {"input_ids": torch.tensor(ids)}


def words_of(folder: Path, given: Any) -> tuple[str, ...]:
    """The tokens of the first sequence as text, up to `MOST_WORDS`; a word begins with a blank or "##" as its
    tokenizer has it.
    """
    decode = tokenizer(folder).decode  # type: ignore[attr-defined]
    ids = given["input_ids"][0].tolist()[:MOST_WORDS]
    return tuple(_printable(decode([token])) for token in ids)


def _printable(text: str) -> str:
    """Text in one line; what cannot be printed becomes a sign that can."""
    return "".join(c if c.isprintable() else "\u21b5" if c == "\n" else "\u00b7" for c in text)


def tokenizer(folder: Path) -> Callable[..., Any]:
    """The tokenizer in `folder`, or in that GGUF file; nothing is fetched and no remote code is run."""
    from transformers import AutoTokenizer

    if folder.is_dir() and not any(file for words in TOKENIZERS for file in folder.glob(words)):
        # `transformers` would make one of no words, and every text the same.
        raise ValueError(f"a text needs a tokenizer, and {str(folder)!r} holds none")
    place: dict[str, Any] = {"pretrained_model_name_or_path": folder}
    if folder.suffix == ".gguf":
        place = {"pretrained_model_name_or_path": folder.parent, "gguf_file": folder.name}
    with in_one_line(f"the tokenizer in {str(folder)!r}"):
        made: Callable[..., Any] = AutoTokenizer.from_pretrained(
            **place, local_files_only=True, trust_remote_code=False
        )
    return made


def repeated(given: Any, batch: int) -> Any:
    """The same inputs `batch` times along their first dimension."""
    if batch == 1:
        return given
    if isinstance(given, dict):
        return {key: repeated(value, batch) for key, value in given.items()}
    if isinstance(given, tuple):
        return tuple(repeated(value, batch) for value in given)
    if isinstance(given, torch.Tensor) and given.dim():
        return given.repeat(batch, *[1] * (given.dim() - 1))
    return given


def described(given: Any) -> str:
    """Names and shapes, such as `input_ids 1x128`."""
    if isinstance(given, dict):
        return ", ".join(f"{key} {described(value)}" for key, value in given.items())
    if isinstance(given, tuple):
        return ", ".join(described(value) for value in given)
    if isinstance(given, torch.Tensor):
        return "x".join(str(n) for n in given.shape) or "scalar"
    return type(given).__name__


def parsed_shape(shape: str | Sequence[int]) -> tuple[int, ...]:
    """Sizes of `1x3x32x32`; ValueError unless every size is a whole number >= 1."""
    words = shape.lower().split("x") if isinstance(shape, str) else [str(n) for n in shape]
    if not words or not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise ValueError(f"input shape must look like 1x3x32x32, not {shape!r}")
    return tuple(int(word) for word in words)


def _for_first_layer(generator: np.random.Generator, module: nn.Module, tokens: int) -> torch.Tensor:
    spatial = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
    for child in module.modules():
        for kind, dimensions in spatial.items():
            if isinstance(child, kind) and child.in_channels:
                return _normal(generator, (1, child.in_channels, *[DEFAULT_SIDE] * dimensions))
        if isinstance(child, nn.Linear) and child.in_features:
            return _normal(generator, (1, child.in_features))
        if isinstance(child, nn.Embedding):
            return torch.from_numpy(generator.integers(child.num_embeddings, size=(1, tokens)))
        if isinstance(child, nn.RNNBase):
            break
    raise ValueError(f"the inputs of {type(module).__name__} cannot be told from it: {HOW_TO_SAY}")


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
