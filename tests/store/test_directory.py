"""The state directory and its lock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store.samples import child_environment

from deid.errors import StoreError
from deid.store import StateDirectory

HOLD = """
import sys
from pathlib import Path
from deid.store import StateDirectory
StateDirectory(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_created_with_its_parents_for_its_owner_alone(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "deep" / "alpha")
    with directory:
        assert directory.path.stat().st_mode & 0o777 == 0o700
        assert directory.lock_file.read_text() == f"{os.getpid()}\n"
        assert directory.format_file.read_text() == "deid-state 1\n"


def test_nothing_is_touched_before_it_is_acquired(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "alpha")

    assert directory.holder() is None
    assert not directory.path.exists()


def test_a_second_daemon_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = StateDirectory(tmp_path)
        with pytest.raises(StoreError, match=rf"in use by a daemon with pid {first.pid}\b"):
            second.acquire()
        assert second.holder() == first.pid
        first.kill()
        first.wait()

        assert second.holder() is None
        with second:  # the lock of a killed daemon is gone with it
            assert second.holder() == os.getpid()


def test_two_daemons_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with StateDirectory(tmp_path), pytest.raises(StoreError, match="in use"):
        StateDirectory(tmp_path).acquire()


def test_a_released_directory_can_be_acquired_again(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path)
    directory.acquire()
    directory.acquire()  # idempotent
    directory.release()
    directory.release()

    assert directory.holder() is None
    with StateDirectory(tmp_path):
        pass


def test_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "alpha"
    path.write_text("")

    with pytest.raises(StoreError, match="alpha is not a directory"):
        StateDirectory(path).acquire()
    with pytest.raises(StoreError, match="cannot create the state directory"):
        StateDirectory(path / "below").acquire()


def test_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("deid-state 2\n")

    with pytest.raises(StoreError, match="expected 'deid-state 1', got 'deid-state 2'"):
        StateDirectory(tmp_path).acquire()
    assert (tmp_path / "format").read_text() == "deid-state 2\n"
    assert StateDirectory(tmp_path).holder() is None


def test_a_reader_is_told_that_a_directory_is_no_state_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no state directory of deid"):
        StateDirectory(tmp_path).check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StoreError, match=r"cannot write .*Permission denied[\s\S]*hint"):
        StateDirectory(tmp_path).acquire()
