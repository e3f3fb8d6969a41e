"""A control server in a thread of its own, so that blocking clients can be tried against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from control.fake import FakeDaemon

from deid.daemon.control_server import ControlServer


@dataclass(frozen=True, slots=True)
class Served:
    """state_dir: what clients name; environ: with the runtime directory of this test."""

    daemon: FakeDaemon
    server: ControlServer
    state_dir: Path
    loop: asyncio.AbstractEventLoop

    def on_loop(self, call: Callable[[], object]) -> None:
        """Runs ``call`` on the server's loop and waits for it."""
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(5)


@contextmanager
def serving(root: Path, name: str = "alpha") -> Iterator[Served]:
    """A served fake daemon; ``root/run`` is its runtime directory."""
    state_dir = root / name
    state_dir.mkdir()
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Served] = []
    failures: list[BaseException] = []

    async def main() -> None:
        daemon = FakeDaemon()
        environ = {"XDG_RUNTIME_DIR": str(root)}
        async with ControlServer(daemon, name, state_dir, environ=environ) as server:
            found.append(Served(daemon, server, state_dir, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=body)
    thread.start()
    assert ready.wait(10)
    try:
        if failures:
            raise failures[0]
        yield found[0]
    finally:
        if found:
            found[0].loop.call_soon_threadsafe(stop.set)
        thread.join(10)
    assert not failures and not thread.is_alive()
