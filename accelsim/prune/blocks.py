"""The repeated blocks of a network, when each is fed what the one before it gives.

One-shot methods cut such networks block by block, on what the blocks that are already cut give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


class _Enough(Exception):
    """The last block is reached: the rest of the pass is not needed."""


@dataclass
class Chain:
    """Blocks by name, in order, and what each is fed beside the hidden state, sample by sample.

    `states`: the hidden state before the first block, then before the block that comes next.
    """

    names: tuple[str, ...]
    blocks: tuple[nn.Module, ...]
    states: list[torch.Tensor]
    beside: list[list[tuple[tuple[Any, ...], dict[str, Any]]]]

    def run(self, index: int, sample: int) -> torch.Tensor:
        """The hidden state behind a block."""
        args, kwargs = self.beside[sample][index]
        given = self.blocks[index](self.states[sample], *args, **kwargs)
        state = given[0] if isinstance(given, tuple) else given
        assert isinstance(state, torch.Tensor)
        return state

    def advance(self, index: int) -> None:
        """Every sample passes a block."""
        self.states = [self.run(index, sample) for sample in range(len(self.states))]


def chain_of(module: nn.Module, samples: Sequence[Any]) -> Chain | None:
    """The chain with most weights, if one block is really fed by the one before; the samples pass it once."""
    found = repeated(module)
    if found is None:
        return None
    names, blocks = found
    chain = Chain(names=names, blocks=blocks, states=[], beside=[])
    alike = False
    for sample in samples:
        # Where all blocks are fed the same beside the state, the first one tells it of the other samples.
        seen = _passed(module, blocks[:1] if alike else blocks, sample)
        if seen is None:
            return None
        state, beside = seen
        if not chain.states:
            alike = all(_same(beside[0], other) for other in beside)
        chain.states.append(state)
        chain.beside.append(beside * len(blocks) if len(beside) == 1 else beside)
    return chain


def _same(one: Any, other: Any) -> bool:
    """The same objects in the same places."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one is other


def repeated(module: nn.Module) -> tuple[tuple[str, ...], tuple[nn.Module, ...]] | None:
    """The list of blocks of one class that holds most weights."""
    most, best = 0, None
    for name, child in module.named_modules():
        if not isinstance(child, (nn.ModuleList, nn.Sequential)) or len(child) < 2:
            continue
        if len({type(block) for block in child}) > 1 or isinstance(
            child[0], (nn.Linear, nn.modules.conv._ConvNd)
        ):
            continue
        weights = sum(parameter.numel() for parameter in child.parameters())
        if weights > most:
            most = weights
            best = tuple(f"{name}.{index}".lstrip(".") for index in range(len(child))), tuple(child)
    return best


def _passed(
    module: nn.Module, blocks: Sequence[nn.Module], sample: Any
) -> tuple[torch.Tensor, list[tuple[tuple[Any, ...], dict[str, Any]]]] | None:
    """The first hidden state and what each block is fed beside it; None if the blocks are no chain."""
    beside: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    states: list[Any] = []
    behind: list[Any] = []

    def before(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append(args[0] if args else None)
        beside.append((args[1:], dict(kwargs)))
        if len(states) == len(blocks):
            raise _Enough

    def after(block: nn.Module, args: Any, given: Any) -> None:
        behind.append(given[0] if isinstance(given, tuple) else given)

    with ExitStack() as undo, torch.no_grad():
        for block in blocks:
            undo.callback(block.register_forward_pre_hook(before, with_kwargs=True).remove)
            undo.callback(block.register_forward_hook(after).remove)
        with suppress(_Enough):
            call(module, sample)
    is_chain = len(states) == len(blocks) and isinstance(states[0], torch.Tensor)
    if not is_chain or any(one is not other for one, other in zip(behind, states[1:], strict=True)):
        return None
    return states[0], beside


def call(module: nn.Module, given: Any) -> Any:
    """Run `module` on a tensor, a tuple of positional inputs, or a dict of keyword inputs."""
    if isinstance(given, dict):
        return module(**given)
    return module(*given) if isinstance(given, tuple) else module(given)


@contextmanager
def without_cache(module: nn.Module) -> Iterator[None]:
    """A decoder keeps no keys from pass to pass."""
    config: Any = getattr(module, "config", None)
    before = getattr(config, "use_cache", None)
    if before is not None:
        config.use_cache = False
    try:
        yield
    finally:
        if before is not None:
            config.use_cache = before
