"""Operators that misbehave in every way we could think of; loaded by real child processes.

Setting ``how`` names the way; only calls with ``iteration`` :data:`BAD` misbehave, all others are
answered at once, so that a test sees what a bad call costs the good ones beside it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from deid.errors import ConfigError
from deid.plugin import (
    Message,
    ModelFailure,
    OperatorContext,
    OperatorPlugin,
    Proposal,
    Request,
    Settings,
    hookimpl,
)

BAD = 666
GOOD_TEXT = "start 5\nalways add 3\n"


class Unheard(BaseException):
    """No Exception, so that a careless ``except Exception`` misses it."""


class BadOperator:
    def __init__(self, how: str, path: str, context: OperatorContext) -> None:
        self._act = cast(Callable[[Request], Any], getattr(self, how.replace("-", "_")))
        self._path = path
        self._context = context
        self._leak: list[bytearray] = []

    async def propose(self, request: Request) -> Proposal:
        if request.iteration != BAD:
            return Proposal((GOOD_TEXT,), note=os.environ.get("OMP_NUM_THREADS", ""))
        answer = self._act(request)
        return await answer if asyncio.iscoroutine(answer) else answer

    def raises(self, request: Request) -> Proposal:
        raise ZeroDivisionError("on purpose")

    def raises_unheard(self, request: Request) -> Proposal:
        raise Unheard("on purpose")

    def raises_cancelled(self, request: Request) -> Proposal:
        raise asyncio.CancelledError

    def exits(self, request: Request) -> Proposal:
        sys.exit(3)

    def exits_hard(self, request: Request) -> Proposal:
        os._exit(4)

    def crashes(self, request: Request) -> Proposal:
        ctypes.string_at(0)
        raise AssertionError("still alive")

    def blocks(self, request: Request) -> Proposal:
        threading.Event().wait()
        raise AssertionError("woken")

    async def hangs(self, request: Request) -> Proposal:
        await asyncio.Event().wait()
        raise AssertionError("woken")

    async def clings(self, request: Request) -> Proposal:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    def prints(self, request: Request) -> Proposal:
        print("from python")
        os.write(1, b"from descriptor 1\n")
        subprocess.run(["echo", "from a child"], check=True)
        return Proposal((GOOD_TEXT,))

    def floods(self, request: Request) -> Proposal:
        for _ in range(20_000):
            print("noise " * 20, file=sys.stderr)
        return Proposal((GOOD_TEXT,))

    def returns_rubbish(self, request: Request) -> Any:
        return 42

    def returns_numbers(self, request: Request) -> Proposal:
        return Proposal(cast(Any, (1, 2, 3)))

    def returns_half_a_character(self, request: Request) -> Proposal:
        return Proposal(("\ud800",))

    def returns_many(self, request: Request) -> Proposal:
        return Proposal((GOOD_TEXT,) * 10_000)

    def returns_huge(self, request: Request) -> Proposal:
        return Proposal(("x" * (32 << 20),))

    def leaks(self, request: Request) -> Proposal:
        while True:
            self._leak.append(bytearray(64 << 20))

    def forks_and_dies(self, request: Request) -> Proposal:
        self._fork()
        os._exit(5)

    def forks_and_blocks(self, request: Request) -> Proposal:
        self._fork()
        threading.Event().wait()
        raise AssertionError("woken")

    def closes_descriptors(self, request: Request) -> Proposal:
        os.closerange(3, 64)
        return Proposal((GOOD_TEXT,))

    def garbles_the_channel(self, request: Request) -> Proposal:
        for fd in range(3, 64):
            try:
                os.write(fd, b"\xff" * 64)
            except OSError:
                continue
        return Proposal((GOOD_TEXT,))

    async def asks_the_model(self, request: Request) -> Proposal:
        reply = await self._context.complete(request, [Message("user", "hello")], {"top_p": 0.5})
        return Proposal((reply.text,), model=reply.model)

    async def asks_the_model_in_tasks(self, request: Request) -> Proposal:
        asked = (self._context.complete(request, [Message("user", str(n))]) for n in range(3))
        return Proposal(tuple(reply.text for reply in await asyncio.gather(*asked)))

    async def swallows_failures(self, request: Request) -> Proposal:
        try:
            await self._context.complete(request, [Message("user", "hello")])
        except ModelFailure:
            return Proposal((GOOD_TEXT,))
        raise AssertionError("the model answered")

    def shows_environment(self, request: Request) -> Proposal:
        shown = "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))
        return Proposal((shown,))

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        Path(self._path).write_text(str(pid), encoding="ascii")


def _create(settings: Settings, context: OperatorContext) -> BadOperator:
    how = str(settings.get("how", "raises"))
    if how == "cannot-be-built":
        raise RuntimeError("no such luck")
    if how == "dies-when-built":
        os._exit(6)
    if how == "hangs-when-built":
        threading.Event().wait()
    if not hasattr(BadOperator, how.replace("-", "_")):
        raise ConfigError(f"operator 'bad': how is unknown: {how!r}", hint="read the code")
    return BadOperator(how, str(settings.get("path", "")), context)


@hookimpl
def deid_operators() -> Iterable[OperatorPlugin]:
    return [
        OperatorPlugin("bad", "Misbehaves.", _create),
        OperatorPlugin("bad-asker", "Misbehaves with a model.", _create, needs_model=True),
    ]
