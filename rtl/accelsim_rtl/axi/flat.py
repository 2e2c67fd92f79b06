"""A unit under the port names of AMBA: `m_axi_arvalid`, `m_axi_araddr`, where the kit has streams.

Bus models, IP integrators and people find a bus by these names. Streams that are no AXI channel keep theirs.
"""

import re

from amaranth.hdl import Const, Module, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Component, In, Out

CHANNEL = re.compile(r"(?P<port>[ms]_axil?\w*?)_(?P<channel>aw|ar|w|r|b)")
INCR, NORMAL_MODIFIABLE = 1, 3
"""Bursts with rising addresses (A3.4.1); memory that may be buffered and merged (A4.4)."""


def has_bus(component) -> bool:
    """Whether a component has an AXI port."""
    return any(CHANNEL.fullmatch(name) for name in component.signature.members)


class Flat(Component):
    """Around a component with AXI ports: the same ports under AMBA's names, constant fields among them."""

    def __init__(self, inner: Component):
        self.inner = inner
        members = {}
        for name, member in inner.signature.members.items():
            if not CHANNEL.fullmatch(name):
                members[name] = member
                continue
            given, taken = (Out, In) if member.flow == Out else (In, Out)
            members |= {f"{name}valid": given(1), f"{name}ready": taken(1)}
            members |= {f"{name}{field}": given(shape) for field, shape in _fields(member)}
            members |= {f"{name}{field}": given(len(value)) for field, value in self._constants(name).items()}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self.inner
        for name, member in inner.signature.members.items():
            port = getattr(inner, name)
            if not CHANNEL.fullmatch(name):
                outside = getattr(self, name)
                if member.is_signature:
                    outside = wiring.flipped(outside)
                    ends = (port, outside) if member.flow == Out else (outside, port)
                    wiring.connect(m, *ends)
                else:
                    pair = (outside, port) if member.flow == Out else (port, outside)
                    m.d.comb += pair[0].eq(pair[1])
                continue
            valid, ready = getattr(self, f"{name}valid"), getattr(self, f"{name}ready")
            pairs = [
                (getattr(self, f"{name}{field}"), Value.cast(port.payload[field]))
                for field, _ in _fields(member)
            ]
            if member.flow == Out:
                m.d.comb += [valid.eq(port.valid), port.ready.eq(ready)]
                m.d.comb += [outer.eq(own) for outer, own in pairs]
            else:
                m.d.comb += [port.valid.eq(valid), ready.eq(port.ready)]
                m.d.comb += [own.eq(outer) for outer, own in pairs]
            m.d.comb += [
                getattr(self, f"{name}{field}").eq(value) for field, value in self._constants(name).items()
            ]
        return m

    def _constants(self, name):
        """What a master says of every burst: how wide a beat is, and that addresses rise."""
        port, channel = CHANNEL.fullmatch(name).group("port", "channel")
        if channel not in ("aw", "ar") or not port.startswith("m_"):
            return {}
        beats = self.inner.signature.members[f"{port}_{'w' if channel == 'aw' else 'r'}"]
        bytes_of_beat = dict(_fields(beats))["data"] // 8
        return {
            "size": Const(bytes_of_beat.bit_length() - 1, 3),
            "burst": Const(INCR, 2),
            "cache": Const(NORMAL_MODIFIABLE, 4),
            "prot": Const(0, 3),
        }


def _fields(member):
    """Fields of a channel's payload, and their shapes."""
    layout = member.signature.members["payload"].shape
    assert isinstance(layout, data.StructLayout)
    return [(str(field), inner.shape) for field, inner in layout]
