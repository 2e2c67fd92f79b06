"""What to compute: layers with their shapes, real masks and real decisions, as one portable file.

Tracing makes a workload, accelerators read it. A file is safe to open whoever wrote it, and takes about as
much memory as it has bytes (`accelsim.archive`); masks and decisions that are equal are stored once. Files of
versions 1 and 2, before layers had a stage of training, are refused: trace the model again. A file has the
fields that came later (`later` of a layer) only where they say something, so that version 3 stays one format.

A training step is a workload like any other: all forward products, then backward and weight-gradient
products from the last layer to the first, then the updates.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from accelsim import archive
from accelsim.golden.formats import Bitmap
from accelsim.layers import DECISIONS, LAYERS, Attention, Layer, Matmul, Unknown, Update, split
from accelsim.plain import check_plain, field_names, is_text, is_whole

__all__ = ["Attention", "Layer", "Matmul", "Unknown", "Update", "Workload", "WorkloadError"]

KIND, VERSION = "workload", 3


class WorkloadError(ValueError):
    """A workload file that cannot be read or written, in one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers in execution order. `synthetic`: the weights or decisions are drawn, not a model's own.

    `notes` are lines that every report prints (input sizes, layers that a recipe left dense and why).
    `words` are the tokens of the first sequence as text, in order, where it was a text; else none.
    """

    model: str
    layers: tuple[Layer, ...]
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_plain(self, lambda must: ValueError(f"workload: {must}"))
        for index, layer in enumerate(layers := tuple(self.layers)):
            if not isinstance(layer, Layer):
                raise ValueError(f"workload: layer {index} must be a layer, not {reprlib.repr(layer)}")
        for note in (notes := tuple(self.notes)):
            if not is_text(note):
                raise ValueError(f"workload: a note must be one printable line, not {reprlib.repr(note)}")
        for word in (words := tuple(self.words)):
            if not is_text(word):
                raise ValueError(f"workload: a word must be printable text, not {reprlib.repr(word)}")
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "notes", notes)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers at their shapes, with every weight and V present."""
        return sum(layer.macs for layer in self.layers)

    @property
    def is_dense(self) -> bool:
        """No layer misses a weight, row, token or head, or decided anything."""
        return all(layer.is_dense for layer in self.layers)

    def dense(self) -> Workload:
        """The unpruned model's workload: the baseline that a pruned one is compared with."""
        return replace(self, layers=tuple(layer.dense() for layer in self.layers))

    @property
    def hash(self) -> str:
        """SHA-256 of the content in hexadecimal: equal workloads, and only they, have equal ones."""
        return archive.content_hash(*_encode(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one `.npz`, whole or not at all; equal workloads give equal bytes. Raises WorkloadError."""
        try:
            archive.write(path, *_encode(self))
        except archive.ArchiveError as error:
            raise WorkloadError(str(error)) from None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Workload:
        """Read what `save` wrote, from anybody: raises WorkloadError, runs nothing, memory as `archive`."""
        try:
            header, arrays = archive.read(path, KIND, VERSION)
        except archive.ArchiveError as error:
            raise WorkloadError(str(error)) from None
        try:
            return _decode(header, arrays)
        except ValueError as error:
            raise WorkloadError(f"{path}: {error}") from None

    def __str__(self) -> str:
        rows = [("name", "op", "shape", "density", "tokens")]
        rows += [(layer.name, layer.op, *layer.columns()) for layer in self.layers]
        widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
        drawn = ", synthetic" if self.synthetic else ""
        lines = [f"{self.model}: {len(self.layers)} layers, {self.macs:,} multiply-accumulates{drawn}"]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            lines.append("  ".join(cells).rstrip())
        return "\n".join((*lines, *self.notes))


def _encode(workload: Workload) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    header: dict[str, Any] = {"kind": KIND, "version": VERSION, "model": workload.model, "layers": []}
    header |= {"synthetic": workload.synthetic, "notes": list(workload.notes)}
    if workload.words:
        header["words"] = list(workload.words)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for index, layer in enumerate(workload.layers):
        plain, own = split(layer)
        header["layers"].append(plain)
        arrays |= {f"layers.{index}.{name}": array for name, array in own.items()}
    return header, arrays


def _decode(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Workload:
    header.setdefault("words", [])
    _check_keys(header, {"kind", "version", *field_names(Workload)})
    for name in ("layers", "notes", "words"):
        if not isinstance(header[name], list):
            raise ValueError(f"{name} must be a list, not {reprlib.repr(header[name])}")
    own: list[dict[str, npt.NDArray[Any]]] = [{} for _ in header["layers"]]
    by_name = {f"layers.{index}": arrays for index, arrays in enumerate(own)}
    for name, array in arrays.items():
        layer, _, field = name.rpartition(".")
        if layer not in by_name:
            raise ValueError(f"array {reprlib.repr(name)} is not expected")
        by_name[layer][field] = array
    layers = tuple(_layer(index, plain, own[index]) for index, plain in enumerate(header["layers"]))
    return Workload(
        model=header["model"],
        synthetic=header["synthetic"],
        layers=layers,
        notes=tuple(header["notes"]),
        words=tuple(header["words"]),
    )


def _layer(index: int, plain: object, arrays: dict[str, npt.NDArray[Any]]) -> Layer:
    try:
        if not isinstance(plain, dict):
            raise ValueError(f"must be an object, not {reprlib.repr(plain)}")
        return _join(plain, arrays)
    except ValueError as error:
        raise ValueError(f"layer {index}: {error}") from None


def _join(plain: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Layer:
    """The layer that `split` took apart; ValueError for anything else."""
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in LAYERS:
        raise ValueError(f"kind must be one of {', '.join(LAYERS)}, not {reprlib.repr(kind)}")
    names = set(field_names(LAYERS[kind]))
    left_out = set(LAYERS[kind].later) - plain.keys()
    _check_keys(plain, {"kind", *names} - DECISIONS.keys() - left_out)
    values: dict[str, Any] = {name: value for name, value in plain.items() if name != "kind"}
    if isinstance(values.get("bits"), list):
        values["bits"] = tuple(values["bits"])
    shape = values.pop("mask", None)
    optional = names & DECISIONS.keys() & arrays.keys()
    _check_keys(arrays, optional if shape is None else {"mask", *optional})
    values.update((name, arrays[name]) for name in optional)
    layer = LAYERS[kind](**values)
    if not isinstance(layer, Matmul) or shape is None:
        return layer
    # Compared before the bitmap multiplies them: a product of hostile sizes may wrap around to a small one.
    right = shape in ([layer.n, layer.k], [layer.count, layer.n, layer.k])
    if not right or not all(is_whole(size) for size in shape):
        raise ValueError(f"mask must have shape (n, k) or (count, n, k), not {reprlib.repr(shape)}")
    return replace(layer, mask=Bitmap(tuple(shape), arrays["mask"]))


def _check_keys(found: Mapping[str, Any], expected: Set[str]) -> None:
    for key in sorted(found.keys() ^ expected):
        raise ValueError(f"{reprlib.repr(key)} is {'missing' if key in expected else 'not expected'}")
