"""Perplexity of a language model on the Brown corpus and on Shakespeare.

Every text is cut from its start into windows that do not overlap, and what is left over is dropped; of all
windows some are drawn from the seed. A window's score is the mean of -log p of its tokens, and perplexity
is exp of the mean over windows.

A cascade that prunes tokens has no prediction at a token that it pruned, and one may prune in generation
alone. These are scored on the last tokens of each window, fed one by one with the KV cache behind a pass over
the others, as they run in generation (the SpAtten paper generates 32 tokens behind 992); the dense model is
scored on the same tokens.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.accuracy.spread import bootstrap, rounded
from accelsim.accuracy.task import AccuracyError, Advance, tokenizer_of
from accelsim.datasets import brown, shakespeare
from accelsim.models.candidates import maximum_tokens
from accelsim.models.loading import Model
from accelsim.prune import Recipe, Spatten
from accelsim.report import Accuracy

WINDOWS = 32
WINDOW_TOKENS = 1024
GENERATED = 32
LONGEST_TEXT = 10**9  # tokens; keeps the tokenizer from warning of texts that are cut anyway

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """`windows`: by corpus, (count, tokens) ids. `generated`: how many last tokens count; 0 is all."""

    windows: Mapping[str, Ids]
    generated: int
    seed: int

    @property
    def work(self) -> int:
        """Windows of all corpora."""
        return sum(len(windows) for windows in self.windows.values())

    def outputs(self, module: nn.Module, advance: Advance) -> dict[str, npt.NDArray[np.float64]]:
        """Mean -log p of each window, by corpus."""
        found = {}
        with torch.no_grad(), _fused_attention(module):
            for corpus, windows in self.windows.items():
                losses = []
                for window in windows:
                    losses.append(self._loss(module, torch.from_numpy(window)[None]))
                    advance(1)
                found[corpus] = np.array(losses)
        return found

    def judged(
        self, dense: Mapping[str, npt.NDArray[np.float64]], pruned: Mapping[str, npt.NDArray[np.float64]]
    ) -> Accuracy:
        """Perplexity on the first corpus, with those on the others beside it."""
        first, *others = (self._of_corpus(corpus, dense[corpus], pruned[corpus]) for corpus in self.windows)
        return replace(first, others=tuple(others))

    def _of_corpus(
        self, corpus: str, dense: npt.NDArray[np.float64], pruned: npt.NDArray[np.float64]
    ) -> Accuracy:
        count, tokens = self.windows[corpus].shape
        behind = f", the last {self.generated} one by one behind the others" if self.generated else ""
        return Accuracy(
            metric=f"perplexity on {corpus}, windows of {tokens:,} tokens{behind}; lower is better",
            dense=rounded(float(np.exp(dense.mean()))),
            pruned=rounded(float(np.exp(pruned.mean()))),
            samples=count,
            spread=bootstrap(dense, pruned, seed=self.seed, of="windows", figure=np.exp),
        )

    def _loss(self, module: nn.Module, ids: torch.Tensor) -> float:
        """Mean -log p over the tokens of one window (1, tokens) that count."""
        if self.generated and _cascades(module):
            logits = _one_by_one(module, ids, self.generated)
        else:
            keep = self.generated + 1 if self.generated else ids.shape[1]
            logits = _logits(module, _call(module, ids, keep=keep))[:, -keep:-1]
        targets = ids[0, -logits.shape[1] :]
        loss = float(nn.functional.cross_entropy(logits[0].float(), targets))
        if not math.isfinite(loss):
            raise AccuracyError(
                f"perplexity needs finite logits, and those of {type(module).__name__} are not"
            )
        return loss


def perplexity(model: Model, recipes: Sequence[Recipe], *, seed: int, samples: int | None) -> Perplexity:
    """The task for a causal language model with a tokenizer: `samples` windows (default 32) a corpus."""
    count = WINDOWS if samples is None else samples
    if count < 2:
        raise AccuracyError(f"--samples must be at least 2 windows, not {count}")
    cascades = [recipe for recipe in recipes if isinstance(recipe, Spatten)]
    texts = {"the Brown corpus": brown, "Shakespeare": shakespeare}
    windows = {
        corpus: drawn_windows(model, list(read().values()), seed=seed, count=count)
        for corpus, read in texts.items()
    }
    generated = 0
    if any(each.prunes_tokens or each.values_from for each in cascades):
        generated = min(GENERATED, next(iter(windows.values())).shape[1] // 2)
    return Perplexity(windows=windows, generated=generated, seed=seed)


def drawn_windows(model: Model, texts: Sequence[str], *, seed: int, count: int) -> Ids:
    """(count, tokens): windows of 1,024 tokens, or of the model's maximum if that is less.

    Each begins with the token that the tokenizer puts before every text, if it does.
    """
    made = tokenizer_of(model)
    made.model_max_length = LONGEST_TEXT
    special = made([""])["input_ids"][0]
    first = [made.bos_token_id] if special[:1] == [made.bos_token_id] else []
    tokens = min(WINDOW_TOKENS, maximum_tokens(model.module) or WINDOW_TOKENS)
    body = tokens - len(first)
    if body < 2:
        raise AccuracyError(
            f"perplexity needs windows of at least 2 tokens, and {model.name!r} takes {tokens}"
        )
    encoded = made(list(texts), add_special_tokens=False)["input_ids"]
    windows = [
        text[start : start + body] for text in encoded for start in range(0, len(text) - body + 1, body)
    ]
    if count > len(windows):
        raise AccuracyError(
            f"--samples must be at most {len(windows)} windows of {tokens} tokens, not {count}"
        )
    chosen = np.random.default_rng(seed).permutation(len(windows))[:count]
    return np.array([first + windows[index] for index in chosen], np.int64)


def is_causal(module: Any) -> bool:
    """Whether the class is one of those that predict the next token."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    generates = getattr(module, "can_generate", lambda: False)()
    return generates and type(module).__name__ in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()


