"""What a worker does: trace a model, measure its accuracy, simulate a point.

A worker may be on another computer, so a workload comes as the bytes of its file, not as a path; only a
model is a name, which that computer must know.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim import synthetic
from accelsim.accelerators import ACCELERATORS, find
from accelsim.accelerators.base import Accelerator
from accelsim.foreign import foreign_code
from accelsim.parameters import as_dict, replace_all
from accelsim.run import SkippedLayersWarning, run
from accelsim.sweep.figures import figures_of
from accelsim.sweep.points import Point
from accelsim.sweep.space import Space
from accelsim.workload import Workload

if TYPE_CHECKING:
    from accelsim.models.loading import Model
    from accelsim.prune import Recipe

GEMM = "gemm:"
DENSE = "dense"
WORKLOADS_KEPT = 8
"""In a worker: points of one workload mostly follow each other."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model under a recipe, with the inputs it is traced on."""

    model: str
    recipe: str
    text: str | None = None
    input: str | None = None
    tokens: int | None = None
    batch: int = 1
    generate: int | None = None
    train: bool = False
    scores: bool = False
    seed: int = 0

    @property
    def key(self) -> str:
        """Equal for equal words under one version. What a file holds may change behind its name."""
        return digest("source", asdict(self))

    @property
    def lasting(self) -> bool:
        """Whether the words alone say what the workload is: no file of the user's is read."""
        from accelsim.models import known

        return self.text is None and (self.model.startswith(GEMM) or self.model in known())

    @property
    def recipes(self) -> list[str] | None:
        """The recipe as `trace` takes it."""
        return None if self.recipe == DENSE else [self.recipe]


def sources(space: Space) -> dict[tuple[str, str], Source]:
    """By model and recipe what is traced. Raises ValueError for whatever can be refused before any work."""
    scores = any(ACCELERATORS[find(machine.on)[0]].decides for machine in space.machines)
    found = {
        (model, recipe): Source(
            model=model,
            recipe=recipe,
            text=space.text,
            input=space.input,
            tokens=space.tokens,
            batch=space.batch,
            generate=space.generate,
            train=space.train,
            scores=scores,
            seed=space.seed,
        )
        for model in space.models
        for recipe in space.recipes
    }
    for source in found.values():
        _check(source)
    return found


