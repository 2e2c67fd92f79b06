"""Whole blocks that leave: which ones may, which ones do, and what a trace says of it."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from accelsim.prune import Depth, fitted, parse, pruned  # noqa: E402
from accelsim.prune.losses import loss_of  # noqa: E402
from accelsim.prune.skipping import gradient_flow, removable  # noqa: E402
from accelsim.trace import trace  # noqa: E402

pytestmark = pytest.mark.torch

GIVEN = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    def __init__(self, strength: float = 1.0, *, in_tuple: bool = False) -> None:
        super().__init__()
        self.inner, self.strength, self.in_tuple = nn.Linear(8, 8), strength, in_tuple
        self.kind = "full"

    def forward(self, state: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor]:
        new = state + self.strength * self.inner(state).tanh()
        return (new,) if self.in_tuple else new


class Network(nn.Module):
    """A stem, blocks of different strength, a stage that narrows, and a head."""

    def __init__(self, *, in_tuple: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
        self.blocks = nn.ModuleList([Block(each, in_tuple=in_tuple) for each in (3.0, 0.1, 2.0, 0.5)])
        self.narrow = nn.Sequential(nn.Sequential(nn.Linear(8, 4)), nn.Sequential(nn.Linear(4, 4)))
        self.head = nn.Linear(4, 3)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        state = self.stem(given)
        for block in self.blocks:
            assert block.kind == "full"
            state = block(state)
            state = state[0] if isinstance(state, tuple) else state
        return self.head(self.narrow(state))


def gone(recipe: str, module: nn.Module) -> list[str]:
    (found,) = fitted(module, recipe, [GIVEN])
    return [block.name for block in found.gone]  # type: ignore[union-attr]


def test_blocks_may_leave_that_keep_their_shape() -> None:
    found = [block.name for block in removable(Network(), GIVEN)]
    assert found == ["blocks.0", "blocks.1", "blocks.2", "blocks.3", "narrow.1"]


def test_the_latest_leave_first_and_early_ones_are_protected() -> None:
    assert gone("depth,0.8", Network()) == ["narrow.1"]
    assert gone("depth,0.4", Network()) == ["blocks.2", "blocks.3", "narrow.1"]
    with pytest.raises(ValueError, match=r"takes 4 of 5 blocks, and protects the first 2: keep more"):
        gone("depth,0.2", Network())
    assert len(gone("depth,0.2,protect=0", Network())) == 4


def test_those_leave_whose_absence_changes_the_output_least_measured_anew() -> None:
    module = Network()
    with torch.no_grad():
        dense, changes = module(GIVEN), {}
        for block in removable(module, GIVEN):
            parent, own = module.get_submodule(block.name.rpartition(".")[0]), block.name[-1]
            before = getattr(parent, own)
            setattr(parent, own, nn.Identity())
            module.forward, plain = without_kinds(module), module.forward
            changes[block.name] = float((module(GIVEN) - dense).square().sum())
            module.forward = plain
            setattr(parent, own, before)
    first = min(changes, key=lambda name: changes[name])
    assert gone("depth,0.8,by=change", module) == [first]
    assert first in gone("depth,0.6,by=change", module)


def without_kinds(module: Network):  # type: ignore[no-untyped-def]
    """The forward pass for blocks of any class."""

    def forward(given: torch.Tensor) -> torch.Tensor:
        state = module.stem(given)
        for block in module.blocks:
            state = block(state)
        return module.head(module.narrow(state))

    return forward


def test_grasp_is_the_slope_of_the_squared_gradient_where_a_block_is_scaled_down() -> None:
    module = Network().double()
    given, names = GIVEN.double(), [f"blocks.{index}" for index in range(4)]
    flow = gradient_flow(module, names, [given])
    assert not any(weight.grad is not None for weight in module.parameters())
    loss = loss_of(module)
    loss(given, 0)  # draws the classes
    for name in names:
        block, squares = module.get_submodule(name), []
        inside = [weight for each in names for weight in module.get_submodule(each).parameters()]
        for scale in (1 + 1e-4, 1 - 1e-4):
            with torch.no_grad():
                for weight in block.parameters():
                    weight *= scale
            # The classes are those that the dense model draws.
            logits = module(given)
            drawn = torch.multinomial(
                Network().double()(given).float().softmax(1), 1, generator=torch.Generator().manual_seed(0)
            )[:, 0]
            found = torch.autograd.grad(nn.functional.cross_entropy(logits, drawn), inside)
            squares.append(sum(float(each.square().sum()) for each in found))
            with torch.no_grad():
                for weight in block.parameters():
                    weight /= scale
        # d|g|^2 / d scale = 2 theta H g.
        assert -(squares[0] - squares[1]) / 2e-4 / 2 == pytest.approx(flow[name], rel=1e-3, abs=1e-9)
    order = sorted(names, key=lambda name: -flow[name])
    found_first = gone("depth,0.8,by=grasp", Network())
    assert found_first == order[:1] or found_first == ["narrow.1"]


def test_random_ones_are_those_of_the_seed() -> None:
    drawn = {tuple(gone(f"depth,0.6,by=random,seed={seed}", Network())) for seed in range(8)}
    assert len(drawn) > 3
    assert gone("depth,0.6,by=random,seed=1", Network()) == gone("depth,0.6,by=random,seed=1", Network())


@pytest.mark.parametrize("in_tuple", [False, True])
def test_a_block_that_left_hands_on_its_state_and_the_module_is_as_before(in_tuple: bool) -> None:
    module = Network(in_tuple=in_tuple)
    dense = module(GIVEN)
    with pruned(module, "depth,0.4", samples=[GIVEN]) as applied:
        assert applied.gone == ("blocks.2", "blocks.3", "narrow.1")
        without_them = module(GIVEN)
        state = module.stem(GIVEN)
        for block in (module.blocks[0], module.blocks[1]):
            state = block(state)[0] if in_tuple else block(state)
        assert torch.equal(without_them, module.head(module.narrow[0](state)))
        assert not any(name.startswith("blocks.3.") for name, _ in module.named_parameters())
    assert torch.equal(module(GIVEN), dense)
    assert isinstance(module.blocks[3], Block)


def test_a_trace_has_no_layers_of_what_left_and_says_so() -> None:
    module = Network()
    made = trace(module, GIVEN, ["magnitude,2:4", "depth,0.4"])
    names = {layer.name for layer in made.layers}
    assert "blocks.1.inner" in names
    assert not {"blocks.2.inner", "blocks.3.inner", "narrow.1.0"} & names
    assert any("blocks that left" in note and "blocks.2, blocks.3, narrow.1" in note for note in made.notes)


def test_weights_are_fitted_in_the_network_that_is_left() -> None:
    module = Network()
    both = fitted(module, ["wanda,2:4", "depth,0.4"], [GIVEN])
    weights = both[1].weights  # type: ignore[union-attr]
    assert "blocks.2.inner" not in weights
    with pruned(module, both):
        assert ((module.blocks[0].inner.weight != 0).reshape(8, -1, 4).sum(dim=2) <= 2).all()
        module(GIVEN)


def test_a_network_without_such_blocks_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"^depth,0.5,.* must find blocks that repeat .*: there are none$"):
        fitted(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), "depth,0.5", [GIVEN])
    with pytest.raises(ValueError, match="must see samples"):
        fitted(Network(), "depth,0.5", [])


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("depth", "must be said first, as in depth,0.75"),
        ("depth,by=random", "must be said first"),
        ("depth,2:4", "depth must be a number"),
        ("depth,0", "not 0"),
        ("depth,0.5,by=positon", "did you mean 'position'"),
        ("depth,0.5,protect=1", "protect must be at least 0 and below 1, not 1"),
        ("depth,0.5,by", "by must be given once, as by=VALUE"),
        ("depth,0.5,first=1", "word must be one of by, protect, seed"),
    ],
)
def test_what_depth_does_not_understand_is_refused(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match="recipe") as refusal:
        parse(recipe)
    assert said in str(refusal.value)


def test_words_become_the_recipe_and_are_written_as_they_act() -> None:
    assert parse("depth,0.75") == Depth(keep=0.75, by="position", protect=0.5)
    assert parse("depth,0.75,by=grasp") == Depth(keep=0.75, by="grasp", protect=0.0)
    assert str(parse("depth,0.5,by=random,seed=3")) == "depth,0.5,by=random,protect=0,seed=3"
    assert parse(str(parse("depth,0.5,by=random,seed=3"))) == parse("depth,0.5,by=random,seed=3")
    assert np.isclose(Depth(keep=0.5).goes(7), 4)
