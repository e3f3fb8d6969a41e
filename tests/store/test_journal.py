"""The journal: what is appended is what is read, in order, all or nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from hashlib import blake2b
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store.samples import EPOCH, ORIGIN, attempt, item, rows_of, skip, write

from deid.errors import StoreError
from deid.search.records import Row
from deid.store import (
    Attempt,
    AttemptState,
    Charged,
    Head,
    Journal,
    JournalReader,
    JournalState,
    StoredItem,
    Transaction,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def slow_chain(rows: list[Row]) -> bytes:
    """The chain as docs/formats.md words it, one hash update after the other."""
    chain = bytes(32)
    for row in rows:
        state = blake2b(digest_size=32)
        state.update(chain)
        state.update(len(row.kind.encode()).to_bytes(1, "big"))
        state.update(row.kind.encode())
        state.update(row.body)
        chain = state.digest()
    return chain


def test_an_empty_journal_has_the_zero_chain(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.head() == Head(0, bytes(32))
        assert list(journal.rows()) == []
        assert journal.verify().holds


def test_each_future_gives_the_head_with_its_own_transaction(path: Path) -> None:
    with Journal(path) as journal:
        futures = [journal.append(Transaction((skip(2 * n), skip(2 * n + 1)))) for n in range(50)]
        heads = [future.result(10) for future in futures]

        assert [head.seq for head in heads] == list(range(2, 102, 2))
        assert heads[-1] == journal.head()
        assert heads[7].chain == slow_chain([skip(n) for n in range(16)])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(0, 6), max_size=12))
def test_rows_come_back_as_they_went_in_whatever_the_grouping(
    tmp_path: Path, seed: int, sizes: list[int]
) -> None:
    path = tmp_path / f"{seed}-{hash(tuple(sizes))}.sqlite3"
    path.unlink(missing_ok=True)
    made = [rows_of(Random(seed + place), size) for place, size in enumerate(sizes)]
    write(path, *(Transaction(rows) for rows in made))
    rows = [row for part in made for row in part]

    with JournalReader(path) as reader:
        assert [stored.row for stored in reader.rows()] == rows
        assert [stored.seq for stored in reader.rows()] == list(range(1, len(rows) + 1))
        assert reader.head() == Head(len(rows), slow_chain(rows))
        assert reader.verify().head == reader.head()


def test_the_chain_goes_on_over_restarts(path: Path) -> None:
    for number in range(3):
        write(path, Transaction((skip(number),)))

    with JournalReader(path) as reader:
        assert reader.head() == Head(3, slow_chain([skip(n) for n in range(3)]))


def test_extras_do_not_enter_the_journal_hash(tmp_path: Path) -> None:
    for name, extra in (("a", b""), ("b", b"usage")):
        write(tmp_path / name, Transaction((Row("skip", b"body", extra),)))

    with JournalReader(tmp_path / "a") as first, JournalReader(tmp_path / "b") as second:
        assert first.head() == second.head()


def test_transactions_that_wait_share_a_commit_in_their_order(path: Path) -> None:
    with Journal(path) as journal:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # the writer waits behind this
        futures = [journal.append(Transaction((skip(n),))) for n in range(200)]
        other.execute("ROLLBACK")
        other.close()
        for future in futures:
            future.result(10)

        assert [stored.row for stored in journal.rows()] == [skip(n) for n in range(200)]
        assert journal.commits <= 3
        assert journal.pending == 0


def test_rows_are_read_from_any_place_over_many_chunks(path: Path) -> None:
    write(path, Transaction(tuple(skip(n) for n in range(1_300))))

    with JournalReader(path) as reader:
        assert [stored.seq for stored in reader.rows(after_seq=500)] == list(range(501, 1_301))
        assert list(reader.rows(after_seq=1_300)) == []


def test_items_are_kept_by_name_and_sorted_by_it(path: Path) -> None:
    names = [
        (ORIGIN, EPOCH, 2),
        (ORIGIN, EPOCH + (1 << 64), 1),
        (ORIGIN, 5, 9),
        (b"\xff" * 32, 2**128 - 1, 2**53 - 1),
        (bytes(32), 0, 1),
    ]
    items = [StoredItem(name, bytes(32), False, b"raw" * n) for n, name in enumerate(names)]
    write(path, Transaction(items=tuple(items)))

    with JournalReader(path) as reader:
        assert list(reader.items()) == sorted(items, key=lambda each: each.name)
        assert reader.item(names[3]) == items[3]
        assert reader.item((ORIGIN, EPOCH, 3)) is None


def test_many_items_are_read_over_many_chunks(path: Path) -> None:
    items = tuple(item(seq, epoch=EPOCH + seq // 700) for seq in range(1_400))
    write(path, Transaction(items=items))

    with JournalReader(path) as reader:
        assert tuple(reader.items()) == items


def test_an_item_of_a_known_name_replaces_and_a_dropped_one_is_gone(path: Path) -> None:
    write(
        path,
        Transaction(items=(item(1, raw=b"old"), item(2), item(3))),
        Transaction(items=(item(1, raw=b"new"),), dropped=(item(2).name, item(9).name)),
    )

    with JournalReader(path) as reader:
        assert [each.raw for each in reader.items()] == [b"new", b"raw"]


def test_an_attempt_is_replaced_as_it_proceeds(path: Path) -> None:
    settled = attempt(
        state=AttemptState.SETTLED,
        reply=b"reply " * 100,
        outcome="ok",
        usage=(800, 90, 5, 6),
        settled_micro_usd=1_200,
        settled_ms=1_700_000_000_900,
    )
    write(path, Transaction(attempts=(attempt(),)), Transaction(attempts=(settled, attempt(1))))

    with JournalReader(path) as reader:
        assert reader.attempts_for(2, 7)[0] == settled
        assert reader.attempts_for(2, 8) == []


def test_an_attempt_under_way_when_its_daemon_died_stays_charged_beside_its_repetition(
    path: Path,
) -> None:
    write(path, Transaction(attempts=(attempt(),)))
    with Journal(path) as journal:
        assert journal.orphaned == 1
        assert [each.state for each in journal.attempts_for(2, 7)] == [AttemptState.ORPHANED]

        repeated = attempt(
            serial=1, state=AttemptState.SETTLED, usage=(10, 1, 0, 0), settled_micro_usd=7
        )
        journal.append(Transaction(attempts=(repeated,))).result(10)

        assert [each.serial for each in journal.attempts_for(2, 7)] == [0, 1]
        assert journal.charged() == Charged(2, (910, 401, 0, 0), 5_007)
    with Journal(path) as journal:
        assert journal.orphaned == 0


def test_charges_are_summed_since_a_time_and_by_operator(path: Path) -> None:
    attempts = (
        attempt(0, operator="a", reserved_ms=1_000),
        attempt(1, operator="b", reserved_ms=2_000, state=AttemptState.UNKNOWN),
        attempt(2, operator="a", reserved_ms=3_000, settled_micro_usd=0),
    )
    write(path, Transaction(attempts=attempts))

    with JournalReader(path) as reader:
        assert reader.charged().micro_usd == sum(each.charged_micro_usd for each in attempts)
        assert reader.charged(since_ms=2_000).attempts == 2
        assert reader.charged(operator="a").micro_usd == 5_000
        assert reader.charged(operator="c") == Charged(0, (0, 0, 0, 0), 0)


def test_all_attempts_are_read_over_many_chunks(path: Path) -> None:
    attempts = tuple(
        Attempt(n // 300, n % 300 - 1, 0, 0, bytes(32), AttemptState.SETTLED, "o", "m", b"")
        for n in range(1_200)
    )
    write(path, Transaction(attempts=attempts))

    with JournalReader(path) as reader:
        assert tuple(reader.attempts()) == attempts


def test_meta_keeps_the_last_value(path: Path) -> None:
    write(path, Transaction(meta={"run": b"1", "mark": b""}), Transaction(meta={"run": b"2"}))

    with JournalReader(path) as reader:
        assert (reader.meta("run"), reader.meta("mark"), reader.meta("no")) == (b"2", b"", None)


def test_a_transaction_that_cannot_be_written_fails_alone_with_all_that_follow(path: Path) -> None:
    states: list[JournalState] = []
    journal = Journal(path, on_state=lambda state, fault: states.append(state))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    good = journal.append(Transaction((skip(0),), items=(item(1),)))
    bad = journal.append(Transaction((skip(1),), items=(item(2, epoch=1 << 128),)))
    late = journal.append(Transaction((skip(2),)))
    other.execute("ROLLBACK")
    other.close()

    assert good.result(10).seq == 1
    for future in (bad, late):
        with pytest.raises(StoreError, match="takes nothing more"):
            future.result(10)
    with pytest.raises(StoreError, match="takes nothing more"):
        journal.append(Transaction())
    assert states == [JournalState.FAILED]
    with pytest.raises(StoreError):
        journal.close()
    with JournalReader(path) as reader:
        assert [stored.row for stored in reader.rows()] == [skip(0)]
        assert [each.name for each in reader.items()] == [item(1).name]


def test_commits_are_synced_and_the_tables_are_checked(path: Path) -> None:
    with Journal(path) as journal:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        connection = journal._writer._connection
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    assert found == ["wal", 2, 1]  # 2 is FULL


def test_a_second_writer_cannot_fork_the_chain(path: Path) -> None:
    first, second = Journal(path), Journal(path)
    first.append(Transaction((skip(0),))).result(10)
    with pytest.raises(StoreError, match="takes nothing more"):
        second.append(Transaction((skip(1),))).result(10)
    with pytest.raises(StoreError):
        second.close()
    assert first.append(Transaction((skip(2),))).result(10).seq == 2
    first.close()

    with JournalReader(path) as reader:
        assert reader.verify().holds
        assert [stored.row for stored in reader.rows()] == [skip(0), skip(2)]


def test_an_sqlite_without_strict_tables_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 9))

    with pytest.raises(StoreError, match=r"expected 3\.37 or later"):
        Journal(path)


def test_closing_writes_what_waits_and_leaves_one_file(path: Path) -> None:
    journal = Journal(path)
    futures = [journal.append(Transaction((skip(n),))) for n in range(500)]
    journal.close()
    journal.close()

    assert all(future.done() for future in futures)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    assert journal.state is JournalState.CLOSED
    with pytest.raises(StoreError, match="closed"):
        journal.append(Transaction())


def test_committing_from_a_loop_returns_when_it_is_durable(path: Path) -> None:
    async def run() -> list[int]:
        with Journal(path) as journal:
            made = (journal.commit(Transaction((skip(n),))) for n in range(20))
            return [head.seq for head in await asyncio.gather(*made)]

    assert asyncio.run(run()) == list(range(1, 21))


def test_a_cancelled_caller_does_not_undo_what_it_appended(path: Path) -> None:
    async def run() -> None:
        with Journal(path) as journal:
            task = asyncio.create_task(journal.commit(Transaction((skip(0),))))
            await asyncio.sleep(0)  # it has appended and waits
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await journal.commit(Transaction((skip(1),)))

    asyncio.run(run())
    with JournalReader(path) as reader:
        assert [stored.row for stored in reader.rows()] == [skip(0), skip(1)]


def test_a_full_queue_refuses_until_there_is_room(path: Path) -> None:
    async def run() -> None:
        with Journal(path, queue_max=8) as journal:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for n in range(8):
                journal.append(Transaction((skip(n),)))
            with pytest.raises(StoreError, match=r"8 transactions wait[\s\S]*await room"):
                journal.append(Transaction())
            waiters = [asyncio.create_task(journal.room()) for _ in range(3)]
            await asyncio.sleep(0)
            assert not any(waiter.done() for waiter in waiters)
            other.execute("ROLLBACK")
            other.close()
            await asyncio.wait_for(asyncio.gather(*waiters), 10)
            assert journal.pending <= 4
            await journal.commit(Transaction((skip(8),)))

    asyncio.run(run())
    with JournalReader(path) as reader:
        assert [stored.row for stored in reader.rows()] == [skip(n) for n in range(9)]


def test_the_log_stays_bounded_while_a_reader_never_lets_go(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid.store.writer.WAL_BYTES_MAX", 256 << 10)
    monkeypatch.setattr("deid.store.writer._CHECK_COMMITS", 1)
    log = path.with_name(path.name + "-wal")
    block = Random(1).randbytes(50_000)
    with Journal(path) as journal:
        stuck = sqlite3.connect(path, isolation_level=None)
        stuck.execute("BEGIN")
        stuck.execute("SELECT count(*) FROM journal").fetchone()
        for _ in range(12):
            journal.append(Transaction((Row("skip", block, b""),))).result(10)
        grown = log.stat().st_size
        stuck.close()
        for _ in range(12):
            journal.append(Transaction((Row("skip", block, b""),))).result(10)

        assert grown > 512 << 10  # the reader's snapshot kept it
        assert log.stat().st_size <= 512 << 10
