"""Where a daemon's control socket is, and how a client finds it.

The socket lies in the runtime directory; what leads to it (endpoint, pid, name) stands in
``STATE_DIR/control.json`` and, for a client that names no directory, in a registry file beside the
socket. Both are removed at a clean end; what a killed daemon left is told by its pid.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from deid.errors import ConfigError, ControlError, NotRunningError, StoreError

__all__ = [
    "Place",
    "Running",
    "find_node",
    "node_of",
    "running_nodes",
    "runtime_directory",
]

CONTROL_FILE = "control.json"
FORMAT = 1
IPC_BYTES_MAX = 99  # of the path; sockaddr_un holds 108 with what ZeroMQ may append
FILE_BYTES_MAX = 16_384
NODES_MAX = 1_024  # registry files that are looked at
_SUFFIX = ".node.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon as its files describe it.

    started: ticks after boot at which its process began (``/proc/PID/stat``), 0 where unknown; it
    tells a pid that was given to another process since.
    """

    node: str
    endpoint: str
    pid: int
    started: int
    state_dir: str
    format: int = FORMAT

    def alive(self) -> bool:
        """Whether that very process still exists."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it exists and is another user's
        began = _started(self.pid)
        return not (self.started and began) or began == self.started


class Place:
    """The files of one daemon's control channel: :meth:`publish` writes, :meth:`withdraw` removes.

    state_dir: of the node, absolute. socket_dir: None = the runtime directory.
    :class:`ConfigError` where the socket's path would be too long, or the directory is not safe.
    """

    def __init__(
        self,
        node: str,
        state_dir: Path,
        socket_dir: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        variables = os.environ if environ is None else environ
        registry_dir = runtime_directory(variables)
        label = f"{node[:24]}-{blake2b(os.fsencode(state_dir), digest_size=5).hexdigest()}"
        self.socket_file = (socket_dir or registry_dir) / f"{label}.sock"
        self.registry_file = registry_dir / f"{label}{_SUFFIX}"
        self.control_file = state_dir / CONTROL_FILE
        self.endpoint = f"ipc://{self.socket_file}"
        self.socket_mode = 0o660 if "RUNTIME_DIRECTORY" in variables else 0o600
        self._running = Running(
            node, self.endpoint, os.getpid(), _started(os.getpid()), str(state_dir)
        )
        size = len(os.fsencode(self.socket_file))
        if size > IPC_BYTES_MAX:
            raise ConfigError(
                f"control socket {self.socket_file}: expected a path of at most {IPC_BYTES_MAX}"
                f" bytes, got {size}",
                hint="set [control] socket_dir to a short directory",
            )

    def prepare(self) -> None:
        """Creates the directories (0700) and checks that they are this user's alone.

        :class:`ConfigError` names one that another user owns or others may write."""
        for directory in {self.registry_file.parent, self.socket_file.parent}:
            _private_directory(directory)

    def publish(self) -> None:
        """Writes both files atomically; the socket is bound already. :class:`StoreError`."""
        data = (json.dumps(asdict(self._running), indent=2) + "\n").encode()
        try:
            self.socket_file.chmod(self.socket_mode)
            _replace(self.control_file, data)
            _replace(self.registry_file, data)
        except OSError as error:
            raise StoreError(f"cannot write {error.filename}: {error.strerror}") from error

    def withdraw(self) -> None:
        """Removes socket and files, as far as they are still this process's; idempotent."""
        for path in (self.control_file, self.registry_file):
            with suppress(ControlError, OSError):
                if _read(path) == self._running:
                    path.unlink(missing_ok=True)
        with suppress(OSError):
            self.socket_file.unlink(missing_ok=True)


