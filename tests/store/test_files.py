"""Durable small files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from deid.errors import StoreError
from deid.store import create_durably, write_durably
from deid.store.files import store_error


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_writing_replaces_the_whole_file_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "control.json"
    write_durably(path, b"a long first text")
    write_durably(path, b"short", mode=0o640)

    assert path.read_bytes() == b"short"
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["control.json"]


def test_creating_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "key"

    assert create_durably(path, b"first")
    assert not create_durably(path, b"second")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["key"]


def test_a_disk_that_refuses_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mark"
    write_durably(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"No space left on device[\s\S]*the disk is full"):
        write_durably(path, b"new")
    with pytest.raises(StoreError, match="cannot create"):
        create_durably(tmp_path / "key", b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["mark"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOTDIR])
def test_every_usual_refusal_comes_with_a_hint(code: int) -> None:
    error = store_error("write", Path("/x"), OSError(code, os.strerror(code)))

    assert os.strerror(code) in error.message
    assert error.hint
