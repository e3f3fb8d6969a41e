"""The tables of the journal, and the steps from each version of them to the next.

``user_version`` of the file is the number of steps taken. A step that was released never changes;
a new version is a new step, and ``tests/store/`` keeps the tables of every earlier one.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from deid.errors import StoreError

APPLICATION_ID = 0x64656964  # "deid": tells this file from other SQLite databases

_VERSION_1 = (
    """
    CREATE TABLE meta (
        key   TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE journal (
        seq   INTEGER NOT NULL PRIMARY KEY,
        kind  TEXT NOT NULL,
        body  BLOB NOT NULL,
        extra BLOB NOT NULL,
        chain BLOB NOT NULL CHECK (length(chain) = 32)
    ) STRICT
    """,
    """
    CREATE TABLE items (
        origin       BLOB NOT NULL,
        epoch        BLOB NOT NULL CHECK (length(epoch) = 16),
        seq          INTEGER NOT NULL,
        content_hash BLOB NOT NULL,
        own          INTEGER NOT NULL CHECK (own IN (0, 1)),
        raw          BLOB NOT NULL,
        PRIMARY KEY (origin, epoch, seq)
    ) STRICT
    """,
    """
    CREATE TABLE attempts (
        round              INTEGER NOT NULL,
        iteration          INTEGER NOT NULL,
        ordinal            INTEGER NOT NULL,
        serial             INTEGER NOT NULL,
        request_hash       BLOB NOT NULL,
        state              TEXT NOT NULL
                           CHECK (state IN ('reserved', 'settled', 'unknown', 'orphaned')),
        operator           TEXT NOT NULL,
        model              TEXT NOT NULL,
        request            BLOB NOT NULL,
        reply              BLOB NOT NULL,
        outcome            TEXT NOT NULL,
        input_tokens       INTEGER NOT NULL,
        output_tokens      INTEGER NOT NULL,
        cached_tokens      INTEGER NOT NULL,
        reasoning_tokens   INTEGER NOT NULL,
        reserved_micro_usd INTEGER NOT NULL,
        settled_micro_usd  INTEGER,
        reserved_ms        INTEGER NOT NULL,
        settled_ms         INTEGER NOT NULL,
        PRIMARY KEY (round, iteration, ordinal, serial)
    ) STRICT
    """,
    "CREATE INDEX attempts_reserved ON attempts (state) WHERE state = 'reserved'",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1,)
VERSION = len(MIGRATIONS)


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of an open file, 0 for an empty one.

    :class:`StoreError` where the file is another program's, or of a newer deid.
    """
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (tables or application or version):
        raise StoreError(
            f"{path} is no journal of deid: expected application id {APPLICATION_ID:#x}, "
            f"got {application:#x}",
            hint="name another state directory",
        )
    if version > VERSION:
        raise StoreError(
            f"journal {path} has schema version {version}; this deid knows up to {VERSION}",
            hint="use the newer deid that wrote it",
        )
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the file to :data:`VERSION`, each step in a transaction of its own.

    The connection is in autocommit mode (``isolation_level=None``).
    """
    for number in range(check_version(connection, path), VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
