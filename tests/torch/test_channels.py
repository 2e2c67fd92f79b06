"""Key channels that leave: which ones, when they are chosen, and what the workload says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim.prune.channels import Channels, channel_scores  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Attention  # noqa: E402

pytestmark = pytest.mark.torch


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def decoder(**sizes: int) -> Any:
    config = transformers.LlamaConfig(
        **{
            "vocab_size": 64,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 48,
            "initializer_range": 0.3,
            "attn_implementation": "eager",
            **sizes,
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return transformers.LlamaForCausalLM(config).eval().requires_grad_(False)


def test_a_channel_scores_the_norm_of_what_it_adds_to_the_recent_scores() -> None:
    query, key = drawn(2, 6, 40, 8), drawn(2, 3, 50, 8)
    scores = channel_scores(query, key)
    for sample, head, channel in np.ndindex(2, 3, 8):
        added = [
            torch.outer(query[sample, 2 * head + member, -32:, channel], key[sample, head, :, channel])
            for member in range(2)
        ]
        assert scores[sample, head, channel] == pytest.approx(float(torch.cat(added).norm()), rel=1e-5)


def test_the_best_channels_stay_in_every_head_of_a_group_and_later_passes_keep_them() -> None:
    query, key, channels = drawn(1, 4, 20, 8), drawn(1, 2, 20, 8), Channels(0.5)
    narrow_query, narrow_key = channels.narrowed(0, query, key, chosen=False)
    order = np.sort(np.argsort(-channel_scores(query, key), axis=-1)[..., :4], axis=-1)
    for head in range(4):
        assert torch.equal(narrow_query[0, head], query[0, head][:, order[0, head // 2]])
        assert torch.equal(narrow_key[0, head // 2], key[0, head // 2][:, order[0, head // 2]])
    later = channels.narrowed(0, drawn(1, 4, 1, 8), key * torch.arange(8), chosen=True)[1]
    assert torch.equal(later[0, 0], (key * torch.arange(8))[0, 0][:, order[0, 0]])


def test_all_channels_are_the_plain_model_and_fewer_narrow_the_keys_alone() -> None:
    model, inputs = decoder(), {"input_ids": torch.arange(3, 21)[None]}
    whole = trace(model, inputs, "spatten,values=0.5", generate=3)
    assert trace(model, inputs, "spatten,values=0.5,channels=1", generate=3).layers == whole.layers
    narrow = trace(model, inputs, "spatten,channels=0.6", generate=3)
    layers = [layer for layer in narrow.layers if isinstance(layer, Attention)]
    assert {(layer.dim, layer.dense_dim, layer.value_dim) for layer in layers} == {(4, 8, 8)}
    assert narrow.dense().layers == trace(model, inputs, generate=3).dense().layers


def test_channels_of_zeros_cost_nothing() -> None:
    """What adds nothing to the scores may go: the decisions are those on all channels."""
    model, inputs = decoder(num_key_value_heads=4), {"input_ids": torch.arange(3, 21)[None]}
    for layer in model.model.layers:
        # Rotary positions turn channel j with j + 4: both are silent.
        rows = torch.arange(32).reshape(4, 8)[:, [1, 3, 5, 7]].ravel()
        layer.self_attn.k_proj.weight[rows] = 0
    whole = trace(model, inputs, "spatten,tokens=0.6,values=0.5", generate=4)
    narrow = trace(model, inputs, "spatten,tokens=0.6,values=0.5,channels=0.5", generate=4)
    pairs = zip(whole.layers, narrow.layers, strict=True)
    for before, after in pairs:
        if isinstance(before, Attention):
            assert after.dim == 4
            assert np.array_equal(before.values, after.values)
            if before.tokens is not None:
                assert np.array_equal(before.tokens, after.tokens)
