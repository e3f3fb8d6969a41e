"""Values for the tests of the store, and one small journal."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from random import Random

from deid.search.records import Row, Skipped
from deid.store import Attempt, AttemptState, Journal, StoredItem, Transaction

ORIGIN = bytes(range(32))
EPOCH = (1_700_000_000 << 64) | 0xFEDC_BA98_7654_3210


def child_environment() -> dict[str, str]:
    """The environment of a child process that imports what this one can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def skip(iteration: int) -> Row:
    return Row.of(Skipped(1, iteration, "invalid", b""))


def rows_of(rng: Random, count: int) -> tuple[Row, ...]:
    """Rows of random kinds and bytes, short and long, with and without an extra."""
    return tuple(
        Row(
            rng.choice(("proposal", "evaluation", "skip", "é")),
            rng.choice((rng.randbytes, lambda size: b"MOV.I $0, $1\n" * (size // 13)))(
                rng.choice((0, 1, 95, 96, 97, 600))
            ),
            rng.randbytes(rng.choice((0, 0, 20))),
        )
        for _ in range(count)
    )


def item(
    seq: int, *, epoch: int = EPOCH, origin: bytes = ORIGIN, raw: bytes = b"raw"
) -> StoredItem:
    return StoredItem((origin, epoch, seq), bytes(31) + bytes((seq % 256,)), seq % 2 == 0, raw)


def attempt(ordinal: int = 0, serial: int = 0, **changed: object) -> Attempt:
    values: dict[str, object] = {
        "round": 2,
        "iteration": 7,
        "ordinal": ordinal,
        "serial": serial,
        "request_hash": bytes(32),
        "state": AttemptState.RESERVED,
        "operator": "llm",
        "model": "smollm2",
        "request": b"write a warrior " * 40,
        "usage": (900, 400, 0, 0),
        "reserved_micro_usd": 5_000,
        "reserved_ms": 1_700_000_000_000,
    }
    return Attempt(**{**values, **changed})  # type: ignore[arg-type]


def write(path: Path, *transactions: Transaction) -> None:
    """A closed journal with these transactions."""
    with Journal(path) as journal:
        for future in [journal.append(each) for each in transactions]:
            future.result(10)
