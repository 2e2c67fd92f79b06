"""Small networks of many kinds with inputs: of `transformers` from their configurations, and of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers
from torch import nn

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
