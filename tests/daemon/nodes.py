"""Whole daemons in this process: the toy domain, inline operators, loopback links."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from deid.config import Config, parse_config
from deid.daemon.daemon import Daemon
from deid.plugin import OperatorContext, OperatorPlugin, Proposal, Request, Settings, hookimpl, toy
from deid.plugin.host import PluginHost
from deid.plugin.toy import ToyOperator
from deid.store import JournalReader

HANGS = "hangs"


class Hanging(ToyOperator):
    """Answers ``calls_max`` calls, then none; each daemon has its own."""

    calls_max: int | None = 5
    answered = 0

    async def propose(self, request: Request) -> Proposal:
        if self.answered == self.calls_max:
            await asyncio.Event().wait()
        self.answered += 1
        return await super().propose(request)


class Operators:
    """A plugin with operators that tests need."""

    @hookimpl
    def deid_operators(self) -> Iterable[OperatorPlugin]:
        def make(settings: Settings, context: OperatorContext) -> Hanging:
            return Hanging(context)

        return [OperatorPlugin(HANGS, "Stops after a while.", make)]


def toy_host() -> PluginHost:
    plugins = PluginHost(())
    plugins.register(toy, "toy")
    plugins.register(Operators(), "hanging")
    return plugins


def config(
    root: Path,
    name: str = "alpha",
    *,
    seeds: Sequence[str] = (),
    operator: str = "toy",
    rounds: int = 2,
    more: str = "",
    **search: object,
) -> Config:
    lines = "\n".join(f"{key} = {value}" for key, value in search.items())
    return parse_config(
        f"""
[node]
name = "{name}"
state_dir = "{root}/{name}"
[net]
listen = "tcp://127.0.0.1:0"
seeds = {list(seeds)!r}
[search]
domain = "toy"
operator = "{operator}"
rounds = {rounds}
iterations = 8
n_init = 3
battle_threads = 1
{lines}
[operator]
isolation = "inline"
[control]
socket_dir = "{root}"
{more}
"""
    )


@asynccontextmanager
async def running(
    settings: Config, *, until_done: bool = False, linger_s: float = 0.0
) -> AsyncIterator[tuple[Daemon, asyncio.Task[None]]]:
    """A daemon that is open and runs; stopped, awaited and closed at the end."""
    daemon = Daemon(settings, toy_host())
    await daemon.open()
    run = asyncio.create_task(daemon.run(until_done=until_done, linger_s=linger_s))
    try:
        yield daemon, run
    finally:
        daemon.request_stop()
        await asyncio.gather(run, return_exceptions=True)
        await daemon.close()


async def whole(settings: Config) -> Daemon:
    """A daemon alone, from its first to its last round; closed."""
    async with running(settings) as (daemon, _):
        await daemon.loop.finished.wait()
    return daemon


def journal_hash(settings: Config) -> str:
    """Of the state directory at rest."""
    with JournalReader(settings.node.state_dir / "journal.sqlite3") as reader:
        assert reader.verify().holds
        return reader.head().chain.hex()


@contextmanager
def short_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose path is short enough for sockets, the runtime directory in it."""
    path = Path(tempfile.mkdtemp(prefix="deid-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    try:
        yield path
    finally:
        shutil.rmtree(path)
