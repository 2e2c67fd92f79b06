"""The user's own code: a function in a file, run only when it is named as `file.py:factory`."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from torch import nn


def from_factory(spec: str) -> tuple[nn.Module, Any]:
    """Run the user's own factory: no arguments; gives a Module, or (Module, inputs)."""
    file, _, name = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"model {spec!r}: there is no file {file!r}")
    found = spec_from_file_location(f"accelsim_user_{path.stem}", path)
    if found is None or found.loader is None:
        raise ValueError(f"model {spec!r}: {file!r} is not a Python file")
    source = module_from_spec(found)
    sys.path.insert(0, str(path.resolve().parent))
    # Dataclasses and lazy annotations look their module up by name.
    sys.modules[found.name] = source
    try:
        found.loader.exec_module(source)
        factory = getattr(source, name, None)
        made = factory() if callable(factory) else None
    except Exception as error:
        raise ValueError(f"model {spec!r} raised {type(error).__name__}: {_first_line(error)}") from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    if not callable(factory):
        raise ValueError(_no_factory(spec, name, source))
    module, given = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module):
        raise ValueError(
            f"model {spec!r} must return a Module or (Module, inputs), not {type(made).__name__}"
        )
    if given is not None and not isinstance(given, (torch.Tensor, tuple, dict)):
        raise ValueError(
            f"model {spec!r}: inputs must be a tensor, a tuple or a dict, not {type(given).__name__}"
        )
    return module, given


def _no_factory(spec: str, name: str, source: object) -> str:
    names = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"model {spec!r}: the file has no function {name!r}{hint}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
