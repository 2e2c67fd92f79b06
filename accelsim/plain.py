"""Checks of records of plain values, by their annotations: what a workload and its layers share."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

LARGEST_SIZE = 2**31 - 1


def check_plain(record: Any, refusal: Callable[[str], ValueError], *, largest: int = LARGEST_SIZE) -> None:
    """Check numbers, flags and text of a dataclass by its annotations; 0 and "" only where default."""
    for entry in fields(record):
        name, value = entry.name, getattr(record, entry.name)
        least = 0 if entry.default == 0 else 1
        if entry.type == "int":
            if not is_whole(value) or not least <= value <= largest:
                raise refusal(
                    f"{name} must be a whole number from {least} to {largest}, not {reprlib.repr(value)}"
                )
            object.__setattr__(record, name, int(value))
        elif entry.type == "bool":
            if not isinstance(value, bool | np.bool_):
                raise refusal(f"{name} must be True or False, not {reprlib.repr(value)}")
            object.__setattr__(record, name, bool(value))
        elif entry.type == "str" and not (is_text(value) and (value or entry.default == "")):
            raise refusal(f"{name} must be one printable line, not {reprlib.repr(value)}")


def is_whole(value: object) -> bool:
    """An integer of Python or numpy, and no boolean."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_text(value: object) -> bool:
    """Printable, so that a name from a stranger's file cannot steer a terminal."""
    return isinstance(value, str) and value.isprintable()


def field_names(record: type[Any]) -> list[str]:
    """The names of a dataclass's fields, in order."""
    return [entry.name for entry in fields(record)]
