"""Quantities for reading: three digits and a unit."""

from __future__ import annotations


def seconds(value: float | None) -> str:
    """A time with three digits and a unit."""
    return _scaled(value, ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")))


def joules(picojoules: float | None) -> str:
    """An energy with three digits and a unit."""
    units = ((1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ"), (1e-12, "pJ"))
    return _scaled(None if picojoules is None else picojoules * 1e-12, units)


def size(value: float | None) -> str:
    """Bytes with three digits and a decimal unit."""
    return _scaled(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")))


def times(value: float | None) -> str:
    """A ratio, as in 2.70x."""
    return "-" if value is None else f"{value:.2f}x"


def _scaled(value: float | None, units: tuple[tuple[float, str], ...]) -> str:
    if value is None:
        return "-"
    # What rounds to 1000 of a unit is 1 of the next.
    scale, unit = next(((scale, unit) for scale, unit in units if value >= 0.9995 * scale), units[-1])
    number = value / scale
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:.0f} {unit}"


def figure(value: float | None) -> str:
    """A metric: four digits, or a whole number above 1,000."""
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
