"""The daemon owns every attempt: reserve, journal, send, journal the reply, settle.

An attempt is one request to a model; an operator without a model makes one a call. Its key is
(round, iteration, ordinal within the call), in this node's journal. Attempts of one call are made
one after the other, so ordinals do not depend on timing. After a restart a key that the journal
knows is served from it, without a request; an attempt that was under way when the daemon died
stays charged and does not count as known.

What an attempt costs at most is held before the request leaves: every token is at least one byte
of what is sent, and output is limited by the request. A reply settles it; where the outcome is
unknown the reservation stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from deid.daemon.attempt_log import AttemptLog, MemoryAttemptLog
from deid.daemon.budget import Amount, Budget, Price
from deid.daemon.model_wire import Wire, decode_reply, encode_reply, send, settled_usage
from deid.daemon.retries import Clock, LoopClock, RetryPolicy
from deid.errors import ConfigError, JournalError
from deid.plugin.contracts import (
    Completion,
    Message,
    ModelBackend,
    ModelFailure,
    Request,
    Settings,
    Usage,
)
from deid.search.canonical import digest
from deid.search.streams import Stream
from deid.store.values import Attempt, AttemptState

__all__ = [
    "AttemptLog",
    "Attempts",
    "Call",
    "Clock",
    "LoopClock",
    "MemoryAttemptLog",
    "Model",
    "RetryPolicy",
    "Spent",
]

_KNOWN: Final = frozenset((AttemptState.SETTLED, AttemptState.UNKNOWN))


@dataclass(frozen=True, slots=True)
class Model:
    """One ``[[model]]`` of the configuration.

    options: sent with every request, an operator's own options on top of them.
    max_output_tokens: bound of every reply. attempt_timeout_s: of one request.
    price: None where it is unknown; a model that costs nothing has a price of 0.
    in_flight_max: requests under way.
    secrets: texts that a failure's message may not carry into journal or log.
    """

    name: str
    backend: ModelBackend
    model: str = ""
    options: Settings | None = None
    max_output_tokens: int = 1_024
    attempt_timeout_s: float = 60.0
    price: Price | None = None
    in_flight_max: int = 8
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call came to. attempts: made for it, now or before a restart."""

    attempts: int
    usage: Usage


class Attempts:
    """The attempts of one node.

    models: by name; an operator that names none gets the first. budget: see
    :class:`deid.daemon.budget.Budget`. node, seed: name the stream of the pauses' jitter.
    """

    def __init__(
        self,
        log: AttemptLog,
        models: Mapping[str, Model],
        budget: Budget,
        clock: Clock,
        *,
        node: str,
        seed: int,
        retries: RetryPolicy | None = None,
    ) -> None:
        for model in models.values():
            if model.price is None and budget.state().limits.usd_max is not None:
                raise ConfigError(
                    f"budget: usd_max needs the price of model {model.name!r}",
                    hint="give it a price; 0 for a model that costs nothing",
                )
        self.budget = budget
        self.log = log
        self._models = dict(models)
        self.clock = clock
        self.node = node
        self.seed = seed
        self.retries = retries or RetryPolicy()
        self.slots = {
            name: asyncio.Semaphore(model.in_flight_max) for name, model in models.items()
        }
        self.under_way: set[asyncio.Task[Completion | ModelFailure]] = set()

    def open(
        self,
        operator: str,
        request: Request,
        *,
        needs_model: bool,
        model: str = "",
        budget: Budget | None = None,
    ) -> Call:
        """The attempts of one call; :class:`ConfigError` for a model that is not configured.

        budget: the operator's own, with the node's as its outer one.
        """
        chosen = self.model(operator, model) if needs_model else None
        return Call(self, operator, request, chosen, budget or self.budget)

    def model(self, operator: str, name: str = "") -> Model:
        """The model that ``operator`` uses: the one called ``name``, or the first."""
        name = name or next(iter(self._models), "")
        found = self._models.get(name)
        if found is None:
            known = ", ".join(self._models) or "none"
            raise ConfigError(
                f"operator {operator!r} needs a model {name!r}; have: {known}".replace(" ''", ""),
                hint="add a [model] table",
            )
        return found

    async def close(self) -> None:
        """Gives up requests under way, whose reservations stay, and closes the backends."""
        for task in self.under_way:
            task.cancel()
        if self.under_way:
            await asyncio.wait(self.under_way)
        for model in self._models.values():
            await model.backend.close()


