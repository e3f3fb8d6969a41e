"""Drives engines synchronously: what an engine wants is given to it, one input at a time.

The operator and the evaluation run inline and are pure, the journal is a list of rows, and every
choice that a real run leaves to timing (which answer comes first, when an item arrives) is made by
a function that the test passes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from deid.daemon.resume import refold
from deid.errors import CandidateError
from deid.plugin.contracts import Example, Kind, Proposal, Request
from deid.plugin.toy import ToyContext, ToyDomain, ToyOperator
from deid.search.archive import Archive, Elite
from deid.search.calls import Call, Gather, Share
from deid.search.engine import Engine, Phase
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.problem import Problem
from deid.search.records import (
    Arrival,
    Arrived,
    Candidate,
    Configured,
    Evaluated,
    Input,
    Output,
    Proposed,
    Record,
    Row,
)
from deid.search.settings import SearchSettings
from deid.store.values import Head, StoredRow

EPOCH = 7


class Game(Problem, Protocol):
    """A problem that can be played inline."""

    def parse(self, text: str) -> Genome: ...

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation: ...


Answer = Callable[[Call], Proposed]
Choose = Callable[[Sequence[Call]], Call]
Take = Callable[[Gather], tuple[Arrival, ...]]


# --- Problems -----------------------------------------------------------------------------------


class HandMade:
    """A problem whose programs say what they get: ``name points measure claimed claimed``.

    ``a 5 12 7 3`` gets 5 points and measure 12 in every round, 7 and 3 in the reference context.
    Three cells: below 10, below 20, and above. A text that begins with ``!`` is no program.
    """

    grid = Grid((Axis("size", "units", (10, 20)),))
    trials = 1

    def __init__(self, seeds: Sequence[str] = ("seed 1 0 1 0",), opponents_max: int = 4) -> None:
        self.opponents_max = opponents_max
        self._opponents = tuple(self.parse(text) for text in seeds)

    def opponents(self) -> tuple[Genome, ...]:
        return self._opponents

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context:
        return Context(bytes(32), tuple(opponents), tuple(seeds), 100)

    def reference(self) -> Context:
        return Context(b"reference", (), (0, 1), 100)

    def parse(self, text: str) -> Genome:
        if text.startswith("!"):
            raise CandidateError(f"no program: {text}")
        return Genome(text, text.encode(), 1)

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        _, points, size, claimed_points, claimed_size = genome.code.decode().split()
        if context.task_hash == b"reference":  # two trials, so that a sum is not its mean
            return Evaluation(2 * int(claimed_points), (2 * int(claimed_size),), 2)
        return Evaluation(int(points), (int(size),), 1)


def toy_answer(problem: ToyDomain, node: str, name: str = "edit") -> Answer:
    """The toy operator, run inline; a mutation may fail, be no program, or offer two."""
    operator = ToyOperator(ToyContext(problem, node))

    def answer(call: Call) -> Proposed:
        lot = call.seed % 16
        if lot == 0:
            return answer_to(call, (), problem.parse, outcome="timed-out", note=f"lot {call.seed}")
        coroutine = operator.propose(_request(call))
        try:
            coroutine.send(None)
        except StopIteration as done:
            proposal: Proposal = done.value
        else:
            raise AssertionError("the toy operator waits for nothing")
        texts = proposal.candidates
        if lot == 1:
            texts = ("start nowhere", *texts)
        if lot == 2:
            texts = (*texts, *(shown.genome.source for shown in call.parents))
        return answer_to(call, texts, problem.parse)

    return answer


def answer_to(
    call: Call,
    texts: Iterable[str],
    parse: Callable[[str], Genome],
    *,
    outcome: str = "ok",
    note: str = "",
) -> Proposed:
    """The record of the answer ``texts`` to ``call``."""
    return Proposed(
        round=call.round,
        iteration=call.iteration,
        seen=call.seen,
        call=call.kind.value,
        parents=call.parent_hashes,
        operator=call.operator,
        outcome=outcome,
        note=note,
        candidates=tuple(_candidate(text, parse) for text in texts),
    )


def scripted(script: Mapping[tuple[int, int], Sequence[str]], game: Game) -> Answer:
    """Answers from ``script`` by (round, iteration), and nothing where it is silent."""
    return lambda call: answer_to(call, script.get(call.key, ()), game.parse)


def first(calls: Sequence[Call]) -> Call:
    return calls[0]


def nothing(gather: Gather) -> tuple[Arrival, ...]:
    return ()


# --- One engine ---------------------------------------------------------------------------------


class Driver:
    """One engine, and the journal of what it was given."""

    def __init__(
        self,
        game: Game,
        answer: Answer,
        *,
        choose: Choose = first,
        take: Take = nothing,
        known: dict[tuple[bytes, bytes], Evaluation] | None = None,
    ) -> None:
        self.game = game
        self.engine = Engine(game)
        self.records: list[Record] = []
        self.head = Head()
        self.stored: list[StoredRow] = []
        self.issued: dict[tuple[int, int], Call] = {}
        self._answer = answer
        self._choose = choose
        self._take = take
        self._known = {} if known is None else known  # evaluations, shared by several drivers

    @property
    def chain(self) -> str:
        """The journal hash."""
        return self.head.chain.hex()

    @property
    def done(self) -> bool:
        return self.engine.phase is Phase.DONE

    def of(self, kind: type[Output] | type[Input]) -> list[Record]:
        """The records of one kind, in order."""
        return [record for record in self.records if isinstance(record, kind)]

    def apply(self, record: Input) -> list[Output]:
        outputs = self.engine.apply(record)
        for each in (record, *outputs):
            row = Row.of(each)
            self.head = self.head.after(row)
            self.stored.append(StoredRow(self.head.seq, row, self.head.chain))
            self.records.append(each)
        self.issued.update(self.engine.calls)
        return outputs

    def configure(self, settings: SearchSettings) -> Driver:
        self.apply(Configured(settings))
        return self

    def wanted(self) -> Input | None:
        """The input that the engine gets next; None if it wants nothing."""
        engine = self.engine
        if engine.awaiting:
            task = engine.awaiting[0]
            result = self.evaluate(task.genome, task.context)
            return Evaluated(task.genome.content_hash, task.context.context_hash, result)
        if engine.gather is not None:
            return Arrived(engine.gather.round, self._take(engine.gather))
        ready = [call for call in engine.calls.values() if engine.may_commit(call.key)]
        return self._answer(self._choose(ready)) if ready else None

    def step(self) -> bool:
        record = self.wanted()
        if record is not None:
            self.apply(record)
        return record is not None

    def until(self, goal: Callable[[Engine], bool]) -> Driver:
        while not goal(self.engine):
            assert self.step(), f"stuck in {self.engine.phase} of round {self.engine.round}"
        return self

    def finish(self) -> Driver:
        """Runs until nothing is wanted; every run must end in DONE."""
        return self.until(lambda engine: engine.phase is Phase.DONE)

    def resume(self, stored: Iterable[StoredRow]) -> Driver:
        """Folds a journal, as a restarted daemon does."""
        rows = list(stored)
        refold(self.engine, rows, self.records.append)
        self.stored = rows
        self.head = Head(rows[-1].seq, rows[-1].chain) if rows else Head()
        return self

    def evaluate(self, genome: Genome, context: Context) -> Evaluation:
        key = (genome.content_hash, context.context_hash)
        if key not in self._known:
            self._known[key] = self.game.evaluate(genome, context, 0, context.trials)
        return self._known[key]


TOY = ToyDomain(trials=2, opponents_max=8)
TOY_KNOWN: dict[tuple[bytes, bytes], Evaluation] = {}  # a pure function: shared by all tests


def settings_of(node: str = "alpha", /, **changed: object) -> SearchSettings:
    """A small search on the toy problem."""
    base = SearchSettings(
        node,
        seed=1,
        rounds=3,
        iterations=12,
        n_init=3,
        in_flight=3,
        new_parts=200_000,
        cross_parts=100_000,
        opponents_max=8,
        foreign_max=4,
        per_round_max=2,
    )
    return replace(base, **changed)  # type: ignore[arg-type]


def toy_driver(node: str = "alpha", *, choose: Choose = first, take: Take = nothing) -> Driver:
    return Driver(TOY, toy_answer(TOY, node), choose=choose, take=take, known=TOY_KNOWN)


def toy_arrivals(gather: Gather) -> tuple[Arrival, ...]:
    """Two champions and an elite of two peers a round: the domain's own examples."""
    family = TOY.corpora()["swingers"]
    picked = (family[(gather.round + k) % len(family)] for k in range(3))
    items = [arrival(genome, k, gather.round, champion=k < 2) for k, genome in enumerate(picked)]
    return tuple(sorted(items, key=lambda item: item.genome.content_hash))


