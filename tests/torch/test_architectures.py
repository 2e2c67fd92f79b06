"""Networks of every kind, made small from configurations alone, are traced, pruned and simulated whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from accelsim.accelerators import ACCELERATORS  # noqa: E402
from accelsim.run import SkippedLayersWarning, run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.trace.recorder import Recorder  # noqa: E402
from accelsim.trace.tracing import still  # noqa: E402
from accelsim.workload import Attention, Matmul, Unknown, Workload  # noqa: E402

pytestmark = pytest.mark.torch

VOCABULARY, WIDTH, LAYERS, HEADS, TOKENS, SIDE = 64, 32, 2, 4, 12, 32

Made = tuple[nn.Module, dict[str, Any]]

SIZES: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def ids(batch: int = 2, tokens: int = TOKENS, seed: int = 3) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (batch, tokens), generator=generator)


def drawn(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def text(kind: str, head: str = "Model", padded: bool = False, **changes: Any) -> Callable[[], Made]:
    """A language model or encoder of `transformers` on token ids; `padded`: the second text is shorter."""

    def make() -> Made:
        inputs = {"input_ids": ids()}
        if padded:
            inputs["attention_mask"] = torch.ones(2, TOKENS, dtype=torch.long)
            inputs["attention_mask"][1, -4:] = 0
        return built(kind, head, {**SIZES, **changes}), inputs

    return make


def both(kind: str, head: str, **changes: Any) -> Callable[[], Made]:
    """Encoder and decoder, with more tokens on one side than on the other."""

    def make() -> Made:
        sizes = {"vocab_size": VOCABULARY, "pad_token_id": 0, "decoder_start_token_id": 1, **changes}
        inputs = {"input_ids": ids(), "decoder_input_ids": ids(tokens=5, seed=4)}
        return built(kind, head, sizes), inputs

    return make


def heard(kind: str, **changes: Any) -> Callable[[], Made]:
    """Convolutions over a spectrogram, encoder, decoder with cross-attention."""

    def make() -> Made:
        sizes = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, **changes}
        inputs = {"input_features": drawn(2, 8, 40), "decoder_input_ids": ids(tokens=5)}
        return built(kind, "ForConditionalGeneration", {**sizes, "decoder_start_token_id": 1}), inputs

    return make


def picture(kind: str, head: str = "Model", **changes: Any) -> Callable[[], Made]:
    def make() -> Made:
        sizes = {"num_channels": 3, **changes}
        return built(kind, head, sizes), {"pixel_values": drawn(2, 3, SIDE, SIDE)}

    return make


def plain(make: Callable[[], nn.Module], **inputs: Any) -> Callable[[], Made]:
    """A network of torch alone."""

    def made() -> Made:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make().eval(), inputs

    return made


def built(kind: str, head: str, sizes: Mapping[str, Any]) -> nn.Module:
    config = getattr(transformers, f"{kind}Config")(attn_implementation="eager", **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: nn.Module = getattr(transformers, f"{kind}{head}")(config).eval().requires_grad_(False)
    return module


class Generator(nn.Module):
    """Transposed, dilated and depthwise convolutions, one of them run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.dilated = nn.Conv2d(12, 3, 3, padding=2, dilation=2)

    def forward(self, noise: Any) -> Any:
        larger = self.up(self.up(noise).relu()).relu()
        return self.dilated(self.pointwise(self.depthwise(larger)).relu())


