"""The figures of a finished point: one flat row, numbers with their units in the names."""

from __future__ import annotations

from typing import Any

from accelsim.report import Report

FIGURES = (
    "cycles",
    "compute_cycles",
    "seconds",
    "read_bytes",
    "write_bytes",
    "dram_bytes",
    "macs_dense",
    "macs_done",
    "dram_pj",
    "sram_pj",
    "logic_pj",
    "total_pj",
    "area_mm2",
    "speedup",
    "dram_reduction",
    "energy_saving",
    "accuracy",
)
"""Figures that may be objectives: each is a number or None."""


def figures_of(report: Report) -> dict[str, Any]:
    """The totals of a report; None where there is nothing to say. `accuracy` is measured apart."""
    numbers = {name: getattr(report, name) for name in FIGURES if name != "accuracy"}
    skipped = report.skipped_layers
    return {
        **{name: value.item() if hasattr(value, "item") else value for name, value in numbers.items()},
        "bottleneck": report.bottleneck,
        "layers": len(report.layers),
        "skipped_layers": len(skipped),
    }
