"""Generation is traced pass by pass: what runs, what it is called, and what is refused."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from accelsim.accelerators import ACCELERATORS  # noqa: E402
from accelsim.run import SkippedLayersWarning, run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.generation import generated_layers  # noqa: E402
from accelsim.trace.tracing import still  # noqa: E402
from accelsim.workload import Attention, Matmul  # noqa: E402

pytestmark = pytest.mark.torch

LAYERS, HEADS, PROMPT, STEPS = 3, 4, 12, 4

KINDS: dict[str, dict[str, Any]] = {
    "Llama": {"num_key_value_heads": 2},
    "GPT2": {"n_embd": 32, "n_layer": LAYERS, "n_head": HEADS},
    "Qwen2": {"num_key_value_heads": 1},
    "Mixtral": {"num_key_value_heads": 2, "num_local_experts": 4},
    "Falcon": {},
    "Mistral": {"num_key_value_heads": 2, "sliding_window": 6},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "Gemma2": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 6},
    "Gemma3Text": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 6},
    "GPTNeoX": {},
    "GPTNeo": {
        "num_layers": LAYERS,
        "num_heads": HEADS,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 6,
    },
    "GPTJ": {"n_embd": 32, "n_layer": LAYERS, "n_head": HEADS, "rotary_dim": 4},
    "GPTBigCode": {"n_embd": 32, "n_layer": LAYERS, "n_head": HEADS},
    "Phi": {},
    "Phi3": {"num_key_value_heads": 2},
    "OPT": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "Bloom": {"n_layer": LAYERS, "n_head": HEADS},
    "StableLm": {"num_key_value_heads": 2},
    "Cohere": {"num_key_value_heads": 2},
    "Olmo2": {"num_key_value_heads": 2},
    "Starcoder2": {"num_key_value_heads": 2},
    "Granite": {"num_key_value_heads": 2},
    "GptOss": {"num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4, "sliding_window": 6},
    "Jamba": {
        "num_key_value_heads": 2,
        "num_experts": 2,
        "use_mamba_kernels": False,
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
    },
}
HEADS_NAMED = {"GPT2": "GPT2LMHeadModel", "Gemma3Text": "Gemma3ForCausalLM"}


def tiny(kind: str, **changes: Any) -> Any:
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 48,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
        "attn_implementation": "eager",
    }
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **KINDS[kind], **changes})
    head = HEADS_NAMED.get(kind, f"{kind}ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, head)(config).eval().requires_grad_(False)


def ids(tokens: int = PROMPT, batch: int = 1) -> Any:
    return torch.randint(3, 64, (batch, tokens), generator=torch.Generator().manual_seed(5))


def rows_by_expert(rows: Any, weights: Any, *_: Any, **__: Any) -> int:
    return 2 * rows[0] * rows[1] * weights[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 2])
def test_tokens_and_products_are_those_of_transformers(kind: str, batch: int) -> None:
    model, prompt = tiny(kind), ids(batch=batch)
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: rows_by_expert})
    with counter:
        expected = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=STEPS + 1, do_sample=False
        )
    workload = trace(model, {"input_ids": prompt}, generate=STEPS)
    # The padding's row of an embedding is zero, and leaves where the embedding is also the head.
    assert workload.dense().macs == counter.get_total_flops() // 2
    with still(model):
        assert torch.equal(generated_layers(model, {"input_ids": prompt}, STEPS, ())[1], expected[:, PROMPT:])


@pytest.mark.parametrize("kind", ["Llama", "GPT2", "GPTBigCode", "OPT", "Bloom", "Mistral", "Gemma3Text"])
def test_sequences_padded_on_the_left_generate_as_with_transformers(kind: str) -> None:
    model, prompt = tiny(kind), ids(batch=2)
    shown = torch.ones_like(prompt)
    shown[0, :5] = prompt[0, :5] = 0
    given = {"input_ids": prompt, "attention_mask": shown}
    expected = model.generate(**given, max_new_tokens=STEPS + 1, do_sample=False)
    with still(model):
        assert torch.equal(generated_layers(model, given, STEPS, ())[1], expected[:, PROMPT:])


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Qwen3"])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_fused_attention_says_the_same_as_an_eager_one(kind: str, batch: int) -> None:
    """Also where one token's heads are passed as the rows of their KV head."""
    inputs = {"input_ids": ids(batch=batch)}
    fused, eager = (
        trace(tiny(kind, attn_implementation=way), inputs, generate=2).layers for way in ("sdpa", "eager")
    )
    assert fused == eager


