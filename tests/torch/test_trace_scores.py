"""Q, K and scores of a trace: what the model made, whether its attention is fused or not."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from accelsim import Attention, trace

pytestmark = pytest.mark.torch

TOKENS, DIM = 12, 8


class Attends(nn.Module):
    """Attention of 4 heads, 2 of them on each K, fused or in three steps."""

    def __init__(self, *, fused: bool, kv_heads: int = 2, causal: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fused, self.kv_heads, self.causal, self.num_heads = fused, kv_heads, causal, 4
        self.num_key_value_groups = 4 // kv_heads
        self.q = nn.Linear(16, 4 * DIM)
        self.k, self.v = nn.Linear(16, kv_heads * DIM), nn.Linear(16, kv_heads * DIM)

    def made(self, x: torch.Tensor) -> list[torch.Tensor]:
        heads = ((self.q, 4), (self.k, self.kv_heads), (self.v, self.kv_heads))
        return [layer(x).unflatten(-1, (count, DIM)).transpose(1, 2) for layer, count in heads]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.made(x)
        key, value = (each.repeat_interleave(4 // self.kv_heads, dim=1) for each in (key, value))
        if self.fused:
            return functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.probabilities(query, key) @ value

    def probabilities(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        scores = query @ key.transpose(-1, -2) * DIM**-0.5
        if self.causal:
            scores = scores.masked_fill(torch.ones(TOKENS, TOKENS).triu(1).bool(), -torch.inf)
        return scores.softmax(-1)


def attention(model: nn.Module, inputs: Any, **options: Any) -> Attention:
    (layer,) = (each for each in trace(model, inputs, **options).layers if isinstance(each, Attention))
    return layer


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "in steps"])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True], ids=["", "causal"])
def test_scores_and_vectors_are_the_models_own(fused: bool, kv_heads: int, causal: bool) -> None:
    model = Attends(fused=fused, kv_heads=kv_heads, causal=causal)
    x = torch.randn(3, TOKENS, 16, generator=torch.Generator().manual_seed(1))
    layer = attention(model, x, scores=True)
    with torch.no_grad():
        query, key, _ = model.made(x)
        expected = model.probabilities(query, key.repeat_interleave(4 // kv_heads, dim=1)).numpy()
    assert (layer.heads, layer.kv_heads) == (4, kv_heads)
    assert layer.scores is not None
    assert layer.query_vectors is not None
    assert layer.key_vectors is not None
    assert np.abs(layer.scores - 4096 * expected).max() <= 0.51
    assert np.abs(layer.query_vectors - 256 * query.numpy()).max() <= 0.51
    assert np.abs(layer.key_vectors - 256 * key.numpy()).max() <= 0.51
    # Nothing was decided: the layer is its own baseline.
    assert layer.is_dense
    assert layer.dense() == layer


def test_a_trace_without_the_wish_has_none() -> None:
    layer = attention(Attends(fused=True), torch.ones(1, TOKENS, 16))
    assert layer.scores is None
    assert layer.query_vectors is None


def test_a_single_query_keeps_its_scores_alone() -> None:
    class Looks(Attends):
        def made(self, x: torch.Tensor) -> list[torch.Tensor]:
            query, key, value = super().made(x)
            return [query[:, :, -1:], key, value]

    layer = attention(Looks(fused=True), torch.randn(1, TOKENS, 16), scores=True)
    assert layer.scores is not None
    assert layer.scores.shape == (1, 4, 1, TOKENS)
    assert layer.query_vectors is None


def test_a_mask_is_part_of_the_scores() -> None:
    class Masks(Attends):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key, value = self.made(x)
            shown = torch.arange(TOKENS) < 5
            mask = shown[None, None, None, :].expand(len(x), 1, TOKENS, TOKENS)
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    layer = attention(Masks(fused=True, kv_heads=4), torch.randn(2, TOKENS, 16), scores=True)
    assert layer.scores is not None
    assert not layer.scores[..., 5:].any()
    assert np.abs(layer.scores.sum(axis=-1).astype(int) - 4096).max() <= 5