class Tagger(nn.Module):
    """A bidirectional LSTM over embedded words, and a cell stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 16)
        self.lstm = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.cell = nn.GRUCell(16, 8)
        self.out = nn.Linear(8, 4)

    def forward(self, words: Any) -> Any:
        hidden, _ = self.lstm(self.table(words))
        state = hidden.new_zeros(hidden.shape[0], 8)
        for step in range(hidden.shape[1]):
            state = self.cell(hidden[:, step], state)
        return self.out(state)


SEPARATE = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
VISION = {**SEPARATE, "intermediate_size": 48, "image_size": SIDE, "patch_size": 8}
SEQUENCES = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
}
BART = {**SEQUENCES, "max_position_embeddings": 40, "forced_eos_token_id": None}
WHISPER = {**SEQUENCES, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 20}

ARCHITECTURES: Mapping[str, Callable[[], Made]] = {
    "BERT": text("Bert"),
    "BERT, padded": text("Bert", "ForMaskedLM", padded=True),
    "RoBERTa": text("Roberta"),
    "DistilBERT": text("DistilBert", dim=WIDTH, n_layers=LAYERS, n_heads=HEADS, hidden_dim=48),
    "ALBERT (layers share weights)": text("Albert", embedding_size=16),
    "DeBERTa v2 (relative positions)": text(
        "DebertaV2", relative_attention=True, pos_att_type=["c2p", "p2c"], position_biased_input=False
    ),
    "ModernBERT (local attention)": text(
        "ModernBert", local_attention=8, global_attn_every_n_layers=2, cls_token_id=1, sep_token_id=2
    ),
    "GPT-2 (tied head)": text("GPT2", "LMHeadModel", n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS),
    "GPT-NeoX": text("GPTNeoX", "ForCausalLM"),
    "OPT": text("OPT", "ForCausalLM", ffn_dim=48, word_embed_proj_dim=WIDTH),
    "BLOOM (ALiBi)": text("Bloom", "ForCausalLM", n_layer=LAYERS, n_head=HEADS),
    "Llama (grouped queries)": text("Llama", "ForCausalLM", num_key_value_heads=2),
    "Llama, padded": text("Llama", "ForCausalLM", padded=True, num_key_value_heads=2),
    "Mistral (sliding window)": text("Mistral", "ForCausalLM", num_key_value_heads=2, sliding_window=5),
    "Qwen2": text("Qwen2", "ForCausalLM", num_key_value_heads=2),
    "Qwen3": text("Qwen3", "ForCausalLM", num_key_value_heads=2, head_dim=8),
    "Phi": text("Phi", "ForCausalLM"),
    "Gemma (one key head)": text("Gemma", "ForCausalLM", num_key_value_heads=1, head_dim=16),
    "Gemma 2 (soft-capped scores)": text("Gemma2", "ForCausalLM", num_key_value_heads=2, head_dim=8),
    "Falcon (one key head)": text("Falcon", "ForCausalLM", multi_query=True, new_decoder_architecture=False),
    "Mixtral (experts)": text(
        "Mixtral", "ForCausalLM", num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2
    ),
    "Qwen2-MoE (experts)": text(
        "Qwen2Moe",
        "ForCausalLM",
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        shared_expert_intermediate_size=24,
    ),
    "DeepSeek-V3 (latent attention, experts)": text(
        "DeepseekV3",
        "ForCausalLM",
        kv_lora_rank=16,
        q_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=8,
        v_head_dim=8,
        num_key_value_heads=HEADS,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        moe_intermediate_size=24,
    ),
    "GPT-OSS (sinks, experts)": text(
        "GptOss",
        "ForCausalLM",
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        head_dim=8,
    ),
    "Mamba (state space)": text("Mamba", "ForCausalLM", state_size=8),
    "T5": both(
        "T5", "ForConditionalGeneration", d_model=WIDTH, d_kv=8, d_ff=48, num_layers=LAYERS, num_heads=HEADS
    ),
    "BART": both("Bart", "ForConditionalGeneration", **BART),
    "Whisper": heard("Whisper", **WHISPER),
    "Wav2Vec2 (samples of sound)": lambda: (
        built(
            "Wav2Vec2",
            "ForCTC",
            {**SEPARATE, "intermediate_size": 48, "conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 4},
        ),
        {"input_values": drawn(2, 4000)},
    ),
    "ViT": picture("ViT", **VISION),
    "DINOv2": picture("Dinov2", **{**VISION, "mlp_ratio": 2}),
    "Swin (windows)": picture(
        "Swin", image_size=SIDE, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4
    ),
    "SegFormer (shorter keys)": picture(
        "Segformer",
        "ForSemanticSegmentation",
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 2, 3, 4],
        decoder_hidden_size=16,
    ),
    "DETR (learned queries)": picture(
        "Detr",
        "ForObjectDetection",
        **SEQUENCES,
        backbone=None,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        num_queries=5,
        backbone_config={
            "model_type": "resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
            "out_features": ["stage2"],
        },
    ),
    "ConvNeXt": picture("ConvNext", hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1]),
    "ResNet": picture("ResNet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
    "MobileNetV2": picture("MobileNetV2", image_size=SIDE, depth_multiplier=0.25),
    "EfficientNet": picture(
        "EfficientNet", image_size=SIDE, width_coefficient=0.25, depth_coefficient=0.25, hidden_dim=320
    ),
    "CLIP": lambda: (
        built(
            "CLIP",
            "Model",
            {
                "text_config": {**SIZES, "vocab_size": VOCABULARY},
                "vision_config": {**VISION},
                "projection_dim": 16,
            },
        ),
        {"input_ids": ids(), "pixel_values": drawn(2, 3, SIDE, SIDE)},
    ),
    "transposed, dilated, depthwise, twice": plain(Generator, noise=drawn(2, 8, 4, 4)),
    "LSTM and GRU cell": plain(Tagger, words=ids()),
    "torch transformer": plain(
        lambda: nn.Transformer(16, 4, 2, 2, 32, batch_first=True), src=drawn(2, 9, 16), tgt=drawn(2, 5, 16)
    ),
}


@cache
def made(name: str) -> Made:
    return ARCHITECTURES[name]()


@cache
def traced(name: str) -> Workload:
    return trace(*made(name))


def rows_by_expert(rows: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Every row meets the weight of one expert; torch's own counter leaves this operator out."""
    return 2 * rows[0] * rows[1] * weights[2]


