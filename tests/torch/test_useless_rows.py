"""Heads and neurons leave as a whole, from all layers around them; what a model puts out does not change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402

from accelsim.accelerators import find  # noqa: E402
from accelsim.prune import applying, fitted, pruned, useless_rows  # noqa: E402
from accelsim.run import run  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.training import trace_step  # noqa: E402
from accelsim.workload import Attention, Layer, Matmul, Workload  # noqa: E402

pytestmark = pytest.mark.torch

RECIPE = "magnitude,0.5,heads"
IDS = {"input_ids": torch.arange(12).reshape(2, 6)}


class Attending(nn.Module):
    """Attention of so many heads of 8, from 32 features to 32."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.config = type("Config", (), {"head_dim": 8})()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(32, 8 * heads) for _ in range(3))
        self.o_proj = nn.Linear(8 * heads, 32)

    def forward(self, rows: Any) -> Any:
        given = (self.q_proj(rows), self.k_proj(rows), self.v_proj(rows))
        q, k, v = (each.unflatten(-1, (self.heads, 8)).transpose(1, 2) for each in given)
        return self.o_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def bert(way: str) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        attn_implementation=way,
    )
    model = transformers.BertModel(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return model


def llama() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=48,
    )
    return transformers.LlamaModel(config).eval()


def outputs(model: Any, recipe: Any) -> Any:
    with torch.no_grad(), pruned(model, recipe):
        return model(**IDS).last_hidden_state


def sizes(layers: Any, ending: str) -> set[tuple[int, int, int, int]]:
    return {
        (layer.n, layer.dense_n, layer.k, layer.dense_k)
        for layer in layers
        if isinstance(layer, Matmul) and layer.name.endswith(ending)
    }