class Call:
    """One call's way to its model; a :class:`deid.daemon.operator_port.ModelCall`."""

    def __init__(
        self,
        attempts: Attempts,
        operator: str,
        request: Request,
        model: Model | None,
        budget: Budget,
    ) -> None:
        self._owner = attempts
        self._operator = operator
        self._request = request
        self._model = model
        self._budget = budget
        self._lock = asyncio.Lock()
        self._jitter = Stream(
            attempts.seed, attempts.node, "retry", request.round, request.iteration
        )
        self._ordinal = 0
        self._deadline_s = attempts.clock.monotonic_s() + request.deadline_s
        self._spent = Spent(0, Usage())
        self._plain: Attempt | None = None
        self._journalled: list[Attempt] | None = None

    @property
    def spent(self) -> Spent:
        """Attempts and reported usage of this call so far."""
        return self._spent

    async def begin(self) -> None:
        """Makes the one attempt of an operator without a model; :class:`BudgetSpent`."""
        if self._model is not None:
            return
        request = self._request
        name = digest([self._operator, request.round, request.iteration, request.seed])
        if self._known(0, name) is not None:
            self._count(Usage())
            return  # it was charged before a restart
        one = Amount(attempts=1)
        self._budget.reserve(one)
        self._count(Usage())
        self._plain = self._reserved(0, name, b"", Usage(), 0)
        try:
            await self._owner.log.write(self._plain)
        finally:
            self._budget.settle(one, one)

    def end(self, outcome: str) -> None:
        """Says what the call came to (``ok`` or a failure's word)."""
        if self._plain is not None:
            self._owner.log.post(
                replace(
                    self._plain,
                    state=AttemptState.SETTLED,
                    outcome=outcome,
                    settled_micro_usd=0,
                    settled_ms=self._owner.clock.wall_ms(),
                )
            )
            self._plain = None

    async def complete(
        self, messages: Sequence[Message], options: Settings | None = None
    ) -> Completion:
        """One reply, after as many attempts as it takes.

        :class:`ModelFailure` when they are used up; :class:`deid.daemon.budget.BudgetSpent`;
        :class:`JournalError` where the journal holds another request under the same key.
        """
        model = self._model
        if model is None:
            raise ModelFailure(
                "refused", "this operator is registered as one without a model", retry=False
            )
        wire = Wire.of(
            model.name, model.model, messages, model.options, options, model.max_output_tokens
        )
        owner = self._owner
        async with self._lock:
            tries = 0
            while True:
                tries += 1
                answer, served = await self._next(model, wire)
                if isinstance(answer, Completion):
                    return answer
                if not answer.retry or tries == owner.retries.attempts_max:
                    raise answer
                if served:
                    continue  # the pause was made before the restart
                pause_s = owner.retries.pause_s(tries, answer, self._jitter)
                if pause_s >= self._left_s():
                    raise answer
                await owner.clock.sleep(pause_s)

    async def _next(self, model: Model, wire: Wire) -> tuple[Completion | ModelFailure, bool]:
        """The next attempt's answer, and whether the journal gave it."""
        known = self._known(self._ordinal, wire.request_hash)
        if known is not None:
            self._ordinal += 1
            self._count(Usage(*known.usage) if known.state is AttemptState.SETTLED else Usage())
            return decode_reply(known), True
        slot = self._owner.slots[model.name]
        await slot.acquire()
        attempt = asyncio.create_task(self._attempt(model, wire, self._ordinal))
        self._owner.under_way.add(attempt)
        attempt.add_done_callback(self._landed)
        attempt.add_done_callback(lambda _: slot.release())
        # A caller that gives up does not call the attempt back: it is paid for, so its reply and
        # usage are journalled all the same.
        answer = await asyncio.shield(attempt)
        self._ordinal += 1
        return answer, False

    def _landed(self, task: asyncio.Task[Completion | ModelFailure]) -> None:
        self._owner.under_way.discard(task)
        if not task.cancelled():
            task.exception()  # its caller got it, or gave up

    async def _attempt(self, model: Model, wire: Wire, ordinal: int) -> Completion | ModelFailure:
        """One request, from reservation to settlement."""
        if self._left_s() <= 0:
            return ModelFailure("timed-out", "no time left for a request", retry=False)
        log = self._owner.log
        worst = Usage(wire.input_tokens_max, wire.output_tokens_max)
        held = _amount(worst, model.price)
        self._budget.reserve(held)
        actual = held
        try:
            row = self._reserved(
                ordinal, wire.request_hash, wire.request, worst, held.micro_usd, model
            )
            await log.write(row)
            self._count(Usage())
            answer = await self._send(model, wire)
            usage = settled_usage(answer, wire)
            row = self._settled(row, answer, usage, model)
            if usage is not None:
                actual = _amount(usage, model.price)
                self._spent = replace(self._spent, usage=self._spent.usage + usage)
        finally:
            self._budget.settle(held, actual)
        await log.write(row)
        return answer

    async def _send(self, model: Model, wire: Wire) -> Completion | ModelFailure:
        left_s = self._left_s()
        if left_s <= 0:  # the journal took that long
            message = "no time left after it was journalled; nothing was sent"
            return ModelFailure("timed-out", message, retry=False, usage=Usage())
        timeout_s = min(model.attempt_timeout_s, left_s)
        return await send(model.name, model.backend, model.secrets, wire, timeout_s)

    def _left_s(self) -> float:
        return self._deadline_s - self._owner.clock.monotonic_s()

    def _reserved(
        self,
        ordinal: int,
        request_hash: bytes,
        request: bytes,
        worst: Usage,
        micro_usd: int,
        model: Model | None = None,
    ) -> Attempt:
        rows = self._rows()
        serials = [row.serial for row in rows if row.ordinal == ordinal]
        attempt = Attempt(
            round=self._request.round,
            iteration=self._request.iteration,
            ordinal=ordinal,
            serial=max(serials, default=-1) + 1,
            request_hash=request_hash,
            state=AttemptState.RESERVED,
            operator=self._operator,
            model="" if model is None else model.name,
            request=request,
            usage=_columns(worst),
            reserved_micro_usd=micro_usd,
            reserved_ms=self._owner.clock.wall_ms(),
        )
        rows.append(attempt)
        return attempt

    def _settled(
        self, row: Attempt, answer: Completion | ModelFailure, usage: Usage | None, model: Model
    ) -> Attempt:
        """``row`` with its answer; usage None: unknown, so the reservation stays."""
        row = replace(
            row,
            outcome="ok" if isinstance(answer, Completion) else answer.outcome,
            reply=encode_reply(answer),
            settled_ms=self._owner.clock.wall_ms(),
        )
        if usage is None:
            return replace(row, state=AttemptState.UNKNOWN)
        return replace(
            row,
            state=AttemptState.SETTLED,
            usage=_columns(usage),
            settled_micro_usd=_amount(usage, model.price).micro_usd,
        )

    def _known(self, ordinal: int, request_hash: bytes) -> Attempt | None:
        """What an earlier daemon settled under this key; :class:`JournalError` if it differs."""
        for row in self._rows():
            if row.ordinal == ordinal and row.state in _KNOWN:
                if row.request_hash != request_hash:
                    key = (self._owner.node, row.round, row.iteration, ordinal)
                    raise JournalError(
                        f"attempt {key} of operator {self._operator!r}: the journal holds request"
                        f" {row.request_hash.hex()}, this daemon would send {request_hash.hex()}",
                        hint="restore the settings of operator and model, or begin a new run",
                    )
                return row
        return None

    def _rows(self) -> list[Attempt]:
        """This call's attempts as they were when it began, and those that it reserved."""
        if self._journalled is None:
            request = self._request
            found = self._owner.log.attempts_for(request.round, request.iteration)
            self._journalled = list(found)
        return self._journalled

    def _count(self, usage: Usage) -> None:
        self._spent = Spent(self._spent.attempts + 1, self._spent.usage + usage)


def _amount(usage: Usage, price: Price | None) -> Amount:
    cost = 0 if price is None else price.micro_usd(usage.input_tokens, usage.output_tokens)
    return Amount(1, usage.input_tokens + usage.output_tokens, cost)


def _columns(usage: Usage) -> tuple[int, int, int, int]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )
