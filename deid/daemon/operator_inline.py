"""An operator on the daemon's own loop: for tests and virtual time, with code that is trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from deid.daemon.breaker import BreakerPolicy
from deid.daemon.operator_port import (
    MESSAGE_CHARS_MAX,
    NO_MODEL,
    ModelCall,
    OperatorCounters,
    Relay,
    Watch,
    known_outcome,
)
from deid.daemon.proposals import GarbageError, Taken
from deid.errors import OperatorFailure
from deid.plugin.contracts import (
    Completion,
    Domain,
    Message,
    ModelFailure,
    Operator,
    OperatorPlugin,
    Proposal,
    Request,
    Settings,
)

__all__ = ["InlineContext", "InlineOperator"]

_RELAY: ContextVar[Relay] = ContextVar("deid_relay")  # of the call that the running task answers


@dataclass(slots=True)
class InlineContext:
    """The :class:`OperatorContext` of an operator on the daemon's own loop."""

    domain: Domain
    node: str
    seed: int

    async def complete(
        self, request: Request, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """A reply on behalf of the call that this task belongs to."""
        relay = _RELAY.get(None)
        if relay is None:
            raise RuntimeError("complete() belongs inside propose(), in its task or in one of its")
        return await relay.complete(messages, options)


class InlineOperator:
    """An operator without a process: deterministic under virtual time, contains no crash."""

    def __init__(
        self,
        plugin: OperatorPlugin,
        settings: Settings,
        context: InlineContext,
        breaker: BreakerPolicy | None = None,
    ) -> None:
        self.kind = plugin.name
        self.needs_model = plugin.needs_model
        self._plugin = plugin
        self._settings = settings
        self._context = context
        self._operator: Operator | None = None
        self._watch = Watch(plugin.name, breaker)

    async def start(self) -> None:
        """Builds the operator; what its factory raises comes as it is."""
        if self._operator is None:
            self._operator = self._plugin.create(self._settings, self._context)

    async def propose(self, request: Request, model: ModelCall = NO_MODEL) -> Proposal:
        """See :class:`OperatorPort`."""
        await self.start()
        relay = Relay(model)
        return await self._watch.run(self._ask, request, relay)

    async def available(self) -> None:
        """See :class:`OperatorPort`."""
        await self._watch.available()

    def counters(self) -> OperatorCounters:
        """See :class:`OperatorPort`."""
        return self._watch.counters()

    async def close(self) -> None:
        """Nothing to end."""

    async def _ask(self, request: Request, relay: Relay) -> Taken:
        assert self._operator is not None
        token = _RELAY.set(relay)
        try:
            async with asyncio.timeout(request.deadline_s) as limit:
                answer = await self._operator.propose(request)
            return Taken.of(answer, request.candidates_max)
        except TimeoutError as error:
            if not limit.expired():
                raise self._failure("raised", f"TimeoutError: {error}") from error
            raise self._failure("timed-out", f"no answer in {request.deadline_s:g} s") from error
        except GarbageError as error:
            raise self._failure("garbage", str(error)) from error
        except ModelFailure as error:
            raise self._failure(known_outcome(error.outcome), str(error)) from error
        except (Exception, SystemExit) as error:
            raise self._failure("raised", f"{type(error).__name__}: {error}") from error
        finally:
            _RELAY.reset(token)

    def _failure(self, outcome: str, message: str) -> OperatorFailure:
        return OperatorFailure(self.kind, outcome, message[:MESSAGE_CHARS_MAX])
