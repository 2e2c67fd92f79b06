"""Planted bugs: a module of the project with one text of its source replaced, under the module's own name.

Nothing is copied, so a bug stays a bug of today's source; a text that is no longer there is an error.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType


@dataclass(frozen=True)
class Bug:
    """`old` stands once in the source of `module` and becomes `new`; `what` is the kind of mistake."""

    module: str
    what: str
    old: str
    new: str


@contextmanager
def planted(bug: Bug) -> Iterator[ModuleType]:
    """The changed module; every module that has names from the original sees the changed ones meanwhile."""
    original = import_module(bug.module)
    source = inspect.getsource(original)
    if source.count(bug.old) != 1:
        raise LookupError(f"{bug.module} must hold once, not {source.count(bug.old)} times: {bug.old}")
    changed = ModuleType(bug.module)
    changed.__file__ = original.__file__
    exec(compile(source.replace(bug.old, bug.new), str(original.__file__), "exec"), vars(changed))
    own = {
        name: value
        for name, value in vars(original).items()
        if getattr(value, "__module__", None) == bug.module
    }
    places = [
        (module, name, value)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("accelsim")
        for name, value in list(vars(module).items())
        if any(value is mine for mine in own.values())
    ]
    for module, name, value in places:
        setattr(module, name, getattr(changed, value.__name__))
    try:
        yield changed
    finally:
        for module, name, value in places:
            setattr(module, name, value)
