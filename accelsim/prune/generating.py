"""SpAtten's cascade in a decoder: the pass over the prompt, then token by token with the KV cache.

Prompt: as in an encoder, under the causal mask. A token that is pruned leaves the hidden states, so later
layers never make its K and V; the last token stays, because it predicts. Generation: the one row goes
through all layers, and each fetches K and V of the tokens that are left. A pass starts with all tokens again;
what a layer drops stays dropped until the pass ends. Importance adds up over heads, layers and passes
(HPCA 2021, section 3). New tokens start at 0 and would go at once, on which the paper is silent: those of
the last `recent` passes are kept (`Spatten.recent`), and importance is divided by the rows that could see a
token (`Spatten.scores`), or the first tokens would outlive all others by their age.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.prune.attending import HIGHEST_SCORE, Survivors
from accelsim.prune.cascade import Cascade

Positions = npt.NDArray[np.int64]

ABSENT = -1
"""Rank of a token of which the layer holds no K and V: below every score."""


class DecoderCascade(Cascade):
    """What outlives a pass: importance of every token and head so far, and whose K and V each layer holds.

    A layer keeps the scheduled share of the tokens so far, or what is left of them if that is less: a token
    may be important now whose row was pruned on the way through the prompt.
    """

    def __init__(self, encoder: Any, *args: Any) -> None:
        super().__init__(encoder, *args)
        self._windows = _windows(encoder.config)
        self._prompt = 0
        self._importance: Positions = np.zeros((0, 0), np.int64)
        self._importance_rows: Positions = np.zeros((0, 0), np.int64)
        self._head_importance: Positions = np.zeros((0, 0), np.int64)
        self._held: list[Positions] = []

    def after_last_layer(self, layer: nn.Module, args: Any, output: Any) -> Any:
        """The rows at their places again, with zeros for those that were pruned: models count on them."""
        output = super().after_last_layer(layer, args, output)
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.shape[1] == self._rows:
            return output
        rows = torch.arange(hidden.shape[0], device=hidden.device)[:, None]
        whole = hidden.new_zeros(hidden.shape[0], self._rows, hidden.shape[2])
        whole[rows, torch.from_numpy(self._survivors().tokens).to(hidden.device)] = hidden
        return (whole, *output[1:]) if isinstance(output, tuple) else whole

    @property
    def _causal(self) -> bool:
        return self._rows > 1

    @property
    def _passed(self) -> int:
        return self._length - self._prompt

    def _seeing(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> Any:
        if mask is None and self._causal:
            return np.arange(key.shape[2], 0, -1)[None]
        return super()._seeing(query, key, mask)

    @property
    def _prunes_rows(self) -> bool:
        return self._length == self._prompt

    def _begin(self, hidden: torch.Tensor, rest: tuple[Any, ...]) -> None:
        from transformers import Cache

        caches = [part for part in rest if isinstance(part, Cache)]
        if any(getattr(layer, "is_sliding", False) for cache in caches for layer in cache.layers):
            raise ValueError("spatten needs a cache of all tokens, not one of a sliding window")
        batch, self._rows = int(hidden.shape[0]), int(hidden.shape[1])
        past = max((cache.get_seq_length() for cache in caches), default=0)
        if not past:
            self._prompt, self._importance = self._rows, np.zeros((batch, 0), np.int64)
            self._importance_rows = self._importance
            self._head_importance = np.zeros((batch, 0), np.int64)
            self._held = [np.zeros((batch, 0), np.int64) for _ in range(self._layers)]
        elif self._rows != 1 or past != self._length:
            raise ValueError(
                f"spatten needs one token a pass after the prompt, not {self._rows} after {past}"
            )
        self._length = past + self._rows
        self._importance, self._importance_rows = (
            np.pad(each, ((0, 0), (0, self._rows))) for each in (self._importance, self._importance_rows)
        )
        left = Survivors.all_of(batch, self._length)
        left.token_scores, left.token_rows = self._importance.copy(), self._importance_rows.copy()
        if self._head_importance.size:
            left.settle_heads(self._head_importance.shape[1])
            left.head_scores = self._head_importance.copy()
        self._left = left

    def _ranks(self, layer: int, left: Survivors) -> tuple[Positions, int]:
        """Cumulative importance; protected tokens rank highest, those that the layer lacks lowest."""
        first = (
            self._length - 1 if self._prunes_rows else max(self._prompt, self._length - self._recipe.recent)
        )
        protected = left.tokens >= first
        scores = left.mean_scores() if self._recipe.scores == "mean" else left.token_scores
        ranks = np.where(protected, HIGHEST_SCORE, scores)
        if not self._prunes_rows:
            held = [np.isin(*pair) for pair in zip(left.tokens, self._held[layer], strict=True)]
            ranks = np.where(protected | np.stack(held), ranks, ABSENT)
        least = int(protected.sum(axis=1).max())
        most = int((ranks != ABSENT).sum(axis=1).min())
        return ranks, min(max(self._token_count(layer), least), most)

    def _operands(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """K and V of the tokens that are left, out of those that the layer holds."""
        left = self._survivors()
        new = left.tokens[:, -query.shape[2] :]
        held = self._held[self._layer] = np.concatenate([self._held[self._layer], new], axis=1)
        if key.shape[2] != held.shape[1]:
            raise ValueError(f"spatten needs a cache of {held.shape[1]} keys, not {key.shape[2]}")
        if mask is None and self._causal:
            mask = torch.full((query.shape[2], key.shape[2]), -torch.inf).triu(1)[None, None]
        if self._prunes_rows:
            return key, value, mask
        seen = self._seen(left).tokens
        places = np.stack([np.searchsorted(*pair) for pair in zip(held, seen, strict=True)])
        if mask is not None:
            mask = _columns(mask.expand(len(places), -1, -1, -1), seen, axis=3)
        return _columns(key, places, axis=2), _columns(value, places, axis=2), mask

    def _seen(self, left: Survivors) -> Survivors:
        """In a step, those in the layer's window. All sequences have as many: the mask hides the others."""
        within = int((left.tokens >= self._length - self._reach()).sum(axis=1).max())
        return left if self._prunes_rows or within == left.tokens.shape[1] else left.newest(within)

    def _reach(self) -> int:
        window = self._windows.get(self._layer, self._length)
        return self._length if self._prunes_rows else min(window, self._length)

    def _positions(self, tokens: Positions) -> Positions:
        """Counted from the window's first; what the mask hides takes places in it that are free."""
        placed = tokens - (self._length - self._reach())
        for row in placed:
            hidden = int((row < 0).sum())
            row[:hidden] = np.setdiff1d(np.arange(self._reach()), row[hidden:])[:hidden]
            row.sort()
        return placed

    def _remember(self, left: Survivors) -> None:
        np.put_along_axis(self._importance, left.tokens, left.token_scores, axis=1)
        np.put_along_axis(self._importance_rows, left.tokens, left.token_rows, axis=1)
        if not self._head_importance.size:
            self._head_importance = np.zeros((len(left.tokens), left.all_heads), np.int64)
        np.put_along_axis(self._head_importance, left.heads, left.head_scores, axis=1)


def _windows(config: Any) -> dict[int, int]:
    """Sliding windows by layer, as the model's own cache has them."""
    from transformers import DynamicCache

    layers: Any = DynamicCache(config=config).layers
    sliding = {at: layer for at, layer in enumerate(layers) if getattr(layer, "is_sliding", False)}
    return {at: int(layer.sliding_window) for at, layer in sliding.items()}


def _columns(tensor: torch.Tensor, places: Positions, axis: int) -> torch.Tensor:
    """A (batch, ..., tokens, ...) tensor at the places (batch, kept) of its tokens."""
    shape = [len(places), 1, 1, 1]
    shape[axis] = places.shape[1]
    sizes = list(tensor.shape)
    sizes[axis] = places.shape[1]
    index = torch.from_numpy(places).to(tensor.device).view(shape).expand(sizes)
    return tensor.gather(axis, index)
