"""The channels of AXI4 as streams of the kit: of each the fields that are not constant, lowest first."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from accelsim.units.axi import LENGTH_BITS, RESPONSE_BITS, Port


def address_layout(port: Port):
    """`ar` and `aw`: bursts are INCR, beats as wide as the port."""
    return data.StructLayout({"addr": port.address_bits, "id": port.id_bits, "len": LENGTH_BITS})


def read_layout(port: Port):
    """`r`."""
    return data.StructLayout({"data": port.data_bits, "id": port.id_bits, "resp": RESPONSE_BITS, "last": 1})


def write_layout(port: Port):
    """`w`."""
    return data.StructLayout({"data": port.data_bits, "strb": port.bytes, "last": 1})


def answer_layout(port: Port):
    """`b`."""
    return data.StructLayout({"id": port.id_bits, "resp": RESPONSE_BITS})


def read_channels(port: Port, name: str):
    """Members of a master that reads through a port of this name."""
    return {
        f"{name}_ar": Out(stream.Signature(address_layout(port))),
        f"{name}_r": In(stream.Signature(read_layout(port))),
    }


def write_channels(port: Port, name: str):
    """Members of a master that writes through a port of this name."""
    return {
        f"{name}_aw": Out(stream.Signature(address_layout(port))),
        f"{name}_w": Out(stream.Signature(write_layout(port))),
        f"{name}_b": In(stream.Signature(answer_layout(port))),
    }
