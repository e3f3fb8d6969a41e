"""The one thread that writes the journal: a queue in, group commits out.

Whatever waits when a commit ends goes into the next one, in the order of ``append``; a future
resolves only after SQLite has synced the commit to the disk. A disk that refuses (full, read-only,
an I/O error) makes the writer *degraded*: the same group is retried with back-off until it goes
through, and nothing is dropped or overtaken. A transaction that cannot be written at all is a bug:
it and all after it fail, for the journal's order is the search's.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path

from deid.errors import JournalError, StoreError
from deid.store import tables
from deid.store.reader import BUSY_MS, in_words, primary_code
from deid.store.values import Head, Transaction

GROUP_MAX = 512  # transactions in one commit
WAL_BYTES_MAX = 16 << 20  # beyond it the log is folded into the file, readers or not

_CHECK_COMMITS = 64  # commits between two looks at the size of the log
_CHECKPOINT_BUSY_MS = 100  # how long a checkpoint may wait for readers

_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class JournalState(Enum):
    """What the writer is able to do."""

    READY = "ready"
    DEGRADED = "degraded"  # the disk refuses; transactions wait
    FAILED = "failed"  # one could not be written at all; nothing more is taken
    CLOSED = "closed"


OnState = Callable[[JournalState, str], None]
"""Called in the writer's thread with the new state and, unless it is ready, the reason."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the first retry, doubled up to the most."""

    first_s: float = 0.05
    most_s: float = 5.0

    def waits(self) -> Iterator[float]:
        """The seconds to wait before each retry, without end."""
        wait_s = self.first_s
        while True:
            yield wait_s
            wait_s = min(2 * wait_s, self.most_s)


@dataclass(frozen=True, slots=True)
class _Pending:
    transaction: Transaction
    future: Future[Head]


class _Unwritable(Exception):
    """A transaction that no retry can help; ``index`` is its place in the group."""

    def __init__(self, index: int, cause: Exception) -> None:
        super().__init__(str(cause))
        self.index = index
        self.cause = cause


