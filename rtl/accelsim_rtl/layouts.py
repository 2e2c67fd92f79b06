"""The layout of a payload from the fields that its model packs."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data


def layout(record):
    """Of a `accelsim.units.record.Record`."""
    members = {}
    for name, field in record.fields.items():
        shape = signed(field.bits) if field.signed else unsigned(field.bits)
        members[name] = shape if field.count is None else data.ArrayLayout(shape, field.count)
    return data.StructLayout(members)
