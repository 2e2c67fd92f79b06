"""Layers as tables name them: long names short, blocks of a model, and steps of a layer that runs again."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from accelsim.stages import REPEATED

Item = TypeVar("Item")

NAME_COLUMNS = 40


class Steps(NamedTuple, Generic[Item]):
    """A layer, or several steps of one that show the same, under the name of the first."""

    name: str
    items: list[Item]

    def title(self, start: str = "") -> str:
        """The short name without `start`, and how many steps there are, if more than one."""
        name = short(self.name[len(start) :].lstrip("."))
        return f"{name} x {len(self.items)}" if len(self.items) > 1 else name


def together(lines: Iterable[tuple[str, Hashable, Item]]) -> list[Steps[Item]]:
    """Join (name, what is shown, item) where names differ in `#2`, `#3` alone, in the order of the firsts."""
    steps: dict[Hashable, Steps[Item]] = {}
    for name, shown, item in lines:
        steps.setdefault((REPEATED.sub("", name), shown), Steps(name, [])).items.append(item)
    return list(steps.values())


def short(name: str) -> str:
    """The end of a long name, which is what tells layers apart."""
    return name if len(name) <= NAME_COLUMNS else "..." + name[3 - NAME_COLUMNS :]


def block(name: str) -> str:
    """What comes up to the first number in a dotted name: layers of one block of a model share it."""
    found = re.match(r"(.*?\.)?\d+(?=\.|$)", name)
    return found.group() if found else ""
