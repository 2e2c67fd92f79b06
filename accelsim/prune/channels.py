"""Channels of K that matter least to the recent queries leave: per KV head, once, at the prompt's end.

ThinK (Xu et al., 2024): a channel scores |Q_j| * |K_j|, norms over the last queries and over all keys, which
is the Frobenius norm of what it adds to the scores. Query heads that share K add their squares. Here the keys
of all tokens are narrowed, those of the pass that decides included; the paper keeps the newest 32 whole.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from accelsim.golden.attention import keep_count, select

RECENT_QUERIES = 32
"""Rows that decide (the paper's default)."""


class Channels:
    """Which channels each layer keeps; `kept` is their fraction."""

    def __init__(self, kept: float) -> None:
        self._kept = kept
        self._chosen: dict[int, npt.NDArray[np.int64]] = {}

    def narrowed(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, *, chosen: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Q (batch, heads, queries, dim) and K (batch, KV heads, keys, dim) without the channels that leave.

        `chosen`: by an earlier pass; otherwise these queries choose.
        """
        count = keep_count(int(key.shape[-1]), self._kept)
        if count == key.shape[-1]:
            return query, key
        if not chosen or layer not in self._chosen:
            self._chosen[layer] = select(channel_scores(query, key), count)
        places = torch.from_numpy(self._chosen[layer]).to(key.device)[:, :, None]
        shared = query.shape[1] // key.shape[1]
        return (
            query.gather(3, places.repeat_interleave(shared, dim=1).expand(-1, -1, query.shape[2], -1)),
            key.gather(3, places.expand(-1, -1, key.shape[2], -1)),
        )


def channel_scores(query: torch.Tensor, key: torch.Tensor) -> npt.NDArray[np.float64]:
    """What each channel of each KV head adds to the scores: (batch, KV heads, dim)."""
    recent = query[:, :, -RECENT_QUERIES:].double().square().sum(dim=2)
    batch, heads, dim = recent.shape
    groups = recent.reshape(batch, key.shape[1], heads // key.shape[1], dim).sum(dim=2)
    scores: npt.NDArray[np.float64] = (groups * key.double().square().sum(dim=2)).sqrt().cpu().numpy()
    return scores
