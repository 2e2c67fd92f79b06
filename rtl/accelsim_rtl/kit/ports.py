"""The flat ports of a component (of a stream `s_valid`, `s_ready`, `s_payload`) and the payloads' layouts."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape, ValueCastable
from amaranth.lib import data, wiring


@dataclass(frozen=True, kw_only=True)
class Port:
    """One flat port. `stream`: the stream it belongs to, or "" for a plain port (an output: a probe)."""

    name: str
    direction: str  # "input" or "output"
    width: int
    stream: str
    value: Any


def ports(component) -> list[Port]:
    """All ports of a component but clock and reset, in the order of its members."""
    found = []
    for path, member, value in component.signature.flatten(component):
        words = [str(word) for word in path]
        value = value.as_value() if isinstance(value, ValueCastable) else value
        stream = "_".join(words[:-1]) if words[-1] in ("valid", "ready", "payload") else ""
        direction = "input" if member.flow == wiring.In else "output"
        found.append(
            Port(name="_".join(words), direction=direction, width=len(value), stream=stream, value=value)
        )
    return found


def streams(found: list[Port], direction: str) -> list[str]:
    """Names of the streams into ("input") or out of ("output") a component."""
    return [port.stream for port in found if port.direction == direction and port.name.endswith("_valid")]


def columns(found: list[Port]) -> list[str]:
    """The outputs, as the bench records them: probes come last."""
    outputs = [port for port in found if port.direction == "output"]
    # Of a stream `valid` stands before `payload`.
    ranks = {"ready": 0, "valid": 1, "payload": 2}
    return [
        port.name
        for port in sorted(
            outputs, key=lambda port: ranks[port.name.rpartition("_")[2]] if port.stream else 3
        )
    ]


def payload_shapes(component) -> dict[str, Any]:
    """The shape of the payload of every stream."""
    return {
        "_".join(map(str, path[:-1])): member.shape
        for path, member, _ in component.signature.flatten(component)
        if path[-1] == "payload"
    }


def layouts(component) -> dict[str, Any]:
    """The layout of every payload, by its port, as plain data for JSON."""
    return {f"{stream}_payload": describe(shape) for stream, shape in payload_shapes(component).items()}


def describe(shape) -> dict[str, Any]:
    """A shape as plain data: width, and the fields with their offsets in bits, lowest first."""
    if isinstance(shape, data.ArrayLayout):
        return {"width": shape.size, "length": shape.length, "element": describe(shape.elem_shape)}
    if isinstance(shape, data.Layout):
        fields = {str(name): {"offset": field.offset} | describe(field.shape) for name, field in shape}
        return {"width": shape.size, "fields": fields}
    cast = Shape.cast(shape)
    return {"width": cast.width, "signed": cast.signed}


def packed(layout, value) -> int:
    """A payload as one integer, from a mapping of its fields (for an array: a sequence)."""
    return int(layout.const(value).as_value().value)
