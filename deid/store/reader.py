"""Reading the journal: of a file at rest, or of one that a daemon is writing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from deid.errors import JournalError, StoreError
from deid.search.archive import Name
from deid.store import tables
from deid.store.schema import VERSION, check_version
from deid.store.values import Attempt, ChainCheck, Charged, Head, StoredItem, StoredRow

CHUNK_ROWS = 512  # fetched at once; no read transaction outlives a chunk, so the WAL can be reset
BUSY_MS = 5_000

_ROWS = f"SELECT {tables.ROW_COLUMNS} FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
_ITEMS = (
    f"SELECT {tables.ITEM_COLUMNS} FROM items WHERE (origin, epoch, seq) > (?, ?, ?) "
    "ORDER BY origin, epoch, seq LIMIT ?"
)
_ITEM = f"SELECT {tables.ITEM_COLUMNS} FROM items WHERE origin = ? AND epoch = ? AND seq = ?"
_ATTEMPTS_OF = (
    f"SELECT {tables.ATTEMPT_COLUMNS} FROM attempts WHERE round = ? AND iteration = ? "
    "ORDER BY ordinal, serial"
)
_ATTEMPTS = (
    f"SELECT {tables.ATTEMPT_COLUMNS} FROM attempts "
    "WHERE (round, iteration, ordinal, serial) > (?, ?, ?, ?) "
    "ORDER BY round, iteration, ordinal, serial LIMIT ?"
)
_CHARGED = (
    "SELECT count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), "
    "coalesce(sum(cached_tokens), 0), coalesce(sum(reasoning_tokens), 0), "
    "coalesce(sum(coalesce(settled_micro_usd, reserved_micro_usd)), 0) "
    "FROM attempts WHERE reserved_ms >= ? AND (? IS NULL OR operator = ?)"
)


class JournalReader:
    """A read-only view of a journal; every call sees all that was committed before it.

    One connection, usable from any thread. Iterators read in chunks: rows that are appended
    meanwhile are seen, too. :class:`StoreError` where the file cannot be read,
    :class:`JournalError` where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._reading = connect_read_only(path)

    def head(self) -> Head:
        """The last seq and the journal hash."""
        found = self._query("SELECT seq, chain FROM journal ORDER BY seq DESC LIMIT 1")
        return Head(*found[0]) if found else Head()

    def rows(self, after_seq: int = 0) -> Iterator[StoredRow]:
        """The rows after ``after_seq``, in order."""
        while chunk := self._query(_ROWS, after_seq, CHUNK_ROWS):
            for columns in chunk:
                try:
                    yield tables.row_of(columns)
                except ValueError as error:
                    raise self._damaged(f"row {columns[0]}", error) from error
            after_seq = chunk[-1][0]

    def items(self) -> Iterator[StoredItem]:
        """All items, by (origin, epoch, seq)."""
        last: tuple[bytes, bytes, int] = (b"", b"", -1)
        while chunk := self._query(_ITEMS, *last, CHUNK_ROWS):
            yield from map(self._item, chunk)
            last = chunk[-1][:3]

    def item(self, name: Name) -> StoredItem | None:
        """The item of that name; None where it is not held."""
        found = self._query(_ITEM, *tables.key_of(name))
        return self._item(found[0]) if found else None

    def attempts_for(self, round: int, iteration: int) -> list[Attempt]:
        """The attempts of one call, orphaned ones too, by ordinal and serial."""
        return [self._attempt(columns) for columns in self._query(_ATTEMPTS_OF, round, iteration)]

    def attempts(self) -> Iterator[Attempt]:
        """All attempts, by round, iteration, ordinal and serial."""
        lowest = -(1 << 63)
        last: tuple[int, ...] = (lowest, lowest, lowest, lowest)
        while chunk := self._query(_ATTEMPTS, *last, CHUNK_ROWS):
            yield from map(self._attempt, chunk)
            last = chunk[-1][:4]

    def charged(self, *, since_ms: int = 0, operator: str | None = None) -> Charged:
        """What was spent by the attempts reserved at ``since_ms`` or later (of one operator)."""
        count, a, b, c, d, micro_usd = self._query(_CHARGED, since_ms, operator, operator)[0]
        return Charged(count, (a, b, c, d), micro_usd)

    def meta(self, key: str) -> bytes | None:
        """The value of ``key``; None where there is none."""
        found = self._query("SELECT value FROM meta WHERE key = ?", key)
        return bytes(found[0][0]) if found else None

    def verify(self) -> ChainCheck:
        """Recomputes the chain from its first row on. Rows cut off at the end are not seen."""
        head = Head()
        while chunk := self._query(_ROWS, head.seq, CHUNK_ROWS):
            for columns in chunk:
                if columns[0] != head.seq + 1:
                    return ChainCheck(head, head.seq + 1, f"row {head.seq + 1} is missing")
                try:
                    stored = tables.row_of(columns)
                except ValueError as error:
                    return ChainCheck(head, columns[0], f"row {columns[0]}: {error}")
                after = head.after(stored.row)
                if after.chain != stored.chain:
                    reason = (
                        f"row {stored.seq} ({stored.row.kind}): its chain is "
                        f"{stored.chain.hex()[:16]}…, recomputed {after.chain.hex()[:16]}…"
                    )
                    return ChainCheck(head, stored.seq, reason)
                head = after
        return ChainCheck(head)

    def close(self) -> None:
        """Closes the file; idempotent."""
        with self._lock:
            self._reading.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._reading.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise in_words("read", self.path, error) from error

    def _item(self, columns: tuple[Any, ...]) -> StoredItem:
        try:
            return tables.item_of(columns)
        except ValueError as error:
            raise self._damaged(f"item {columns[0].hex()[:8]}/{columns[2]}", error) from error

    def _attempt(self, columns: tuple[Any, ...]) -> Attempt:
        try:
            return tables.attempt_of(columns)
        except ValueError as error:
            raise self._damaged(f"attempt {columns[:4]}", error) from error

    def _damaged(self, what: str, error: ValueError) -> JournalError:
        return JournalError(
            f"journal {self.path}, {what}: {error}", hint="restore the state directory from a copy"
        )


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also where the file lies on a read-only disk.

    :class:`StoreError` where there is no journal of a version known here.
    """
    if not path.is_file():
        raise StoreError(
            f"no journal at {path}", hint="name the state directory of a node that ran"
        )
    try:
        connection = _connect(path, "mode=ro")
    except sqlite3.OperationalError as error:
        # A WAL file at rest needs no index; SQLite wants to create one unless told so.
        if _wal_bytes(path):
            raise in_words("read", path, error) from error
        try:
            connection = _connect(path, "immutable=1")
        except sqlite3.Error as second:
            raise in_words("read", path, second) from second
    except sqlite3.Error as error:
        raise in_words("read", path, error) from error
    try:
        version = check_version(connection, path)
        if version < VERSION:
            raise StoreError(
                f"journal {path} has schema version {version}, expected {VERSION}",
                hint="start the node's daemon once: it brings the file up to date",
            )
    except StoreError:
        connection.close()
        raise
    return connection


def in_words(doing: str, path: Path, error: sqlite3.Error) -> StoreError:
    """SQLite's error as a :class:`StoreError`; :class:`JournalError` where the file is damaged."""
    code = primary_code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return JournalError(
            f"journal {path} is damaged: {error}",
            hint="restore the state directory from a copy, or start with an empty one",
        )
    return StoreError(f"cannot {doing} journal {path}: {error}", hint=_HINTS.get(code))


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where the error is none of SQLite's own."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


_HINTS = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "the file or its disk is read-only: give write permission, or remount",
    sqlite3.SQLITE_CANTOPEN: "give the daemon's user read and write permission for the directory",
    sqlite3.SQLITE_PERM: "give the daemon's user read and write permission for the directory",
    sqlite3.SQLITE_BUSY: "another process is writing this file: stop it",
    sqlite3.SQLITE_IOERR: "the disk refuses: look at its space, its limits and the kernel's log",
}


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{mode}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1_000
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _wal_bytes(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size if wal.exists() else 0
