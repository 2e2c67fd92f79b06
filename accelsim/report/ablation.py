"""Techniques one by one, as rows of a report: each beside the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from accelsim.report.quantities import figure, joules, seconds, size, times
from accelsim.report.rows import Accuracy, ratio

if TYPE_CHECKING:
    from accelsim.report.report import Report


@dataclass(frozen=True, kw_only=True)
class AblationStep:
    """Time, DRAM bytes and energy once a technique is on; `accuracy`: None where it is not measured."""

    name: str
    sentence: str
    cycles: int
    seconds: float
    dram_bytes: int
    energy_pj: float | None
    accuracy: Accuracy | None = None

    @staticmethod
    def of(name: str, sentence: str, report: Report, accuracy: Accuracy | None) -> AblationStep:
        """The totals of a run."""
        return AblationStep(
            name=name,
            sentence=sentence,
            cycles=report.cycles,
            seconds=report.seconds,
            dram_bytes=report.dram_bytes,
            energy_pj=report.total_pj,
            accuracy=accuracy,
        )


def to_list(steps: Sequence[AblationStep]) -> list[dict[str, Any]]:
    """JSON of the steps: `step_speedup` over the step before, `speedup` over the first.

    The product of all `step_speedup` is the last `speedup`.
    """
    rows = []
    for index, step in enumerate(steps):
        before = steps[max(0, index - 1)]
        rows.append(
            {
                "name": step.name,
                "sentence": step.sentence,
                "cycles": step.cycles,
                "seconds": step.seconds,
                "bytes": step.dram_bytes,
                "energy_pj": step.energy_pj,
                "step_speedup": ratio(before.seconds, step.seconds),
                "speedup": ratio(steps[0].seconds, step.seconds),
                "step_dram_reduction": ratio(before.dram_bytes, step.dram_bytes),
                "step_energy_saving": ratio(before.energy_pj, step.energy_pj),
                "accuracy": accuracy_of(steps, index),
            }
        )
    return rows


def accuracy_of(steps: Sequence[AblationStep], index: int) -> float | None:
    """The metric under a step's recipe; before anything is pruned, that of the dense model."""
    found = steps[index].accuracy
    if found is not None:
        return found.pruned
    measured = next((step.accuracy for step in steps if step.accuracy), None)
    return measured.dense if measured else None


def columns(steps: Sequence[AblationStep]) -> tuple[list[str], list[list[str]]]:
    """Names and cells of a table; the sentence comes last."""
    measured = next((step.accuracy.metric for step in steps if step.accuracy), "")
    names = ["technique", "time", "step", "total", "DRAM", "step", "energy", "step"]
    cells = []
    for index, (step, row) in enumerate(zip(steps, to_list(steps), strict=True)):
        changes = ("step_speedup", "step_dram_reduction", "step_energy_saving")
        speedup, bytes_saved, energy_saved = (times(row[name]) if index else "" for name in changes)
        cells.append(
            [
                *(step.name, seconds(step.seconds), speedup, times(row["speedup"])),
                *(size(step.dram_bytes), bytes_saved, joules(step.energy_pj), energy_saved),
                *([figure(row["accuracy"])] if measured else []),
                step.sentence,
            ]
        )
    return [*names, *([measured.split(",")[0]] if measured else []), ""], cells