def digest(*values: Any) -> str:
    """SHA-256 of plain values and of the version of the package."""
    from accelsim import __version__

    text = json.dumps([__version__, *values], sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def point_key(workload_hash: str, point: Point) -> str:
    """Equal for points that are the same work on the same parameters, however they were typed.

    Raises ValueError for parameters that the machine refuses.
    """
    machine = machine_of(point)
    file = getattr(machine, "schedule", "")
    schedule = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    return digest("point", workload_hash, machine.name, as_dict(machine), schedule)


def machine_of(point: Point) -> Accelerator:
    """The machine with its parameters. Raises ValueError for what it refuses."""
    return replace_all(find(point.machine)[2], dict(point.settings))


def traced(source: Source) -> tuple[str, bytes]:
    """Hash and file of the workload of a model under a recipe. Raises ValueError for what cannot be had."""
    workload = _gemm(source) if source.model.startswith(GEMM) else _model_workload(source)
    with tempfile.TemporaryDirectory(prefix="accelsim-") as folder:
        file = Path(folder) / "workload.npz"
        workload.save(file)
        return workload.hash, file.read_bytes()


def simulated(workload_hash: str, content: bytes, point: Point) -> tuple[dict[str, Any], float]:
    """The figures of a point and the seconds they took. Raises ValueError for what cannot be simulated."""
    started = time.monotonic()
    workload = _loaded(workload_hash, content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedLayersWarning)
        report = run(workload, machine_of(point), baseline=not workload.is_dense)
    return figures_of(report), time.monotonic() - started


def measured(source: Source, samples: int | None) -> tuple[dict[str, Any], float]:
    """Accuracy of a model under a recipe, dense and pruned, and the seconds it took."""
    from accelsim.accuracy import prepare

    started = time.monotonic()
    with foreign_code(source.model):
        model = _model(source)
        evaluation = prepare(model, _pruning(source, model), seed=source.seed, samples=samples)
        return asdict(evaluation.measure()), time.monotonic() - started


def _loaded(workload_hash: str, content: bytes) -> Workload:
    if workload_hash not in _held:
        while len(_held) >= WORKLOADS_KEPT:
            del _held[next(iter(_held))]
        with tempfile.TemporaryDirectory(prefix="accelsim-") as folder:
            file = Path(folder) / "workload.npz"
            file.write_bytes(content)
            _held[workload_hash] = Workload.load(file)
    return _held[workload_hash]


_held: dict[str, Workload] = {}


def _check(source: Source) -> None:
    from accelsim.prune.recipes import parse_all

    if source.model.startswith(GEMM):
        _gemm_sizes(source.model)
        synthetic.parse_pattern(source.recipe)
    else:
        parse_all(source.recipes)
    if source.text is not None and not Path(source.text).is_file():
        raise ValueError(f"text must be a file, and there is no {source.text!r}")
    if source.input is not None and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", source.input):
        raise ValueError(f"input must be a shape such as 1x3x32x32, not {source.input!r}")
    for name in _without(source):
        if getattr(source, name) != Source.__dataclass_fields__[name].default:
            raise ValueError(f"{name} cannot be {getattr(source, name)!r} with {source.model!r}")
    if source.model.endswith(".npz") and source.recipes:
        raise ValueError(f"recipe must be dense for the workload file {source.model!r}, which is fixed")


def _without(source: Source) -> tuple[str, ...]:
    """The inputs that mean nothing to what the model is."""
    from accelsim.models import networks

    if source.model.startswith(GEMM) or source.model.endswith(".npz"):
        return ("text", "input", "tokens", "batch", "generate", "train")
    return ("text",) if source.model in networks() else ()


def _gemm(source: Source) -> Workload:
    m, n, k = _gemm_sizes(source.model)
    pattern = synthetic.parse_pattern(source.recipe)
    return synthetic.gemm(m, n, k, pattern=pattern, generator=np.random.default_rng(source.seed))


def _gemm_sizes(model: str) -> tuple[int, int, int]:
    sizes = model.removeprefix(GEMM).split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and size[0] != "0" for size in sizes):
        raise ValueError(f"a gemm must be gemm:MxNxK, such as gemm:512x512x512, not {model!r}")
    m, n, k = map(int, sizes)
    return m, n, k


def _model_workload(source: Source) -> Workload:
    from accelsim.models import network, networks

    if source.model.endswith(".npz"):
        return Workload.load(source.model)
    if source.model in networks():
        return network(
            source.model,
            source.recipes,
            tokens=source.tokens,
            batch=source.batch,
            input_shape=source.input,
            generate=source.generate,
            seed=source.seed,
            train=source.train,
        )
    with foreign_code(source.model):
        model = _model(source)
        if source.train:
            from accelsim.training import trace_step

            return trace_step(model.module, model.inputs, source.recipes, name=model.name, notes=model.notes)
        from accelsim.trace import trace

        return trace(
            model.module,
            model.inputs,
            _pruning(source, model),
            name=model.name,
            notes=model.notes,
            generate=source.generate,
            scores=source.scores,
        )


def _pruning(source: Source, model: Model) -> tuple[Recipe, ...] | None:
    """The recipes, calibrated where they need it, as `accelsim run` does; the same for trace and accuracy."""
    from accelsim.accuracy.calibration import calibrated

    return calibrated(model, source.recipes, seed=source.seed, text=source.text) or None


def _model(source: Source) -> Model:
    from accelsim.models import load

    return load(
        source.model,
        seed=source.seed,
        tokens=source.tokens,
        input_shape=source.input,
        text=source.text,
        batch=source.batch,
    )
