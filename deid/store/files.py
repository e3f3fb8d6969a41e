"""Small files that must survive a power cut, and errors of the disk in words."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from deid.errors import StoreError

_HINTS = {
    errno.EACCES: "give the daemon's user read and write permission, or name another path",
    errno.EPERM: "give the daemon's user read and write permission, or name another path",
    errno.EROFS: "the file system is mounted read-only: remount it, or name another path",
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EFBIG: "the file-size limit of this process is reached: raise it (ulimit -f)",
    errno.ENOTDIR: "a part of the path is a file: name another path",
    errno.ENOENT: "create the parent directory, or name another path",
}


def store_error(doing: str, path: Path, error: OSError) -> StoreError:
    """``error`` as one clear line: what was being done, to which path, what the system said."""
    said = error.strerror or str(error)
    return StoreError(f"cannot {doing} {path}: {said}", hint=_HINTS.get(error.errno or 0))


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replaces ``path`` by ``data`` atomically: after a crash it holds the old bytes or the new.

    :class:`StoreError` where the disk refuses; then ``path`` is as it was.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        try:
            _write_synced(draft, data, mode)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise store_error("write", path, error) from error


def create_durably(path: Path, data: bytes, mode: int = 0o600) -> bool:
    """Creates ``path`` with ``data`` atomically; False, and nothing changed, where it exists.

    :class:`StoreError` where the disk refuses.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        try:
            _write_synced(draft, data, mode)
            os.link(draft, path)  # unlike a rename, a link never replaces what is there
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise store_error("create", path, error) from error
    return True


def sync_directory(path: Path) -> None:
    """Makes the directory's entries durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
