"""Real daemon processes from hand-written configuration files, and what is asked of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deid.control.client import ControlClient
from deid.control.views import RunState, Status
from deid.errors import DeidError
from deid.search.records import Arrived
from deid.store import Head, JournalReader
from deid.wire.item import ItemName, parse_item

DEID = (sys.executable, "-m", "deid.cli.deid")
DEICTL = (sys.executable, "-m", "deid.cli.deictl")
MEMBER = (sys.executable, "-m", "deid.cli.member", str(os.getpid()))  # `deid`, dies with the tests
POLL_S = 0.03
WITHIN_S = 60.0  # what takes a second on a quiet machine

TINY = """\
[domain]
settings = "tiny"
battles = 2
"""


@dataclass
class Node:
    """One daemon: its files, and its process while it runs.

    base: folder of everything, with a short path (the control socket lies in it).
    environ: on top of this process's.
    """

    name: str
    base: Path
    port: int
    seeds: Sequence[int] = ()
    operator: str = 'operator = "edit"'
    rounds: int = 3
    iterations: int = 12
    threads: int = 1
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def state_dir(self) -> Path:
        return self.base / self.name

    @property
    def config_file(self) -> Path:
        return self.base / f"{self.name}.toml"

    @property
    def log_file(self) -> Path:
        return self.base / f"{self.name}.log"

    def write_config(self) -> None:
        kind, _, rest = self.operator.partition("\n")
        addresses = ", ".join(f'"tcp://127.0.0.1:{port}"' for port in self.seeds)
        self.config_file.write_text(
            f"""\
[node]
name = "{self.name}"
state_dir = "{self.state_dir}"
[net]
listen = "tcp://127.0.0.1:{self.port}"
seeds = [{addresses}]
[search]
domain = "corewar"
{kind}
rounds = {self.rounds}
iterations = {self.iterations}
n_init = 4
in_flight = 2
seed = 7
battle_threads = {self.threads}
{rest}
{TINY}""",
            encoding="utf-8",
        )

    def start(self, *flags: str) -> None:
        self.write_config()
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*MEMBER, "run", "--config", str(self.config_file), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(self.base, self.environ),
            )

    def run(self, *flags: str) -> int:
        """Starts the daemon and waits for its end; its exit code."""
        self.start(*flags)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        code = self.process.wait(WITHIN_S)
        self.process = None
        return code

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As kill -9 does, wherever the daemon stands."""
        self.send(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.kill()
            self.process.wait()

    def status(self) -> Status | None:
        """None while no daemon answers."""
        try:
            with ControlClient.find(self.state_dir, WITHIN_S) as client:
                return client.status()
        except DeidError:
            assert self.process is None or self.process.poll() is None, self.log()
            return None

    def deictl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [*DEICTL, "--state-dir", str(self.state_dir), "--timeout", "30", *arguments]
        return finished(command, self.base)

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    # --- Its journal ----------------------------------------------------------------------------

    def journal(self) -> JournalReader:
        return JournalReader(self.state_dir / "journal.sqlite3")

    def head(self) -> Head:
        """Of the journal; an empty one while there is none."""
        with suppress(DeidError), self.journal() as journal:
            return journal.head()
        return Head()

    def has_row(self, seq: int) -> bool:
        """Whether its journal has come that far."""
        return self.head().seq >= seq

    def item_names(self) -> set[ItemName]:
        """Of the published items that it holds."""
        with self.journal() as journal:
            return {parse_item(stored.raw).name for stored in journal.items()}

    def handed(self) -> list[ItemName]:
        """Names of all items that the collective gave to its search, in order."""
        with self.journal() as journal:
            records = (stored.row.record() for stored in journal.rows())
            return [
                ItemName(*item.name) for r in records if isinstance(r, Arrived) for item in r.items
            ]


MakeNode = Callable[..., Node]  # the fixture ``node``: name, and fields of :class:`Node`


def environment(base: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with a runtime directory of the test's own and no setting of a daemon."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DEID_")}
    return {**kept, "XDG_RUNTIME_DIR": str(base), "NO_COLOR": "1", **(extra or {})}


def finished(command: Sequence[str], base: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, env=environment(base), capture_output=True, timeout=WITHIN_S, check=False
    )


def until(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    """Polls ``condition``: other processes give no signal to wait for."""
    end = time.monotonic() + within_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}"
        pause.wait(POLL_S)


def is_done(node: Node) -> bool:
    status = node.status()
    return status is not None and status.state is RunState.DONE


def in_step(nodes: Sequence[Node]) -> bool:
    """Whether all are done and hold as many items as were published."""
    statuses = [status for node in nodes if (status := node.status()) is not None]
    published = sum(status.items_own for status in statuses)
    return len(statuses) == len(nodes) and all(
        status.state is RunState.DONE and status.items_own + status.items_received == published
        for status in statuses
    )


def running_pids(marker: str) -> Iterator[int]:
    """Processes whose command line holds ``marker``, operators' processes not among them."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if marker.encode() in (entry / "cmdline").read_bytes():
                    yield int(entry.name)
