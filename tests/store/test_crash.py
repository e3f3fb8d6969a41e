"""``kill -9`` and torn writes: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import IO

import pytest
from store.lives import DEAD, transaction
from store.samples import child_environment

from deid.search.records import Row
from deid.store import Journal, JournalReader

KILLS = 40
KILLS_SLOW = 500


class Lives:
    """The process that forks the daemons which :meth:`kill_one` kills."""

    def __init__(self, orders: IO[bytes], told: IO[bytes]) -> None:
        self._orders = orders
        self._told = told

    def kill_one(self, path: Path, seed: int, rng: Random) -> int:
        """Starts a life on ``path``, kills it after a random number of acknowledgements (none: as
        it opens the file); the last acknowledged transaction, 0 where there was none."""
        order = json.dumps([str(path), seed, rng.choice((1, 3, 40))])
        self._orders.write(order.encode() + b"\n")
        self._orders.flush()
        pid, last = self._number(), 0
        for _ in range(rng.randint(0, 60)):
            last = self._number()
            assert last != DEAD
        os.kill(pid, signal.SIGKILL)
        while (number := self._number()) != DEAD:  # acknowledged, too, before it died
            last = number
        return last

    def _number(self) -> int:
        data = self._told.read(4)
        assert len(data) == 4
        return int.from_bytes(data, "big")


@pytest.fixture
def lives() -> Iterator[Lives]:
    process = subprocess.Popen(
        [sys.executable, "-m", "store.lives"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Lives(process.stdin, process.stdout)


def check_whole(path: Path, seed: int, acknowledged: int) -> None:
    """The file holds exactly the transactions 1 … n, n >= ``acknowledged``, each as a whole."""
    with Journal(path) as journal:  # quick_check and all
        number = int(journal.meta("number") or b"0")
        expected = [transaction(seed, each) for each in range(1, number + 1)]
        rows: list[Row] = [row for each in expected for row in each.rows]

        assert number >= acknowledged
        assert journal.verify().holds
        assert [stored.row for stored in journal.rows()] == rows
        assert list(journal.items()) == [each.items[0] for each in expected]
        assert list(journal.attempts()) == [each.attempts[0] for each in expected]


def kill_often(lives: Lives, tmp_path: Path, kills: int, in_a_row: int) -> None:
    """``kills`` kills, ``in_a_row`` of them on each file."""
    for story in range(kills // in_a_row):
        seed = int.from_bytes(os.urandom(4), "big")
        print(f"seed {seed}")
        rng, path = Random(seed), tmp_path / f"{story}.sqlite3"
        for _ in range(in_a_row):
            check_whole(path, seed, lives.kill_one(path, seed, rng))


def test_nothing_acknowledged_is_lost_by_kill_9(lives: Lives, tmp_path: Path) -> None:
    kill_often(lives, tmp_path, KILLS, in_a_row=5)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_by_500_times_kill_9(lives: Lives, tmp_path: Path) -> None:
    kill_often(lives, tmp_path, KILLS_SLOW, in_a_row=10)


@pytest.mark.parametrize("damage", ["cut", "zeros", "noise"])
def test_a_torn_log_leaves_the_whole_transactions_before_the_tear(
    tmp_path: Path, damage: str
) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    rng, live_path = Random(seed), tmp_path / "live.sqlite3"
    with Journal(live_path) as journal:
        for number in range(1, 31):
            journal.append(transaction(seed, number)).result(10)
        main, log = live_path.read_bytes(), Path(f"{live_path}-wal").read_bytes()
    found = set()
    for trial in range(15):
        path = tmp_path / f"{trial}.sqlite3"
        path.write_bytes(main)
        Path(f"{path}-wal").write_bytes(torn(log, damage, rng))

        check_whole(path, seed, 0)
        with JournalReader(path) as reader:
            found.add(reader.meta("number"))

    assert len(found) > 3  # the tears were in different places


def torn(log: bytes, damage: str, rng: Random) -> bytes:
    """``log`` as a power cut may leave it: cut off, or its end not (or wrongly) written."""
    place = rng.randrange(32, len(log))
    if damage == "cut":
        return log[:place]
    rest = len(log) - place
    return log[:place] + (bytes(rest) if damage == "zeros" else rng.randbytes(rest))


def test_a_copy_of_a_killed_journal_with_its_log_is_complete(lives: Lives, tmp_path: Path) -> None:
    path, copy = tmp_path / "a.sqlite3", tmp_path / "b.sqlite3"
    last = lives.kill_one(path, 7, Random(7))
    assert last > 0
    shutil.copy(path, copy)
    shutil.copy(f"{path}-wal", f"{copy}-wal")

    with JournalReader(copy) as reader:  # read-only, with the log still to be folded in
        assert int(reader.meta("number") or b"0") >= last
        assert reader.verify().holds
