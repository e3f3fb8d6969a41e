"""A search loop with real parts around it: journal, epoch, evaluator, operators, protocol core.

Only the network is missing: :class:`Alone` is the exchange of a node without links.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from deid.daemon.asking import Arm, Asker
from deid.daemon.attempt_log import JournalAttemptLog
from deid.daemon.attempts import Attempts, LoopClock, Model
from deid.daemon.breaker import BreakerPolicy
from deid.daemon.budget import Amount, Budget, BudgetLimits
from deid.daemon.epoch import EpochKeeper
from deid.daemon.evaluator import Evaluator, Priority
from deid.daemon.exchange import cell_of_claims
from deid.daemon.operator_inline import InlineContext, InlineOperator
from deid.daemon.resume import refold
from deid.daemon.search_loop import Exchange, SearchLoop
from deid.daemon.tally import Tally
from deid.net.collective import Collective
from deid.plugin.contracts import Domain, ModelBackend, Operator, OperatorPlugin, Proposal, Request
from deid.plugin.toy import ToyDomain, ToyOperator
from deid.search.engine import Engine
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.records import Configured, Input, Record, Row
from deid.search.settings import SearchSettings
from deid.search.streams import Stream
from deid.store import Backoff, Journal, Transaction, writer
from deid.wire.config import NodeConfig
from deid.wire.events import ItemReceived
from deid.wire.gather import Mailbox, Snapshot
from deid.wire.item import ItemName, SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Node
from deid.wire.own import Draft

QUICK = BreakerPolicy(failures_max=2, open_s=0.001, open_max_s=0.002)
SETTINGS = SearchSettings(
    "alpha",
    seed=1,
    rounds=3,
    iterations=8,
    n_init=3,
    in_flight=3,
    opponents_max=4,
    foreign_max=4,
    per_round_max=2,
    operators=(("toy", 1),),
)
REPLY = "start 5\nalways add 3\n"

Act = Callable[[Request], Any]
Make = Callable[[InlineContext], Operator]


@dataclass
class Acting:
    """An operator that is one function, which may be a coroutine function."""

    act: Act

    async def propose(self, request: Request) -> Proposal:
        answer = self.act(request)
        return cast(Proposal, await answer if asyncio.iscoroutine(answer) else answer)


class Jittered(Evaluator):
    """Ends evaluations late and in a shuffled order; its answers are those of the others."""

    stream = Stream(0, "test", "jitter")

    def submit(
        self, genome: Genome, context: Context, priority: Priority = Priority.ROUND
    ) -> asyncio.Future[Evaluation]:
        late: asyncio.Future[Evaluation] = asyncio.get_running_loop().create_future()
        inner = super().submit(genome, context, priority)
        inner.add_done_callback(lambda done: self._later(late, done, self.stream.below(8)))
        return late

    def _later(
        self, late: asyncio.Future[Evaluation], done: asyncio.Future[Evaluation], turns: int
    ) -> None:
        if late.cancelled() or done.cancelled():
            late.cancel()
        elif turns:
            asyncio.get_running_loop().call_soon(self._later, late, done, turns - 1)
        else:
            late.set_result(done.result())


class Alone:
    """An exchange whose items go nowhere; tests put in what others would send."""

    def __init__(self, node: Node, mailbox: Mailbox) -> None:
        self.node = node
        self.mailbox = mailbox
        self.left: list[ItemName] = []  # what was let go
        self.rounds: list[int] = []
        self.on_publish: Callable[[Sequence[Draft]], None] = lambda drafts: None
        self.on_committed: Callable[[Sequence[ItemName]], None] = lambda names: None

    def publish(self, drafts: Sequence[Draft]) -> list[SignedItem]:
        self.on_publish(drafts)
        return self.node.publish(0, drafts)

    def take(self, round_number: int) -> Snapshot:
        return self.mailbox.take(0, round_number)

    def committed(self, names: Iterable[ItemName]) -> None:
        names = list(names)
        self.on_committed(names)
        self.left += names
        self.node.committed(0, names)

    def announce_round(self, round_number: int) -> None:
        self.rounds.append(round_number)
        self.node.announce_round(0, round_number)

    def raise_epoch(self, epoch: int) -> list[SignedItem]:
        return self.node.raise_epoch(0, epoch)

    def receive(self, items: Iterable[SignedItem]) -> None:
        for signed in items:
            self.mailbox.put(ItemReceived(signed, 0, False))


def peer(name: str, domain: Domain) -> Node:
    """The core of another node of the same task, to sign items with."""
    key = KeyPair.from_seed(name.encode().ljust(32, b"."))
    cell_of = cell_of_claims(domain.grid, domain.reference())
    config = NodeConfig(name=name, address="tcp://127.0.0.1:1", seeds=())
    return Node(config, key, domain.task_hash, cell_of, Stream(1, name, "n"), epoch=5 << 64)


def draft(domain: Domain, genome: Genome, **changes: Any) -> Draft:
    """``genome`` with the claim that it earns."""
    context = domain.reference()
    claim = domain.evaluate(genome, context, 0, context.trials)
    fields: dict[str, Any] = {
        "round": 0,
        "champion": True,
        "code": genome.code,
        "source": genome.source,
        "claim": claim,
        "operator": "toy",
    }
    return Draft(**{**fields, **changes})


def shared(node: Node, *drafts: Draft) -> list[SignedItem]:
    signed = node.publish(0, drafts)
    node.committed(0, [each.name for each in signed])
    return signed


@dataclass
class Rig:
    """One life of a node on the state in ``path``; ``async with`` opens and closes it."""

    path: Path
    settings: SearchSettings = SETTINGS
    domain: Domain = field(default_factory=lambda: ToyDomain(trials=2))
    operators: dict[str, Make] = field(default_factory=lambda: {"toy": ToyOperator})
    backend: ModelBackend | None = None
    limits: BudgetLimits = field(default_factory=BudgetLimits)
    evaluator_of: Callable[[Domain], Evaluator] = lambda domain: Evaluator(domain, 2)
    breaker: BreakerPolicy = QUICK
    paused: bool = False
    on_record: Callable[[Record], None] = lambda record: None
    told: list[Record] = field(default_factory=list)

    async def __aenter__(self) -> Rig:
        self.path.mkdir(exist_ok=True)
        self.journal = Journal(
            self.path / "journal", backoff=Backoff(0.002, 0.01), quick_check=False
        )
        self.keeper = EpochKeeper(
            self.path / "node.key", self.journal, backoff=Backoff(0.002, 0.01)
        )
        epoch = await self.keeper.open()
        self.engine = Engine(self.domain)
        self.tally = Tally()
        rows = refold(self.engine, self.journal.rows(), self.tally.observe)
        settings = replace(self.settings, ordered=self.backend is None)
        if not rows or self.engine.settings != settings:
            record = Configured(settings)
            records: list[Record] = [record, *self.engine.apply(record)]
            await self.journal.commit(Transaction(rows=tuple(map(Row.of, records))))
        self.attempts = self._attempts()
        self.arms = {name: self._arm(name, make) for name, make in self.operators.items()}
        self.asker = Asker(self.domain, self.arms, self.attempts)
        self.evaluator = self.evaluator_of(self.domain)
        cell_of = cell_of_claims(self.domain.grid, self.domain.reference())
        config = NodeConfig(name=self.settings.node, address="tcp://127.0.0.1:1", seeds=())
        keys = KeyPair.from_seed(self.keeper.identity.seed)
        stream = Stream(1, "alpha", "network")
        node = Node(config, keys, self.domain.task_hash, cell_of, stream, epoch=epoch)
        for stored in self.journal.items():
            node.restore(stored.raw)
        self.exchange = Alone(node, Mailbox(self.tally.handed))
        self.loop = SearchLoop(
            self.engine,
            self.domain,
            self.asker,
            self.evaluator,
            self.journal,
            cast(Exchange, self.exchange),
            epoch=self.keeper,
            on_record=self._observe,
            paused=self.paused,
        )
        self.tasks: list[asyncio.Task[None]] = []
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.kill()
        await self.evaluator.close()
        await self.attempts.close()
        self.journal.close()

    def start(self) -> asyncio.Task[None]:
        """Begins to search."""
        keep = self.keeper.keep(cast(Collective, self.exchange))
        self.tasks = [asyncio.create_task(self.loop.run()), asyncio.create_task(keep)]
        return self.tasks[0]

    async def kill(self) -> None:
        """Stops wherever it is."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Searches until all rounds are run or the budget is spent."""
        search = self.tasks[0] if self.tasks else self.start()
        finished = asyncio.create_task(self.loop.finished.wait())
        await asyncio.wait((search, finished), return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        if search.done():
            search.result()

    def inputs(self, kind: type[Input]) -> list[Any]:
        """The journal's inputs of one kind."""
        rows = (stored.row for stored in self.journal.rows())
        return [row.input() for row in rows if row.kind == kind.kind]

    @property
    def hash(self) -> str:
        return self.journal.head().chain.hex()

    def contents(self) -> list[bytes]:
        """Content hashes of the own items in the journal, by seq."""
        return [item.content_hash for item in self.journal.items() if item.own]

    def _observe(self, record: Record) -> None:
        self.told.append(record)
        self.tally.observe(record)
        self.on_record(record)

    def _attempts(self) -> Attempts:
        models = {} if self.backend is None else {"main": Model("main", self.backend)}
        budget = Budget(self.limits, Amount.of(self.journal.charged()))
        log = JournalAttemptLog(self.journal)
        return Attempts(log, models, budget, LoopClock(), node="alpha", seed=1)

    def _arm(self, name: str, make: Make) -> Arm:
        needs_model = self.backend is not None
        plugin = OperatorPlugin("toy", "help", lambda _, context: make(context), needs_model)  # type: ignore[arg-type]
        port = InlineOperator(
            plugin, {}, InlineContext(self.domain, "alpha", 1), breaker=self.breaker
        )
        return Arm(name, port, 10.0, "", self.attempts.budget)


async def straight(path: Path, **changes: Any) -> Rig:
    """A whole search on ``path``, undisturbed; closed."""
    async with Rig(path, **changes) as rig:
        await rig.finish()
        rig.final = (rig.hash, rig.contents(), rig.engine.state_digest())  # type: ignore[attr-defined]
    return rig


class FullDisk:
    """A disk that is full while ``full`` is set; ``refused`` is set once it refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        self.refusals = 0
        self._apply = writer.tables.apply
        monkeypatch.setattr(writer.tables, "apply", self._refuse)

    def _refuse(self, *arguments: Any) -> Any:
        if self.full:
            self.refusals += 1
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._apply(*arguments)


async def until(true: Callable[[], bool]) -> None:
    """Lets the loop turn until ``true()``; the test's own time limit ends it otherwise."""
    while not true():  # noqa: ASYNC110 - whatever the test looks at
        await asyncio.sleep(0.001)
