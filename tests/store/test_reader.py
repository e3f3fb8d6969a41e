"""Reading files at rest, live, damaged, and on disks that cannot be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from store.conftest import Disk
from store.samples import attempt, child_environment, item, rows_of, skip, write

from deid.errors import JournalError, StoreError
from deid.search.records import Row
from deid.store import Journal, JournalReader, Transaction

READ = """
import sys
from pathlib import Path
from deid.store import JournalReader
with JournalReader(Path(sys.argv[1])) as reader:
    check = reader.verify()
    print(check.holds, check.head.seq, check.head.chain.hex(), sum(1 for _ in reader.items()))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def tamper(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql, values).rowcount == 1


@pytest.mark.parametrize(
    ("sql", "values", "broken"),
    [
        ("UPDATE journal SET body = ? WHERE seq = 4", (b"\x00other",), 4),
        ("UPDATE journal SET kind = 'round' WHERE seq = 6", (), 6),
        ("UPDATE journal SET chain = ? WHERE seq = 5", (bytes(32),), 5),
        ("UPDATE journal SET body = ? WHERE seq = 3", (b"\x07",), 3),
        ("UPDATE journal SET body = ? WHERE seq = 3", (b"\x01no zlib",), 3),
        ("UPDATE journal SET extra = ? WHERE seq = 3", (b"",), 3),
        ("DELETE FROM journal WHERE seq = 1", (), 1),
        ("DELETE FROM journal WHERE seq = 7", (), 7),
    ],
)
def test_verify_names_the_first_broken_row(
    path: Path, sql: str, values: tuple[bytes, ...], broken: int
) -> None:
    write(path, Transaction(tuple(skip(n) for n in range(10))))
    tamper(path, sql, *values)

    with JournalReader(path) as reader:
        check = reader.verify()
        assert (check.holds, check.broken_seq, check.head.seq) == (False, broken, broken - 1)
        assert f"row {broken}" in check.reason


def test_swapped_rows_break_the_chain(path: Path) -> None:
    write(path, Transaction(tuple(skip(n) for n in range(10))))
    tamper(path, "UPDATE journal SET seq = 99 WHERE seq = 3")
    tamper(path, "UPDATE journal SET seq = 3 WHERE seq = 4")
    tamper(path, "UPDATE journal SET seq = 4 WHERE seq = 99")

    with JournalReader(path) as reader:
        assert reader.verify().broken_seq == 3


def test_an_unreadable_blob_is_a_journal_error_that_names_the_row(path: Path) -> None:
    write(path, Transaction((skip(0),), items=(item(1),), attempts=(attempt(),)))
    tamper(path, "UPDATE journal SET body = ?", b"\x09")
    tamper(path, "UPDATE items SET raw = ?", b"\x09")
    tamper(path, "UPDATE attempts SET request = ?", b"\x01junk")

    with JournalReader(path) as reader:
        with pytest.raises(JournalError, match="row 1: expected a coding byte"):
            list(reader.rows())
        with pytest.raises(JournalError, match="item 00010203/1"):
            list(reader.items())
        with pytest.raises(JournalError, match=r"attempt .*not a zlib stream"):
            reader.attempts_for(2, 7)


def test_a_missing_journal_is_a_store_error(path: Path) -> None:
    with pytest.raises(StoreError, match="no journal at"):
        JournalReader(path)


def test_reading_does_not_change_a_file_at_rest(path: Path) -> None:
    write(path, Transaction(rows_of(Random(1), 50)))
    before = path.read_bytes()
    with JournalReader(path) as reader:
        assert reader.verify().head.seq == 50

    assert path.read_bytes() == before


def test_a_reader_cannot_write(path: Path) -> None:
    write(path, Transaction((skip(0),)))

    with JournalReader(path) as reader, pytest.raises(StoreError, match="readonly"):
        reader._query("DELETE FROM journal")


def test_a_journal_on_a_read_only_disk_is_read(path: Path, disk: Disk) -> None:
    write(path, Transaction(rows_of(Random(2), 30)))
    place = disk("size=2m")
    copy = place / path.name
    shutil.copy(path, copy)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)

    with JournalReader(copy) as reader:
        assert reader.verify().head.seq == 30
    with pytest.raises(StoreError, match="Read-only file system"):
        Journal(copy)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_journal_in_an_unwritable_directory_is_read(path: Path) -> None:
    write(path, Transaction(rows_of(Random(2), 30)))
    path.chmod(0o400)
    path.parent.chmod(0o500)

    with JournalReader(path) as reader:
        assert reader.verify().head.seq == 30
    with pytest.raises(StoreError, match="Permission denied"):
        Journal(path)


def test_another_process_reads_a_live_journal(path: Path) -> None:
    with Journal(path) as journal:
        rows = rows_of(Random(3), 40)
        head = journal.append(Transaction(rows, items=(item(1), item(2)))).result(10)
        found = subprocess.run(
            [sys.executable, "-c", READ, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env=child_environment(),
        )
        journal.append(Transaction((skip(1),))).result(10)  # and writing goes on

    assert found.stdout.split() == ["True", "40", head.chain.hex(), "2"]


def test_readers_see_whole_transactions_while_the_writer_runs(path: Path) -> None:
    """Each transaction adds three rows, one item and its number: a reader that asks for the
    number, then the rows, then the item never sees less than what the number promises."""
    faults: list[str] = []
    with Journal(path) as journal:
        journal.append(Transaction(meta={"n": b"0"})).result(10)
        done = threading.Event()

        def read() -> None:
            with JournalReader(path) as reader:
                while not done.is_set():
                    number = int(reader.meta("n") or b"0")
                    seqs = [stored.seq for stored in reader.rows()]
                    head = reader.head()
                    if seqs != list(range(1, len(seqs) + 1)) or len(seqs) < 3 * number:
                        faults.append(f"rows {len(seqs)} at number {number}")
                    if head.seq % 3 or head.seq < len(seqs):
                        faults.append(f"head {head.seq} after {len(seqs)} rows")
                    if number and reader.item(item(number).name) is None:
                        faults.append(f"item {number} is missing")
                    if not reader.verify().holds:
                        faults.append("the chain breaks")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        futures = [
            journal.append(
                Transaction((skip(n), skip(n), skip(n)), items=(item(n),), meta={"n": b"%d" % n})
            )
            for n in range(1, 401)
        ]
        for future in futures:
            future.result(30)
        done.set()
        for reader in readers:
            reader.join()

    assert faults == []


@pytest.mark.parametrize("opener", [Journal, JournalReader])
def test_a_file_that_is_no_database_is_named(
    path: Path, opener: Callable[[Path], JournalReader]
) -> None:
    path.write_bytes(b"not a database, " * 500)

    with pytest.raises(JournalError, match="damaged: file is not a database"):
        opener(path)


def test_a_damaged_page_is_found_at_open_with_what_to_do(path: Path) -> None:
    write(path, Transaction(tuple(Row("skip", Random(n).randbytes(900), b"") for n in range(90))))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 64] = b"\xff" * 64
    path.write_bytes(data)

    with pytest.raises(JournalError, match=r"is damaged[\s\S]*hint: restore"):
        Journal(path)
