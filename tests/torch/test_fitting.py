"""Fitting: block by block on what the cut blocks give, the module untouched, and traces of what is left."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.prune import Composed, fitted, parse, pruned  # noqa: E402
from accelsim.prune.blocks import chain_of  # noqa: E402
from accelsim.prune.fitting import fit  # noqa: E402
from accelsim.trace import trace  # noqa: E402
from accelsim.workload import Matmul  # noqa: E402

pytestmark = pytest.mark.torch

SAMPLES = [torch.randn(7, 16, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]


class Block(nn.Module):
    """Two layers of one input, as Q and K are, and one behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.out = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given + self.out(self.left(given).relu() * self.right(given))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList([Block() for _ in range(3)])
        self.head = nn.Linear(16, 8)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            given = block(given)
        return self.head(given)


def recipe(words: str) -> Composed:
    made = parse(words)
    assert isinstance(made, Composed)
    return made


def plain_wanda(module: Network, keep: int) -> dict[str, np.ndarray]:
    """Weight by weight: a block's layers by what they see before any is cut, then the next block."""
    states, found = torch.cat(SAMPLES), {}
    for index, block in enumerate(module.blocks):
        inside = block.left(states).relu() * block.right(states)
        for name, seen in (("left", states), ("right", states), ("out", inside)):
            layer = getattr(block, name)
            scores = (layer.weight.abs() * seen.square().mean(dim=0).sqrt()).detach().numpy()
            weight = layer.weight.detach().numpy().copy()
            for row in range(len(weight)):
                for column in np.argsort(-scores[row], kind="stable")[keep * weight.shape[1] // 4 :]:
                    weight[row, column] = 0
            found[f"blocks.{index}.{name}"] = weight
        for name in ("left", "right", "out"):
            getattr(block, name).weight.data = torch.from_numpy(found[f"blocks.{index}.{name}"])
        states = block(states)
    return found


@torch.no_grad()
def test_blocks_are_cut_one_after_the_other_on_what_the_cut_ones_give() -> None:
    found = fit(Network(), recipe("wanda,0.5"), SAMPLES)
    expected = plain_wanda(Network(), 2)
    assert found.weights.keys() == {*expected, "head"}
    for name, weight in expected.items():
        np.testing.assert_array_equal(found.weights[name].numpy(), weight, err_msg=name)


@torch.no_grad()
def test_a_chain_gives_the_states_of_the_whole_network_and_branches_are_none() -> None:
    module = Network()
    chain = chain_of(module, SAMPLES)
    assert chain is not None
    assert chain.names == ("blocks.0", "blocks.1", "blocks.2")
    for index in range(3):
        chain.advance(index)
    for state, sample in zip(chain.states, SAMPLES, strict=True):
        torch.testing.assert_close(module.head(state), module(sample))

    class Branches(Network):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return self.head(sum((block(given) for block in self.blocks), torch.zeros(())))

    assert chain_of(Branches(), SAMPLES) is None
    assert fit(Branches(), recipe("wanda,2:4"), SAMPLES).weights.keys() == dict(
        Network().named_modules()
    ).keys() - {"", "blocks", "blocks.0", "blocks.1", "blocks.2"}


def test_the_module_is_as_before_and_what_was_fitted_is_applied_as_often_as_wanted() -> None:
    module = Network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    (found,) = fitted(module, "wanda,2:4,bias,bits=8", SAMPLES)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    outputs = []
    for _ in range(2):
        with pruned(module, found):
            assert ((module.head.weight != 0).reshape(8, -1, 4).sum(dim=2) <= 2).all()
            outputs.append(module(SAMPLES[0]))
    assert torch.equal(*outputs)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with pruned(module, "wanda,2:4,bias,bits=8", samples=SAMPLES):
        assert torch.equal(module(SAMPLES[0]), outputs[0])


def test_without_samples_a_recipe_that_needs_them_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^wanda,2:4 must be calibrated on samples, and there are none$"):
        fit(Network(), recipe("wanda,2:4"), [])


def test_armor_is_traced_as_a_core_of_2_4_between_dense_blocks() -> None:
    module = nn.Sequential(nn.Linear(32, 64), nn.Linear(64, 6))
    given = torch.randn(5, 32)
    words = "nowag,2:4,armor,block=16,steps=3"
    layers = trace(module, given, words).layers
    assert [layer.name for layer in layers] == ["0.before.blocks", "0.core", "0.behind.blocks", "1"]
    core, plain = layers[1], layers[3]
    assert isinstance(core, Matmul)
    assert isinstance(plain, Matmul)
    assert core.density <= 0.5
    assert plain.density == 0.5
    (found,) = fitted(module, words, [given])
    dense = module(given)
    with pruned(module, found):
        factored = module(given)
        assert type(module[0]).__name__ == "Factored"
    assert type(module[0]) is nn.Linear
    with pruned(module, "nowag,2:4", samples=[given]):
        cut = module(given)
    assert (factored - dense).norm() < (cut - dense).norm()


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 32), (32, 64)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_armor_reads_a_conv1d_by_its_outputs(inputs: int, outputs: int, dtype: torch.dtype) -> None:
    conv1d = pytest.importorskip("transformers.pytorch_utils").Conv1D
    torch.manual_seed(3)
    linear = nn.Linear(inputs, outputs).to(dtype)
    module, same = nn.Sequential(conv1d(outputs, inputs).to(dtype)), nn.Sequential(linear)
    with torch.no_grad():
        module[0].weight.copy_(linear.weight.T)
        module[0].bias.copy_(linear.bias)
    given, words = torch.randn(9, inputs, dtype=dtype), "nowag,2:4,armor,block=16,steps=2"
    with pruned(same, words, samples=[given]):
        expected = same(given)
    with pruned(module, words, samples=[given]):
        # Sums run in another order; a core that is read the wrong way is off by as much as the output is.
        near = 5e-3 if dtype == torch.float32 else 5e-2
        torch.testing.assert_close(module(given), expected, atol=near, rtol=near)


def test_armor_leaves_convolutions_and_broken_blocks_to_their_mask_and_says_why() -> None:
    module = nn.Sequential(nn.Conv2d(16, 16, 1), nn.Flatten(2), nn.Linear(24, 16))
    picture = torch.randn(2, 16, 4, 6)
    with pruned(module, "nowag,2:4,armor,block=16,steps=1", samples=[picture]) as applied:
        assert ((module[0].weight[:, :, 0, 0] != 0).reshape(16, -1, 4).sum(dim=2) <= 2).all()
        module(picture)
    assert applied.unrefined == {
        "0": "armor puts blocks around linear layers, and this is a convolution",
        "2": "armor's blocks of 16 must divide 16 x 24",
    }


def test_a_trace_calibrates_on_its_own_inputs() -> None:
    module = Network()
    by_trace = trace(module, SAMPLES[0], "wanda,2:4")
    (found,) = fitted(module, "wanda,2:4", [SAMPLES[0]])
    assert trace(module, SAMPLES[0], found) == by_trace
    assert trace(module, SAMPLES[0], "magnitude,2:4") != by_trace
