"""The state directory: what lies where in it, and the lock that one daemon holds.

The lock is an advisory ``flock`` on ``lock``; the kernel drops it with the process, however that
ends, so a stale lock does not exist. The file holds the pid of the holder, for people.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from deid.errors import StoreError
from deid.store.files import create_durably, store_error

FORMAT = b"deid-state 1\n"
MODE = 0o700

_PROBES = 5  # someone who only asks for the holder has the lock for microseconds
_PROBE_S = 0.01


class StateDirectory:
    """Paths of one node's state; :meth:`acquire` makes this process its only daemon.

    Nothing is touched before ``acquire``: readers (``deid replay``, ``deid export``) use the
    paths of a live directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal_file = path / "journal.sqlite3"
        self.control_file = path / "control.json"
        self.lock_file = path / "lock"
        self.format_file = path / "format"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Creates the directory (0700) if need be and locks it for this process's life.

        :class:`StoreError` names the holder's pid where a daemon has it, and says what is wrong
        with a path that is no directory, cannot be written, or holds another format.
        """
        if self._lock is not None:
            return
        self._create()
        lock = self._locked()
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
            if not create_durably(self.format_file, FORMAT):
                self.check()
        except OSError as error:
            os.close(lock)
            raise store_error("write", self.lock_file, error) from error
        except StoreError:
            os.close(lock)
            raise
        self._lock = lock

    def release(self) -> None:
        """Gives the lock back; idempotent."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def holder(self) -> int | None:
        """Pid of the daemon that holds the directory now; None where none does."""
        try:
            lock = os.open(self.lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise store_error("read", self.lock_file, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(lock)
        finally:
            os.close(lock)
        return None

    def check(self) -> None:
        """:class:`StoreError` where this is no state directory of a format known here."""
        try:
            found = self.format_file.read_bytes()
        except FileNotFoundError as error:
            raise StoreError(
                f"{self.path} is no state directory of deid: it has no file 'format'",
                hint="name the directory that [node] state_dir names",
            ) from error
        except OSError as error:
            raise store_error("read", self.format_file, error) from error
        if found != FORMAT:
            raise StoreError(
                f"{self.path} has another format: expected {_words(FORMAT)}, got {_words(found)}",
                hint="use the version of deid that wrote it, or another directory",
            )

    def __enter__(self) -> StateDirectory:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _create(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(
                f"state directory {self.path} is not a directory",
                hint="name a directory in [node] state_dir",
            )
        try:
            self.path.mkdir(mode=MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise store_error("create the state directory", self.path, error) from error

    def _locked(self) -> int:
        try:
            lock = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise store_error("write to the state directory", self.path, error) from error
        for _ in range(_PROBES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PROBE_S)
            except OSError as error:
                os.close(lock)
                raise store_error("lock", self.lock_file, error) from error
            else:
                return lock
        pid = _pid(lock)
        os.close(lock)
        raise StoreError(
            f"state directory {self.path} is in use by a daemon with pid {pid}",
            hint="stop that daemon, or give this one a state_dir of its own",
        )


def _pid(lock: int) -> int:
    """The pid that the lock file holds; 0 where its holder has not written it yet."""
    text = os.pread(lock, 32, 0).strip()
    return int(text) if text.isdigit() else 0


def _words(data: bytes) -> str:
    return repr(data[:40].decode("utf-8", "replace").strip())