def _one_by_one(module: nn.Module, ids: torch.Tensor, generated: int) -> torch.Tensor:
    """Logits (1, generated, vocabulary) that predict the last tokens, each behind all tokens before it."""
    from transformers import DynamicCache

    cache = DynamicCache()
    prompt = ids.shape[1] - generated
    found = [_logits(module, _call(module, ids[:, :prompt], keep=1, past_key_values=cache))[:, -1:]]
    for place in range(prompt, ids.shape[1] - 1):
        step = ids[:, place : place + 1]
        found.append(_logits(module, _call(module, step, keep=1, past_key_values=cache))[:, -1:])
    return torch.cat(found, dim=1)


def _call(module: nn.Module, ids: torch.Tensor, *, keep: int, **more: Any) -> Any:
    """A forward pass; of the logits only the last `keep` where the model can leave out the others."""
    if "logits_to_keep" in inspect.signature(module.forward).parameters:
        more["logits_to_keep"] = keep
    return module(input_ids=ids, **({"use_cache": True} if "past_key_values" in more else {}), **more)


def _logits(module: nn.Module, output: Any) -> torch.Tensor:
    logits = getattr(output, "logits", None)
    if not isinstance(logits, torch.Tensor) or logits.dim() != 3:
        raise AccuracyError(f"perplexity needs a model that gives logits, not {type(module).__name__}")
    return logits


def _cascades(module: nn.Module) -> bool:
    """Whether a cascade is active in the module's forward pass."""
    from accelsim.prune.cascade import IMPLEMENTATION

    config: Any = getattr(module, "config", None)
    return getattr(config, "_attn_implementation", None) == IMPLEMENTATION


@contextmanager
def _fused_attention(module: Any) -> Iterator[None]:
    """torch's own fused attention in place of the eager one: the same sums in a third less time.

    Left alone: models that cannot change, and an attention that a cascade put there.
    """
    before = getattr(getattr(module, "config", None), "_attn_implementation", None)
    try:
        if before == "eager":
            module.set_attn_implementation("sdpa")
    except (AttributeError, ValueError, ImportError):
        before = None
    try:
        yield
    finally:
        if before == "eager":
            module.set_attn_implementation("eager")
