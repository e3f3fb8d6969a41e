"""The daemon's view of an operator, however it is run: port, model relay, breaker and counters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from deid.daemon.breaker import Breaker, BreakerPolicy
from deid.daemon.proposals import OUTCOMES, Taken
from deid.errors import DeidError, OperatorFailure
from deid.plugin.contracts import (
    Completion,
    Message,
    ModelFailure,
    Proposal,
    Request,
    Settings,
)

__all__ = [
    "MESSAGE_CHARS_MAX",
    "NO_MODEL",
    "Ask",
    "ModelCall",
    "OperatorCounters",
    "OperatorPort",
    "Relay",
    "Watch",
    "known_outcome",
]

MESSAGE_CHARS_MAX = 500  # of a failure's reason


class ModelCall(Protocol):
    """Attempts and model of one call of an operator (:class:`deid.daemon.attempts.Call`)."""

    async def begin(self) -> None:
        """The call is admitted and about to be made: where an operator without a model makes its
        attempt. Whatever is raised ends the call before the operator sees it."""

    async def complete(
        self, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """One reply; :class:`ModelFailure` for what an operator may handle, any
        :class:`DeidError` for what ends the call whatever the operator does."""


class _NoModel:
    async def begin(self) -> None:
        return

    async def complete(
        self, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        raise ModelFailure("refused", "no model is configured for this operator", retry=False)


NO_MODEL: Final[ModelCall] = _NoModel()


@dataclass(frozen=True, slots=True)
class OperatorCounters:
    """What ``deictl operators`` shows of one operator, at one moment.

    calls: asked so far, refused ones included; succeeded; failures: (outcome, count), by outcome.
    candidates, surplus: taken, and left out because they were too many.
    restarts: of its process after the first start; cpu_s: of all its processes.
    breaker: ``closed``, ``open`` or ``half-open``; failures_in_row; retry_in_s: until a call may
    be tried, 0 when it may be now. pid: 0 where it has no process. last_failure: one line.
    """

    kind: str
    calls: int
    succeeded: int
    failures: tuple[tuple[str, int], ...]
    candidates: int
    surplus: int
    in_flight: int
    restarts: int
    breaker: str
    failures_in_row: int
    retry_in_s: float
    cpu_s: float
    pid: int
    last_failure: str


class OperatorPort(Protocol):
    """One operator, as the daemon's loop uses it."""

    kind: str
    needs_model: bool

    async def start(self) -> None:
        """Builds it; :class:`deid.errors.ConfigError` for a wrong setting,
        :class:`deid.errors.PluginError` for a plugin that cannot be built."""

    async def propose(self, request: Request, model: ModelCall = NO_MODEL) -> Proposal:
        """A checked proposal; :class:`OperatorFailure` with its outcome, or what ``model`` raised
        beside :class:`ModelFailure`. Cancelling the task gives the call up."""

    async def available(self) -> None:
        """Returns when a call would not be refused: where a loop waits instead of failing fast."""

    def counters(self) -> OperatorCounters:
        """The figures of this moment."""

    async def close(self) -> None:
        """Ends it; calls in flight fail. Idempotent."""


class Relay:
    """A call's way to its model that remembers what no operator may swallow.

    fatal: the last error that was no :class:`ModelFailure` (a spent budget, a journal that
    disagrees): the operator sees a failed model, the caller of ``propose`` the error itself.
    """

    __slots__ = ("_model", "begin", "fatal")

    def __init__(self, model: ModelCall) -> None:
        self.begin = model.begin
        self._model = model
        self.fatal: DeidError | None = None

    async def complete(
        self, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """As :meth:`ModelCall.complete`, with nothing but :class:`ModelFailure` raised."""
        try:
            return await self._model.complete(messages, options)
        except DeidError as error:
            self.fatal = error
            raise ModelFailure("refused", error.message, retry=False) from error


Ask: TypeAlias = Callable[[Request, Relay], Awaitable[Taken]]


class Watch:
    """Breaker and counters around the calls of one operator; times are of the running loop."""

    def __init__(self, kind: str, policy: BreakerPolicy | None = None) -> None:
        self._kind = kind
        self._breaker = Breaker(policy)
        self._calls = self._succeeded = self._candidates = self._surplus = self._in_flight = 0
        self._failures: Counter[str] = Counter()
        self._last_failure = ""

    async def run(self, ask: Ask, request: Request, relay: Relay) -> Proposal:
        """The proposal that ``ask`` takes, counted; a refused call is not asked."""
        self._calls += 1
        if not self._breaker.admit(_now()):
            raise self._failed(self._refusal())
        self._in_flight += 1
        try:
            await relay.begin()
            taken = await ask(request, relay)
        except OperatorFailure as failure:
            if relay.fatal is not None:
                self._breaker.gave_up()
                raise relay.fatal from None
            self._breaker.failed(_now())
            raise self._failed(failure) from failure.__cause__
        except BaseException:
            self._breaker.gave_up()
            raise
        finally:
            self._in_flight -= 1
        if relay.fatal is not None:
            self._breaker.gave_up()
            raise relay.fatal
        self._breaker.succeeded()
        self._succeeded += 1
        self._candidates += len(taken.proposal.candidates)
        self._surplus += taken.surplus
        return taken.proposal

    async def available(self) -> None:
        """Returns when a call would be admitted."""
        while (wait_s := self._breaker.wait_s(_now())) > 0:  # noqa: ASYNC110 - time decides
            await asyncio.sleep(wait_s)

    def counters(self, restarts: int = 0, cpu_s: float = 0.0, pid: int = 0) -> OperatorCounters:
        """The figures, with those that a process adds."""
        return OperatorCounters(
            kind=self._kind,
            calls=self._calls,
            succeeded=self._succeeded,
            failures=tuple(sorted(self._failures.items())),
            candidates=self._candidates,
            surplus=self._surplus,
            in_flight=self._in_flight,
            restarts=restarts,
            breaker=self._breaker.state.value,
            failures_in_row=self._breaker.failures,
            retry_in_s=self._breaker.wait_s(_now()),
            cpu_s=cpu_s,
            pid=pid,
            last_failure=self._last_failure,
        )

    def _failed(self, failure: OperatorFailure) -> OperatorFailure:
        self._failures[failure.outcome] += 1
        if failure.outcome != "refused":
            self._last_failure = failure.message[:MESSAGE_CHARS_MAX]
        return failure

    def _refusal(self) -> OperatorFailure:
        wait_s = self._breaker.wait_s(_now())
        return OperatorFailure(
            self._kind,
            "refused",
            f"not asked: it failed {self._breaker.failures} times in a row;"
            f" tried again in {wait_s:.1f} s",
            hint=self._last_failure or None,
        )


def known_outcome(word: str) -> str:
    """An outcome word as it is, ``raised`` where a plugin made one up."""
    return word if word in OUTCOMES else "raised"


def _now() -> float:
    return asyncio.get_running_loop().time()
