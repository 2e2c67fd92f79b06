"""ViT-S/14: the backbone of an ONNX model, as a `Dinov2Model` of `transformers`.

The exported graph names its matrices by number, so each is found through the product that uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.models.onnx_file import Onnx, OnnxError, read

LAYERS, WIDTH, HEADS, PATCH, SIDE = 12, 384, 6, 14, 224
"""Sizes of the backbone, and of the pictures that the exported graph takes."""

IN_LAYER = {
    "attention.q_proj": "attention/attention/query",
    "attention.k_proj": "attention/attention/key",
    "attention.v_proj": "attention/attention/value",
    "attention.o_proj": "attention/output/dense",
    "mlp.fc1": "mlp/fc1",
    "mlp.fc2": "mlp/fc2",
}
AS_THEY_ARE = (
    *("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"),
    *("layer_scale1.lambda1", "layer_scale2.lambda1"),
)


def load_dinov2(path: Path) -> nn.Module:
    """The backbone in float32 with eager attention; OnnxError if the file does not hold it."""
    from transformers import Dinov2Config, Dinov2Model

    settings: dict[str, Any] = {"attn_implementation": "eager"}
    config = Dinov2Config(
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        patch_size=PATCH,
        image_size=SIDE,
        **settings,
    )
    # Built without memory: every weight is replaced by one of the file.
    with torch.device("meta"):
        module: Any = Dinov2Model(config)
    try:
        weights = _weights(read(path))
    except KeyError as error:
        raise OnnxError(f"{path} is no ViT-S/14 backbone: {error.args[0]!r} is missing") from None
    # A backbone that masks no patches has no token for masked ones.
    weights["embeddings.mask_token"] = torch.zeros(1, WIDTH)
    module.load_state_dict(weights, assign=True)
    made: nn.Module = module
    return made


def _weights(file: Onnx) -> dict[str, torch.Tensor]:
    """The state of a `Dinov2Model`."""

    def given(name: str) -> torch.Tensor:
        return torch.from_numpy(file.weights[f"backbone.{name}"])

    embeddings = "embeddings.cls_token", "embeddings.patch_embeddings.projection.weight"
    plain = (*embeddings, "embeddings.patch_embeddings.projection.bias", "layernorm.weight", "layernorm.bias")
    state = {name: given(name) for name in plain}
    state["embeddings.position_embeddings"] = _positions(file)
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}"
        state |= {f"{layer}.{name}": given(f"{layer}.{name}") for name in AS_THEY_ARE}
        for ours, theirs in IN_LAYER.items():
            matrix = file.inputs[f"/backbone/{layer.replace('.', '/', 1)}/{theirs}/MatMul"][1]
            state[f"{layer}.{ours}.weight"] = torch.from_numpy(file.weights[matrix].T.copy())
            state[f"{layer}.{ours}.bias"] = given(f"{layer}.{theirs.replace('/', '.')}.bias")
    return state


def _positions(file: Onnx) -> torch.Tensor:
    """Positions of the class token and of the 16 x 16 patches.

    The file has them for a larger picture, and its graph shrinks them by this same interpolation.
    """
    first = next(name for name in file.inputs["/backbone/embeddings/Concat_6"] if name in file.weights)
    grid = next(name for name in file.inputs["/backbone/embeddings/Reshape_1"] if name in file.weights)
    stored = torch.from_numpy(file.weights[grid])
    side = round(stored.shape[1] ** 0.5)
    patches = nn.functional.interpolate(
        stored.reshape(1, side, side, WIDTH).permute(0, 3, 1, 2),
        size=(SIDE // PATCH, SIDE // PATCH),
        mode="bicubic",
        align_corners=False,
    )
    patches = patches.permute(0, 2, 3, 1).reshape(1, -1, WIDTH)
    return torch.cat([torch.from_numpy(file.weights[first]), patches], dim=1)
