"""`run --ablate`: the techniques of a recipe one by one, each traced, simulated and judged for itself."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from accelsim.accelerators import SpAtten
from accelsim.cli.options import Machine
from accelsim.cli.output import progress
from accelsim.report import Report
from accelsim.run import SkippedLayersWarning

if TYPE_CHECKING:
    from accelsim.accuracy import Evaluation
    from accelsim.cli.source import Source


def check_ablation(source: Source, target: Machine) -> None:
    """ValueError before any work for what cannot be taken apart."""
    from accelsim.ablation import check
    from accelsim.prune import parse_all

    if source.is_workload:
        raise ValueError(f"--ablate needs a model, not the workload file {source.model!r}")
    check(parse_all(source.recipes), target.accelerator)


def ablated(source: Source, target: Machine, report: Report, evaluation: Evaluation | None) -> Report:
    """The report with its techniques; with `evaluation` each with its accuracy, and the report with the last.

    `report`: of the whole recipe on the whole machine.
    """
    from accelsim.ablation import ablate, check, techniques
    from accelsim.prune import Spatten

    machine = target.accelerator
    assert isinstance(machine, SpAtten)
    recipes = source.pruning
    recipe = check(recipes, machine)
    others = [other for other in recipes if other != recipe]
    judged: dict[Spatten, Any] = {}
    if evaluation is not None:
        several = list(dict.fromkeys(t.recipe for t in techniques(recipe, machine) if t.recipe))
        found = source.accuracies(evaluation, [[*others, some] for some in several])
        judged = dict(zip(several, found, strict=True))
        report = replace(report, accuracy=judged[recipe])
    with warnings.catch_warnings():
        # Said once, of the whole recipe.
        warnings.simplefilter("ignore", SkippedLayersWarning)
        steps = ablate(
            lambda some: source.workload([*others, some] if some else others),
            report,
            recipe,
            machine,
            accuracy=judged.get,
            progress=lambda name: progress(f"{report.model}, {name}"),
        )
    return replace(report, ablation=steps)
