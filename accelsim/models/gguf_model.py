"""Language models in GGUF files. Llama and Qwen2 are read here, others through `transformers`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from accelsim.extras import require
from accelsim.models.checkpoints import in_one_line
from accelsim.models.gguf_file import Gguf, GgufError, read

OUTSIDE_BLOCKS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}


def load_gguf(path: Path) -> nn.Module:
    """The model in a GGUF file, in float32 with eager attention. Raises ValueError."""
    require("a GGUF file", "gguf", "transformers")
    import transformers

    file = read(path)
    architecture = file.metadata.get("general.architecture")
    blocks = file.metadata.get(f"{architecture}.block_count")
    if not isinstance(blocks, int) or blocks < 1:
        raise GgufError(f"{path}: {architecture}.block_count must be >= 1, not {blocks}")
    if architecture not in ARCHITECTURES or not _is_plain(file, architecture):
        return _through_transformers(path)
    config = getattr(transformers, ARCHITECTURES[architecture]).config_class(**_settings(file, architecture))
    # Built without memory: every weight is replaced by one of the file.
    with torch.device("meta"):
        module = getattr(transformers, ARCHITECTURES[architecture])(config)
    weights = _weights(file, architecture, config)
    wanted = dict(module.named_parameters())
    for name, parameter in wanted.items():
        if name not in weights or weights[name].shape != parameter.shape:
            found = "nothing" if name not in weights else "x".join(map(str, weights[name].shape))
            raise GgufError(f"{path}: {name} must be {'x'.join(map(str, parameter.shape))}, not {found}")
    module.load_state_dict({name: weights[name] for name in wanted}, assign=True, strict=False)
    module.tie_weights()
    _recompute_positions(module, config)
    made: nn.Module = module
    return made


def _is_plain(file: Gguf, architecture: str) -> bool:
    """Every tensor has its place in the plain architecture, and positions are not rescaled."""
    scaled = file.metadata.get(f"{architecture}.rope.scaling.type", "none") != "none"
    return not scaled and all(_place(name) for name in file.tensors)


def _place(name: str) -> str:
    """The parameter that a tensor becomes; empty if it is none."""
    found = re.fullmatch(r"(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)", name)
    if not found:
        return ""
    block, word, kind = found.groups()
    inner = (OUTSIDE_BLOCKS if block is None else IN_BLOCK).get(word)
    if inner is None:
        return ""
    return f"{inner}.{kind}" if block is None else f"model.layers.{int(block)}.{inner}.{kind}"


def _settings(file: Gguf, architecture: str) -> dict[str, Any]:
    """What the configuration class of the architecture is told."""

    def of(key: str, default: Any = None) -> Any:
        value = file.metadata.get(f"{architecture}.{key}", default)
        if not isinstance(value, int | float):
            raise GgufError(
                f"{file.path}: {architecture}.{key} must be one number, not {type(value).__name__}"
            )
        return value

    if "token_embd.weight" not in file.tensors:
        raise GgufError(f"{file.path}: token_embd.weight must be there")
    heads = of("attention.head_count")
    tokens = {
        f"{word}_token_id": file.metadata.get(f"tokenizer.ggml.{key}_token_id")
        for word, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    settings = {
        "vocab_size": file.tensors["token_embd.weight"].shape[0],
        "hidden_size": of("embedding_length"),
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv", heads),
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": of("rope.freq_base", 10000.0), "rope_type": "default"},
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attn_implementation": "eager",
        **tokens,
    }
    if architecture == "llama":
        settings["head_dim"] = of("attention.key_length", of("embedding_length") // heads)
        settings["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    return settings


def _weights(file: Gguf, architecture: str, config: Any) -> dict[str, torch.Tensor]:
    weights = {}
    for name in file.tensors:
        values = file.tensor(name)
        if architecture == "llama" and ".attn_q." in name:
            values = _halves_of_heads(values, config.num_attention_heads)
        elif architecture == "llama" and ".attn_k." in name:
            values = _halves_of_heads(values, config.num_key_value_heads)
        weights[_place(name)] = torch.from_numpy(values)
    return weights


def _halves_of_heads(values: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """Rows in the order of `transformers`: both halves of a head one after the other.

    Llama files pair row i with row i + dim/2 for the rotation, and store the two as neighbours.
    """
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(values.shape)


def _recompute_positions(module: Any, config: Any) -> None:
    """Frequencies of the rotation are no weights, and were built without memory as well."""
    rotary = module.model.rotary_emb
    module.model.rotary_emb = type(rotary)(config=config)


def _through_transformers(path: Path) -> nn.Module:
    require(f"GGUF file {path.name!r}", "accelerate")
    from transformers import AutoModelForCausalLM

    with in_one_line(f"model file {str(path)!r}"):
        made: nn.Module = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation="eager",
        )
        return made
