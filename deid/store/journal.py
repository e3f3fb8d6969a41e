"""The journal: one SQLite file that a node's whole state is rebuilt from.

Layout and hash: ``docs/formats.md``. One process writes it (:class:`deid.store.StateDirectory`
sees to that) through one thread (:mod:`deid.store.writer`); any number may read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from concurrent.futures import Future
from pathlib import Path

from deid.errors import JournalError, StoreError
from deid.store.files import store_error, sync_directory
from deid.store.reader import BUSY_MS, JournalReader, in_words
from deid.store.schema import check_version, migrate
from deid.store.values import Head, Transaction
from deid.store.writer import WAL_BYTES_MAX, Backoff, JournalState, OnState, Writer

QUEUE_MAX = 4_096  # transactions that may wait for the disk
SQLITE_MIN = (3, 37, 0)  # STRICT tables
CLOSE_S = 20.0  # a daemon has 30 s to end

_ORPHAN = "UPDATE attempts SET state = 'orphaned' WHERE state = 'reserved'"


class Journal(JournalReader):
    """A journal open for writing, and for reading what is committed.

    orphaned: attempts that were under way when the last daemon died, found and marked at open.
    """

    def __init__(
        self,
        path: Path,
        *,
        queue_max: int = QUEUE_MAX,
        backoff: Backoff | None = None,
        on_state: OnState | None = None,
        quick_check: bool = True,
    ) -> None:
        """Opens ``path``, creates it or brings it up to date.

        quick_check: look at every page first (about 1 s a GB).
        on_state: called in the writer's thread when the disk refuses, and when it takes again.

        :class:`StoreError` where the file cannot be used, :class:`JournalError` where it is
        damaged.
        """
        connection = _connect(path)
        try:
            self.orphaned = _prepare(connection, path, quick_check)
            super().__init__(path)
            self._writer = Writer(
                connection,
                path,
                queue_max=queue_max,
                backoff=backoff or Backoff(),
                on_state=on_state,
            )
        except sqlite3.Error as error:
            connection.close()
            raise in_words("open", path, error) from error
        except StoreError:
            connection.close()
            raise

    @property
    def state(self) -> JournalState:
        """Whether the disk takes what is appended."""
        return self._writer.state

    @property
    def fault(self) -> str:
        """Why the state is not ready; empty if it is."""
        return self._writer.fault

    @property
    def pending(self) -> int:
        """Transactions that are not durable yet."""
        return self._writer.pending

    @property
    def commits(self) -> int:
        """SQLite commits since the open; fewer than transactions where they were grouped."""
        return self._writer.commits

    def append(self, transaction: Transaction) -> Future[Head]:
        """Queues ``transaction``; never blocks, keeps the order of calls.

        The future gives the head with it, once it is durable; while the disk refuses it stays
        pending. It cannot be cancelled. :class:`StoreError` where ``queue_max`` transactions wait
        already (see :meth:`room`) or the journal is closed or failed.
        """
        return self._writer.append(transaction)

    async def commit(self, transaction: Transaction) -> Head:
        """Appends at once and returns when it is durable; a cancelled caller's is written too."""
        return await asyncio.shield(asyncio.wrap_future(self._writer.append(transaction)))

    async def room(self) -> None:
        """Back-pressure for callers that do not await each future: returns once at most half of
        the queue is taken. :class:`StoreError` where the journal is closed or failed."""
        await self._writer.room()

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Writes what waits, folds the log into the file, closes; idempotent.

        :class:`StoreError` where something could not be written; its futures say so, too.
        """
        super().close()  # first: the last connection to close removes the log
        self._writer.close(timeout_s)

    def __enter__(self) -> Journal:
        return self


def _connect(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_directory(path.parent)
    except OSError as error:
        raise store_error("open the journal", path, error) from error
    try:
        return sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1_000
        )
    except sqlite3.Error as error:
        raise in_words("open", path, error) from error


def _prepare(connection: sqlite3.Connection, path: Path, quick_check: bool) -> int:
    """Checks, configures and migrates; the number of attempts orphaned by the last daemon."""
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        raise StoreError(
            f"SQLite {sqlite3.sqlite_version} is too old: expected 3.37 or later",
            hint="use a Python that was built with a newer SQLite",
        )
    check_version(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            f"journal {path}: its file system gave journal mode {mode!r}, expected 'wal'",
            hint="keep the state directory on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    if quick_check:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise JournalError(
                f"journal {path} is damaged: {said}",
                hint="restore the state directory from a copy, or start with an empty one",
            )
    migrate(connection, path)
    if connection.execute("SELECT 1 FROM attempts WHERE state = 'reserved' LIMIT 1").fetchone():
        return connection.execute(_ORPHAN).rowcount
    return 0