def counted(module: nn.Module, inputs: dict[str, Any]) -> int:
    """Multiply-accumulates by torch's own counter, with kernels that it can see into."""
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten._grouped_mm: rows_by_expert})
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        # The context manager of this flag warns about others.
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        stack.enter_context(torch.no_grad())
        stack.enter_context(counter)
        module(**inputs)
    return int(counter.get_total_flops()) // 2


def tensors(output: Any) -> Iterator[Any]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, (tuple, list, Mapping)):
        for part in output.values() if isinstance(output, Mapping) else output:
            yield from tensors(part)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_products_are_all_there_and_outputs_are_untouched(name: str) -> None:
    module, inputs = made(name)
    workload = traced(name)
    assert workload.macs == counted(module, inputs) > 0
    assert not any(isinstance(layer, Unknown) for layer in workload.layers)
    assert len({layer.name for layer in workload.layers}) == len(workload.layers)
    with still(module):
        plain = list(tensors(module(**inputs)))
        with Recorder(module, inputs):
            seen = list(tensors(module(**inputs)))
    assert len(plain) == len(seen) > 0
    assert all(torch.equal(one, other) for one, other in zip(plain, seen, strict=True))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_machine_takes_what_it_understands(name: str) -> None:
    pruned = trace(*made(name), "magnitude,2:4")
    for machine in ("sat", "stc", "spatten"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkippedLayersWarning)
            report = run(pruned, ACCELERATORS[machine].presets["tiny"])
        understood = [
            row
            for row, layer in zip(report.layers, pruned.layers, strict=True)
            if isinstance(layer, Attention if machine == "spatten" else Matmul)
        ]
        assert all(row.cycles > 0 and not row.reason for row in understood), machine
        assert len(report.layers) == len(pruned.layers)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_two_of_every_four_weights_are_left(name: str) -> None:
    module, inputs = made(name)
    before = [weight.clone() for weight in module.parameters()]
    # The row of an embedding's padding token is zero from the start, also where a head is tied to it.
    masks = [
        layer.mask.unpack()
        for layer, unpruned in zip(
            trace(module, inputs, "magnitude,2:4").layers, traced(name).layers, strict=True
        )
        if isinstance(layer, Matmul) and layer.mask is not None and layer != unpruned
    ]
    assert masks
    for mask in masks:
        assert (np.add.reduce(mask.reshape(-1, 4), axis=1) == 2).all()
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))


