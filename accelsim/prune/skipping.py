"""Which blocks of a module leave under `depth`, and the module without them for the length of a `with`.

Sources: the latest first, early ones protected: Kwon et al. (HierarchicalPrune), AAAI 2026, arXiv 2508.04663.
Whole layers at initialisation: Jordao et al., 2023, arXiv 2301.10835, by criteria like GraSP's (Wang et
al., ICLR 2020, arXiv 2002.07376); a block's score is here the sum of its weights' scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from accelsim.prune.blocks import call, without_cache
from accelsim.prune.depth import Block, Depth, Shallow
from accelsim.prune.losses import loss_of, main_output


class Skipped(nn.Module):
    """In a block's place: it gives what it is fed. Whatever else is asked of it, the block answers."""

    def __init__(self, block: nn.Module, gives_tuple: bool) -> None:
        super().__init__()
        # In a tuple the block is no child, so that its weights are no longer the network's.
        self.__dict__["_instead_of"] = (block,)
        self._gives_tuple = gives_tuple

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The hidden state, as the block would hand it on."""
        state = args[0] if args else next(iter(kwargs.values()))
        return (state,) if self._gives_tuple else state

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_instead_of"][0], name)


def shallow(module: nn.Module, recipe: Depth, samples: Sequence[Any]) -> Shallow:
    """Decide which blocks leave. ValueError for a network without blocks that may, or without samples."""
    if not samples:
        raise ValueError(f"{recipe} must see samples, and there are none")
    training = module.training
    module.eval()
    try:
        with without_cache(module):
            blocks = removable(module, samples[0])
            if not blocks:
                raise ValueError(f"{recipe} must find blocks that repeat in one shape: there are none")
            places, goes = recipe.candidates(len(blocks)), recipe.goes(len(blocks))
            gone = set(_order(module, recipe, [blocks[place] for place in places], samples, goes)[:goes])
    finally:
        module.train(training)
    return Shallow(recipe=recipe, gone=tuple(block for block in blocks if block in gone))


@contextmanager
def without(module: nn.Module, blocks: Sequence[Block]) -> Iterator[None]:
    """Inside the `with`, these blocks give what they are fed."""
    with ExitStack() as undo:
        for block in blocks:
            parent_name, _, own = block.name.rpartition(".")
            parent, before = module.get_submodule(parent_name), module.get_submodule(block.name)
            setattr(parent, own, Skipped(before, block.gives_tuple))
            undo.callback(setattr, parent, own, before)
        yield


def removable(module: nn.Module, sample: Any) -> list[Block]:
    """Blocks of one class in a list that give the shape that they are fed; of nested ones the outermost."""
    alike: dict[str, Block | None] = {}
    with ExitStack() as undo, torch.no_grad():
        for name, block in _listed(module):
            hook = _shapes(name, alike)
            undo.callback(block.register_forward_hook(hook, with_kwargs=True).remove)
        call(module, sample)
    return list(_outermost(module, "", {name: block for name, block in alike.items() if block is not None}))


def _listed(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Elements of lists of at least two blocks of one class."""
    for name, child in module.named_modules():
        if not isinstance(child, nn.ModuleList | nn.Sequential) or len(child) < 2:
            continue
        if len({type(block) for block in child}) == 1 and any(child[0].children()):
            yield from ((f"{name}.{index}".lstrip("."), block) for index, block in enumerate(child))


def _shapes(name: str, alike: dict[str, Block | None]) -> Any:
    """A hook that notes the block if what comes out is shaped as what went in, each time; else None."""

    def hook(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any) -> None:
        fed = args[0] if args else next(iter(kwargs.values()), None)
        state = given[0] if isinstance(given, tuple) and given else given
        same = isinstance(fed, torch.Tensor) and isinstance(state, torch.Tensor) and fed.shape == state.shape
        found = Block(name=name, gives_tuple=isinstance(given, tuple)) if same else None
        alike[name] = found if alike.get(name, found) is not None else None

    return hook


def _outermost(parent: nn.Module, path: str, alike: dict[str, Block]) -> Iterator[Block]:
    for own, child in parent.named_children():
        name = f"{path}.{own}".lstrip(".")
        if name in alike:
            yield alike[name]
        else:
            yield from _outermost(child, name, alike)


def _order(
    module: nn.Module, recipe: Depth, blocks: list[Block], samples: Sequence[Any], goes: int
) -> list[Block]:
    """The candidates, those that leave first in front; at least as many as leave."""
    if recipe.by == "position":
        return blocks[::-1]
    if recipe.by == "random":
        return [blocks[index] for index in np.random.default_rng(recipe.seed).permutation(len(blocks))]
    if recipe.by == "grasp":
        flow = gradient_flow(module, [block.name for block in blocks], samples)
        return sorted(blocks, key=lambda block: -flow[block.name])
    return _by_change(module, blocks, samples, goes)


@torch.no_grad()
def _by_change(module: nn.Module, blocks: list[Block], samples: Sequence[Any], goes: int) -> list[Block]:
    """One block after the other, measured anew beside those that have left: single changes do not add up."""
    dense = [main_output(call(module, sample)).float() for sample in samples]
    gone: list[Block] = []
    for _ in range(goes):
        changes = {}
        for block in blocks:
            if block not in gone:
                with without(module, [*gone, block]):
                    now = [main_output(call(module, sample)).float() for sample in samples]
                changes[block] = sum(float((a - b).square().sum()) for a, b in zip(dense, now, strict=True))
        gone.append(min(changes, key=lambda block: changes[block]))
    return gone


def gradient_flow(module: nn.Module, names: Sequence[str], samples: Sequence[Any]) -> dict[str, float]:
    """By block the sum of -theta (H g), g the mean gradient of the loss and H its Hessian (GraSP).

    Twice that is, to first order, what |g|^2 gains when the block's weights become zero.
    """
    weights = {
        name: [weight for weight in module.get_submodule(name).parameters() if weight.is_floating_point()]
        for name in names
    }
    flat = [weight for each in weights.values() for weight in each]
    required = [weight.requires_grad for weight in flat]
    loss = loss_of(module)
    # Fused attention on a CPU has no second derivative.
    with torch.enable_grad(), nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        try:
            for weight in flat:
                weight.requires_grad_(True)
            total = torch.stack([loss(sample, number) for number, sample in enumerate(samples)]).mean()
            first = torch.autograd.grad(total, flat, create_graph=True, allow_unused=True)
            norm = torch.stack([(g * g.detach()).sum() for g in first if g is not None]).sum()
            second = torch.autograd.grad(norm, flat, allow_unused=True)
        finally:
            for weight, before in zip(flat, required, strict=True):
                weight.requires_grad_(before)
    found = iter(second)
    scores = {}
    for name, each in weights.items():
        parts = [(weight.detach(), next(found)) for weight in each]
        scores[name] = -sum(float((weight * h).sum()) for weight, h in parts if h is not None)
    return scores
