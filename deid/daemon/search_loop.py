"""The search as the daemon runs it: the engine's wants are served, its inputs journalled.

The engine (pure) says what it wants; this loop asks operators and the evaluator for it, side by
side, folds what is ready in the engine's order, writes inputs and outputs in one transaction, and
serves the next wants only once that is durable. Nothing in it waits for a peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import structlog

from deid.daemon.asking import Asker
from deid.daemon.budget import BudgetSpent
from deid.daemon.epoch import EpochKeeper, own_items
from deid.daemon.evaluator import Evaluator, Priority
from deid.daemon.exchange import arrivals_of, draft_of
from deid.errors import LocalError
from deid.plugin.contracts import Domain
from deid.search.calls import Call, Gather
from deid.search.engine import Engine, Phase
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.records import (
    Arrived,
    Decided,
    Decision,
    Evaluated,
    Input,
    Proposed,
    Record,
    RoundClosed,
    RoundOpened,
    Row,
)
from deid.store.journal import Journal
from deid.store.values import Transaction
from deid.wire.gather import Snapshot
from deid.wire.item import ItemName, SignedItem
from deid.wire.own import Draft

log = structlog.get_logger(__name__)

Key = tuple[int, int]  # round, iteration
OnRecord = Callable[[Record], None]

AHEAD_MAX = 1_024  # awaited evaluations that are submitted; the evaluator's queue is bounded


class Exchange(Protocol):
    """The non-blocking all-gather (:class:`deid.net.collective.Collective`)."""

    def publish(self, drafts: Sequence[Draft]) -> list[SignedItem]: ...

    def take(self, round_number: int) -> Snapshot: ...

    def committed(self, names: Sequence[ItemName]) -> None: ...

    def announce_round(self, round_number: int) -> None: ...


class SearchLoop:
    """Runs ``engine`` until it is stopped.

    epoch: sees to it that no published name is given twice.
    on_record: told every input and output, in order, once it is durable.
    """

    def __init__(
        self,
        engine: Engine,
        domain: Domain,
        asker: Asker,
        evaluator: Evaluator,
        journal: Journal,
        exchange: Exchange,
        *,
        epoch: EpochKeeper,
        on_record: OnRecord,
        paused: bool = False,
    ) -> None:
        self.engine = engine
        self.finished = asyncio.Event()  # rounds done, or budget spent
        self.budget_spent: BudgetSpent | None = None
        self.last_snapshot: Snapshot | None = None
        self._domain = domain
        self._asker = asker
        self._evaluator = evaluator
        self._journal = journal
        self._exchange = exchange
        self._epoch = epoch
        self._on_record = on_record
        self._running = asyncio.Event()
        if not paused:
            self._running.set()
        self._wake = asyncio.Event()
        self._asked: dict[Key, asyncio.Task[None]] = {}
        self._answers: dict[Key, Proposed] = {}
        self._evaluations: dict[tuple[bytes, bytes], asyncio.Future[Evaluation]] = {}
        self._refused: dict[Key, BudgetSpent] = {}  # calls that found no room in a budget
        self._decisions: list[Decided] = []
        self._fault: BaseException | None = None

    # --- Control --------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    @property
    def done(self) -> bool:
        """Whether all rounds are run."""
        return self.engine.phase is Phase.DONE

    def pause(self) -> None:
        """No further call is made; what is under way is finished and journalled."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()
        self._wake.set()

    def quarantine(self, origin: bytes) -> None:
        """From the next step on, items of ``origin`` may do nothing in this search."""
        self._decisions.append(Decided(Decision.QUARANTINE, origin))
        self._wake.set()

    # --- The loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Searches until cancelled; raises what no retry can mend (a plugin's or our own bug)."""
        try:
            self._exchange.announce_round(self.engine.round)
            self._serve()
            while True:
                self._wake.clear()
                if self._fault is not None:
                    raise self._fault
                if not await self._step():
                    self._serve()
                    self._rest()
                    await self._wake.wait()
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _step(self) -> bool:
        """Folds what is ready and makes it durable; False if nothing was."""
        if self.engine.gather is not None:
            await self._gather(self.engine.gather)
            return True
        records: list[Record] = []
        while (record := self._next_input()) is not None:
            records += self._fold(record)
        if not records:
            return False
        await self._journal.commit(Transaction(rows=tuple(map(Row.of, records))))
        self._durable(records)
        return True

    def _fold(self, record: Input) -> list[Record]:
        """The input and its outputs, as the journal takes them."""
        outputs = self.engine.apply(record)
        self._want_evaluations()
        return [record, *outputs]

    def _durable(self, records: Sequence[Record]) -> None:
        """What follows a commit: wants are served, records told."""
        for record in records:
            if isinstance(record, RoundClosed):
                self._forget_contexts()
            if isinstance(record, RoundOpened):
                self._evaluate_held_answers()
            self._on_record(record)
        self._serve()

    def _next_input(self) -> Input | None:
        """The next input that is ready, in the engine's order."""
        if self._decisions:
            return self._decisions.pop(0)
        if self.engine.awaiting:
            task = self.engine.awaiting[0]
            content, context = task.genome.content_hash, task.context.context_hash
            future = self._evaluations.get((content, context))
            if future is None or not future.done():
                return None
            return Evaluated(content, context, future.result())
        for key, answer in self._answers.items():
            if self.engine.may_commit(key) and self._is_evaluated(answer):
                del self._answers[key]
                return answer
        return None

    def _is_evaluated(self, answer: Proposed) -> bool:
        """Whether a commit of ``answer`` would wait for no evaluation."""
        context = self.engine.context
        if context is None:
            return False
        for candidate in answer.candidates:
            if candidate.genome is not None:
                key = (candidate.genome.content_hash, context.context_hash)
                future = self._evaluations.get(key)
                if future is not None and not future.done():
                    return False
        return True

    # --- Wants ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Starts a task for every call that is wanted, and the evaluations that are awaited."""
        self._want_evaluations()
        if self.budget_spent is not None:
            return
        taken = (self._asked, self._answers, self._refused)
        for key, call in self.engine.calls.items():
            if not any(key in each for each in taken):
                self._asked[key] = asyncio.create_task(self._ask(call), name=f"call-{key}")

    def _rest(self) -> None:
        """Nothing is ready: sees whether a budget is spent, and whether all is done.

        A call that a budget had no room for is asked again once another one has given back what
        it held; with none under way, there will be no more room.
        """
        if self._refused and not self._asked and self.budget_spent is None:
            spent = self.budget_spent = next(iter(self._refused.values()))
            log.warning("budget.spent", limit=spent.limit, reason=spent.message)
        evaluated = all(future.done() for future in self._evaluations.values())
        if self.done or (self.budget_spent is not None and not self._asked and evaluated):
            self.finished.set()

    def _want_evaluations(self) -> None:
        claims = self.engine.phase is Phase.CLAIMING
        for task in islice(self.engine.awaiting, AHEAD_MAX):
            self._evaluate(task.genome, task.context, Priority.CLAIM if claims else Priority.ROUND)

    def _evaluate(
        self, genome: Genome, context: Context, priority: Priority = Priority.ROUND
    ) -> None:
        key = (genome.content_hash, context.context_hash)
        if key not in self._evaluations:
            future = self._evaluator.submit(genome, context, priority)
            future.add_done_callback(self._evaluated)
            self._evaluations[key] = future

    def _evaluated(self, future: asyncio.Future[Evaluation]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._fault = self._fault or error
        self._wake.set()

    async def _ask(self, call: Call) -> None:
        """Asks until there is an answer, or a budget has no room for it."""
        key = call.key
        try:
            await self._asker.ready(call)
            while self.paused:
                await self._running.wait()
                await self._asker.ready(call)
            answer = await self._asker.ask(call)
            self._refused.clear()
            self._answers[key] = answer
            self._evaluate_answer(answer)
        except BudgetSpent as spent:
            self._refused[key] = spent
        except Exception as error:  # noqa: BLE001 - run() raises it: a bug ends the search, aloud
            self._fault = self._fault or error
        finally:
            self._asked.pop(key, None)
            self._wake.set()

    def _evaluate_answer(self, answer: Proposed) -> None:
        """Starts the evaluation of an answer's candidates before its commit, where its round's
        context is known."""
        context = self.engine.context
        if context is None or answer.round != self.engine.round:
            return
        if self.engine.phase in (Phase.CLAIMING, Phase.GATHERING, Phase.DONE):
            return
        for candidate in answer.candidates[: self.engine.settings.candidates_max]:
            if candidate.genome is not None:
                self._evaluate(candidate.genome, context)

    def _evaluate_held_answers(self) -> None:
        for answer in self._answers.values():
            self._evaluate_answer(answer)

    def _forget_contexts(self) -> None:
        """Drops the evaluations of contexts that are over."""
        context = self.engine.context
        current = context.context_hash if context else b""
        over = {key[1] for key in self._evaluations} - {current}
        self._evaluations = {k: f for k, f in self._evaluations.items() if k[1] == current}
        for context_hash in over - {self.engine.reference.context_hash}:
            self._evaluator.forget(context_hash)

    # --- The round's end ------------------------------------------------------------------------

    async def _gather(self, gather: Gather) -> None:
        """The non-blocking all-gather: publish, take what has come, go on.

        What is published and what was taken are one transaction with the engine's step, so a crash
        repeats both or neither.
        """
        await self._epoch.settled()
        signed = self._publish([draft_of(share, self._domain) for share in gather.shares])
        snapshot = self._exchange.take(gather.round)
        self.last_snapshot = snapshot
        arrived = Arrived(gather.round, arrivals_of(snapshot.arrivals, self._domain))
        records = self._fold(arrived)
        rows = tuple(map(Row.of, records))
        await self._journal.commit(
            Transaction(rows=rows, items=own_items(signed), meta=self._epoch.meta(signed))
        )
        await self._epoch.published(signed)
        self._exchange.committed([s.name for s in signed])
        self._exchange.announce_round(self.engine.round)
        self._durable(records)

    def _publish(self, drafts: Sequence[Draft]) -> list[SignedItem]:
        """Signs ``drafts``; one that breaks a bound of items is left out and logged."""
        try:
            return self._exchange.publish(drafts)
        except LocalError:
            signed: list[SignedItem] = []
        for draft in drafts:
            try:
                signed += self._exchange.publish([draft])
            except LocalError as error:
                log.error("share.refused", round=draft.round, reason=error.message)
        return signed
