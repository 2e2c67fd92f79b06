"""A training step of real modules: shapes, masks of both directions, and which products there are."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.golden.formats import nm_pattern, select_nm  # noqa: E402
from accelsim.training import trace_step  # noqa: E402
from accelsim.workload import Matmul, Update, Workload  # noqa: E402

pytestmark = pytest.mark.torch


class Network(nn.Module):
    """A stem, a strided and grouped, a ragged and a depthwise convolution, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.grouped = nn.Conv2d(12, 20, 3, stride=2, groups=2, bias=False)
        self.ragged = nn.Conv2d(20, 18, 1)
        self.depthwise = nn.Conv2d(18, 18, 3, padding=1, groups=18)
        self.hidden = nn.Linear(18, 21)
        self.head = nn.Linear(21, 5)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        hidden = self.depthwise(self.ragged(self.grouped(self.stem(pictures)).relu())).amax((2, 3))
        logits: torch.Tensor = self.head(self.hidden(hidden).relu())
        return logits


PICTURES = torch.randn(2, 3, 9, 11, generator=torch.Generator().manual_seed(1))


def products(step: Workload) -> dict[str, Matmul]:
    return {layer.name: layer for layer in step.layers if isinstance(layer, Matmul)}


def mask_of(layer: Matmul) -> np.ndarray:
    assert layer.mask is not None
    return layer.mask.unpack()


