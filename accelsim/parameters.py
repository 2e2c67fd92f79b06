"""Parameters by their dotted names: what `--set KEY=VALUE` does to a frozen dataclass.

The dataclass itself says which values are right; here a text becomes a value of the field's type, and
an unknown name is answered with the nearest known one.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union

from accelsim import dram
from accelsim.plain import is_whole
from accelsim.words import unknown

Parameters = TypeVar("Parameters")

# Beyond every machine, and far enough from 63 bits for what is computed from it.
LARGEST_INTEGER = 10**12

TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """`["rows=16", "dram.tCCD_L=4"]` as a mapping; a later setting of a key wins.

    Raises ValueError for a setting that is not KEY=VALUE.
    """
    parsed = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ValueError(f"--set must be KEY=VALUE, such as rows=16, not {setting!r}")
        parsed[key.strip()] = value.strip()
    return parsed


def replace_by_path(parameters: Parameters, path: str, value: str) -> Parameters:
    """A copy with one parameter changed, such as `replace_by_path(sat, "dram.tCCD_L", "4")`."""
    return replace_all(parameters, {path: value})


def replace_all(parameters: Parameters, settings: Mapping[str, str]) -> Parameters:
    """A copy with every dotted name in `settings` changed, all at once, so that only the result is checked.

    Raises ValueError for an unknown name (with the nearest known one), for a text that is not of the
    parameter's type, and for whatever the dataclass refuses.
    """
    known = paths(parameters)
    for path in settings:
        if path not in known:
            raise ValueError(unknown("parameter", path, known))
    return _replace(parameters, settings, "")


def paths(parameters: object) -> list[str]:
    """The dotted names of all parameters, in the order of the fields; a nested group has a name, too."""
    names = []
    for name, value in _fields(parameters):
        names.append(name)
        if dataclasses.is_dataclass(value):
            names += [f"{name}.{below}" for below in paths(value)]
    return names


def as_dict(parameters: object) -> dict[str, Any]:
    """The parameters as plain values for JSON: groups as dictionaries, tuples as lists."""
    return {name: _plain(value) for name, value in _fields(parameters)}


def changes(parameters: object, preset: object) -> list[str]:
    """`["rows=16"]`: the parameters whose values are not those of `preset`."""
    before = dict(_leaves(preset))
    return [f"{path}={value}" for path, value in _leaves(parameters) if before.get(path) != value]


def check_types(parameters: object, prefix: str = "") -> None:
    """Refuse what Python lets a caller put into a field: "rows must be an integer, not 2.5"."""
    kinds = typing.get_type_hints(type(parameters))
    for name, value in _fields(parameters):
        kind, path = kinds[name], prefix + name
        if kind is int and not is_whole(value):
            raise ValueError(f"{path} must be an integer, not {value!r}")
        if kind is float and not (is_whole(value) or isinstance(value, float)):
            raise ValueError(f"{path} must be a number, not {value!r}")
        if kind in (bool, str) and not isinstance(value, kind):
            raise ValueError(f"{path} must be {'text' if kind is str else 'True or False'}, not {value!r}")
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            if not isinstance(value, kind):
                raise ValueError(f"{path} must be a {kind.__name__}, not {value!r}")
            check_types(value, f"{path}.")


def convert(text: str, kind: Any, path: str) -> Any:
    """`text` as a value of the type `kind`; `path` is the name for the error message."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in choices and text.lower() == "none":
            return None
        return convert(text, next(choice for choice in choices if choice is not type(None)), path)
    if origin is Literal:
        return _choice(text, {str(choice): choice for choice in choices}, path)
    if origin is tuple:
        return tuple(convert(part.strip(), choices[0], path) for part in text.split(","))
    if kind is bool:
        if text.lower() not in TRUTH:
            raise ValueError(f"{path} must be true or false, not {text!r}")
        return TRUTH[text.lower()]
    if kind is int:
        return _integer(text, path)
    if kind is float:
        return _number(text, path)
    if kind is str:
        return text
    if kind is dram.Dram:
        return _choice(text, dram.DEVICES, path)
    raise ValueError(f"{path} cannot be set as a whole, only its parts: {path}.NAME=VALUE")


def _replace(parameters: Parameters, settings: Mapping[str, str], prefix: str) -> Parameters:
    kinds = typing.get_type_hints(type(parameters))
    changed: dict[str, Any] = {}
    for name, value in _fields(parameters):
        if name in settings:
            value = changed[name] = convert(settings[name], kinds[name], prefix + name)
        below = {
            path[len(name) + 1 :]: text for path, text in settings.items() if path.startswith(name + ".")
        }
        if below:
            changed[name] = _replace(value, below, f"{prefix}{name}.")
    return dataclasses.replace(parameters, **changed)  # type: ignore[type-var]


def _fields(parameters: object) -> list[tuple[str, Any]]:
    return [
        (field.name, getattr(parameters, field.name))
        for field in dataclasses.fields(parameters)  # type: ignore[arg-type]
        if field.init
    ]


def _leaves(parameters: object, prefix: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, value in _fields(parameters):
        if dataclasses.is_dataclass(value):
            leaves += _leaves(value, f"{prefix}{name}.")
        else:
            leaves.append((prefix + name, value))
    return leaves


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return as_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _choice(text: str, choices: Mapping[str, Any], path: str) -> Any:
    if text not in choices:
        raise ValueError(unknown(path, text, choices))
    return choices[text]


def _integer(text: str, path: str) -> int:
    try:
        whole = int(text, 0)
    except ValueError:
        number = _number(text, path, "an integer")
        if not number.is_integer():
            raise ValueError(f"{path} must be an integer, not {text!r}") from None
        whole = int(number)
    if abs(whole) > LARGEST_INTEGER:
        raise ValueError(f"{path} must be an integer up to {LARGEST_INTEGER}, not {text!r}")
    return whole


def _number(text: str, path: str, expected: str = "a number") -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{path} must be {expected}, not {text!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{path} must be {expected} that is finite, not {text!r}")
    return number
