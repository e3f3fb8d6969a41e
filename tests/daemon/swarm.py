"""A swarm of searches on the toy problem in one process: honest nodes and liars, no sockets.

Engines, own logs, mailboxes and audits are those of the daemon; what is published at a gather has
arrived everywhere at the next. Nothing here depends on time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from deid.daemon.claims import ClaimAudit
from deid.daemon.exchange import arrivals_of, cell_of_claims, draft_of
from deid.daemon.merged import ClaimChecker, Merged
from deid.plugin.contracts import Example, Kind, Request
from deid.plugin.toy import ToyContext, ToyDomain, ToyOperator
from deid.search.calls import Call, CallKind, Shown
from deid.search.engine import Engine, Phase
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.records import (
    Arrived,
    Candidate,
    Configured,
    Decided,
    Decision,
    Evaluated,
    Input,
    Proposed,
    Record,
)
from deid.search.settings import SearchSettings
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import ItemReceived
from deid.wire.gather import Mailbox, Snapshot
from deid.wire.item import Item, SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Draft, Node

EPOCH = 7
DOMAIN = ToyDomain(trials=2, opponents_max=8)
REFERENCE = DOMAIN.reference()
_KNOWN: dict[tuple[bytes, bytes], Evaluation] = {}  # evaluations are pure: shared by all runs


def evaluate(genome: Genome, context: Context) -> Evaluation:
    key = (genome.content_hash, context.context_hash)
    if key not in _KNOWN:
        _KNOWN[key] = DOMAIN.evaluate(genome, context, 0, context.trials)
    return _KNOWN[key]


async def evaluate_later(genome: Genome, context: Context) -> Evaluation:
    return evaluate(genome, context)


def merged(items: Iterable[Item]) -> Merged:
    """The merged archive, as a daemon shows it. It waits for nothing."""
    return finished(ClaimChecker(DOMAIN, evaluate_later).merge(items))


def finished(coroutine: object) -> object:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        return done.value
    raise AssertionError("the coroutine waits")


def publisher(name: str, seed: int) -> Node:
    """A core that signs; it is linked to nobody."""
    key = KeyPair.from_seed(blake2b(f"{seed}/{name}".encode(), digest_size=32).digest())
    cell_of = cell_of_claims(DOMAIN.grid, REFERENCE)
    stream = Stream(seed, name, "network")
    return Node(NodeConfig(name), key, DOMAIN.task_hash, cell_of, stream, epoch=EPOCH)


def settings_of(name: str, seed: int, **changes: object) -> SearchSettings:
    values: dict[str, object] = {
        "rounds": 6,
        "iterations": 30,
        "n_init": 4,
        "in_flight": 2,
        "opponents_max": 8,
        "foreign_max": 12,
        "per_round_max": 4,
    }
    return SearchSettings(name, seed, **{**values, **changes})  # type: ignore[arg-type]


@dataclass
class Honest:
    """One daemon's search. checks: claims that its audit runs in a round, None for all."""

    name: str
    seed: int
    checks: int | None
    changes: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.core = publisher(self.name, self.seed)
        self.key = self.core._keys.public
        self.engine = Engine(DOMAIN)
        self.operator = ToyOperator(ToyContext(DOMAIN, self.name))
        self.mailbox = Mailbox()
        self.records: list[Record] = []
        self.snapshots: list[Snapshot] = []
        self.held: list[SignedItem] = []
        self.liars: dict[bytes, int] = {}  # origin -> in which round it was found out
        cell_of = cell_of_claims(DOMAIN.grid, REFERENCE)
        self.audit = ClaimAudit(DOMAIN, evaluate_later, cell_of, self.key, self._on_verdict)
        self.apply(Configured(settings_of(self.name, self.seed, **self.changes)))

    @property
    def done(self) -> bool:
        return self.engine.phase is Phase.DONE

    def apply(self, record: Input) -> None:
        self.records += [record, *self.engine.apply(record)]

    def receive(self, signed: SignedItem, *, backfill: bool = False) -> None:
        received = ItemReceived(signed, 0, backfill)
        self.held.append(signed)
        self.audit.observe(received)
        self.mailbox.put(received)

    def round(self) -> list[SignedItem]:
        """Search to the end of the round; what is published."""
        while self.engine.gather is None:
            self.apply(self._wanted())
        gather = self.engine.gather
        signed = self.core.publish(0, [draft_of(share, DOMAIN) for share in gather.shares])
        self.core.committed(0, [each.name for each in signed])
        self.held += signed
        for each in signed:
            self.audit.add(each)
        snapshot = self.mailbox.take(0, gather.round)
        self.snapshots.append(snapshot)
        self.apply(Arrived(gather.round, arrivals_of(snapshot.arrivals, DOMAIN)))
        for _ in range(1 << 30 if self.checks is None else self.checks):
            if not finished(self.audit.step()):
                break
        return signed

    def _on_verdict(self, signed: SignedItem, holds: bool) -> None:
        origin = signed.item.origin
        if not holds and origin not in self.liars:
            self.liars[origin] = self.engine.round
            self.mailbox.quarantine(origin)
            self.apply(Decided(Decision.QUARANTINE, origin))

    def _wanted(self) -> Input:
        engine = self.engine
        if engine.awaiting:
            task = engine.awaiting[0]
            result = evaluate(task.genome, task.context)
            return Evaluated(task.genome.content_hash, task.context.context_hash, result)
        call = next(call for call in engine.calls.values() if engine.may_commit(call.key))
        return self._answer(call)

    def _answer(self, call: Call) -> Proposed:
        proposal = finished(self.operator.propose(_request(call)))
        texts: tuple[str, ...] = proposal.candidates  # type: ignore[attr-defined]
        return Proposed(
            call.round,
            call.iteration,
            call.seen,
            call.kind.value,
            call.parent_hashes,
            call.operator,
            "ok",
            "",
            tuple(Candidate(text, DOMAIN.parse(text)) for text in texts),
        )


