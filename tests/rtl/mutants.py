"""Planted bugs: a module with one text of its source replaced, under the module's own name.

Nothing is copied, so a bug stays a bug of today's source; a text that is no longer there is an error.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType

from accelsim_rtl.kit.unit import Unit


@dataclass(frozen=True)
class Bug:
    """`old` stands once in the source of `module` and becomes `new`."""

    module: str
    old: str
    new: str


@contextmanager
def planted(bug: Bug) -> Iterator[ModuleType]:
    """The changed module; whoever has a name from the original sees the changed one meanwhile."""
    original = import_module(bug.module)
    changed = _changed(original, bug)
    places = [
        (module, name, value)
        for module in list(sys.modules.values())
        if module is original or getattr(module, "__name__", "").startswith("accelsim")
        for name, value in list(vars(module).items())
        if getattr(value, "__module__", None) == bug.module and hasattr(changed, value.__name__)
    ]
    try:
        for module, name, value in places:
            setattr(module, name, getattr(changed, value.__name__))
        yield changed
    finally:
        for module, name, value in places:
            setattr(module, name, value)


def _changed(original: ModuleType, bug: Bug) -> ModuleType:
    source = inspect.getsource(original)
    if source.count(bug.old) != 1:
        raise LookupError(f"{bug.module} must hold once, not {source.count(bug.old)} times: {bug.old}")
    changed = ModuleType(bug.module)
    changed.__file__, changed.__package__ = original.__file__, original.__package__
    exec(compile(source.replace(bug.old, bug.new), str(original.__file__), "exec"), vars(changed))
    return changed


def rebuilt(unit: Unit, changed: ModuleType) -> Unit:
    """The unit with whatever of it came from the original of a changed module."""
    parts = {
        name: getattr(changed, part.__name__)
        for name in ("component", "model", "cycles")
        if (part := getattr(unit, name)).__module__ == changed.__name__
    }
    return replace(unit, **parts)
