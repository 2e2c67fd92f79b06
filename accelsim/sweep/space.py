"""What a sweep file says: models x recipes x machines x parameters, and how to go through them.

Read by `read_space` from YAML that may come from a stranger: plain values only, no aliases, a bounded size.
Every mistake is one line that names the place.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from accelsim.accelerators import find
from accelsim.parameters import paths
from accelsim.sweep.figures import FIGURES
from accelsim.sweep.plain_yaml import MOST_BYTES, plain_values
from accelsim.words import unknown

MOST_POINTS = 10**6
MOST_STEPS = 10**5

Scalar = bool | int | float | str
Goal = Literal["min", "max"]


class SpaceError(ValueError):
    """A sweep file that cannot be used, in one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Strict):
    """Numbers from `low` to `high`: `steps` of them for a grid, any for a random or guided search."""

    low: float
    high: float
    steps: Annotated[int, Field(ge=2, le=MOST_STEPS)] | None = None
    log: bool = False
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, not {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be > 0 with log, not {self.low:g}")
        if self.integer and math.ceil(self.low) > math.floor(self.high):
            raise ValueError(f"a whole number must lie from {self.low:g} to {self.high:g}")
        return self

    def values(self) -> list[float | int]:
        """The values of a grid, ascending, each once. Raises SpaceError without `steps`."""
        if self.steps is None:
            raise SpaceError("a range in a grid must say its steps")
        shares = [step / (self.steps - 1) for step in range(self.steps)]
        return list(dict.fromkeys(self.value(share) for share in shares))

    def value(self, share: float) -> float | int:
        """The value at a share of the way from low to high, in the logarithm with `log`."""
        if self.log:
            found = float(self.low * (self.high / self.low) ** share)
        else:
            found = self.low + (self.high - self.low) * share
        found = min(max(found, self.low), self.high)
        if not self.integer:
            return float(found)
        return min(max(round(found), math.ceil(self.low)), math.floor(self.high))


Choices = Annotated[list[Scalar], Field(min_length=1, max_length=MOST_STEPS)]


class MachineSpace(_Strict):
    """A machine by name, and the parameters of it that vary, or that are set."""

    on: str
    set: dict[str, Range | Choices | Scalar] = {}

    @model_validator(mode="after")
    def _known(self) -> MachineSpace:
        known = paths(find(self.on)[2])
        for name in self.set:
            if name not in known:
                raise ValueError(unknown("parameter", name, known))
        return self

    def alternatives(self) -> dict[str, Range | list[Scalar]]:
        """By dotted name what a parameter may be; one that is set has one choice."""
        return {
            name: given if isinstance(given, Range | list) else [given] for name, given in self.set.items()
        }


class Search(_Strict):
    """How to go through the space: all of it, `points` drawn from it, or `trials` guided by the objectives.

    `batch`: trials that are asked for before any of them is answered. It is the same for one worker and for
    many, so that the same file gives the same points.
    """

    kind: Literal["grid", "random", "optuna"] = "grid"
    points: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = None
    trials: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = None
    batch: Annotated[int, Field(ge=1, le=1024)] = 8

    @model_validator(mode="after")
    def _whole(self) -> Search:
        for kind, name in (("random", "points"), ("optuna", "trials")):
            if (getattr(self, name) is not None) != (self.kind == kind):
                raise ValueError(f"{name} belongs to kind: {kind} and must be given there alone")
        return self


class Space(_Strict):
    """A sweep file. `models` are names, files, `module.py:factory`, or `gemm:MxNxK` under `N:M` recipes."""

    models: Annotated[list[str], Field(min_length=1)]
    recipes: Annotated[list[str], Field(min_length=1)] = ["dense"]
    machines: Annotated[list[MachineSpace], Field(min_length=1)]
    search: Search = Search()
    objectives: dict[str, Goal] = {"seconds": "min", "dram_bytes": "min"}
    evaluate: bool = False
    samples: Annotated[int, Field(ge=1)] | None = None
    text: str | None = None
    input: str | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1, le=65536)] = 1
    generate: Annotated[int, Field(ge=0)] | None = None
    train: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @field_validator("machines", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        """A machine of which nothing varies may be its name alone."""
        if isinstance(given, list):
            return [{"on": each} if isinstance(each, str) else each for each in given]
        return given

    @field_validator("recipes", "models")
    @classmethod
    def _once(cls, given: list[str]) -> list[str]:
        return list(dict.fromkeys(given))

    @field_validator("objectives")
    @classmethod
    def _figures(cls, given: dict[str, Goal]) -> dict[str, Goal]:
        if not given:
            raise ValueError("must name at least one figure")
        for name in given:
            if name not in FIGURES:
                raise ValueError(unknown("figure", name, FIGURES))
        return given

    @model_validator(mode="after")
    def _measured(self) -> Space:
        if "accuracy" in self.objectives and not self.evaluate:
            raise ValueError("accuracy among the objectives needs evaluate: true")
        for index, machine in enumerate(self.machines if self.search.kind == "grid" else ()):
            for name, given in machine.set.items():
                if isinstance(given, Range) and given.steps is None:
                    raise ValueError(f"machines.{index}.set.{name}: a range in a grid must say its steps")
        if self.samples is not None and not self.evaluate:
            raise ValueError("samples needs evaluate: true")
        return self


def read_space(path: str | os.PathLike[str]) -> Space:
    """The sweep that a YAML file describes. Raises SpaceError, OSError."""
    try:
        with Path(path).open("rb") as file:
            given = plain_values(file.read(MOST_BYTES + 1))
    except ValueError as error:
        raise SpaceError(f"{path}: {error}") from None
    if not isinstance(given, Mapping):
        raise SpaceError(f"{path}: must hold models, recipes and machines, not {type(given).__name__}")
    try:
        return Space.model_validate(given)
    except ValidationError as error:
        raise SpaceError(f"{path}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first mistake with its place, such as `machines.0.set.rows`; wrong words before missing ones."""
    mistakes = error.errors(include_url=False)
    found = next((each for each in mistakes if each["type"] == "extra_forbidden"), mistakes[0])
    place = ".".join(str(part) for part in found["loc"] if isinstance(part, int) or part.islower())
    message = found["msg"].removeprefix("Value error, ")
    given = found["input"]
    if found["type"] == "model_type" and "set" in found["loc"]:
        message = f"must be a value, a list of 1 to {MOST_STEPS} values, or a range with low and high"
    if found["type"] == "value_error" or isinstance(given, Mapping | list):
        shown = ""
    else:
        shown = f", not {str(given)[:80]!r}"
    if found["type"] == "extra_forbidden":
        name = str(found["loc"][-1])
        return unknown(f"a word of {place.rpartition('.')[0] or 'the file'}", name, _words(found["loc"]))
    return f"{place}: {message[:1].lower()}{message[1:]}{shown}" if place else message


def _words(place: tuple[Any, ...]) -> list[str]:
    kinds: dict[str, type[_Strict]] = {"machines": MachineSpace, "search": Search}
    if "set" in place[:-1]:
        return list(Range.model_fields)
    return list((kinds[place[0]] if len(place) > 1 and place[0] in kinds else Space).model_fields)
