"""``deid run``: from a configuration to an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon.loops import until
from daemon.nodes import config, short_root, toy_host
from daemon.support import run

from deid.daemon import main
from deid.daemon.daemon import Daemon
from deid.errors import ConfigError, DeidError


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_root(monkeypatch) as path:
        yield path


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    """The daemons that ``main`` makes, with the toy plugins."""
    daemons: list[Daemon] = []

    def make(settings: Any) -> Daemon:
        daemons.append(Daemon(settings, toy_host()))
        return daemons[-1]

    monkeypatch.setattr(main, "Daemon", make)
    return daemons


def no_handlers() -> bool:
    own = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    return own == (signal.SIG_DFL, signal.default_int_handler)


def test_it_returns_zero_when_its_rounds_are_done(root: Path, made: list[Daemon]) -> None:
    code = run(main.run(config(root, rounds=1), until_done=True, linger_s=0.0))

    assert code == 0
    assert made[0].loop.done
    assert not (root / "alpha" / "control.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(root: Path, made: list[Daemon], number: int) -> None:
    async def test() -> None:
        running = asyncio.create_task(
            main.run(config(root, rounds=0), until_done=False, linger_s=0.0)
        )
        await until(
            lambda: bool(made) and hasattr(made[0], "loop") and made[0].loop.engine.round > 0
        )
        os.kill(os.getpid(), number)

        assert await running == 0
        assert made[0].journal.state.value == "closed"
        assert made[0].loop.engine.round > 0
        assert no_handlers()

    run(test())


def test_a_signal_while_an_operator_is_being_built_ends_it_too(
    root: Path, made: list[Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Daemon] = []

    async def slow(self: Daemon) -> None:
        started.append(self)
        await asyncio.Event().wait()

    async def test() -> None:
        monkeypatch.setattr(Daemon, "_open_engine", slow)
        running = asyncio.create_task(main.run(config(root), until_done=False, linger_s=0.0))
        await until(lambda: bool(started))
        os.kill(os.getpid(), signal.SIGTERM)

        assert await running == 0
        assert made[0].journal.state.value == "closed"

    run(test())


def test_a_second_signal_ends_it_at_once(
    root: Path, made: list[Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(main.os, "_exit", codes.append)

    async def test() -> None:
        running = asyncio.create_task(
            main.run(config(root, rounds=0), until_done=False, linger_s=0.0)
        )
        await until(lambda: bool(made) and hasattr(made[0], "loop"))
        made[0].request_stop()
        os.kill(os.getpid(), signal.SIGTERM)

        assert await running == 0
        assert codes == [130]

    run(test())


def test_a_wrong_configuration_is_raised_and_leaves_nothing_behind(
    root: Path, made: list[Daemon]
) -> None:
    async def test() -> None:
        with pytest.raises(ConfigError, match="unknown operator 'tyo'"):
            await main.run(config(root, operator="tyo"), until_done=False, linger_s=0.0)
        assert no_handlers()
        assert await main.run(config(root, rounds=1), until_done=True, linger_s=0.0) == 0

    run(test())


def test_what_ends_the_search_is_raised_once_all_is_closed(
    root: Path, made: list[Daemon], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> object:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("deid.plugin.toy.ToyDomain.evaluate", broken)
    with pytest.raises(DeidError, match="evaluate raised ZeroDivisionError"):
        run(main.run(config(root), until_done=False, linger_s=0.0))

    assert made[0].journal.state.value == "closed"


def test_cancelling_it_closes_the_daemon(root: Path, made: list[Daemon]) -> None:
    async def test() -> None:
        running = asyncio.create_task(
            main.run(config(root, rounds=0), until_done=False, linger_s=0.0)
        )
        await until(lambda: bool(made) and hasattr(made[0], "loop"))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert made[0].journal.state.value == "closed"

    run(test())
