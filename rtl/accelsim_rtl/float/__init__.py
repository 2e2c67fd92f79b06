"""Floating-point arithmetic: pipelines of a chosen number of registers, without handshake.

`FloatMultiplier`, `FloatAdder`, `FloatConverter`, `FloatMultiplyAdd`; `FloatUnit` puts a stream around one.
"""

from accelsim_rtl.float.adder import FloatAdder
from accelsim_rtl.float.converter import FloatConverter
from accelsim_rtl.float.multiplier import FloatMultiplier
from accelsim_rtl.float.multiply_add import FloatMultiplyAdd
from accelsim_rtl.float.unit import FloatUnit

__all__ = ["FloatAdder", "FloatConverter", "FloatMultiplier", "FloatMultiplyAdd", "FloatUnit"]