def runtime_directory(environ: Mapping[str, str] | None = None) -> Path:
    """The unit's under systemd, the session's, or one in ``/tmp`` named by the user's number."""
    variables = os.environ if environ is None else environ
    unit = variables.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if unit:
        return Path(unit)
    session = variables.get("XDG_RUNTIME_DIR", "")
    if session.startswith("/") and Path(session).is_dir():
        return Path(session) / "deid"
    return Path(f"/tmp/deid-{os.getuid()}")


def node_of(state_dir: Path) -> Running:
    """The daemon that runs on ``state_dir``; :class:`NotRunningError` where none does."""
    path = state_dir / CONTROL_FILE
    try:
        running = _read(path)
    except FileNotFoundError:
        hint = "start one with deid run --config FILE"
        if not state_dir.is_dir():
            hint = "name the directory that [node] state_dir names"
        raise NotRunningError(f"no daemon runs on {state_dir}", hint=hint) from None
    except OSError as error:
        raise ControlError(f"{path} cannot be read: {error.strerror}") from error
    if not running.alive():
        raise NotRunningError(
            f"no daemon runs on {state_dir}: the last one (pid {running.pid}) ended without"
            " cleaning up",
            hint="start it again with deid run --config FILE; it goes on where it was",
        )
    return running


def running_nodes(environ: Mapping[str, str] | None = None) -> tuple[Running, ...]:
    """The daemons that run for this user, by name and directory."""
    directory = runtime_directory(environ)
    try:
        names = sorted(e.name for e in os.scandir(directory) if e.name.endswith(_SUFFIX))
    except OSError:
        return ()
    found = []
    for name in names[:NODES_MAX]:
        with suppress(ControlError, OSError):
            running = _read(directory / name)
            if running.alive():
                found.append(running)
    return tuple(sorted(found, key=lambda each: (each.node, each.state_dir)))


def find_node(state_dir: Path | None, environ: Mapping[str, str] | None = None) -> Running:
    """The daemon on ``state_dir``, or the only one that runs for this user.

    :class:`NotRunningError` for none, and for several a list of what runs.
    """
    if state_dir is not None:
        return node_of(state_dir.absolute())
    running = running_nodes(environ)
    if not running:
        raise NotRunningError(
            "no daemon runs for this user",
            hint="start one with deid run --config FILE, or name one with --state-dir DIR",
        )
    if len(running) > 1:
        rows = "; ".join(f"{each.node} ({each.state_dir})" for each in running)
        raise NotRunningError(
            f"{len(running)} daemons run for this user: {rows}",
            hint="name one with --state-dir DIR",
        )
    return running[0]


def _read(path: Path) -> Running:
    """What a control or registry file says; :class:`ControlError` where it is damaged."""
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        values = None
    expected = {each: type(v) for each, v in asdict(Running("", "", 0, 0, "")).items()}
    if not isinstance(values, dict) or any(
        type(values.get(key)) is not kind for key, kind in expected.items()
    ):
        raise ControlError(f"{path}: damaged", hint="remove it, and restart the daemon")
    running = Running(**{key: values[key] for key in expected})
    if running.pid <= 0 or not running.endpoint.startswith("ipc://"):
        raise ControlError(f"{path}: damaged", hint="remove it, and restart the daemon")
    return running


def _replace(path: Path, data: bytes) -> None:
    """Atomic, not durable: after a power cut no daemon runs anyway."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _private_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise StoreError(
            f"cannot create the control directory {path}: {error.strerror}",
            hint="set [control] socket_dir to a directory of your own",
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"control directory {path} is not a directory")
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
        raise ConfigError(
            f"control directory {path}: expected one that is this user's alone, got owner"
            f" {found.st_uid} and mode {stat.S_IMODE(found.st_mode):04o}",
            hint="set [control] socket_dir to a directory of your own (chmod 700)",
        )


def _started(pid: int) -> int:
    """Field 22 of ``/proc/PID/stat`` (proc(5)); 0 where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    after_name = text.rpartition(")")[2].split()
    return int(after_name[19]) if len(after_name) > 19 and re.match(r"\d+\Z", after_name[19]) else 0
