"""What a machine has to do: stages, units, buffers, and one row of integers per job.

Accelerators write plans, `accelsim.machine.simulate` says when each piece happens.
`docs/engine.md` is the exact meaning of every field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Scope = Literal["lane", "site", "machine"]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

RUN = np.dtype([(name, "<i8") for name in ("job", "stage", "address", "count", "stride", "operand")])
AFTER = np.dtype([("job", "<i8"), ("stage", "<i8"), ("other_job", "<i8"), ("other_stage", "<i8")])


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of every job. Empty `unit` means a unit of its own, named as the stage."""

    name: str
    unit: str = ""
    scope: Scope = "lane"
    priority: int = 0
    port: str = ""
    write: bool = False

    def __post_init__(self) -> None:
        _require_scope(self.scope, f"stage {self.name!r}")
        if self.write and not self.port:
            raise ValueError(f"stage {self.name!r} writes, so it must name a port, not ''")
        if not self.unit:
            object.__setattr__(self, "unit", self.name)


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Room, in lines or bytes, taken when stage `take` starts, given back when stage `give` ends."""

    name: str
    capacity: int
    take: str
    give: str
    scope: Scope = "lane"

    def __post_init__(self) -> None:
        _require_scope(self.scope, f"buffer {self.name!r}")
        if self.capacity < 0:
            raise ValueError(f"buffer {self.name!r}: capacity must be >= 0, not {self.capacity}")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The machine as the engine sees it. Lane `l` sits on site `l % sites`."""

    stages: tuple[Stage, ...]
    buffers: tuple[Buffer, ...] = ()
    lanes: int = 1
    sites: int = 1

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("a layout must have at least one stage")
        if self.lanes < 1 or not 1 <= self.sites <= self.lanes:
            raise ValueError(
                f"lanes and sites must be 1 <= sites <= lanes, not {self.sites} and {self.lanes}"
            )
        _require_unique([s.name for s in self.stages], "stage")
        _require_unique([b.name for b in self.buffers], "buffer")
        self._require_one_scope("unit", [(s.unit, s.scope) for s in self.stages])
        self._require_one_scope("port", [(s.port, s.scope) for s in self.stages if s.port])
        for buffer in self.buffers:
            take, give = self.stage(buffer.take), self.stage(buffer.give)
            if give < take:
                raise ValueError(f"buffer {buffer.name!r}: {buffer.give!r} comes before {buffer.take!r}")
            shared = buffer.scope == "machine" or (buffer.scope == "site" and self.lanes > self.sites)
            if shared and self.lanes > 1 and self.stages[take].scope == "lane":
                raise ValueError(
                    f"buffer {buffer.name!r} is shared by lanes, so the unit of {buffer.take!r} must be too"
                )

    def stage(self, name: str) -> int:
        """Index of the stage of that name."""
        for index, stage in enumerate(self.stages):
            if stage.name == name:
                return index
        raise ValueError(f"stage must be one of {[s.name for s in self.stages]}, not {name!r}")

    def buffer(self, name: str) -> int:
        """Index of the buffer of that name."""
        for index, buffer in enumerate(self.buffers):
            if buffer.name == name:
                return index
        raise ValueError(f"buffer must be one of {[b.name for b in self.buffers]}, not {name!r}")

    @staticmethod
    def _require_one_scope(kind: str, pairs: list[tuple[str, Scope]]) -> None:
        seen: dict[str, Scope] = {}
        for name, scope in pairs:
            if seen.setdefault(name, scope) != scope:
                raise ValueError(f"{kind} {name!r} must have one scope, not {seen[name]} and {scope}")


