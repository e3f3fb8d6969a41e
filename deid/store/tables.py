"""Values to columns and back: the SQL of the journal's tables.

Blobs that may be long (body, extra, request, reply, raw) start with a coding byte: 0 = the bytes
follow, 1 = a zlib stream of them follows. The chain covers what was coded, so it depends on no
version of zlib.
"""

from __future__ import annotations

import sqlite3
import zlib
from typing import Any

from deid.search.archive import Name
from deid.search.records import Row
from deid.store.values import Attempt, AttemptState, Head, StoredItem, StoredRow, Transaction

PACK_BYTES_MIN = 96  # shorter blobs hardly shrink

_EPOCH_BYTES = 16
_LEVEL = 6
_PLAIN = b"\x00"
_ZLIB = b"\x01"

ROW_COLUMNS = "seq, kind, body, extra, chain"
ITEM_COLUMNS = "origin, epoch, seq, content_hash, own, raw"
ATTEMPT_COLUMNS = (
    "round, iteration, ordinal, serial, request_hash, state, operator, model, request, reply, "
    "outcome, input_tokens, output_tokens, cached_tokens, reasoning_tokens, "
    "reserved_micro_usd, settled_micro_usd, reserved_ms, settled_ms"
)

_APPEND = f"INSERT INTO journal ({ROW_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
_ITEM = f"INSERT OR REPLACE INTO items ({ITEM_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM items WHERE origin = ? AND epoch = ? AND seq = ?"
_ATTEMPT = (
    f"INSERT OR REPLACE INTO attempts ({ATTEMPT_COLUMNS}) "
    f"VALUES ({', '.join('?' * (ATTEMPT_COLUMNS.count(',') + 1))})"
)
_META = "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)"


def apply(connection: sqlite3.Connection, transaction: Transaction, head: Head) -> Head:
    """Writes ``transaction`` inside the open SQLite transaction; the head after it."""
    rows = []
    for row in transaction.rows:
        head = head.after(row)
        rows.append((head.seq, row.kind, coded(row.body), coded(row.extra), head.chain))
    if rows:
        connection.executemany(_APPEND, rows)
    if transaction.items:
        connection.executemany(_ITEM, [_of_item(item) for item in transaction.items])
    if transaction.dropped:
        connection.executemany(_DROP, [key_of(name) for name in transaction.dropped])
    if transaction.attempts:
        connection.executemany(_ATTEMPT, [_of_attempt(each) for each in transaction.attempts])
    if transaction.meta:
        connection.executemany(_META, list(transaction.meta.items()))
    return head


def read_head(connection: sqlite3.Connection) -> Head:
    """The last row's seq and chain."""
    found = connection.execute(
        "SELECT seq, chain FROM journal ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    return Head() if found is None else Head(*found)


def coded(data: bytes) -> bytes:
    """``data`` as a column keeps it: with its coding byte, compressed where that saves space."""
    if len(data) >= PACK_BYTES_MIN:
        packed = zlib.compress(data, _LEVEL)
        if len(packed) < len(data):
            return _ZLIB + packed
    return _PLAIN + data


def decoded(blob: bytes) -> bytes:
    """Inverse of :func:`coded`; :class:`ValueError` on what it cannot have written."""
    coding = blob[:1]
    if coding == _PLAIN:
        return blob[1:]
    if coding != _ZLIB:
        raise ValueError(f"expected a coding byte 0 or 1, got {coding!r}")
    try:
        return zlib.decompress(blob[1:])
    except zlib.error as error:
        raise ValueError(f"not a zlib stream: {error}") from error


def key_of(name: Name) -> tuple[bytes, bytes, int]:
    """An item's name as its primary key: the epoch in 16 bytes, big-endian, so that it sorts."""
    origin, epoch, seq = name
    return origin, epoch.to_bytes(_EPOCH_BYTES, "big"), seq


def row_of(columns: tuple[Any, ...]) -> StoredRow:
    """A row of :data:`ROW_COLUMNS`."""
    seq, kind, body, extra, chain = columns
    return StoredRow(seq, Row(kind, decoded(body), decoded(extra)), chain)


def item_of(columns: tuple[Any, ...]) -> StoredItem:
    """A row of :data:`ITEM_COLUMNS`."""
    origin, epoch, seq, content_hash, own, raw = columns
    name = (origin, int.from_bytes(epoch, "big"), seq)
    return StoredItem(name, content_hash, bool(own), decoded(raw))


def attempt_of(columns: tuple[Any, ...]) -> Attempt:
    """A row of :data:`ATTEMPT_COLUMNS`."""
    number, iteration, ordinal, serial, request_hash, state, operator, model = columns[:8]
    request, reply, outcome = columns[8:11]
    return Attempt(
        number,
        iteration,
        ordinal,
        serial,
        request_hash,
        AttemptState(state),
        operator,
        model,
        decoded(request),
        decoded(reply),
        outcome,
        tuple(columns[11:15]),
        *columns[15:19],
    )


def _of_item(item: StoredItem) -> tuple[Any, ...]:
    return (*key_of(item.name), item.content_hash, int(item.own), coded(item.raw))


def _of_attempt(attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.round,
        attempt.iteration,
        attempt.ordinal,
        attempt.serial,
        attempt.request_hash,
        attempt.state.value,
        attempt.operator,
        attempt.model,
        coded(attempt.request),
        coded(attempt.reply),
        attempt.outcome,
        *attempt.usage,
        attempt.reserved_micro_usd,
        attempt.settled_micro_usd,
        attempt.reserved_ms,
        attempt.settled_ms,
    )
