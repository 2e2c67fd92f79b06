"""Run a sweep on Dask: workers trace and simulate, this process writes what they finish at once.

A point that is on the disk is never asked for again. A worker that dies loses what it had in hand, which
another worker then does; a point that takes several workers with it is given up and named.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, as_completed

from accelsim.sweep import store as stored
from accelsim.sweep import work
from accelsim.sweep.points import Point, search_of
from accelsim.sweep.space import Space
from accelsim.sweep.store import Store, one_line

AHEAD = 4
"""Points that are handed out for each worker, so that none waits and a large sweep is not held in memory."""

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, kw_only=True)
class Visited:
    """A point with what became of it: `row` holds its figures, or `error` says why there are none."""

    point: Point
    status: str
    row: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


def sweep(
    space: Space,
    database: str | os.PathLike[str],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Visited]:
    """Visit every point of the space, in order; those that the database holds are taken from there.

    `scheduler`: address of a Dask scheduler; None starts `workers` processes here (default: one a core).
    `progress(finished, known, seconds left)` is called after each point, with nan before two are simulated.
    Raises ValueError for a mistake in the space, StoreError for a database that cannot be used, OSError where
    no scheduler answers.
    """
    sources = work.sources(space)
    with stored.opened(database) as store, _Workers(scheduler, workers) as hands:
        running = _Running(space, store, hands, sources, progress)
        search = search_of(space)
        visited: dict[Point, Visited] = {}
        while points := search.ask():
            running.visit([point for point in points if point not in visited], visited)
            found = [visited[point] for point in points]
            search.tell([each.row if each.status == stored.DONE else None for each in found])
        return list(visited.values())


class _Running:
    """One sweep under way: what is asked of the workers, and where the answers go."""

    def __init__(
        self,
        space: Space,
        store: Store,
        workers: _Workers,
        sources: Mapping[tuple[str, str], work.Source],
        progress: Progress | None,
    ) -> None:
        self._space, self._store, self._workers = space, store, workers
        self._sources, self._progress = sources, progress
        self._hashes: dict[work.Source, str] = {}
        self._broken: dict[work.Source, str] = {}
        self._accuracy: dict[work.Source, dict[str, Any]] = {}
        self._content: dict[str, Future] = {}
        self._done, self._known, self._simulated, self._first_answer = 0, 0, 0, float("nan")

    def visit(self, points: Sequence[Point], visited: dict[Point, Visited]) -> None:
        """Fill in what becomes of each point."""
        self._known += len(points)
        needed = list(dict.fromkeys(self._source(point) for point in points))
        self._trace([source for source in needed if source not in self._hashes | self._broken])
        if self._space.evaluate:
            self._measure([source for source in needed if source not in self._accuracy | self._broken])
        by_key: dict[str, list[Point]] = {}
        for point in points:
            try:
                by_key.setdefault(self._key(point), []).append(point)
            except ValueError as error:
                visited[point] = Visited(point=point, status=stored.REFUSED, error=str(error))
                self._count(1)
        for key, status, row in self._simulate(by_key):
            for point in by_key[key]:
                visited[point] = self._visited(point, status, row)
            self._count(len(by_key[key]))
        # In the order of the points, not of the answers.
        for point in points:
            visited[point] = visited.pop(point)

    def _source(self, point: Point) -> work.Source:
        return self._sources[point.model, point.recipe]

    def _key(self, point: Point) -> str:
        source = self._source(point)
        if source in self._broken:
            raise ValueError(self._broken[source])
        return work.point_key(self._hashes[source], point)

    def _visited(self, point: Point, status: str, row: dict[str, Any]) -> Visited:
        if status != stored.DONE:
            return Visited(point=point, status=status, error=row["error"])
        measured = self._accuracy.get(self._source(point), {})
        accuracy = measured.get("pruned", measured.get("dense"))
        return Visited(point=point, status=status, row={**row, "accuracy": accuracy})

    def _count(self, points: int) -> None:
        self._done += points
        if self._progress:
            # The first answer took the start of the workers and compilation, which no later one takes.
            spent, later = time.monotonic() - self._first_answer, self._simulated - 1
            left = (self._known - self._done) * spent / later if later > 0 else float("nan")
            self._progress(self._done, self._known, left)

    def _trace(self, sources: Sequence[work.Source]) -> None:
        """Find the hash of each workload, tracing those that are not on the disk."""
        asked: dict[Future, work.Source] = {}
        for source in sources:
            known = self._store.workload_hash(source.key) if source.lasting else None
            if known is not None:
                self._hashes[source] = known
            else:
                asked[self._workers.client.submit(work.traced, source, pure=False)] = source
        for future, source in self._answers(asked):
            try:
                digest, content = future.result()
            except Exception as error:  # whatever it is, the other models go on
                self._broken[source] = f"{source.model} {source.recipe}: {one_line(error)}"
                continue
            self._store.keep_workload(source.key, digest, content)
            self._hashes[source] = digest

    def _measure(self, sources: Sequence[work.Source]) -> None:
        """Find the accuracy of each model under each recipe."""
        asked: dict[Future, work.Source] = {}
        for source in sources:
            if (known := self._store.known(self._accuracy_key(source))) and known[0] == stored.DONE:
                self._accuracy[source] = known[1]
            else:
                asked[self._workers.client.submit(work.measured, source, self._space.samples, pure=False)] = (
                    source
                )
        for future, source in self._answers(asked):
            try:
                row, seconds = future.result()
            except Exception as error:  # as in tracing
                self._broken[source] = f"{source.model} {source.recipe}: {one_line(error)}"
                continue
            key = self._accuracy_key(source)
            self._store.keep(key, f"{source.model} {source.recipe} accuracy", stored.DONE, row, seconds)
            self._accuracy[source] = row

    def _accuracy_key(self, source: work.Source) -> str:
        return work.digest("accuracy", source.key, self._hashes[source], self._space.samples)

    def _simulate(self, by_key: Mapping[str, Sequence[Point]]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Key, status and row of each key, as they are finished; each is on the disk before it is given."""
        waiting = []
        for key in by_key:
            if (known := self._store.known(key)) is not None:
                yield key, *known
            else:
                waiting.append(key)
        if not waiting:
            return
        room = AHEAD * max(1, sum(self._workers.client.nthreads().values()))
        queue = iter(waiting)
        asked = {self._ask(by_key[key][0]): key for key in islice(queue, room)}
        answers = as_completed(list(asked), loop=self._workers.client.loop)
        for future in answers:
            key = asked.pop(future)
            if (following := next(queue, None)) is not None:
                another = self._ask(by_key[following][0])
                asked[another] = following
                answers.add(another)
            yield key, *self._keep(key, by_key[key][0], future)

    def _ask(self, point: Point) -> Future:
        digest = self._hashes[self._source(point)]
        if digest not in self._content:
            # A task, not scattered data: what a task gave is made again if its worker dies.
            content = self._store.workload(self._source(point).key)
            self._content[digest] = self._workers.client.submit(
                bytes, content, key=f"workload-{digest}", pure=False
            )
        return self._workers.client.submit(work.simulated, digest, self._content[digest], point, pure=False)

    def _keep(self, key: str, point: Point, future: Future) -> tuple[str, dict[str, Any]]:
        seconds = 0.0
        try:
            row, seconds = future.result()
            status = stored.DONE
        except ValueError as error:
            status, row = stored.REFUSED, {"error": one_line(error)}
        except Exception as error:  # whatever it is, the other points go on
            status, row = stored.FAILED, {"error": f"{type(error).__name__}: {one_line(error)}"}
        if not self._simulated:
            self._first_answer = time.monotonic()
        self._simulated += 1
        self._store.keep(key, str(point), status, row, seconds)
        return status, row

    def _answers(self, asked: Mapping[Future, work.Source]) -> Iterator[tuple[Future, work.Source]]:
        if not asked:
            return
        for future in as_completed(list(asked), loop=self._workers.client.loop):
            yield future, asked[future]


class _Workers:
    """A client of the scheduler, or of processes that end with this one; started with the first work."""

    def __init__(self, scheduler: str | None, count: int | None) -> None:
        self._scheduler, self._count = scheduler, count or os.cpu_count() or 1
        self._started = ExitStack()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._started.close()

    @cached_property
    def client(self) -> Client:
        """Raises OSError where no scheduler answers."""
        # Workloads are sent with a task, once each, and may be large.
        large = {"distributed.admin.large-graph-warning-threshold": "8GB"}
        self._started.enter_context(dask.config.set(large))
        address: Any = self._scheduler or self._started.enter_context(
            LocalCluster(
                n_workers=self._count,
                threads_per_worker=1,
                host="127.0.0.1",
                # Without an address it wants port 8787, which another sweep may have.
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            )
        )
        client: Client = self._started.enter_context(Client(address, timeout="10s", set_as_default=False))
        return client


def database_of(file: str | os.PathLike[str]) -> Path:
    """Where the results of a sweep file go: beside it."""
    return Path(file).with_suffix(".sqlite")