def test_layers_say_in_which_pass_they_ran() -> None:
    layers = trace(tiny("Llama"), {"input_ids": ids()}, generate=STEPS).layers
    prefixes = list(dict.fromkeys(layer.name.partition("/")[0] for layer in layers))
    assert prefixes == ["prompt", "step 1", "step 2", "step 3", "step 4"]
    assert layers[0].name == "prompt/model.layers.0.self_attn.q_proj"
    assert len({layer.name for layer in layers}) == len(layers)
    attentions = [layer for layer in layers if isinstance(layer, Attention)]
    assert {each.kv_heads for each in attentions} == {2}
    assert [(each.queries, each.keys) for each in attentions[::LAYERS]] == [
        (12, 12),
        (1, 13),
        (1, 14),
        (1, 15),
        (1, 16),
    ]
    assert [each.causal for each in attentions[::LAYERS]] == [True, False, False, False, False]
    heads = [layer for layer in layers if isinstance(layer, Matmul) and layer.name.endswith("lm_head")]
    assert {layer.m for layer in heads} == {1}


def test_a_window_bounds_the_keys() -> None:
    layers = trace(tiny("Mistral"), {"input_ids": ids()}, generate=STEPS).layers
    attentions = [layer for layer in layers if isinstance(layer, Attention)]
    assert [each.keys for each in attentions[::LAYERS]] == [12, 6, 6, 6, 6]


def test_masks_are_looked_up_once_for_all_passes() -> None:
    layers = trace(tiny("Llama"), {"input_ids": ids()}, "magnitude,2:4", generate=STEPS).layers
    found = [layer.mask for layer in layers if layer.name.endswith("layers.1.mlp.up_proj")]
    assert len(found) == STEPS + 1
    assert found[0] is not None
    assert all(mask is found[0] for mask in found)


def test_the_prompt_alone_is_the_plain_pass() -> None:
    model = tiny("GPT2")
    plain = trace(model, {"input_ids": ids()}).layers
    prompt = trace(model, {"input_ids": ids()}, generate=1).layers[: len(plain)]
    pairs = [(one, other) for one, other in zip(plain, prompt, strict=True) if "lm_head" not in one.name]
    assert all(other.name == f"prompt/{one.name}" for one, other in pairs)
    assert [one.macs for one, _ in pairs] == [other.macs for _, other in pairs]


@pytest.mark.parametrize("machine", ["sat", "stc", "spatten"])
def test_every_machine_runs_every_pass(machine: str) -> None:
    workload = trace(tiny("Llama"), {"input_ids": ids()}, generate=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedLayersWarning)
        report = run(workload, ACCELERATORS[machine].presets["tiny"])
    ran = {row.name.partition("/")[0] for row in report.layers if row.cycles}
    assert ran == {"prompt", "step 1", "step 2"}


@pytest.mark.parametrize(
    ("make", "steps", "said"),
    [
        (lambda: torch.nn.Linear(4, 4), 3, "decoder of transformers that predicts tokens, not Linear"),
        (lambda: tiny("Llama").model, 3, "not LlamaModel"),
        (lambda: transformers.BertModel(transformers.BertConfig(num_hidden_layers=1)), 3, "not BertModel"),
        (
            lambda: transformers.MambaForCausalLM(
                transformers.MambaConfig(vocab_size=64, hidden_size=8, num_hidden_layers=1)
            ),
            3,
            "needs a decoder with a KV cache, and MambaForCausalLM keeps another state",
        ),
        (lambda: tiny("Llama"), 29, r"40 positions of LlamaForCausalLM: 12 tokens of prompt and 29"),
        (lambda: tiny("Llama"), 0, "generate must be >= 1, not 0"),
    ],
)
def test_what_cannot_generate_is_refused_in_one_line(make: Any, steps: int, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        trace(make(), {"input_ids": ids()}, generate=steps)
    assert "\n" not in str(refusal.value)
