"""A child process of the daemon that runs foreign code: started, listened to, killed, reaped.

The child leads a session and process group of its own, has no inherited descriptor but its end of
a socket pair, no secret in its environment, and is told to die with its parent. When it ends, by
whatever cause, its whole group is killed before its process id is given back; a descendant that
made a session of its own escapes that, and only a cgroup (systemd's, say) catches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deid.daemon.channel import Channel

__all__ = ["Child", "Exit"]

STDERR_LINES_MAX = 200  # of one child that reach the log; the rest is read and counted
STDERR_CHARS_MAX = 500  # of one line
STDERR_REST_S = 0.5  # for what a dead child wrote last
STDERR_TAIL = 5  # last lines, kept for the message that says why it died

_ENVIRONMENT: Final = (  # nothing else is passed on: keys of providers live there
    *("HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "PATH"),
    *("PYTHONHASHSEED", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"),
    *("XDG_CACHE_HOME", "XDG_DATA_HOME"),
)
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended. status: exit status, or −signal; cpu_s: user and system, descendants
    that it waited for included."""

    status: int
    cpu_s: float

    def __str__(self) -> str:
        if self.status >= 0:
            return f"ended with status {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = f"signal {-self.status}"
        return f"was killed by {name}"


class Child:
    """One process; :meth:`start` makes it.

    channel: frames to and from it. exited: done with its :class:`Exit` once it is reaped and its
    group is killed.
    """

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        self.channel = channel
        self.pid = process.pid
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._process = process
        self._lock = threading.Lock()
        self._reaped = False
        self._tail: deque[str] = deque(maxlen=STDERR_TAIL)
        self._stderr: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        module: str,
        on_line: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        """Runs ``python -m module FD PARENT``; ``on_line`` gets the lines of its stderr.

        environment: added to the few variables that are passed on. :class:`OSError` if no process
        can be made.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            channel = await Channel.over(ours)
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - forks in a millisecond; reaped below
                    [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=_environment(environment or {}),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                await channel.close()
                raise
        child = cls(process, channel)
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=child._reap, args=(loop,), name=f"reap-{process.pid}", daemon=True
        ).start()
        child._stderr = asyncio.create_task(child._listen(on_line))
        return child

    @property
    def last_words(self) -> str:
        """The last line that it wrote to stderr, "" if none."""
        return self._tail[-1] if self._tail else ""

    def cpu_s(self) -> float:
        """CPU seconds so far of the process while it lives, without its descendants."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0.0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """SIGKILL to the whole group; nothing if it is gone."""
        with self._lock:
            if not self._reaped:
                self._kill_group()

    async def close(self, grace_s: float = 1.0) -> Exit:
        """Closes the channel, which asks it to end, and kills what is left after ``grace_s``."""
        await self.channel.close()
        await asyncio.wait((self.exited,), timeout=grace_s)
        self.kill()
        ended = await asyncio.shield(self.exited)
        await self.hear_out()
        return ended

    async def hear_out(self) -> None:
        """Reads the rest of a dead child's stderr; a descendant at large may hold it open."""
        if self._stderr is not None:
            await asyncio.wait((self._stderr,), timeout=STDERR_REST_S)
            self._stderr.cancel()
            await asyncio.wait((self._stderr,))

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        """Own thread: waits for the end, kills the group while the zombie still holds its id."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._kill_group()
            _, status, usage = os.wait4(self.pid, 0)
            self._reaped = True
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code
        ended = Exit(code, usage.ru_utime + usage.ru_stime)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._set_exit, ended)

    def _set_exit(self, ended: Exit) -> None:
        if not self.exited.done():
            self.exited.set_result(ended)

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _listen(self, on_line: Callable[[str], None]) -> None:
        """Reads stderr to its end: a full pipe would stop the child."""
        assert self._process.stderr is not None
        reader = asyncio.StreamReader(limit=1 << 16)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._process.stderr
        )
        passed = 0
        rest = b""
        try:
            while chunk := await reader.read(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > STDERR_CHARS_MAX:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    passed += self._heard(line, passed, on_line)
            if rest:
                self._heard(rest, passed, on_line)
        finally:
            transport.close()

    def _heard(self, line: bytes, passed: int, on_line: Callable[[str], None]) -> int:
        text = line[:STDERR_CHARS_MAX].decode(errors="replace").rstrip()
        if not text:
            return 0
        self._tail.append(text)
        if passed < STDERR_LINES_MAX:
            on_line(text)
        elif passed == STDERR_LINES_MAX:
            on_line(f"[more than {STDERR_LINES_MAX} lines; the rest is not logged]")
        return 1


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """What the child sees: a few variables, this process's import path, one thread for BLAS."""
    kept = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
    kept["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    kept.update(dict.fromkeys(_ONE_THREAD, "1"))
    return {**kept, **added}
