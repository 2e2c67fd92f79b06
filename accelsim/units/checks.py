"""Refusals that several units share: the value, what was expected, and the name of the parameter."""

from __future__ import annotations

from typing import Literal

LARGEST_LANES = 64
MOST_ROW_LINES = 1 << 12
MOST_STORED_ROWS = 8

Registers = Literal["low_latency", "max_frequency"]
"""Where a pipeline has registers: as few as its paths allow, or behind every layer of logic."""


def check_lanes(lanes: int, name: str = "lanes") -> None:
    """Refuse a width that is not a power of two from 1 to LARGEST_LANES: the networks halve it."""
    require_power_of_two(name, lanes, 1, LARGEST_LANES)


def check_store(row_lines: int, store_rows: int) -> None:
    """Refuse a store of rows whose lines no counter of whole bits numbers, or that has one line alone."""
    require_power_of_two("row_lines", row_lines, 1, MOST_ROW_LINES)
    require_power_of_two("store_rows", store_rows, 1, MOST_STORED_ROWS)
    if row_lines * store_rows < 2:
        raise ValueError("row_lines x store_rows must be 2 or more, not 1")


def check_registers(registers: str) -> None:
    """Refuse another word than those of `Registers`."""
    if registers not in ("low_latency", "max_frequency"):
        raise ValueError(f"registers must be low_latency or max_frequency, not {registers!r}")


def require_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse a number outside low..high, by its name."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, not {value}")


def require_power_of_two(name: str, value: int, low: int, high: int) -> None:
    """Refuse what is no power of two, or outside low..high, by its name."""
    if not low <= value <= high or value & (value - 1):
        raise ValueError(f"{name} must be a power of two from {low} to {high}, not {value}")
