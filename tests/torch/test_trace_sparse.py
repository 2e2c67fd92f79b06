"""Weights that others have pruned, in the ways in which torch does it, are found as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn.utils import parametrize, prune  # noqa: E402

from accelsim.trace import trace  # noqa: E402
from accelsim.trace.tracing import record, still  # noqa: E402
from accelsim.workload import Matmul  # noqa: E402

pytestmark = pytest.mark.torch


def drawn(*shape: int, seed: int = 7) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 12), nn.Linear(12, 4)
        )


class Kept(nn.Module):
    """A parametrisation that multiplies with a mask."""

    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Any) -> Any:
        return weight * self.mask


def by_magnitude(module: nn.Module) -> None:
    for layer in (module[0], module[3]):
        prune.l1_unstructured(layer, "weight", amount=0.4)


def over_all_layers(module: nn.Module) -> None:
    prune.global_unstructured(
        [(module[index], "weight") for index in (0, 3, 4)], prune.L1Unstructured, amount=0.6
    )


def whole_channels(module: nn.Module) -> None:
    prune.ln_structured(module[0], "weight", amount=0.5, n=2, dim=1)


def twice(module: nn.Module) -> None:
    prune.random_unstructured(module[3], "weight", amount=0.3)
    prune.l1_unstructured(module[3], "weight", amount=0.3)


def for_good(module: nn.Module) -> None:
    by_magnitude(module)
    for layer in (module[0], module[3]):
        prune.remove(layer, "weight")


def by_parametrisation(module: nn.Module) -> None:
    for layer in (module[0], module[3]):
        mask = (drawn(*layer.weight.shape, seed=1) > 0).float()
        parametrize.register_parametrization(layer, "weight", Kept(mask))


def sparsified(module: nn.Module) -> None:
    from torch.ao.pruning import WeightNormSparsifier

    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(module, [{"tensor_fqn": "3.weight"}])
    sparsifier.step()


WAYS: dict[str, Callable[[nn.Module], None]] = {
    way.__name__: way
    for way in (
        by_magnitude,
        over_all_layers,
        whole_channels,
        twice,
        for_good,
        by_parametrisation,
        sparsified,
    )
}


def recorded(module: nn.Module, inputs: Any) -> list[Matmul]:
    """Products as they run, before outputs and inputs without a weight are taken out."""
    with still(module):
        return [layer for layer in record(module, inputs) if isinstance(layer, Matmul)]


@pytest.mark.parametrize("way", WAYS)
def test_the_mask_is_where_the_weight_that_runs_is_zero(way: str) -> None:
    module, picture = network(), drawn(1, 8, 6, 6)
    WAYS[way](module)
    layers = recorded(module, picture)
    assert len(layers) == 3
    assert not all(layer.is_dense for layer in layers)
    for layer, owner in zip(layers, (module[0], module[3], module[4]), strict=True):
        weight = owner.weight.detach()
        if weight.dim() == 4:
            weight = weight.permute(0, 2, 3, 1).flatten(1)
        expected = weight.numpy() != 0
        found = np.ones_like(expected) if layer.mask is None else layer.mask.unpack()
        assert np.array_equal(found, expected)
        assert (layer.mask is None) == expected.all()


def test_two_of_four_by_torch_is_two_of_four_here() -> None:
    module = network()
    sparsified(module)
    masks = [layer.mask for layer in trace(module, drawn(1, 8, 6, 6)).layers if isinstance(layer, Matmul)]
    assert masks[1] is not None
    assert (masks[1].unpack().reshape(-1, 4).sum(axis=1) == 2).all()


@pytest.mark.parametrize("way", WAYS)
def test_tracing_leaves_masks_and_outputs_alone(way: str) -> None:
    module, picture = network().eval(), drawn(1, 8, 6, 6)
    WAYS[way](module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        plain = module(picture)
    trace(module, picture)
    with torch.no_grad():
        assert torch.equal(module(picture), plain)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_recipe_leaves_weights_that_are_computed_as_they_are() -> None:
    module, picture = network(), drawn(1, 8, 6, 6)
    by_parametrisation(module)
    pruned = trace(module, picture, "magnitude,2:4")
    plain = trace(module, picture)
    assert pruned.layers[:2] == plain.layers[:2]
    last = pruned.layers[2]
    assert isinstance(last, Matmul)
    assert last.density == 0.5


@pytest.mark.filterwarnings("ignore:Sparse CS. tensor support is in beta")
@pytest.mark.parametrize("layout", ["to_sparse_csr", "to_sparse_csc"])
def test_a_weight_in_a_sparse_layout_has_its_mask(layout: str) -> None:
    linear = nn.Linear(16, 8)
    weight = drawn(8, 16) * (drawn(8, 16, seed=1) > 0)
    linear.weight = nn.Parameter(getattr(weight, layout)(), requires_grad=False)
    (layer,) = recorded(linear, drawn(3, 16))
    assert layer.weights
    assert (layer.m, layer.n, layer.k) == (3, 8, 16)
    assert layer.mask is not None
    assert np.array_equal(layer.mask.unpack(), weight.numpy() != 0)
