"""The weights in an ONNX file, and which node uses which: no other part of the format is read.

Format: Protocol Buffers wire format and the public onnx.proto. Every length is checked against the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Field numbers in onnx.proto.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_INPUT, NODE_NAME = 1, 3
TENSOR_SHAPE, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW = 1, 2, 8, 9
FLOAT = 1

VARINT, FIXED_64, LENGTH, FIXED_32 = 0, 1, 2, 5


class OnnxError(ValueError):
    """A file that is no ONNX model, or not a whole one, in one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Onnx:
    """`weights`: float32 initialisers by name; `inputs`: of each named node, the names of its inputs."""

    weights: dict[str, npt.NDArray[np.float32]]
    inputs: dict[str, tuple[str, ...]]


def read(path: Path) -> Onnx:
    """The float32 initialisers and the nodes of the graph. Raises OnnxError."""
    weights: dict[str, npt.NDArray[np.float32]] = {}
    inputs: dict[str, tuple[str, ...]] = {}
    try:
        content = memoryview(path.read_bytes())
        for graph in _messages(content, MODEL_GRAPH):
            for tensor in _messages(graph, GRAPH_INITIALIZER):
                if _number(tensor, TENSOR_TYPE) == FLOAT:
                    raw = b"".join(_messages(tensor, TENSOR_RAW))
                    values = np.frombuffer(raw, "<f4").reshape(_numbers(tensor, TENSOR_SHAPE))
                    weights[_text(tensor, TENSOR_NAME)] = values.astype(np.float32)
            for node in _messages(graph, GRAPH_NODE):
                inputs[_text(node, NODE_NAME)] = tuple(
                    str(name, "utf-8") for name in _messages(node, NODE_INPUT)
                )
    except (ValueError, IndexError) as error:
        raise OnnxError(f"{path} is no whole ONNX model: {error}") from None
    if not weights:
        raise OnnxError(f"{path} is no ONNX model with float32 weights")
    return Onnx(weights=weights, inputs=inputs)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers with their values: numbers, or bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == LENGTH:
            size, place = _varint(message, place)
        elif wire in (FIXED_32, FIXED_64):
            size = 4 if wire == FIXED_32 else 8
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")
        if size > len(message) - place:
            raise ValueError("a field reaches past the end")
        yield number, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("a number is longer than 64 bits")


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _numbers(message: memoryview, wanted: int) -> tuple[int, ...]:
    """A repeated number, one by one or packed."""
    numbers: list[int] = []
    for number, value in _fields(message):
        if number == wanted and isinstance(value, int):
            numbers.append(value)
        elif number == wanted and isinstance(value, memoryview):
            place = 0
            while place < len(value):
                packed, place = _varint(value, place)
                numbers.append(packed)
    return tuple(numbers)


def _number(message: memoryview, wanted: int) -> int:
    return next(iter(_numbers(message, wanted)), 0)


def _text(message: memoryview, wanted: int) -> str:
    return str(next(_messages(message, wanted), memoryview(b"")), "utf-8")
