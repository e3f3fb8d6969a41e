"""docs/formats.md says what the code does."""

from __future__ import annotations

import ast
import re
import sqlite3
import zlib
from contextlib import closing
from dataclasses import fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from store.samples import attempt, item, write

from deid.search.canonical import encode
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.search.records import (
    INPUTS,
    OUTPUTS,
    Arrival,
    Arrived,
    Candidate,
    Configured,
    Decided,
    Decision,
    Evaluated,
    Placed,
    Proposed,
    Record,
    RoundClosed,
    RoundOpened,
    Row,
    Skipped,
)
from deid.search.settings import SearchSettings
from deid.store import AttemptState, Journal, JournalReader, StateDirectory, Transaction
from deid.store.directory import FORMAT
from deid.store.schema import APPLICATION_ID, VERSION

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()

HASH_A, HASH_B = b"\x0a" * 32, b"\x0b" * 32
PROGRAM = Genome("MOV.I $0, $1\n", b"code", 1)

SAMPLES: tuple[Record, ...] = (
    Configured(SearchSettings("alpha", 7)),
    Proposed(
        3,
        4,
        5,
        "cross",
        (HASH_B, HASH_A),
        "edit",
        "ok",
        "a note",
        (Candidate(PROGRAM.source, PROGRAM), Candidate("MOVE", None, "no such opcode")),
        "model",
        HASH_A,
        (1, 2, 3, 4),
        2,
    ),
    Evaluated(HASH_A, HASH_B, Evaluation(6, (7, 8), 9)),
    Arrived(
        3,
        (
            Arrival(
                PROGRAM, "beta", 2, True, 1, False, (("beta/edit", 65_536),), (b"k", 2**95 + 5, 6)
            ),
        ),
    ),
    Decided(Decision.QUARANTINE, b"key"),
    RoundOpened(3, HASH_B, (HASH_A, HASH_B), (2**64 - 1, 0)),
    Placed(3, 4, HASH_A, 5, 6, "new"),
    Skipped(3, 4, "duplicate", HASH_A),
    RoundClosed(3, 4, 5, 6, 7, 8, HASH_A, (HASH_A, HASH_B), 9),
)


def table(header: str) -> list[list[str]]:
    """The cells of every table whose first header cell is ``header``, code marks removed."""
    rows: list[list[str]] = []
    inside = False
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == header:
            inside = True
        elif inside and not set(line) <= set("|-"):
            rows.append(cells)
    assert rows, f"no table {header!r} in docs/formats.md"
    return rows


def plain(cell: str) -> str:
    return cell.strip("`")


def layouts() -> dict[str, tuple[str, str]]:
    return {plain(kind): (plain(body), plain(extra)) for kind, body, extra in table("kind")}


PARTS = {name: plain(layout) for name, layout in table("part")}


def part(name: str, value: Any) -> Any:
    """One value of a part's layout, as the page writes it."""
    variable = name[name.index("(") + 1]
    return eval(PARTS[name], {variable: value})


def evaluated(layout: str, record: Record) -> Any:
    """The layout's expression over the record's fields."""
    names: dict[str, Any] = {f.name: getattr(record, f.name) for f in fields(record)}
    names["candidate"] = lambda c: part(
        "`candidate(c)`, a program" if c.genome else "`candidate(c)`, no program", c
    )
    names["arrival"] = lambda a: part("`arrival(a)`", a)
    names["name"] = lambda a: part("`name(a)`", a)
    ast.parse(layout, mode="eval")
    return eval(layout, names)


def test_every_kind_of_record_has_a_sample_and_a_line() -> None:
    kinds = [*INPUTS, *OUTPUTS]

    assert [sample.kind for sample in SAMPLES] == kinds
    assert list(layouts()) == kinds


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.kind)
def test_bodies_and_extras_have_the_layout_of_the_page(record: Record) -> None:
    body, extra = layouts()[record.kind]
    row = Row.of(record)

    assert row.body == encode(evaluated(body, record))
    assert row.extra == (encode(evaluated(extra, record)) if extra else b"")


def test_the_settings_of_the_page_are_those_of_the_code() -> None:
    sentence = re.search(r"is a map of these keys: (.*?)\. ", TEXT)

    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == sorted(SearchSettings("a", 1).plain())


def test_the_worked_example_follows_from_the_words_of_the_page(tmp_path: Path) -> None:
    """chain(n) = BLAKE2b-256(chain(n − 1) ‖ length of kind, one byte ‖ kind ‖ body)."""
    chain = bytes(32)
    rows = []
    for number, (seq, kind, body, stated) in enumerate(table("seq"), 1):
        name, data = plain(kind).encode("utf-8"), bytes.fromhex(plain(body))
        chain = blake2b(chain + bytes([len(name)]) + name + data, digest_size=32).digest()
        rows.append(Row(plain(kind), data, b"no part of it"))
        assert (int(seq), plain(stated)) == (number, chain.hex())
    path = tmp_path / "journal.sqlite3"
    write(path, Transaction(tuple(rows)))

    with JournalReader(path) as reader:
        assert reader.head().chain == chain


def test_tables_and_columns_of_the_page_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    write(path)
    documented = {plain(row[0]): re.findall(r"`(\w+)`", row[1]) for row in table("table")}
    with closing(sqlite3.connect(path)) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        actual = {
            name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            for name in names
        }

    assert documented == actual
    assert f"`application_id` 0x{APPLICATION_ID:x}" in TEXT
    assert f"`user_version` = schema version, now {VERSION}." in TEXT


def test_blobs_are_coded_as_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    long, short = b"MOV.I $0, $1\n" * 50, b"short"
    write(
        path,
        Transaction(
            (Row("skip", short, b""), Row("skip", long, long)),
            items=(item(1, raw=long),),
            attempts=(attempt(request=long, reply=short),),
        ),
    )

    def read(blob: bytes) -> bytes:
        return zlib.decompress(blob[1:]) if blob[0] == 1 else blob[1:]

    with closing(sqlite3.connect(path)) as connection:
        blobs = connection.execute("SELECT body, extra FROM journal ORDER BY seq").fetchall()
        raw, epoch = connection.execute("SELECT raw, epoch FROM items").fetchone()
        call = connection.execute("SELECT request, reply FROM attempts").fetchone()

    assert blobs[0] == (b"\x00short", b"\x00")
    assert [read(blob) for blob in (*blobs[1], raw, *call)] == [long, long, long, long, short]
    assert len(blobs[1][0]) < len(long) // 2
    assert int.from_bytes(epoch, "big") == item(1).name[1]


def test_files_of_the_page_are_those_of_a_state_directory(tmp_path: Path) -> None:
    with StateDirectory(tmp_path) as state, Journal(state.journal_file):
        found = {path.name for path in tmp_path.iterdir()}
    documented = {plain(row[0]) for row in table("file")}

    assert documented == {"format", "lock", "journal.sqlite3", "control.json"}
    assert found - {"journal.sqlite3-wal", "journal.sqlite3-shm"} == documented - {"control.json"}
    assert state.control_file.name == "control.json"
    assert f"`{FORMAT.decode().strip()}`" in TEXT


def test_the_states_of_an_attempt_are_all_named() -> None:
    for state in AttemptState:
        assert f"`{state.value}`" in TEXT
