"""What the daemon's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from daemon import bad_operators

from deid.daemon.operators import ProcessOptions, make_operator
from deid.plugin import (
    Completion,
    Kind,
    Message,
    ModelFailure,
    ModelRequest,
    Request,
    Settings,
    Usage,
    toy,
)
from deid.plugin.host import PluginHost

T = TypeVar("T")

TEST_S = 20.0  # the most that one asynchronous test may take
MODULES = ("deid.plugin.toy", "daemon.bad_operators")
BAD = bad_operators.BAD


def run(test: Coroutine[Any, Any, T]) -> T:
    """Runs a test on a loop of its own, and fails it if it hangs."""
    return asyncio.run(asyncio.wait_for(test, TEST_S), debug=False)


def host() -> PluginHost:
    plugins = PluginHost(())
    plugins.register(toy, "deid.plugin.toy")
    plugins.register(bad_operators, "daemon.bad_operators")
    return plugins


def request(iteration: int = 1, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "kind": Kind.NEW,
        "parents": (),
        "inspirations": (),
        "feedback": (),
        "seed": 7,
        "round": 3,
        "iteration": iteration,
        "deadline_s": 10.0,
        "candidates_max": 4,
    }
    return Request(**{**fields, **changes})


def operator(
    how: str, *, isolation: str = "process", kind: str = "bad", path: str = "", **options: Any
) -> Any:
    """A bad operator, ``options`` being those of its process (``breaker`` apart)."""
    breaker = options.pop("breaker", None)
    return make_operator(
        host(),
        kind,
        {"how": how, "path": path} if path else {"how": how},
        "toy",
        {},
        "alpha",
        1,
        isolation,
        options=ProcessOptions(
            **{"modules": MODULES, "restart_s": 0.01, "cancel_grace_s": 5.0, **options}
        ),
        breaker=breaker,
    )


@dataclass
class FakeModelCall:
    """A model that echoes, counts, and raises what it is told to."""

    error: Exception | None = None
    begun: int = 0
    asked: list[tuple[tuple[Message, ...], dict[str, object]]] = field(default_factory=list)

    async def begin(self) -> None:
        self.begun += 1

    async def complete(
        self, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        self.asked.append((tuple(messages), dict(options or {})))
        if self.error is not None:
            raise self.error
        return Completion(f"echo {messages[-1].content}", "fake-1", Usage(3, 2))


class ScriptedBackend:
    """A model backend that does what its script says, one entry a request.

    An entry is a text (the reply), a failure to raise, anything else to return as it is, or None
    to hang.
    """

    def __init__(self, *script: object) -> None:
        self.script = list(script)
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self.reached = asyncio.Event()  # a request that hangs has come

    async def send(self, request: ModelRequest) -> Completion:
        self.requests.append(request)
        entry = self.script.pop(0)
        if entry is None:
            self.reached.set()
            await asyncio.Event().wait()
        if isinstance(entry, Exception):
            raise entry
        if isinstance(entry, str):
            return Completion(entry, "fake-1", Usage(100, 20))
        return entry  # type: ignore[return-value]

    async def close(self) -> None:
        self.closed += 1


class FakeClock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept: list[float] = []

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return int(self.now_s * 1_000)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def rate_limited(after_s: float | None = None) -> ModelFailure:
    return ModelFailure("rate-limited", "429", retry=True, retry_after_s=after_s)