class Writer:
    """Owns the writing connection from here on, and closes it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        queue_max: int,
        backoff: Backoff,
        on_state: OnState | None,
    ) -> None:
        self._connection = connection
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._head = tables.read_head(connection)
        self._queue_max = queue_max
        self._backoff = backoff
        self._on_state = on_state
        self._queue: deque[_Pending] = deque()  # the group under way included
        self._waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._changed = threading.Condition()
        self._closing = False
        self._state = JournalState.READY
        self._fault = ""
        self._commits = 0
        self._wal_bytes_max = WAL_BYTES_MAX
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def state(self) -> JournalState:
        return self._state

    @property
    def fault(self) -> str:
        """Why the state is not ready; empty if it is."""
        return self._fault

    @property
    def pending(self) -> int:
        """Transactions that are not durable yet."""
        return len(self._queue)

    @property
    def commits(self) -> int:
        """SQLite commits since the start."""
        return self._commits

    def append(self, transaction: Transaction) -> Future[Head]:
        """Queues ``transaction``; the future gives the head with it once it is durable."""
        future: Future[Head] = Future()
        future.set_running_or_notify_cancel()  # what is queued will be written: no cancelling
        with self._changed:
            if self._closing or self._state in (JournalState.FAILED, JournalState.CLOSED):
                raise self._refusal()
            if len(self._queue) >= self._queue_max:
                raise StoreError(
                    f"journal {self._path}: {len(self._queue):,} transactions wait for the disk, "
                    f"the most is {self._queue_max:,}",
                    hint=self._fault or "await room() before making more work",
                )
            self._queue.append(_Pending(transaction, future))
            self._changed.notify_all()
        return future

    async def room(self) -> None:
        """Returns once at most half of the queue is taken; :class:`StoreError` if it never will."""
        while True:
            with self._changed:
                if self._state in (JournalState.FAILED, JournalState.CLOSED):
                    raise self._refusal()
                if len(self._queue) <= self._queue_max // 2:
                    return
                loop = asyncio.get_running_loop()
                waiter: asyncio.Future[None] = loop.create_future()
                self._waiters.append((loop, waiter))
            await waiter

    def close(self, timeout_s: float) -> None:
        """Writes what waits, then closes; idempotent.

        :class:`StoreError` where the disk still refuses or takes longer than ``timeout_s``.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise StoreError(
                f"journal {self._path}: the disk did not answer within {timeout_s:g} s",
                hint="what was not acknowledged may be lost",
            )
        if self._queue:
            raise StoreError(
                f"journal {self._path}: {len(self._queue):,} transactions could not be written: "
                f"{self._fault}"
            )

    def _run(self) -> None:
        try:
            while group := self._next_group():
                self._write(group)
                if self._state is JournalState.FAILED or self._gives_up():
                    break
        except BaseException as error:
            self._fail(f"the writer stopped: {error!r}")
            raise
        finally:
            self._finish()

    def _gives_up(self) -> bool:
        """Closing while the disk refuses: what waits was tried once more, and fails."""
        return self._closing and self._state is JournalState.DEGRADED

    def _next_group(self) -> list[_Pending]:
        """What to commit next; empty when closing and nothing waits."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            return list(islice(self._queue, GROUP_MAX))

    def _write(self, group: Sequence[_Pending]) -> None:
        """Commits ``group``, however long it takes; returns early when closing or failed."""
        for wait_s in self._backoff.waits():
            try:
                heads = self._commit(group)
            except _Unwritable as bad:
                self._roll_back()
                if bad.index:
                    self._write(group[: bad.index])
                if self._state is not JournalState.FAILED and not self._gives_up():
                    self._fail(f"a transaction cannot be written: {bad.cause!r}")
                return
            except sqlite3.Error as error:
                self._roll_back()
                said = in_words("write", self._path, error)
                if primary_code(error) not in _PASSING:
                    self._fail(said.message)
                    return
                self._enter(JournalState.DEGRADED, said.message)
                with self._changed:
                    if self._closing or self._changed.wait_for(lambda: self._closing, wait_s):
                        return
            else:
                self._head = heads[-1]
                self._commits += 1
                self._enter(JournalState.READY, "")
                self._resolve(group, heads)
                self._bound_wal()
                return

    def _commit(self, group: Sequence[_Pending]) -> list[Head]:
        """One SQLite transaction of the whole group; the head after each member."""
        connection = self._connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")  # the disk refused that, too
        connection.execute("BEGIN IMMEDIATE")
        head = self._head
        heads = []
        for index, pending in enumerate(group):
            try:
                head = tables.apply(connection, pending.transaction, head)
            except sqlite3.Error as error:
                if primary_code(error) in _PASSING:
                    raise
                raise _Unwritable(index, error) from error
            except (AttributeError, OverflowError, TypeError, ValueError) as error:
                raise _Unwritable(index, error) from error
            heads.append(head)
        connection.execute("COMMIT")
        return heads

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # then it is the next commit's first step
                self._connection.execute("ROLLBACK")

    def _resolve(self, group: Sequence[_Pending], heads: Sequence[Head]) -> None:
        with self._changed:
            for _ in group:
                self._queue.popleft()
            self._wake()
        for pending, head in zip(group, heads, strict=True):
            pending.future.set_result(head)

    def _bound_wal(self) -> None:
        """Folds the log into the file where automatic checkpoints did not keep up with readers."""
        if self._commits % _CHECK_COMMITS:
            return
        size = self._wal.stat().st_size if self._wal.exists() else 0
        if size <= self._wal_bytes_max:
            self._wal_bytes_max = WAL_BYTES_MAX
            return
        with contextlib.suppress(sqlite3.OperationalError):  # the commit stands either way
            self._connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_BUSY_MS}")
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            self._wal_bytes_max = size + WAL_BYTES_MAX if busy else WAL_BYTES_MAX
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def _enter(self, state: JournalState, fault: str) -> None:
        changed = (state, fault) != (self._state, self._fault)
        self._state, self._fault = state, fault
        if changed and self._on_state is not None:
            self._on_state(state, fault)

    def _fail(self, fault: str) -> None:
        with self._changed:
            self._state, self._fault = JournalState.FAILED, fault
            self._wake()
        if self._on_state is not None:
            self._on_state(JournalState.FAILED, fault)

    def _finish(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # the log is replayed at the next open
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        with self._changed:
            self._closing = True
            left = list(self._queue)
            refusal = self._refusal()
            if self._state is not JournalState.FAILED:
                self._state = JournalState.CLOSED
            self._wake()
        for pending in left:
            pending.future.set_exception(refusal)

    def _refusal(self) -> StoreError:
        if self._state is JournalState.FAILED:
            return JournalError(
                f"journal {self._path} takes nothing more: {self._fault}",
                hint="restart the daemon: it goes on from the last commit",
            )
        reason = self._fault or "it is closed"
        return StoreError(f"journal {self._path} was not written: {reason}")

    def _wake(self) -> None:
        """Wakes those who wait for room; the lock is held."""
        final = self._state in (JournalState.FAILED, JournalState.CLOSED)
        if len(self._queue) > self._queue_max // 2 and not final:
            return
        for loop, waiter in self._waiters:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle, waiter)
        self._waiters.clear()


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