@dataclass
class Liar:
    """Publishes random programs as champions, with the best claim there is, a cell each."""

    name: str
    seed: int
    count: int = 5

    def __post_init__(self) -> None:
        self.core = publisher(self.name, self.seed)
        self.key = self.core._keys.public
        self.operator = ToyOperator(ToyContext(DOMAIN, self.name))
        self.round_number = 0

    def round(self, honest: Iterable[SignedItem]) -> list[SignedItem]:
        """What it publishes beside ``honest``, which it saw first."""
        drafts = self._drafts(honest)
        self.round_number += 1
        signed = self.core.publish(0, drafts)
        self.core.committed(0, [each.name for each in signed])
        return signed

    def _drafts(self, honest: Iterable[SignedItem]) -> list[Draft]:
        return [self._draft(number) for number in range(self.count)]

    def _draft(self, number: int) -> Draft:
        seed = self.round_number * self.count + number
        call = Call(0, seed, 0, CallKind.NEW, "toy", (), (), (), seed, 1)
        text: str = finished(self.operator.propose(_request(call))).candidates[0]  # type: ignore[attr-defined]
        cell = Stream(self.seed, self.name, "cell", seed).below(DOMAIN.grid.cells)
        return Draft(
            round=self.round_number,
            champion=True,
            code=DOMAIN.parse(text).code,
            source=text,
            claim=claim_in(cell),
            operator="toy",
        )


class Copycat(Liar):
    """Publishes what honest nodes have just published under false claims, so that their contents
    come to others in its name, and go with it."""

    def _drafts(self, honest: Iterable[SignedItem]) -> list[Draft]:
        return [
            Draft(
                round=self.round_number,
                champion=True,
                code=signed.item.code,
                source=signed.item.source,
                claim=claim_in(Stream(self.seed, self.name, "copy", at).below(DOMAIN.grid.cells)),
                operator="toy",
            )
            for at, signed in enumerate(honest)
        ]


def claim_in(cell: int) -> Evaluation:
    """The most points there are, in ``cell``."""
    trials = REFERENCE.trials
    sizes = [len(axis.edges) + 1 for axis in DOMAIN.grid.axes]
    places = []
    for size in reversed(sizes):
        places.append(cell % size)
        cell //= size
    measures = [
        (axis.edges[place - 1] if place else 0) * trials
        for axis, place in zip(DOMAIN.grid.axes, reversed(places), strict=True)
    ]
    return Evaluation(REFERENCE.points_max * trials, tuple(measures), trials)


def run_swarm(
    size: int,
    liars: int,
    seed: int,
    *,
    checks: int | None = 1,
    liar: Callable[[str, int], Liar] = Liar,
    **changes: object,
) -> list[Honest]:
    """All rounds of ``size`` honest nodes beside ``liars``; the honest ones at the end."""
    nodes = [Honest(f"node{at}", seed, checks, dict(changes)) for at in range(size)]
    bad = [liar(f"liar{at}", seed) for at in range(liars)]
    while not all(node.done for node in nodes):
        published: list[tuple[object, list[SignedItem]]] = []
        published += [(each, each.round()) for each in nodes if not each.done]
        honest = [signed for _, signed_items in published for signed in signed_items]
        published += [(each, each.round(honest)) for each in bad]
        for source, signed_items in published:
            for node in nodes:
                if node is not source:
                    for signed in signed_items:
                        node.receive(signed)
    return nodes


def _request(call: Call) -> Request:
    return Request(
        kind=Kind(call.kind.value),
        parents=tuple(_example(shown) for shown in call.parents),
        inspirations=(),
        feedback=(),
        seed=call.seed,
        round=call.round,
        iteration=call.iteration,
        deadline_s=1.0,
        candidates_max=1,
    )


def _example(shown: Shown) -> Example:
    return Example(shown.genome.source, shown.genome.code, shown.fitness, shown.measures)