@pytest.mark.parametrize("way", ["eager", "sdpa"])
def test_what_a_model_puts_out_does_not_change(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = bert(way)
    whole = outputs(model, fitted(model, RECIPE, [IDS]))
    monkeypatch.setattr(applying, "clear_useless_rows", lambda module, found: None)
    behind = outputs(model, fitted(model, RECIPE, [IDS]))
    assert torch.equal(whole, behind)
    assert not torch.equal(whole, outputs(model, ()))


def test_a_head_that_stays_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = bert("sdpa")
    right, clear = outputs(model, fitted(model, RECIPE, [IDS])), useless_rows._clear
    monkeypatch.setattr(useless_rows, "_clear", lambda matrix, stays, found: clear(matrix, ~stays, found))
    assert not torch.allclose(right, outputs(model, fitted(model, RECIPE, [IDS])), atol=1e-3)


@pytest.mark.parametrize("way", ["eager", "sdpa"])
def test_the_layers_around_a_head_lose_it(way: str) -> None:
    model = bert(way)
    found, dense = trace(model, IDS, RECIPE), trace(model, IDS)
    assert sizes(found.layers, ".query") == sizes(found.layers, ".value") == {(16, 32, 32, 0)}
    assert sizes(found.layers, "attention.output.dense") == {(32, 0, 16, 32)}
    attentions = [layer for layer in found.layers if isinstance(layer, Attention)]
    assert {(each.heads, each.kv_heads, each.dense_heads) for each in attentions} == {(2, 2, 4)}
    assert all(each.head_ids is not None and len(each.head_ids) == 2 for each in attentions)
    assert found.dense().layers == dense.layers
    assert "heads whose V is zero are taken out of 2 attention layers" in found.notes


@pytest.mark.parametrize("name", ["sat", "stc", "spatten:e2e", "a3", "mnnfast"])
def test_cycles_are_those_of_the_smaller_attention(name: str) -> None:
    machine = find(name)[2]
    torch.manual_seed(0)
    large, small, rows = Attending(4), Attending(2), torch.randn(1, 16, 32)
    found, less = trace(large, rows, RECIPE), trace(small, rows)

    def as_small(layer: Layer) -> Layer:
        if isinstance(layer, Attention):
            return replace(layer, dense_heads=0, head_ids=None)
        return replace(layer, dense_n=0, dense_k=0) if isinstance(layer, Matmul) else layer

    assert [as_small(layer) for layer in found.layers] == list(less.layers)
    assert found.dense().layers == trace(large, rows).layers

    def on(workload: Workload) -> Any:
        """Of machines for attention alone its layer."""
        runs = tuple(layer for layer in workload.layers if not machine.refuse(layer))
        return run(replace(workload, layers=runs), machine)

    report, smaller, whole = on(found), on(less), on(trace(large, rows))
    assert report.baseline is not None
    assert report.baseline.cycles == whole.cycles
    assert report.macs_dense == whole.macs_dense
    assert report.macs_done == smaller.macs_done
    # SpAtten leaves room for the K and V of all heads, so that its banks differ.
    if machine.name != "spatten":
        assert (report.cycles, report.dram_bytes) == (smaller.cycles, smaller.dram_bytes)
    assert report.cycles < whole.cycles or machine.name == "stc"


def test_heads_that_share_k_and_v_keep_them_until_all_have_gone() -> None:
    model = llama()
    recipe = fitted(model, "magnitude,0.75,heads", [IDS])
    (made,) = recipe
    layers = {name.rpartition(".")[2]: weight for name, weight in made.weights.items()}
    assert layers.keys() == {"o_proj", "q_proj"}
    assert int((layers["q_proj"] != 0).any(dim=1).sum()) == 24
    with torch.no_grad():
        # Now both heads of the second group weigh least.
        model.layers[0].self_attn.o_proj.weight[:, 16:] *= 0.01
    (made,) = fitted(model, RECIPE, [IDS])
    stay = {name.rpartition(".")[2]: (weight != 0).any(dim=1) for name, weight in made.weights.items()}
    for name, rows in (("q_proj", 32), ("k_proj", 16), ("v_proj", 16)):
        assert stay[name].tolist() == [True] * (rows // 2) + [False] * (rows // 2)
    behind = {name: weight for name, weight in made.weights.items() if name.endswith("o_proj")}
    whole = outputs(model, made)
    made.weights.clear()
    made.weights.update(behind)
    assert torch.equal(whole, outputs(model, made))
    # Grouped heads stay in the attention.
    (attention,) = [layer for layer in trace(model, IDS, made).layers if isinstance(layer, Attention)]
    assert (attention.heads, attention.kv_heads, attention.dense_heads) == (4, 2, 0)


def test_fused_q_k_and_v_stay_as_they_are() -> None:
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=40, n_embd=32, n_layer=1, n_head=4, n_positions=16)
    model = transformers.GPT2Model(config).eval()
    (made,) = fitted(model, RECIPE, [IDS])
    assert {name.rpartition(".")[2] for name in made.weights} == {"c_proj"}


def test_scores_are_those_of_the_heads_that_stay() -> None:
    model = bert("eager")
    whole, less = trace(model, IDS, scores=True), trace(model, IDS, RECIPE, scores=True)
    first, left = (
        next(layer for layer in each.layers if isinstance(layer, Attention)) for each in (whole, less)
    )
    assert left.head_ids is not None
    for name in ("scores", "query_vectors", "key_vectors"):
        np.testing.assert_array_equal(getattr(left, name), getattr(first, name)[:, left.head_ids])


def test_a_training_step_has_every_head() -> None:
    torch.manual_seed(0)
    module, rows = Attending(4), torch.randn(1, 6, 32)
    with torch.no_grad():
        module.v_proj.weight[:8], module.v_proj.bias[:8] = 0, 0
    assert [layer.heads for layer in trace(module, rows).layers if isinstance(layer, Attention)] == [3]
    products = [layer for layer in trace_step(module, rows).layers if ".qk" in layer.name]
    assert len(products) == 3
    assert all(isinstance(product, Matmul) and product.count == 4 for product in products)


def test_heads_of_a_model_without_weights_of_its_own_stay() -> None:
    module, rows = Attending(4), torch.randn(1, 6, 32)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    (attention,) = [layer for layer in trace(module, rows).layers if isinstance(layer, Attention)]
    assert (attention.heads, attention.dense_heads) == (4, 0)


class Mlp(nn.Module):
    """Two layers with something between them."""

    def __init__(self, between: Any, norm: Any = None) -> None:
        super().__init__()
        self.between = between
        self.norm = norm or nn.Identity()
        self.fc1, self.fc2 = nn.Linear(16, 64), nn.Linear(64, 16)

    def forward(self, rows: Any) -> Any:
        return self.fc2(self.norm(self.between(self.fc1(rows))))


COLUMNS = "magnitude,0.5,columns"


@pytest.mark.parametrize("make", [lambda: bert("sdpa"), llama])
def test_neurons_that_left_are_left_by_the_layers_before(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    whole = outputs(model, fitted(model, COLUMNS, [IDS]))
    found = trace(model, IDS, COLUMNS)
    inner = 48
    for ending in ("intermediate.dense", "gate_proj", "up_proj"):
        for n, dense_n, k, dense_k in sizes(found.layers, ending):
            assert (n, dense_n, k, dense_k) == (inner // 2, inner, 16, 32)
    assert sizes(found.layers, ".output.dense") | sizes(found.layers, "down_proj")
    assert found.dense().layers == trace(model, IDS).layers
    monkeypatch.setattr(applying, "clear_useless_rows", lambda module, found: None)
    assert torch.equal(whole, outputs(model, fitted(model, COLUMNS, [IDS])))
    assert trace(model, IDS, COLUMNS).macs > found.macs


@pytest.mark.parametrize(
    ("between", "norm", "n"),
    [
        (F.gelu, None, 32),
        (F.relu, nn.Dropout(0.5), 32),
        (lambda rows: rows.softmax(-1), None, 64),
        (lambda rows: rows - rows.mean(-1, keepdim=True), None, 64),
        (F.gelu, nn.LayerNorm(64), 64),
        (lambda rows: rows.flip(-1), None, 64),
    ],
)
def test_neurons_that_others_see_stay(between: Any, norm: Any, n: int) -> None:
    torch.manual_seed(0)
    module, rows = Mlp(between, norm).train(), torch.randn(5, 16)
    before = [parameter.clone() for parameter in module.parameters()]
    (first, second) = trace(module, rows, COLUMNS).layers
    assert isinstance(first, Matmul)
    assert isinstance(second, Matmul)
    assert (first.n, second.k) == (n, 32)
    assert all(torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))
    assert all(child.training for child in module.modules())


def test_biases_that_a_recipe_adds_stay_with_the_neurons_that_stay() -> None:
    torch.manual_seed(0)
    module, rows = Mlp(F.relu), torch.randn(50, 16)
    (made,) = fitted(module, "flap,0.5,columns,bias", [rows])
    stays = (made.weights["fc2"] != 0).any(dim=0)
    assert made.bias["fc1"][stays].abs().sum() > 0
    with torch.no_grad(), pruned(module, made):
        assert not module.fc1.bias[~stays].any()
        assert not module.fc1.weight[~stays].any()
        whole = module(rows)
    made.weights["fc1"][~stays] = module.fc1.weight[~stays]
    made.bias["fc1"][~stays] = 0
    with torch.no_grad(), pruned(module, made):
        assert torch.equal(whole, module(rows))
