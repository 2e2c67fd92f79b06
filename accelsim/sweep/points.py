"""Which points a sweep visits: a grid, a draw, or what Optuna asks for.

The same file gives the same points, whatever the workers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from accelsim.sweep.space import MOST_POINTS, MachineSpace, Range, Scalar, Space, SpaceError

if TYPE_CHECKING:
    import optuna

DRAWS_PER_POINT = 20
"""A random search that finds nothing new for so long has seen (nearly) all there is."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model under a recipe on a machine with some parameters set, all as the user would type them."""

    model: str
    recipe: str
    machine: str
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        words = [self.model, self.recipe, self.machine, *(f"{name}={value}" for name, value in self.settings)]
        return " ".join(words)


Row = Mapping[str, Any]


class Search(Protocol):
    """Gives points until it has no more; hears what came of them."""

    def ask(self) -> list[Point]:
        """The next points; none: the search has ended."""

    def tell(self, rows: Sequence[Row | None]) -> None:
        """The rows of the points asked for last, in their order; None for one that gave none."""


def search_of(space: Space) -> Search:
    """The way through the space that the file asks for."""
    if space.search.kind == "optuna":
        return _Guided(space)
    return _Listed(list(grid(space)) if space.search.kind == "grid" else drawn(space))


def grid(space: Space) -> Iterator[Point]:
    """Every combination; the last parameter changes fastest. Raises SpaceError if there are too many."""
    alternatives = [
        {
            name: given.values() if isinstance(given, Range) else given
            for name, given in machine.alternatives().items()
        }
        for machine in space.machines
    ]
    each = sum(math.prod(map(len, ways.values())) for ways in alternatives)
    total = each * len(space.models) * len(space.recipes)
    if total > MOST_POINTS:
        raise SpaceError(f"a grid must have at most {MOST_POINTS} points, not {total}: try kind: random")
    for model, recipe in itertools.product(space.models, space.recipes):
        for machine, ways in zip(space.machines, alternatives, strict=True):
            for values in itertools.product(*ways.values()):
                yield _point(model, recipe, machine, dict(zip(ways, values, strict=True)))


def drawn(space: Space) -> list[Point]:
    """`points` different ones, every choice as likely; fewer if there are no more."""
    generator = np.random.default_rng(space.seed)
    wanted = space.search.points or 0
    found: dict[Point, None] = {}
    for _ in range(wanted * DRAWS_PER_POINT):
        machine = _pick(space.machines, generator)
        values = {name: _draw(given, generator) for name, given in machine.alternatives().items()}
        found[_point(_pick(space.models, generator), _pick(space.recipes, generator), machine, values)] = None
        if len(found) == wanted:
            break
    return list(found)


class _Listed:
    """Points that are known from the start."""

    def __init__(self, points: list[Point]) -> None:
        self._points = list(dict.fromkeys(points))

    def ask(self) -> list[Point]:
        points, self._points = self._points, []
        return points

    def tell(self, rows: Sequence[Row | None]) -> None:
        pass


class _Guided:
    """Optuna's tree-structured Parzen estimator, a batch at a time, so that workers do not matter."""

    def __init__(self, space: Space) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._left = space.search.trials or 0
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=space.seed % 2**32),
            directions=["minimize" if goal == "min" else "maximize" for goal in space.objectives.values()],
        )
        self._asked: list[optuna.Trial] = []

    def ask(self) -> list[Point]:
        count = min(self._space.search.batch, self._left)
        self._left -= count
        self._asked = [self._study.ask() for _ in range(count)]
        return [self._suggested(trial) for trial in self._asked]

    def tell(self, rows: Sequence[Row | None]) -> None:
        import optuna

        for trial, row in zip(self._asked, rows, strict=True):
            found = [row[name] for name in self._space.objectives] if row else []
            values = [value for value in found if value is not None]
            if len(values) < len(self._space.objectives):
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                self._study.tell(trial, values)

    def _suggested(self, trial: optuna.Trial) -> Point:
        space = self._space
        machines = {f"{place}: {machine.on}": machine for place, machine in enumerate(space.machines)}
        model = trial.suggest_categorical("model", space.models)
        recipe = trial.suggest_categorical("recipe", space.recipes)
        chosen = trial.suggest_categorical("machine", list(machines))
        values = {
            name: _suggest(trial, f"{chosen}, {name}", given)
            for name, given in machines[chosen].alternatives().items()
        }
        return _point(model, recipe, machines[chosen], values)


def _draw(given: Range | list[Scalar], generator: np.random.Generator) -> Scalar:
    if isinstance(given, Range) and given.steps is None:
        if given.integer and not given.log:
            return int(generator.integers(math.ceil(given.low), math.floor(given.high) + 1))
        return given.value(float(generator.random()))
    choice: Scalar = _pick(given.values() if isinstance(given, Range) else given, generator)
    return choice


def _suggest(trial: optuna.Trial, name: str, given: Range | list[Scalar]) -> Scalar:
    if isinstance(given, list) or given.steps is not None:
        choices: Any = given if isinstance(given, list) else given.values()
        chosen: Scalar = trial.suggest_categorical(name, choices)
        return chosen
    if given.integer:
        return trial.suggest_int(name, math.ceil(given.low), math.floor(given.high), log=given.log)
    return trial.suggest_float(name, given.low, given.high, log=given.log)


def _point(model: str, recipe: str, machine: MachineSpace, values: Mapping[str, Scalar]) -> Point:
    settings = tuple((name, _text(value)) for name, value in values.items())
    return Point(model=model, recipe=recipe, machine=machine.on, settings=settings)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _pick(choices: Sequence[Any], generator: np.random.Generator) -> Any:
    return choices[int(generator.integers(len(choices)))]
