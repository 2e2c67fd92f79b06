"""A model of any kind is fed what it takes: sound, pictures beside text, a series, or what its shape says."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch import nn  # noqa: E402

from accelsim.models.inputs import drawn  # noqa: E402
from accelsim.prune.blocks import call  # noqa: E402

pytestmark = pytest.mark.torch

TEXT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
}
VISION = {**TEXT, "image_size": 32, "patch_size": 8}
SOUND = {**TEXT, "conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 4}
SEQUENCES = {
    "vocab_size": 64,
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
WHISPER = {**SEQUENCES, "num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 16}
SERIES = {"num_input_channels": 3, "context_length": 32, "patch_length": 8, "d_model": 32, "ffn_dim": 48}

CASES: dict[str, tuple[str, str, dict[str, Any], dict[str, list[int]]]] = {
    # Configuration, class, settings, and the inputs with their shapes.
    "text": ("BertConfig", "BertModel", TEXT, {"input_ids": [1, 40]}),
    "picture": ("ViTConfig", "ViTModel", VISION, {"pixel_values": [1, 3, 32, 32]}),
    "text beside a picture": (
        "CLIPConfig",
        "CLIPModel",
        {"text_config": TEXT, "vision_config": VISION},
        {"input_ids": [1, 40], "pixel_values": [1, 3, 32, 32]},
    ),
    "samples": ("Wav2Vec2Config", "Wav2Vec2Model", SOUND, {"input_values": [1, 16000]}),
    "spectrogram and decoder": (
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        WHISPER,
        {"input_features": [1, 8, 40], "decoder_input_ids": [1, 16]},
    ),
    "clip": (
        "VivitConfig",
        "VivitModel",
        {**VISION, "num_frames": 4, "tubelet_size": [2, 16, 16]},
        {"pixel_values": [1, 4, 3, 32, 32]},
    ),
    "series": ("PatchTSTConfig", "PatchTSTModel", SERIES, {"past_values": [1, 32, 3]}),
    "positions without an end": (
        "XLNetConfig",
        "XLNetModel",
        {"vocab_size": 64, "d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 48},
        {"input_ids": [1, 128]},
    ),
}


def built(case: str) -> nn.Module:
    config, model, settings, _ = CASES[case]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**settings))
    return module.eval()


@pytest.mark.parametrize("case", CASES)
def test_a_model_runs_on_the_inputs_that_are_drawn_for_it(case: str) -> None:
    module = built(case)
    given = drawn(module, seed=3)
    assert {name: list(value.shape) for name, value in given.items()} == CASES[case][3]
    with torch.no_grad():
        call(module, given)
    again = drawn(module, seed=3)
    assert all(torch.equal(given[name], again[name]) for name in given)


def test_a_shape_means_ids_where_ids_are_taken_and_leaves_the_decoder_its_own() -> None:
    ids = drawn(built("text"), seed=0, shape="2x7")
    assert list(ids["input_ids"].shape) == [2, 7]
    given = drawn(built("spectrogram and decoder"), seed=0, shape="1x8x40")
    assert {name: list(value.shape) for name, value in given.items()} == CASES["spectrogram and decoder"][3]


def test_ids_that_stand_for_pictures_are_not_drawn() -> None:
    module = built("text")
    module.config.image_token_id = 5
    assert not (drawn(module, seed=0)["input_ids"] == 5).any()
