"""Which module is running, by its path from the root, and what a weight is called there."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks
from torch.utils._pytree import tree_leaves


def storage_key(tensor: torch.Tensor) -> int | None:
    """Identity of the memory behind a tensor, shared by all its views; None if it has none.

    A tensor in a sparse layout is known by its values.
    """
    try:
        if tensor.layout != torch.strided:
            tensor = tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def held_tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    """What a module brings along: parameters, buffers, plain attributes, and constants of frozen scripts."""
    yield from module.parameters()
    yield from module.buffers()
    for child in module.modules():
        if isinstance(child, torch.jit.ScriptModule):
            yield from _constants(child)
        else:
            yield from (leaf for leaf in tree_leaves(_attributes(child)) if isinstance(leaf, torch.Tensor))


def _attributes(module: nn.Module) -> list[Any]:
    others = ("_parameters", "_buffers", "_modules")
    return [value for name, value in vars(module).items() if name not in others]


def _constants(script: torch.jit.ScriptModule) -> Iterator[torch.Tensor]:
    try:
        graph: Any = script.inlined_graph
    except RuntimeError:  # it has no forward method
        return
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            yield node.t("value")


class Scopes:
    """Follows the forward calls below one module while it is entered as a context."""

    def __init__(self, root: nn.Module) -> None:
        self._root = type(root).__name__
        self._paths = {id(child): path for path, child in root.named_modules()}
        self._running: list[nn.Module] = []
        self._hooks: list[Any] = []
        self._owners: dict[int, list[tuple[str, str]]] = {}
        for full, parameter in root.named_parameters(remove_duplicate=False):
            key = storage_key(parameter)
            if key is not None:
                path, _, attribute = full.rpartition(".")
                self._owners.setdefault(key, []).append((path, attribute))

    def __enter__(self) -> Scopes:
        self._hooks = [
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._running.clear()

    @property
    def path(self) -> str:
        """Path of the innermost module that is running; '' for the root."""
        return self._paths[id(self._running[-1])] if self._running else ""

    @property
    def label(self) -> str:
        """The path, or the root's class where the path is empty."""
        return self.path or self._root

    def running(self, attribute: str) -> int | None:
        """The integer attribute of the innermost running module that has it."""
        for module in reversed(self._running):
            value = getattr(module, attribute, None)
            if isinstance(value, int):
                return value
        return None

    def configured(self, attribute: str) -> int | None:
        """The integer in the configuration of the innermost running module that has one with it."""
        for module in reversed(self._running):
            value = getattr(getattr(module, "config", None), attribute, None)
            if isinstance(value, int):
                return value
        return None

    def owns(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor lies in the memory of a parameter."""
        return storage_key(tensor) in self._owners

    def weight_name(self, weight: torch.Tensor) -> str:
        """Path of the layer that owns a weight (seen from the running module if several share it).

        A parameter `weight` is called as its module; any other one adds its own name.
        """
        owners = self._owners.get(storage_key(weight) or 0, [])
        if not owners:
            return self.label
        path, attribute = next((owner for owner in owners if owner[0] == self.path), owners[0])
        if attribute == "weight":
            return path or self._root
        return f"{path}.{attribute}" if path else attribute

    def _enter(self, module: nn.Module, _args: Any) -> None:
        if id(module) in self._paths:
            self._running.append(module)

    def _leave(self, module: nn.Module, _args: Any, _output: Any) -> None:
        if self._running and self._running[-1] is module:
            self._running.pop()