@dataclass(kw_only=True)
class Plan:
    """Rows for `jobs` jobs. Arrays start as zeros; accelerators fill them, `check()` reads them over.

    Shapes: `busy`, `lag`, `drain`, `whole`, `skip` are (jobs, stages); `take`, `give` are
    (jobs, buffers); `group` is (jobs,). All in cycles, except `take` and `give` (units of the buffer).
    `operands` are the names that the column `operand` of `runs` counts through: whose bytes they are.
    """

    layout: Layout
    jobs: int
    busy: Integers = field(init=False)
    lag: Integers = field(init=False)
    drain: Integers = field(init=False)
    whole: Flags = field(init=False)
    skip: Flags = field(init=False)
    take: Integers = field(init=False)
    give: Integers = field(init=False)
    group: Integers = field(init=False)
    runs: npt.NDArray[np.void] = field(init=False)
    operands: list[str] = field(init=False)
    after: npt.NDArray[np.void] = field(init=False)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"a plan must have at least one job, not {self.jobs}")
        stages, buffers = len(self.layout.stages), len(self.layout.buffers)
        self.busy = np.zeros((self.jobs, stages), np.int64)
        self.lag = np.zeros((self.jobs, stages), np.int64)
        self.drain = np.zeros((self.jobs, stages), np.int64)
        self.whole = np.zeros((self.jobs, stages), np.bool_)
        self.skip = np.zeros((self.jobs, stages), np.bool_)
        self.take = np.zeros((self.jobs, buffers), np.int64)
        self.give = np.zeros((self.jobs, buffers), np.int64)
        self.group = np.zeros(self.jobs, np.int64)
        self.runs = np.zeros(0, RUN)
        self.operands = []
        self.after = np.zeros(0, AFTER)

    def add_runs(
        self,
        stage: str,
        job: npt.ArrayLike,
        address: npt.ArrayLike,
        count: npt.ArrayLike,
        stride: npt.ArrayLike,
        *,
        operand: str = "",
    ) -> None:
        """Append bursts of a memory stage: `count` of them from `address` on, `stride` bytes apart.

        `operand`: what they hold, for reports; "": what the stage is called.
        """
        name = operand or stage
        if name not in self.operands:
            self.operands.append(name)
        which = self.operands.index(name)
        columns = np.broadcast_arrays(job, self.layout.stage(stage), address, count, stride, which)
        rows = np.zeros(columns[0].size, RUN)
        for name, column in zip(RUN.names or (), columns, strict=True):
            rows[name] = column.ravel()
        self.runs = np.concatenate([self.runs, rows[rows["count"] > 0]])

    def add_after(self, stage: str, job: npt.ArrayLike, other_stage: str, other_job: npt.ArrayLike) -> None:
        """`job` may start `stage` only when `other_job` has ended `other_stage`."""
        columns = np.broadcast_arrays(
            job, self.layout.stage(stage), other_job, self.layout.stage(other_stage)
        )
        rows = np.zeros(columns[0].size, AFTER)
        for name, column in zip(AFTER.names or (), columns, strict=True):
            rows[name] = column.ravel()
        self.after = np.concatenate([self.after, rows])

    def operand_bursts(self, times: npt.ArrayLike = 1) -> dict[str, int]:
        """Bursts that the plan asks for, by what they hold; `times`: how often each job is there."""
        often = np.broadcast_to(np.asarray(times, np.int64), self.jobs)[self.runs["job"]]
        found = np.zeros(len(self.operands), np.int64)
        np.add.at(found, self.runs["operand"], self.runs["count"] * often)
        return dict(zip(self.operands, found.tolist(), strict=True))

    def bursts(self, *, write: bool) -> int:
        """Bursts that the plan asks for: the reading stages, or the writing ones."""
        writes = np.array([stage.write for stage in self.layout.stages])
        return int(self.runs["count"][writes[self.runs["stage"]] == write].sum())

    def check(self) -> None:
        """Raise ValueError, naming job and stage or buffer, if a row breaks a rule of `docs/engine.md`."""
        names = [stage.name for stage in self.layout.stages]
        for what in ("busy", "lag", "drain"):
            _require_none(getattr(self, what) < 0, f"{what} must be >= 0", names)
        for what in ("take", "give"):
            _require_none(getattr(self, what) < 0, f"{what} must be >= 0", self._buffer_names())
        if (np.diff(self.group) < 0).any():
            raise ValueError("group must never fall from one job to the next")
        self._check_buffers()
        self._check_runs()
        self._check_after()

    def _buffer_names(self) -> list[str]:
        return [buffer.name for buffer in self.layout.buffers]

    def _check_buffers(self) -> None:
        if not self.layout.buffers:
            return
        capacity = np.array([buffer.capacity for buffer in self.layout.buffers])
        _require_none(self.take > capacity, "take must fit the buffer's capacity", self._buffer_names())
        held = np.cumsum(self.take - self.give, axis=0)
        _require_none(held < 0, "more is given than was taken", self._buffer_names())
        last = np.append(self.group[1:] != self.group[:-1], True)
        _require_none((held != 0) & last[:, None], "a group must give back all it took", self._buffer_names())

    def _check_runs(self) -> None:
        runs = self.runs
        if not len(runs):
            return
        _require_range(runs["job"], self.jobs, "runs: job")
        _require_range(runs["stage"], len(self.layout.stages), "runs: stage")
        has_port = np.array([bool(stage.port) for stage in self.layout.stages])
        if not has_port[runs["stage"]].all():
            raise ValueError("runs: only stages with a port send bursts")
        if (runs["count"] < 1).any() or (runs["address"] < 0).any():
            raise ValueError("runs: count must be >= 1 and address >= 0")
        if (runs["address"] + (runs["count"] - 1) * runs["stride"] < 0).any():
            raise ValueError("runs: every address must be >= 0")
        if self.skip[runs["job"], runs["stage"]].any():
            raise ValueError("runs: a skipped operation sends no bursts")

    def _check_after(self) -> None:
        for name, limit in (
            ("job", self.jobs),
            ("other_job", self.jobs),
            ("stage", len(self.layout.stages)),
            ("other_stage", len(self.layout.stages)),
        ):
            _require_range(self.after[name], limit, f"after: {name}")


def _require_scope(scope: str, where: str) -> None:
    if scope not in get_args(Scope):
        raise ValueError(f"{where}: scope must be one of {get_args(Scope)}, not {scope!r}")


def _require_unique(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} names must differ, not twice {name!r}")


def _require_none(wrong: Flags, message: str, columns: list[str]) -> None:
    if wrong.any():
        job, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"job {job}, {columns[column]}: {message}")


def _require_range(values: npt.NDArray[np.int64], limit: int, what: str) -> None:
    if len(values) and (values.min() < 0 or values.max() >= limit):
        raise ValueError(f"{what} must lie in 0..{limit - 1}, not {values.min()}..{values.max()}")
