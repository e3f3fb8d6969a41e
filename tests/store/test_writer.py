"""A disk that refuses: nothing is lost, nothing overtakes, and the daemon is told."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from store.conftest import Disk
from store.samples import item, skip

from deid.errors import StoreError
from deid.search.records import Row
from deid.store import (
    Backoff,
    Identity,
    Journal,
    JournalReader,
    JournalState,
    StateDirectory,
    Transaction,
)

BLOCK = Random(1).randbytes(50_000)
QUICK = Backoff(first_s=0.005, most_s=0.02)

Limit = Callable[[int], AbstractContextManager[None]]


class States:
    """What the writer told, and a way to wait for it."""

    def __init__(self) -> None:
        self.told: list[tuple[JournalState, str]] = []
        self.degraded = threading.Event()

    def __call__(self, state: JournalState, fault: str) -> None:
        self.told.append((state, fault))
        if state is JournalState.DEGRADED:
            self.degraded.set()


def big(number: int) -> Transaction:
    return Transaction((skip(number), Row("skip", BLOCK, b"")), meta={"last": b"%d" % number})


def check(path: Path, count: int) -> None:
    with JournalReader(path) as reader:
        assert reader.verify().holds
        assert [stored.row for stored in reader.rows()][::2] == [skip(n) for n in range(count)]
        assert reader.meta("last") == b"%d" % (count - 1)


def test_beyond_a_file_limit_transactions_wait_and_are_written_later(
    tmp_path: Path, file_limit: Limit
) -> None:
    path, states = tmp_path / "journal.sqlite3", States()
    with Journal(path, backoff=QUICK, on_state=states) as journal:
        with file_limit(400_000):
            futures = [journal.append(big(n)) for n in range(40)]
            assert states.degraded.wait(10)
            assert journal.state.value == "degraded"
            assert "cannot write journal" in journal.fault
            assert not futures[-1].done()
            assert journal.verify().holds  # readers go on
        heads = [future.result(10) for future in futures]

        assert [head.seq for head in heads] == list(range(2, 82, 2))
        assert journal.state.value == "ready"
        assert [state for state, _ in states.told][-1] is JournalState.READY
    check(path, 40)


def test_on_a_full_disk_transactions_wait_until_there_is_space(disk: Disk) -> None:
    place, states = disk("size=2m"), States()
    path = place / "journal.sqlite3"
    with Journal(path, backoff=QUICK, on_state=states) as journal:
        ballast = place / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(place).free - 100_000))
        futures = [journal.append(big(n)) for n in range(5)]
        assert states.degraded.wait(10)
        assert "full" in journal.fault
        ballast.unlink()
        for future in futures:
            future.result(10)
    check(path, 5)


def test_a_read_only_database_degrades_and_recovers(tmp_path: Path) -> None:
    path, states = tmp_path / "journal.sqlite3", States()
    with Journal(path, backoff=QUICK, on_state=states) as journal:
        journal._writer._connection.execute("PRAGMA query_only = ON")  # as if remounted
        future = journal.append(big(0))
        assert states.degraded.wait(10)
        assert "readonly" in journal.fault
        assert not future.done()
        journal._writer._connection.execute("PRAGMA query_only = OFF")
        future.result(10)
    check(path, 1)


def test_closing_while_the_disk_refuses_says_what_was_not_written(tmp_path: Path) -> None:
    path, states = tmp_path / "journal.sqlite3", States()
    journal = Journal(path, backoff=Backoff(first_s=60.0, most_s=60.0), on_state=states)
    journal.append(big(0)).result(10)
    journal._writer._connection.execute("PRAGMA query_only = ON")
    futures = [journal.append(big(n)) for n in range(1, 4)]
    assert states.degraded.wait(10)

    with pytest.raises(StoreError, match=r"3 transactions could not be written: .*readonly"):
        journal.close()
    for future in futures:
        with pytest.raises(StoreError, match="readonly"):
            future.result(10)
    check(path, 1)


def test_those_who_wait_for_room_are_told_when_there_will_be_none(tmp_path: Path) -> None:
    path, states = tmp_path / "journal.sqlite3", States()

    async def run() -> None:
        journal = Journal(path, queue_max=4, backoff=QUICK, on_state=states)
        journal._writer._connection.execute("PRAGMA query_only = ON")
        for number in range(4):
            journal.append(big(number))
        waiter = asyncio.create_task(journal.room())
        await asyncio.sleep(0)
        closed = asyncio.get_running_loop().run_in_executor(None, journal.close)
        with pytest.raises(StoreError, match="not written"):
            await asyncio.wait_for(waiter, 10)
        with pytest.raises(StoreError):
            await closed

    asyncio.run(run())


def test_back_off_doubles_up_to_its_most() -> None:
    waits = Backoff(first_s=0.1, most_s=0.5).waits()

    assert list(islice(waits, 6)) == [0.1, 0.2, 0.4, 0.5, 0.5, 0.5]


def test_nothing_is_created_on_a_read_only_disk_and_the_hint_says_why(disk: Disk) -> None:
    place = disk("size=1m,ro")

    with pytest.raises(StoreError, match=r"Read-only file system[\s\S]*mounted read-only"):
        StateDirectory(place / "alpha").acquire()
    with pytest.raises(StoreError, match="Read-only file system"):
        Journal(place / "journal.sqlite3")
    with pytest.raises(StoreError, match="Read-only file system"):
        Identity.load_or_create(place / "key")


def test_a_full_disk_at_the_first_start_is_one_clear_line(disk: Disk) -> None:
    place = disk("size=16k")
    (place / "ballast").write_bytes(bytes(12 << 10))

    with pytest.raises(StoreError, match=r"(No space left|full)"), StateDirectory(place) as state:
        Journal(state.journal_file)
    assert not list(place.glob(".*.new"))


def test_items_and_rows_of_one_transaction_are_never_apart(
    tmp_path: Path, file_limit: Limit
) -> None:
    path, states = tmp_path / "journal.sqlite3", States()
    journal = Journal(path, backoff=QUICK, on_state=states)
    with file_limit(300_000):
        futures = [
            journal.append(Transaction((Row("skip", BLOCK, b""),), items=(item(n + 1),)))
            for n in range(20)
        ]
        assert states.degraded.wait(10)
        with pytest.raises(StoreError, match="could not be written"):
            journal.close()
    written = sum(future.exception(10) is None for future in futures)

    with JournalReader(path) as reader:
        assert reader.head().seq == written == len(list(reader.items()))
        assert reader.verify().holds
