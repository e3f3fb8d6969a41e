"""Versions of the tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store.samples import skip, write

from deid.errors import StoreError
from deid.store import Attempt, AttemptState, Journal, JournalReader, StoredItem, Transaction
from deid.store import schema as schema_module
from deid.store.schema import MIGRATIONS, VERSION

FROZEN = sorted(Path(__file__).parent.glob("schema_v*.sql"))


def frozen(path: Path, script: Path) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script.read_text())
    return path


def shape(path: Path) -> dict[str, object]:
    """Columns, keys and indexes of every table, without their wording."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("PRAGMA table_list").fetchall()
        names = sorted(row[1] for row in tables if not row[1].startswith("sqlite_"))
        return {
            "tables": sorted(row for row in tables if row[1] in names),
            "columns": {n: connection.execute(f"PRAGMA table_info({n})").fetchall() for n in names},
            "indexes": {n: connection.execute(f"PRAGMA index_list({n})").fetchall() for n in names},
            "version": connection.execute("PRAGMA user_version").fetchone(),
            "application": connection.execute("PRAGMA application_id").fetchone(),
        }


def test_every_version_has_its_frozen_tables() -> None:
    assert [script.name for script in FROZEN] == [f"schema_v{n + 1}.sql" for n in range(VERSION)]


@pytest.mark.parametrize("script", FROZEN, ids=lambda script: script.stem)
def test_a_file_of_every_version_opens_with_its_content(tmp_path: Path, script: Path) -> None:
    path = frozen(tmp_path / "old.sqlite3", script)
    with Journal(path) as journal:
        assert journal.meta("run") == b"\x01\x02"
        assert [stored.row for stored in journal.rows()] == [skip(0)]
        assert list(journal.items()) == [StoredItem((b"\xaa", 5, 3), b"\xbb", True, b"raw")]
        assert journal.attempts_for(2, 7) == [
            Attempt(
                2, 7, 0, 0, b"\xcc", AttemptState.SETTLED, "llm", "m", b"q", b"r", "ok",
                (1, 2, 3, 4), 5, 6, 7, 8,
            )
        ]  # fmt: skip
        assert journal.append(Transaction((skip(1),))).result(10).seq == 2


@pytest.mark.parametrize("script", FROZEN, ids=lambda script: script.stem)
def test_an_upgraded_file_has_the_shape_of_a_new_one(tmp_path: Path, script: Path) -> None:
    old, new = frozen(tmp_path / "old.sqlite3", script), tmp_path / "new.sqlite3"
    write(old)
    write(new)

    assert shape(old) == shape(new)


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    write(path, Transaction((skip(0),)))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()

    for opener in (Journal, JournalReader):
        with pytest.raises(StoreError, match=rf"schema version {VERSION + 1}[\s\S]*newer deid"):
            opener(path)
    assert path.read_bytes() == before


def test_an_older_journal_is_not_upgraded_by_a_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = frozen(tmp_path / "old.sqlite3", FROZEN[0])
    monkeypatch.setattr("deid.store.reader.VERSION", VERSION + 1)

    with pytest.raises(StoreError, match=r"expected 2[\s\S]*daemon once"):
        JournalReader(path)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()

    with pytest.raises(StoreError, match="no journal of deid"):
        Journal(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_half_way_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.sqlite3"
    write(path, Transaction((skip(0),)))
    before = shape(path)
    broken = ("CREATE TABLE extra (a INTEGER) STRICT", "CREATE TABLE journal (a INTEGER)")
    monkeypatch.setattr(schema_module, "MIGRATIONS", (*MIGRATIONS, broken))
    monkeypatch.setattr(schema_module, "VERSION", VERSION + 1)

    with pytest.raises(StoreError, match=r"cannot open journal .*already exists"):
        Journal(path)
    assert shape(path) == before


def test_a_later_step_keeps_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.sqlite3"
    write(path, Transaction((skip(0), skip(1))))
    step = ("ALTER TABLE items ADD COLUMN seen INTEGER NOT NULL DEFAULT 0",)
    for module in ("deid.store.schema", "deid.store.reader"):
        monkeypatch.setattr(f"{module}.VERSION", VERSION + 1)
    monkeypatch.setattr(schema_module, "MIGRATIONS", (*MIGRATIONS, step))

    with Journal(path) as journal:
        assert journal.verify().head.seq == 2
        assert journal.append(Transaction((skip(2),))).result(10).seq == 3
    assert shape(path)["version"] == (VERSION + 1,)


def test_the_tables_refuse_what_does_not_fit_them(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    write(path)
    with closing(sqlite3.connect(path)) as connection:
        for sql in (
            "INSERT INTO meta VALUES ('a', 'text in a blob')",
            "INSERT INTO journal VALUES (1, 'skip', x'00', x'00', x'00')",
            "INSERT INTO items VALUES (x'aa', x'05', 3, x'bb', 1, x'00')",
            "INSERT INTO items VALUES (x'aa', zeroblob(16), 3, x'bb', 2, x'00')",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(sql)
