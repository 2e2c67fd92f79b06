"""What a sweep has finished, in one SQLite file: each result is on the disk before the next is waited for.

Write-ahead logging with full synchronisation: a process that is killed, or a machine that loses power, leaves
all that was finished and nothing half-written. One writer at a time holds the file's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

VERSION = 1

TABLES = """
create table if not exists results (
    key text primary key, words text not null, status text not null, row text not null, seconds real not null
) without rowid;
create table if not exists workloads (
    key text primary key, hash text not null, content blob not null
);
"""

DONE, REFUSED, FAILED = "done", "refused", "failed"
"""`refused`: the words cannot be simulated, now or later. `failed`: a worker died; it is tried again."""


class StoreError(ValueError):
    """A database that cannot be used, in one line."""


class Store:
    """The finished points of one sweep, by key."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def __len__(self) -> int:
        return int(self._one("select count(*) from results where status != ?", FAILED)[0])

    def keep(self, key: str, words: str, status: str, row: dict[str, Any], seconds: float) -> None:
        """Put a result on the disk. One that is there is left alone, but for a failure."""
        with self._writing() as connection:
            connection.execute("delete from results where key = ? and status = ?", (key, FAILED))
            connection.execute(
                "insert or ignore into results values (?, ?, ?, ?, ?)",
                (key, words, status, json.dumps(row, allow_nan=False), seconds),
            )

    def known(self, key: str) -> tuple[str, dict[str, Any]] | None:
        """Status and row of a key; None for one that is unknown or failed."""
        found = self._one("select status, row from results where key = ? and status != ?", key, FAILED)
        return (found[0], json.loads(found[1])) if found else None

    def keep_workload(self, key: str, digest: str, content: bytes) -> None:
        """Put a traced workload on the disk, in the form of its file."""
        with self._writing() as connection:
            connection.execute("insert or replace into workloads values (?, ?, ?)", (key, digest, content))

    def workload_hash(self, key: str) -> str | None:
        """The hash of a traced workload; None if it is not here."""
        found = self._one("select hash from workloads where key = ?", key)
        return str(found[0]) if found else None

    def workload(self, key: str) -> bytes:
        """The file of a traced workload. Raises KeyError."""
        found = self._one("select content from workloads where key = ?", key)
        if found is None:
            raise KeyError(key)
        return bytes(found[0])

    def _one(self, statement: str, *values: object) -> Any:
        with self._complaining():
            return self._connection.execute(statement, values).fetchone()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._complaining(), self._connection:
            yield self._connection

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {one_line(error)}") from None


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Store]:
    """The database at `path`, made if it is not there. Raises StoreError for another file, and one in use."""
    path = Path(path)
    with _locked(path):
        try:
            connection = sqlite3.connect(path)
            try:
                _prepare(connection, path)
                yield Store(connection, path)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {one_line(error)}") from None


def finished(path: str | os.PathLike[str]) -> int:
    """How many points a database holds; 0 if there is none."""
    if not Path(path).exists():
        return 0
    with opened(path) as store:
        return len(store)


def one_line(error: BaseException) -> str:
    """What an error says. SQLite repeats the statement that it cannot read, line breaks and all."""
    return " ".join(str(error).split())


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    found = int(connection.execute("pragma user_version").fetchone()[0])
    tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
    if found not in (0, VERSION) or (found == 0 and tables):
        raise StoreError(f"{path}: must be a sweep's database of version {VERSION}, and is another one")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.executescript(TABLES)
    connection.execute(f"pragma user_version = {VERSION}")
    connection.commit()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Of the whole file, beside the locks that SQLite holds on its bytes: those of one process never meet.
    try:
        file: IO[bytes] = path.open("ab")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{path}: another sweep is writing it") from None
        yield
