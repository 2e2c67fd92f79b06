"""Shape-only networks have the layers that tracing finds in the models of `transformers`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from accelsim import Attention, Matmul, Workload  # noqa: E402
from accelsim.models.networks import workload  # noqa: E402
from accelsim.trace import trace  # noqa: E402

pytestmark = pytest.mark.torch

LLAMA_2 = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32}
LLAMA_2 |= {"num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000}
LLAMA_3 = LLAMA_2 | {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}
QWEN = {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
QWEN |= {"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064}
QWEN_32 = QWEN | {"hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64}
QWEN_32 |= {"num_attention_heads": 40, "num_key_value_heads": 8}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

LANGUAGE = {
    "bert-base": ("BertModel", {}),
    "bert-large": ("BertModel", LARGE),
    "gpt2-small": ("GPT2LMHeadModel", {}),
    "gpt2-medium": ("GPT2LMHeadModel", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
    "llama-2-7b": ("LlamaForCausalLM", LLAMA_2),
    "llama-3-8b": ("LlamaForCausalLM", LLAMA_3),
    "qwen2.5-7b": ("Qwen2ForCausalLM", QWEN),
    "qwen2.5-32b": ("Qwen2ForCausalLM", QWEN_32),
}


def vit(width: int, heads: int) -> dict[str, Any]:
    return {"hidden_size": width, "num_attention_heads": heads, "intermediate_size": 4 * width}


def resnet(kind: str, sizes: list[int], depths: list[int]) -> dict[str, Any]:
    return {"layer_type": kind, "hidden_sizes": sizes, "depths": depths, "num_labels": 1000}


CIFAR_VIT = {"image_size": 32, "patch_size": 4, "num_hidden_layers": 6, "num_labels": 100}
CIFAR_VIT |= {"hidden_size": 512, "num_attention_heads": 8, "intermediate_size": 512}

PICTURES = {
    "deit-tiny": ("ViTForImageClassification", vit(192, 3) | {"num_labels": 1000}, 224),
    "deit-base": ("ViTForImageClassification", vit(768, 12) | {"num_labels": 1000}, 224),
    "vit-large": ("ViTForImageClassification", LARGE | {"num_labels": 1000}, 224),
    "vit-cifar": ("ViTForImageClassification", CIFAR_VIT, 32),
    "swin-tiny": ("SwinForImageClassification", {"num_labels": 1000}, 224),
    "resnet-18": (
        "ResNetForImageClassification",
        resnet("basic", [64, 128, 256, 512], [2, 2, 2, 2]),
        224,
    ),
    "resnet-50": (
        "ResNetForImageClassification",
        resnet("bottleneck", [256, 512, 1024, 2048], [3, 4, 6, 3]),
        224,
    ),
}


def traced(architecture: str, settings: dict[str, Any], inputs: dict[str, Any]) -> Workload:
    """A model without memory for its weights, traced."""
    kind = getattr(transformers, architecture)
    config = kind.config_class(**settings, attn_implementation="eager")
    with torch.device("meta"):
        module = kind(config)
    return trace(module, inputs)


def shape(layer: Any) -> tuple[Any, ...]:
    if isinstance(layer, Attention):
        return "attention", layer.batch, layer.heads, layer.kv_heads, layer.queries, layer.keys, layer.dim
    assert isinstance(layer, Matmul)
    if layer.op == "convolution":
        return "convolution", layer.m, layer.n, layer.k, tuple(sorted(layer.geometry.items()))
    return "matmul", layer.m, layer.n, layer.k, layer.count


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_has_the_traced_layers_by_name_and_in_order(name: str) -> None:
    architecture, settings = LANGUAGE[name]
    ids = torch.zeros(2, 24, dtype=torch.int64, device="meta")
    real = traced(architecture, settings, {"input_ids": ids})
    ours = workload(name, tokens=24, batch=2)
    assert [(layer.name, shape(layer)) for layer in ours.layers] == [
        (layer.name, shape(layer)) for layer in real.layers
    ]


@pytest.mark.parametrize("name", PICTURES)
def test_a_vision_model_has_the_traced_layers(name: str) -> None:
    architecture, settings, side = PICTURES[name]
    pixels = torch.zeros(2, 3, side, side, device="meta")
    real = traced(architecture, settings, {"pixel_values": pixels})
    ours = workload(name, batch=2)
    assert Counter(map(shape, ours.layers)) == Counter(map(shape, real.layers))


def test_drawn_decisions_have_the_shapes_of_real_ones() -> None:
    """The cascade of the recipe on a small BERT prunes the same counts, layer by layer."""
    from accelsim.models.drawing import drawn
    from accelsim.models.shapes import Encoder
    from accelsim.prune.recipes import parse_all

    recipe = "spatten,tokens=0.5,heads=0.7,values=0.3,bits=8+0"
    sizes = {"hidden_size": 64, "num_hidden_layers": 5, "num_attention_heads": 8, "intermediate_size": 96}
    torch.manual_seed(0)
    config = transformers.BertConfig(**sizes, vocab_size=50, attn_implementation="eager")
    real = trace(transformers.BertModel(config), {"input_ids": torch.arange(40)[None]}, recipe).layers
    parts = tuple(Encoder(layers=5, width=64, heads=8, inner=96).parts(1, 40))
    (ours,), _ = drawn([parts], parse_all(recipe), np.random.default_rng(0))
    assert [layer.name for layer in ours] == [layer.name for layer in real]
    for mine, theirs in zip(ours, real, strict=True):
        assert shape(mine) == shape(theirs)
        fields = ("dense_m",) if isinstance(mine, Matmul) else ("dense_keys", "dense_heads", "bits")
        fields += () if isinstance(mine, Matmul) else ("token_keep", "head_keep", "value_dim", "causal")
        assert [getattr(mine, name) for name in fields] == [getattr(theirs, name) for name in fields]
        for name in ("values", "scores", "tokens", "token_scores", "head_ids", "head_scores", "refetch"):
            drawn_one, real_one = (getattr(layer, name, None) for layer in (mine, theirs))
            assert (drawn_one is None) == (real_one is None), name
            assert drawn_one is None or drawn_one.shape == real_one.shape, name
