"""The elements of the array, and the flexible interconnect: rows of USPEs, and rows of rows.

Two levels of `Repeated`: Verilog holds one element and one row, whatever their number.
"""

from amaranth.hdl import Module
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from accelsim.golden.floating import FP32
from accelsim.units.sat_array import SatArray as Parameters
from accelsim_rtl.kit.repeated import Repeated
from accelsim_rtl.sat.uspe import Uspe, element_members, north_layout, slots, west_layout

BROADCAST = ("stationary", "bank", "capture", "capture_slot", "shift")


class GridRow(Component):
    """`cols` elements: activations pass from west to east; all else of a column, from north to south."""

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        super().__init__(row_members(parameters))

    def elaborate(self, platform):
        m = Module()
        west = self.west
        members = element_members(self.parameters)
        for column in range(self.parameters.cols):
            element = Repeated("sat_element", members, lambda: Uspe(self.parameters))
            m.submodules[f"element_{column}"] = element
            m.d.comb += [element.west.eq(west)]
            m.d.comb += [getattr(element, name).eq(getattr(self, name)) for name in BROADCAST]
            for name in ("north", "sum", "drained"):
                entering, leaving = f"{name}{_IN[name]}", f"{name}_out"
                m.d.comb += [
                    getattr(element, entering).eq(getattr(self, entering)[column]),
                    getattr(self, leaving)[column].eq(getattr(element, leaving)),
                ]
            west = element.west_out
        return m


class Grid(Component):
    """`rows` rows; what leaves the last one is that of the grid."""

    def __init__(self, parameters: Parameters):
        self.parameters = parameters
        columns = {
            name: member
            for name, member in _columns(parameters).items()
            if name not in ("drained_in", "north_out")
        }
        west = data.ArrayLayout(west_layout(parameters), parameters.rows)
        super().__init__({"west": In(west)} | columns | _broadcast(parameters))

    def elaborate(self, platform):
        m = Module()
        above = {"north": self.north, "sum": self.sum_in, "drained": 0}
        members = row_members(self.parameters)
        for number in range(self.parameters.rows):
            row = Repeated("sat_row", members, lambda: GridRow(self.parameters))
            m.submodules[f"row_{number}"] = row
            m.d.comb += [row.west.eq(self.west[number])]
            m.d.comb += [getattr(row, name).eq(getattr(self, name)) for name in BROADCAST]
            m.d.comb += [getattr(row, f"{name}{_IN[name]}").eq(value) for name, value in above.items()]
            above = {name: getattr(row, f"{name}_out") for name in above}
        m.d.comb += [self.sum_out.eq(above["sum"]), self.drained_out.eq(above["drained"])]
        return m


_IN = {"north": "", "sum": "_in", "drained": "_in"}


def row_members(parameters: Parameters):
    """The ports of a row."""
    return {"west": In(west_layout(parameters))} | _columns(parameters) | _broadcast(parameters)


def _columns(parameters):
    """What goes down every column."""
    north = data.ArrayLayout(north_layout(parameters), parameters.cols)
    sums = data.ArrayLayout(FP32.bits, parameters.cols)
    return {
        "north": In(north),
        "north_out": Out(north),
        "sum_in": In(sums),
        "sum_out": Out(sums),
        "drained_in": In(sums),
        "drained_out": Out(sums),
    }


def _broadcast(parameters):
    """What all elements hear in the same clock."""
    shapes = dict.fromkeys(BROADCAST, 1) | {"capture_slot": slots(parameters)}
    return {name: In(shape) for name, shape in shapes.items()}