def arrival(
    genome: Genome, peer: int = 0, number: int = 0, *, champion: bool = True, seq: int = 1
) -> Arrival:
    node = f"peer-{peer}"
    name = (bytes([peer]) * 32, EPOCH, seq)
    return Arrival(genome, node, number, champion, 0, False, ((f"{node}/edit", 65_536),), name)


# --- Several engines ----------------------------------------------------------------------------


@dataclass
class Member:
    """One node of a swarm: its engine, its items by name, and what has come since it last took."""

    driver: Driver
    origin: bytes
    held: dict[tuple[bytes, int, int], tuple[Arrival, Evaluation]] = field(default_factory=dict)
    inbox: list[Arrival] = field(default_factory=list)
    seq: int = 0


class Swarm:
    """Engines that exchange all their shares, each item on its own and at any time.

    choose: index below its argument; it decides who goes on and which item is delivered next.
    """

    def __init__(self, nodes: Sequence[str], choose: Callable[[int], int], **changed: object):
        self._choose = choose
        self._under_way: list[tuple[Member, Arrival, Evaluation]] = []
        self.members: list[Member] = []
        for number, node in enumerate(nodes):
            driver = toy_driver(node, take=partial(self._gather, number))
            self.members.append(Member(driver, bytes([number + 1]) * 32))
            driver.configure(settings_of(node, **changed))

    def finish(self) -> Swarm:
        """Runs all engines to their end, then delivers what is still under way."""
        while running := [m for m in self.members if not m.driver.done]:
            if self._under_way and self._choose(4) == 0:
                self._deliver()
            else:
                assert running[self._choose(len(running))].driver.step()
        while self._under_way:
            self._deliver()
        return self

    @staticmethod
    def merged(member: Member) -> Archive:
        """The merged archive of what ``member`` holds, by claims, in the order it came."""
        archive = Archive(TOY.grid, TOY.reference().context_hash)
        for name, (item, claim) in member.held.items():
            cell = TOY.grid.cell(claim)
            archive.place(Elite(item.genome.content_hash, cell, claim.points, name))
        return archive

    def _gather(self, number: int, gather: Gather) -> tuple[Arrival, ...]:
        me = self.members[number]
        for share in gather.shares:
            me.seq += 1
            item = _published(share, (me.origin, EPOCH, me.seq))
            me.held[item.name] = (item, share.claim)
            others = (member for member in self.members if member is not me)
            self._under_way += [(member, item, share.claim) for member in others]
        by_content: dict[bytes, Arrival] = {}
        for item in sorted(me.inbox, key=lambda item: item.name, reverse=True):
            by_content[item.genome.content_hash] = item
        me.inbox.clear()
        return tuple(by_content[content] for content in sorted(by_content))

    def _deliver(self) -> None:
        member, item, claim = self._under_way.pop(self._choose(len(self._under_way)))
        member.held[item.name] = (item, claim)
        member.inbox.append(item)


def _published(share: Share, name: tuple[bytes, int, int]) -> Arrival:
    made = share.provenance
    champion = share.champion
    return Arrival(share.genome, made.node, made.round, champion, 0, False, made.ancestry, name)


def _candidate(text: str, parse: Callable[[str], Genome]) -> Candidate:
    try:
        return Candidate(text, parse(text))
    except CandidateError as error:
        return Candidate(text, None, error.message)


def _request(call: Call) -> Request:
    def examples(shown: Iterable[object]) -> tuple[Example, ...]:
        return tuple(
            Example(s.genome.source, s.genome.code, s.fitness, s.measures, s.provenance.node)  # type: ignore[attr-defined]
            for s in shown
        )

    return Request(
        kind=Kind(call.kind.value),
        parents=examples(call.parents),
        inspirations=examples(call.inspirations),
        feedback=call.feedback,
        seed=call.seed,
        round=call.round,
        iteration=call.iteration,
        deadline_s=1.0,
        candidates_max=call.candidates_max,
    )
