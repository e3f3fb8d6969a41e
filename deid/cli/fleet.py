"""A fleet of daemons on this machine: starting, asking and ending their processes.

No process outlives the fleet: :meth:`Fleet.stop` ends them in order, and the kernel kills them when
the process that started them is killed itself.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from deid.control.client import ControlClient
from deid.control.places import node_of
from deid.control.views import ArchiveView, Champions, Status
from deid.errors import ControlError, DeidError, NotRunningError

__all__ = ["ASK_S", "STOP_S", "Fleet", "Member", "PortTakenError", "free_ports"]

HOST: Final = "127.0.0.1"
PORT_MIN: Final = 20_000
PORT_MAX: Final = 32_767  # above it Linux takes ports for outgoing connections
PROBES_MAX: Final = 1_000
STATUS_S: Final = 3.0  # for a status; one that comes later is asked for again
ASK_S: Final = 60.0  # for an archive, whose claims the node may have to check first
STOP_S: Final = 15.0  # between the request to end and the end by force
POLL_S: Final = 0.05
TAIL_LINES: Final = 12


class PortTakenError(DeidError):
    """Another process took a port between its choice and its use."""


@dataclass(frozen=True, slots=True)
class Member:
    """One daemon of a fleet: its name, its loopback port and its files."""

    name: str
    port: int
    config_file: Path
    state_dir: Path
    log_file: Path


class Fleet:
    """The daemons of ``members``; a context manager that ends them all.

    To be used by one thread, that of the process's main program: the daemons are bound to it.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._clients: dict[str, ControlClient] = {}

    def start(self) -> None:
        """Starts every daemon; none is waited for."""
        for member in self.members:
            member.log_file.parent.mkdir(parents=True, exist_ok=True)
            arguments = [str(os.getpid()), "run", "--config", str(member.config_file)]
            with member.log_file.open("ab") as log:
                self._processes[member.name] = subprocess.Popen(
                    [sys.executable, "-m", "deid.cli.member", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environment(),
                    process_group=0,  # Ctrl-C reaches this program, which then ends them in order
                )

    def check(self) -> None:
        """:class:`DeidError` names a daemon that has ended, with the tail of its log.

        :class:`PortTakenError` where it could not have its port.
        """
        for member in self.members:
            process = self._processes[member.name]
            code = process.poll()
            if code is None:
                continue
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            tail = "\n    ".join(_tail(member.log_file))
            message = f"the daemon {member.name} (pid {process.pid}) {how}; the end of its log"
            kind = DeidError if _is_free(member.port) else PortTakenError
            raise kind(f"{message} {member.log_file}:\n    {tail or '(empty)'}")

    def status(self, member: Member) -> Status | None:
        """What the daemon says of itself; None while it does not answer yet."""
        try:
            return self._client(member).status()
        except NotRunningError:
            return None

    def archive(self, member: Member) -> ArchiveView:
        """The merged archive that the daemon shows."""
        with ControlClient.find(member.state_dir, ASK_S) as client:
            return client.archive(merged=True)

    def champions(self, member: Member) -> Champions:
        """The champions that the daemon holds."""
        with ControlClient.find(member.state_dir, ASK_S) as client:
            return client.champions()

    def stop(self) -> None:
        """Ends every daemon in order (SIGTERM), by force after :data:`STOP_S`; idempotent."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for process in self._processes.values():
            process.terminate()
        end = time.monotonic() + STOP_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _client(self, member: Member) -> ControlClient:
        """:class:`NotRunningError` while the daemon's control channel is not there."""
        client = self._clients.get(member.name)
        if client is None:
            try:
                running = node_of(member.state_dir)
            except ControlError as error:
                raise NotRunningError(error.message) from error
            client = self._clients[member.name] = ControlClient(running, STATUS_S)
        return client


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports that nobody listens on, below those of outgoing connections.

    Another process may take one before it is used. :class:`DeidError` where too few are found.
    """
    found: list[int] = []
    for port in _candidates():
        if len(found) == count:
            return tuple(found)
        if port not in found and _is_free(port):
            found.append(port)
    raise DeidError(
        f"found {len(found)} free ports of {count} between {PORT_MIN} and {PORT_MAX} on {HOST}",
        hint="end what listens there, or take fewer --nodes",
    )


def _candidates() -> Iterator[int]:
    """Runs of neighbours from random places, so that two fleets seldom try the same ones."""
    first = random.randrange(PORT_MIN, PORT_MAX)
    for step in range(PROBES_MAX):
        yield PORT_MIN + (first - PORT_MIN + step) % (PORT_MAX - PORT_MIN)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemon binds
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    """This process's, without variables that would set the same key for every daemon."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DEID_")}


def _tail(path: Path) -> list[str]:
    """The last lines of a log."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
    return []