HEADS_AND_SIZES = {
    # kv_heads, queries, keys, causal, batch: of each kind of attention that occurs
    "BERT, padded": {(4, 12, 12, False, 2)},
    "Llama (grouped queries)": {(2, 12, 12, True, 2)},
    "Llama, padded": {(2, 12, 12, True, 2)},
    "Mistral (sliding window)": {(2, 12, 12, True, 2)},
    "Gemma (one key head)": {(1, 12, 12, True, 2)},
    "Falcon (one key head)": {(1, 12, 12, True, 2)},
    "BLOOM (ALiBi)": {(4, 12, 12, True, 2)},
    "T5": {(4, 12, 12, False, 2), (4, 5, 5, True, 2), (4, 5, 12, False, 2)},
    "BART": {(4, 12, 12, False, 2), (4, 5, 5, True, 2), (4, 5, 12, False, 2)},
    "DETR (learned queries)": {(4, 16, 16, False, 2), (4, 5, 5, False, 2), (4, 5, 16, False, 2)},
    "Whisper": {(4, 20, 20, False, 2), (4, 5, 5, True, 2), (4, 5, 20, False, 2)},
    # 64 patches are four windows of 16, then 16 patches are one, with twice the heads.
    "Swin (windows)": {(2, 16, 16, False, 8), (4, 16, 16, False, 2)},
}


@pytest.mark.parametrize("name", HEADS_AND_SIZES)
def test_attention_has_its_key_heads_its_sizes_and_its_mask(name: str) -> None:
    attentions = [layer for layer in traced(name).layers if isinstance(layer, Attention)]
    found = {(each.kv_heads, each.queries, each.keys, each.causal, each.batch) for each in attentions}
    assert found == HEADS_AND_SIZES[name]


@pytest.mark.parametrize("name", ["Llama (grouped queries)", "Gemma (one key head)", "Qwen2"])
def test_the_fused_operator_has_the_key_heads_too(name: str) -> None:
    module, inputs = ARCHITECTURES[name]()
    eager = traced(name)
    module.set_attn_implementation("sdpa")
    for before, layer in zip(eager.layers, trace(module, inputs).layers, strict=True):
        assert layer == before


@pytest.mark.parametrize("name", ["Mixtral (experts)", "Qwen2-MoE (experts)"])
def test_experts_have_the_rows_that_were_sent_to_them(name: str) -> None:
    module, inputs = ARCHITECTURES[name]()
    rows = {
        (layer.name.split(".")[2], layer.name.rpartition(".")[2]): layer.m
        for layer in traced(name).layers
        if isinstance(layer, Matmul) and ".experts.gate_up_proj" in layer.name
    }
    sent: dict[tuple[str, str], int] = {}
    with ExitStack() as hooks:
        for index, layer in enumerate(module.model.layers):

            def count(_gate: Any, _args: Any, output: Any, place: str = str(index)) -> None:
                for expert in output[-1].flatten().tolist():
                    sent[place, str(expert)] = sent.get((place, str(expert)), 0) + 1

            hooks.callback(layer.mlp.gate.register_forward_hook(count).remove)
        with torch.no_grad():
            module(**inputs)
    assert rows == sent
    module.set_experts_implementation("eager")
    assert trace(module, inputs).macs == traced(name).macs


def test_layers_that_share_a_weight_are_two_layers() -> None:
    names = [layer.name for layer in traced("ALBERT (layers share weights)").layers]
    (second,) = (name for name in names if name.endswith("attention.query#2"))
    assert second.removesuffix("#2") in names


def test_a_quantised_linear_is_named_with_its_products() -> None:
    class Packed(nn.Module):
        def forward(self, rows: Any) -> Any:
            return torch.ops.accelsim_test.linear_packed(rows)

    library = torch.library.Library("accelsim_test", "DEF")
    library.define("linear_packed(Tensor rows) -> Tensor")
    library.impl("linear_packed", lambda rows: rows.new_ones(*rows.shape[:-1], 5), "CPU")
    (layer,) = trace(Packed(), drawn(3, 16)).layers
    assert isinstance(layer, Unknown)
    assert (layer.op, layer.macs) == ("accelsim_test.linear_packed", 3 * 16 * 5)
