"""SpAtten's techniques one by one: what each does to time, bytes and energy, on top of those before it.

Every step is a run of its own, on decisions of its own: what heads are worth is seen on the tokens that are
left. Steps before the last have the plainest selection (quick-select, one score a cycle), so that what the
engine and its width bring is seen on the work that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

from accelsim.accelerators import SpAtten, Systolic
from accelsim.accelerators.base import Accelerator
from accelsim.prune.recipes import MSB_BITS, Recipe, Spatten
from accelsim.report import Accuracy, Report
from accelsim.report.ablation import AblationStep
from accelsim.run import Progress, run
from accelsim.units.topk import TopK
from accelsim.workload import Workload

TECHNIQUES = {
    "tokens": "cascade token pruning",
    "heads": "cascade head pruning",
    "values": "local value pruning: V of the largest probabilities alone",
    "channels": "K channels that matter least to the recent queries leave",
}
"""Settings of a recipe that are techniques of their own, in the order in which they come."""


@dataclass(frozen=True, kw_only=True)
class Technique:
    """What is switched on now. `recipe`: all that is pruned so far; None: nothing."""

    name: str
    sentence: str
    recipe: Spatten | None
    machine: Accelerator


def check(recipes: Sequence[Recipe], machine: Accelerator) -> Spatten:
    """The recipe that will be taken apart; ValueError, in one line, where there is none or no SpAtten."""
    if not isinstance(machine, SpAtten):
        raise ValueError(f"--ablate takes the techniques of spatten apart, and the machine is {machine.name}")
    for recipe in recipes:
        if isinstance(recipe, Spatten) and not recipe.decides_nothing:
            return recipe
    raise ValueError("--ablate needs a recipe that prunes, such as --prune spatten,tokens=0.5,values=0.3")


def techniques(recipe: Spatten, machine: SpAtten) -> list[Technique]:
    """All steps, the dense machine first, `recipe` on `machine` last; what it leaves out is no step."""
    plain = replace(machine, topk=_plainest(machine.topk))
    made = [
        Technique(
            name="dense",
            sentence="a systolic array of as many multipliers, of 16 bits, at the same memory and clock",
            recipe=None,
            machine=dense_machine(machine),
        ),
        Technique(name="datapath", sentence="the same work on SpAtten", recipe=None, machine=plain),
    ]
    # Rules are no techniques: they hold from the first step on.
    on = replace(recipe, tokens=1.0, heads=1.0, values=1.0, channels=1.0, bits=None, value_bits=0)
    for name, sentence in TECHNIQUES.items():
        if not _prunes(recipe, name):
            continue
        on = _with(on, recipe, name)
        made.append(Technique(name=name, sentence=sentence, recipe=on, machine=plain))
    if recipe.bits is not None:
        whole = min(sum(recipe.bits), MSB_BITS[-1])
        on = replace(on, bits=(whole, 0), value_bits=recipe.value_bits)
        sentence = f"static quantisation to {whole} bits"
        made.append(Technique(name="static bits", sentence=sentence, recipe=on, machine=plain))
        if recipe.bits[1]:
            sentence = "progressive quantisation to {}+{} bits".format(*recipe.bits)
            made.append(Technique(name="progressive bits", sentence=sentence, recipe=recipe, machine=plain))
    if recipe.values < 1 or recipe.prunes_tokens or recipe.prunes_heads:
        made += _selections(recipe, machine, plain)
    return made


def ablate(
    make: Callable[[Spatten | None], Workload],
    report: Report,
    recipe: Spatten,
    machine: SpAtten,
    *,
    accuracy: Callable[[Spatten], Accuracy | None] | None = None,
    progress: Callable[[str], AbstractContextManager[Progress | None]] = lambda _: nullcontext(),
) -> tuple[AblationStep, ...]:
    """One line for each technique. `report`: of the whole recipe on the whole machine, with its baseline.

    `make`: the workload under a recipe; `accuracy`: what is left under it; `progress` for a step's name.
    """
    steps: list[AblationStep] = []
    last: tuple[Spatten | None, Workload | None, Accuracy | None] = (None, None, None)
    for technique in techniques(recipe, machine):
        if technique.recipe != last[0]:
            judged = accuracy(technique.recipe) if accuracy and technique.recipe else None
            workload = None if technique.recipe == recipe else make(technique.recipe)
            last = technique.recipe, workload, judged
        if technique.machine == machine and technique.recipe == recipe:
            found = report
        elif technique.name == "datapath" and report.baseline is not None:
            # Nothing is selected in the dense model: the engine does not matter.
            found = report.baseline
        else:
            workload = last[1] or make(technique.recipe)
            last = technique.recipe, workload, last[2]
            attentions = tuple(layer for layer in workload.layers if not machine.refuse(layer.dense()))
            only = replace(workload, layers=attentions)
            with progress(technique.name) as advance:
                found = run(only, technique.machine, baseline=False, progress=advance)
        steps.append(AblationStep.of(technique.name, technique.sentence, found, last[2]))
    return tuple(steps)


def dense_machine(machine: SpAtten) -> Systolic:
    """A systolic array of as many multipliers as both of SpAtten's, as square as can be."""
    count = 2 * machine.multipliers
    rows = next(side for side in range(isqrt(count), 0, -1) if count % side == 0)
    return Systolic(
        rows=rows,
        cols=count // rows,
        clock_hz=machine.clock_hz,
        activation_buffer=machine.sram_bytes,
        weight_buffer=machine.sram_bytes,
        output_buffer=machine.sram_bytes,
        dram=machine.dram,
        energy=machine.energy,
    )


def _plainest(engine: TopK) -> TopK:
    """Quick-select with the paper's pivots, one score a cycle."""
    return replace(engine, engine="quick", pivot="uniform", form="low_latency", width=1)


def _selections(recipe: Spatten, machine: SpAtten, plain: SpAtten) -> list[Technique]:
    """The engine as the machine has it, at one score a cycle and then at its width."""
    engine = machine.topk
    narrow = replace(machine, topk=replace(engine, width=1))
    made = []
    if narrow != plain:
        kind = f"{engine.engine}, {engine.form}" + (f", {engine.pivot} pivots" if engine.draws else "")
        sentence = f"the selection as the machine has it ({kind}), one score a cycle"
        made.append(Technique(name="top-k engine", sentence=sentence, recipe=recipe, machine=narrow))
    if engine.width > 1:
        sentence = f"the selection at {engine.width} scores a cycle"
        made.append(Technique(name="top-k width", sentence=sentence, recipe=recipe, machine=machine))
    return made


def _with(on: Spatten, recipe: Spatten, name: str) -> Spatten:
    """`on`, with one setting of `recipe`."""
    kept = getattr(recipe, name)
    changes: dict[str, Any] = {name: kept}
    return replace(on, **changes)


def _prunes(recipe: Spatten, name: str) -> bool:
    return {
        "tokens": recipe.prunes_tokens,
        "heads": recipe.prunes_heads,
        "values": recipe.values < 1,
        "channels": recipe.channels < 1,
    }[name]
