"""What all layers share: one line for an error, equality by content, and their form in a file."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from accelsim.golden.formats import Bitmap
from accelsim.layers.decisions import DECISIONS
from accelsim.plain import field_names, is_text, is_whole

LARGEST_COUNT = 2**63 - 1
MOST_BITS = 32


class LayerBase:
    """What layers share: the place that errors name, and equality by content.

    `later`: fields that came after the format of files; a file has them where they are not 0.
    """

    later: ClassVar[tuple[str, ...]] = ()

    name: str

    def renamed(self, name: str) -> Self:
        """The same layer under another name. Nothing but the name is checked again."""
        if not (is_text(name) and name):
            raise ValueError(f"name must be one printable line, not {reprlib.repr(name)}")
        return self._changed(name=name)

    def _changed(self, **values: Any) -> Self:
        """A copy with other values that are known to be right: arrays of millions are not read over again."""
        other = copy.copy(self)
        other.__dict__.update(values)
        return other

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self) or not isinstance(other, LayerBase):
            return NotImplemented
        (plain, arrays), (other_plain, other_arrays) = split(self), split(other)
        same = plain == other_plain and arrays.keys() == other_arrays.keys()
        return same and all(np.array_equal(array, other_arrays[key]) for key, array in arrays.items())

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def _refusal(self, must: str) -> ValueError:
        return ValueError(f"{type(self).__name__.lower()} {reprlib.repr(self.name)}: {must}")

    def _unpruned(self, name: str) -> int:
        """A size in the unpruned model."""
        return int(getattr(self, f"dense_{name}") or getattr(self, name))

    def _check_unpruned(self, *names: str) -> None:
        for name in names:
            if self._unpruned(name) < getattr(self, name):
                must = f"dense_{name} must be 0 or >= {name} ({getattr(self, name)})"
                raise self._refusal(f"{must}, not {self._unpruned(name)}")

    def _check_geometry(self, geometry: Mapping[str, int | str]) -> None:
        """Text to whole numbers or text; then kept as plain ones."""
        if not isinstance(geometry, Mapping):
            raise self._refusal(f"geometry must be a mapping, not {reprlib.repr(geometry)}")
        for key, value in geometry.items():
            if not (is_text(key) and (is_whole(value) or is_text(value))):
                shown = f"{reprlib.repr(key)} to {reprlib.repr(value)}"
                raise self._refusal(f"geometry must map text to whole numbers or text, not {shown}")
        plain = {key: value if isinstance(value, str) else int(value) for key, value in geometry.items()}
        object.__setattr__(self, "geometry", plain)


def split(layer: LayerBase) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """A layer as JSON values and arrays. A mask goes as its packed bits, with its shape in the values."""
    plain: dict[str, Any] = {"kind": type(layer).__name__.lower()}
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in field_names(type(layer)):
        value = getattr(layer, name)
        if isinstance(value, Bitmap):
            plain[name], arrays[name] = list(value.shape), value.bits
        elif name in layer.later:
            plain |= {name: value} if value else {}
        elif name not in DECISIONS:
            plain[name] = list(value) if isinstance(value, tuple) else value
        elif value is not None:
            arrays[name] = value
    return plain, arrays


def part(here: int, unpruned: int) -> str:
    """How many are here, and of how many where some are missing."""
    return str(here) if here == unpruned else f"{here}/{unpruned}"


def channels_of_a_group(geometry: Mapping[str, int | str], name: str, size: int) -> int:
    """Channels `name` of one group of a convolution if they divide `size`; else `size`."""
    channels, groups = geometry.get(name), geometry.get("groups")
    if isinstance(channels, int) and isinstance(groups, int) and channels >= groups > 0:
        span = channels // groups
        return span if size % span == 0 else size
    return size
