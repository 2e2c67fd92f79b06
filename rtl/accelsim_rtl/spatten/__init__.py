"""The machine `spatten` in hardware: `Machine`."""

from accelsim_rtl.spatten.machine import Machine

__all__ = ["Machine"]