def test_products_have_the_shapes_and_masks_of_the_module() -> None:
    module = Network()
    found = products(step := trace_step(module, PICTURES, "bdwp,2:8"))
    positions = 2 * 4 * 5  # 9 x 11 by 3 x 3 in steps of 2
    sizes = {
        "stem.wu": (27, 12, 2 * 99, 1),
        "grouped.ff": (positions, 10, 54, 2),
        "grouped.bp": (positions, 54, 10, 2),
        "grouped.wu": (54, 10, positions, 2),
        "ragged.bp": (positions, 20, 18, 1),
        "depthwise.ff": (positions, 1, 9, 18),
        "depthwise.bp": (positions, 9, 1, 18),
        "hidden.ff": (2, 21, 18, 1),
        "head.bp": (2, 21, 5, 1),
    }
    for name, size in sizes.items():
        assert (found[name].m, found[name].n, found[name].k, found[name].count) == size, name
    assert "stem.bp" not in found
    dense = {"stem", "depthwise", "head"}
    assert {layer.layer for layer in found.values() if layer.mask is None and layer.stage == "ff"} == dense
    assert step.notes[-1] == (
        "left dense: stem (the first layer), depthwise (one channel in each group), head (the last layer)"
    )
    weight = module.grouped.weight.detach().half().numpy()
    forward, backward = mask_of(found["grouped.ff"]), mask_of(found["grouped.bp"])
    for group in range(2):
        own = weight[group * 10 : group * 10 + 10]
        for tap in range(9):
            at = own[:, :, tap // 3, tap % 3]  # (output channels, input channels) of the group
            columns = slice(6 * tap, 6 * tap + 6)
            np.testing.assert_array_equal(forward[group][:, columns], select_nm(at, 2, 8))
            np.testing.assert_array_equal(backward[group][columns], select_nm(at.T, 2, 8))


def test_updates_have_every_parameter_once() -> None:
    module = Network()
    step = trace_step(module, PICTURES, "bdwp,2:8,decay=0.0002")
    updates = {layer.name: layer for layer in step.layers if isinstance(layer, Update)}
    total = sum(parameter.numel() for parameter in module.parameters())
    assert sum(update.parameters for update in updates.values()) == total
    grouped = updates["grouped.update"]
    assert (grouped.forward, grouped.backward, grouped.decay, grouped.state) == ("2:8", "2:8", True, 1)
    assert (grouped.group_span, grouped.backward_span) == (6, 10)
    assert updates["head.update"].is_dense
    assert not updates["head.update"].decay
    assert updates["other parameters.update"].parameters == 12 + 18 + 18 + 21 + 5


class Sharing(nn.Module):
    """A table tied to the head, two layers with one weight, one that runs twice, and a recurrent one."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.first, self.second, self.twice = (nn.Linear(8, 8) for _ in range(3))
        self.second.weight = self.first.weight
        self.recurrent = nn.LSTM(8, 8)
        self.head = nn.Linear(8, 20)
        self.head.weight = self.table.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        hidden = self.second(self.first(self.table(words)))
        logits: torch.Tensor = self.head(self.recurrent(self.twice(self.twice(hidden)))[0])
        return logits


@pytest.mark.parametrize("recipe", ["bdwp,2:4", None])
def test_a_parameter_that_several_layers_or_steps_use_is_updated_once(recipe: str | None) -> None:
    module = Sharing()
    step = trace_step(module, torch.arange(10).reshape(5, 2), recipe)
    updates = {layer.name: layer.parameters for layer in step.layers if isinstance(layer, Update)}
    assert sum(updates.values()) == sum(parameter.numel() for parameter in module.parameters())
    assert len([name for name in updates if name.startswith(("first", "second"))]) == 1
    assert updates["recurrent.weight_hh_l0.update"] == 32 * 8


@pytest.mark.parametrize("recipe", ["bdwp,2:4", "srste,2:4", "transposable,2:4", "sdgp,2:4", None])
def test_methods_prune_their_operands_and_no_others(recipe: str | None) -> None:
    step = trace_step(Network(), PICTURES, recipe)
    found = products(step)
    method = (recipe or "").partition(",")[0]
    assert (found["hidden.ff"].mask is not None) == (method in ("bdwp", "srste", "transposable"))
    assert (found["hidden.bp"].mask is not None) == (method in ("bdwp", "transposable", "sdgp"))
    assert all(layer.mask is None for layer in found.values() if layer.stage == "wu")
    for layer in found.values():
        if layer.mask is not None:
            kept = mask_of(layer).reshape(-1, layer.group_span)
            assert nm_pattern(kept, [4])[4] <= 2
    if method == "sdgp":
        # Output gradients are pruned: they stand where the weight does, (rows, channels).
        hidden, grouped = found["hidden.bp"], found["grouped.bp"]
        assert (hidden.m, hidden.n, hidden.k, hidden.weights) == (18, 2, 21, False)
        assert (grouped.m, grouped.n, grouped.k, grouped.count) == (54, 40, 10, 2)
        assert "output gradients are drawn: there is no loss" in step.notes
    if method == "transposable":
        np.testing.assert_array_equal(mask_of(found["ragged.bp"]), mask_of(found["ragged.ff"]).T)
    assert step.dense().is_dense


def test_a_module_is_as_it_was_and_its_zeros_train() -> None:
    module = Network().train()
    with torch.no_grad():
        module.hidden.weight[:, ::2] = 0
    module.requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    step = trace_step(module, PICTURES)
    assert module.training
    assert all(not value.requires_grad and value.grad is None for value in module.parameters())
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert step.is_dense


def test_one_weight_in_two_layers_is_updated_once() -> None:
    linear = nn.Linear(8, 8, bias=False)
    step = trace_step(
        nn.Sequential(nn.Linear(8, 8), linear, linear, nn.Linear(8, 8)), torch.zeros(3, 8), "bdwp,2:8"
    )
    found = products(step)
    assert (found["1.ff"].m, found["1#2.ff"].m) == (3, 3)
    assert found["1#2.bp"].mask == found["1.bp"].mask or np.array_equal(
        mask_of(found["1#2.bp"]), mask_of(found["1.bp"])
    )
    assert [layer.name for layer in step.layers if isinstance(layer, Update)] == [
        "0.update", "1.update", "3.update", "other parameters.update"
    ]  # fmt: skip


def test_token_models_have_gradients_at_every_input() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.first, self.last = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 2)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.last(self.first(self.embedding(tokens)))
            return logits

    step = trace_step(Words(), torch.zeros(1, 4, dtype=torch.long))
    assert {"first.bp", "last.bp"} <= products(step).keys()
    others = next(layer for layer in step.layers if layer.name == "other parameters.update")
    assert isinstance(others, Update)
    assert others.parameters == 9 * 8 + 8 + 2
