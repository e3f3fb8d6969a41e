"""The round engine: one node's search as a fold over its journalled inputs.

Algorithm: DEI (arXiv 2605.27130) over DRQ (arXiv 2601.03335), as ``docs/ARCHITECTURE.md``
sums it up. A round goes

    WARMING    the pool is frozen; pool and received elites are evaluated and fill a fresh archive
    SEARCHING  every call's candidates are evaluated and placed
    CLAIMING   this round's own elites are evaluated in the reference context
    GATHERING  champion and improving elites are published, a snapshot of arrivals comes back

and the next round begins. Nothing but :meth:`Engine.apply` changes the engine, and equal inputs
give equal outputs, calls and archives. What it wants is read from :attr:`Engine.calls`,
:attr:`Engine.awaiting` and :attr:`Engine.gather`: wants are state, so a resumed engine wants what
the interrupted one did.

Calls run ahead of rounds: the first W calls of a round choose their parents from the archive of
the round before, so a model never waits for a round's end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum

from deid.errors import LocalError
from deid.search.archive import Archive, Elite, Outcome
from deid.search.calls import SEED, Call, EvaluationTask, Gather, Provenance, Shown
from deid.search.canonical import digest
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.issuing import Feedback, make_call
from deid.search.lineage import child, maker
from deid.search.opponents import ForeignQueue, choose_pool
from deid.search.problem import Problem
from deid.search.records import (
    WARM_UP,
    Arrival,
    Arrived,
    Configured,
    Decided,
    Decision,
    Evaluated,
    Input,
    Output,
    Placed,
    Proposed,
    RoundClosed,
    RoundOpened,
    Skipped,
)
from deid.search.settings import USES, SearchSettings, Use
from deid.search.sharing import choose_shares
from deid.search.streams import Stream

CHAMPIONS_MAX = 256  # of each side that stay eligible as opponents


class Phase(Enum):
    """Where in its round the engine is."""

    NEW = "new"  # not yet configured
    WARMING = "warming"
    SEARCHING = "searching"
    CLAIMING = "claiming"
    GATHERING = "gathering"
    DONE = "done"


class Engine:
    """One node's search. ``problem`` is the domain; all else comes through :meth:`apply`.

    Public attributes are for reading.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.reference = problem.reference()
        self.phase = Phase.NEW
        self.round = 0
        self.seen = 0  # inputs folded
        self.committed = 0  # calls of this round
        self.calls: dict[tuple[int, int], Call] = {}  # issued, not committed
        self.awaiting: deque[EvaluationTask] = deque()  # in the order in which they are taken
        self.gather: Gather | None = None
        self.published = Archive(problem.grid, self.reference.context_hash)  # own, by claims
        self.champions: deque[Shown] = deque(maxlen=CHAMPIONS_MAX)  # own, oldest first

        self._settings: dict[int, SearchSettings] = {}  # of each round that has begun
        self._latest: SearchSettings | None = None
        self._next_call = (0, 0)
        self._initial = problem.opponents()
        # Ever proposed here, or a seed: such a program is never "first proposed" again.
        self._proposed = {genome.content_hash for genome in self._initial}
        # Seeds and what came from peers: a copy made here is not this node's own.
        self._others = set(self._proposed)
        self._received: deque[Arrival] = deque(maxlen=CHAMPIONS_MAX)  # champions of others
        self._queue = ForeignQueue()
        self._feedback = Feedback()
        self._later = ForeignQueue()  # those that go after all others
        self._quarantined: set[bytes] = set()
        # The archive that parents come from, its context, and its elites by cell.
        self._filled: tuple[Archive, Context, dict[int, Shown]] | None = None
        # The running round.
        self._filling: tuple[Archive, Context, dict[int, Shown]] | None = None
        self._origins: dict[bytes, Provenance] = {}  # of whatever may be placed in this round
        self._fresh: dict[bytes, Genome] = {}  # first proposed by this node in this round
        self._claims: dict[bytes, Evaluation] = {}
        self._committing: int = WARM_UP  # the iteration whose candidates are being evaluated

    # --- What people and the rim read -----------------------------------------------------------

    @property
    def settings(self) -> SearchSettings:
        """The latest settings; :class:`LocalError` before the first ones."""
        if self._latest is None:
            raise LocalError("the engine has no settings yet")
        return self._latest

    @property
    def context(self) -> Context | None:
        """The running round's."""
        return self._filling[1] if self._filling else None

    @property
    def archive(self) -> Archive | None:
        """The archive that parents come from: this round's once it is warmed up."""
        return self._filled[0] if self._filled else None

    @property
    def archive_context(self) -> Context | None:
        """The context in which :attr:`archive` was filled."""
        return self._filled[1] if self._filled else None

    def shown(self, cell: int) -> Shown | None:
        """The elite of a cell of :attr:`archive`."""
        return self._filled[2].get(cell) if self._filled else None

    @property
    def queued(self) -> int:
        """Received elites that wait for a later round."""
        return len(self._queue) + len(self._later)

    @property
    def quarantined(self) -> frozenset[bytes]:
        """Origins whose items may do nothing here."""
        return frozenset(self._quarantined)

    def next_commit(self) -> tuple[int, int] | None:
        """The call that must be committed next, where the order is fixed; else None."""
        if self.phase is Phase.SEARCHING and self.settings.ordered:
            return (self.round, self.committed)
        return None

    def may_commit(self, key: tuple[int, int]) -> bool:
        """Whether the answer to call ``key`` would be taken now."""
        if self.phase is not Phase.SEARCHING or self.awaiting or key not in self.calls:
            return False
        return key[0] == self.round and self.next_commit() in (None, key)

    def state_digest(self) -> bytes:
        """BLAKE2b-256 over what decides the future; equal after equal inputs."""
        archives = [held[0].digest() if held else b"" for held in (self._filled, self._filling)]
        latest = self._latest.plain() if self._latest else None
        return digest(
            [
                [self.phase.value, self.round, self.seen, self.committed, self._committing],
                [latest, [[n, s.plain()] for n, s in sorted(self._settings.items())]],
                [*archives, self.published.digest()],
                [list(self._next_call), [call.plain() for call in self.calls.values()]],
                [[t.genome.content_hash, t.context.context_hash] for t in self.awaiting],
                [sorted(self._proposed), sorted(self._others), sorted(self._fresh)],
                sorted((name, origin.own) for name, origin in self._origins.items()),
                sorted((name, c.points, c.measures) for name, c in self._claims.items()),
                [s.genome.content_hash for s in self.gather.shares] if self.gather else None,
                [self._queue.plain(), self._later.plain(), self._feedback.plain()],
                [shown.genome.content_hash for shown in self.champions],
                [item.genome.content_hash for item in self._received],
            ]
        )

    # --- The fold -------------------------------------------------------------------------------

    def apply(self, record: Input) -> list[Output]:
        """Folds one input; raises :class:`LocalError`, unchanged, if it does not fit here."""
        match record:
            case Configured():
                return self._configure(record.settings)
            case Proposed():
                return self._propose(record)
            case Evaluated():
                return self._evaluate(record)
            case Arrived():
                return self._arrive(record)
            case Decided():
                return self._decide(record)

    def _configure(self, new: SearchSettings) -> list[Output]:
        old = self._latest
        if old and (old.node, old.seed, old.ordered) != (new.node, new.seed, new.ordered):
            raise LocalError("a run keeps its node name, its seed and its order of commits")
        self.seen += 1
        self._latest = new
        if self.phase is Phase.NEW:
            return self._open_round(0)
        if self.phase is Phase.DONE and self._goes_on():
            return self._open_round(self.round + 1)
        self._issue()
        return []

    def _propose(self, record: Proposed) -> list[Output]:
        key = (record.round, record.iteration)
        if not self.may_commit(key):
            raise LocalError(
                f"the answer to call {key} does not fit: phase {self.phase.value}, round "
                f"{self.round}, next {self.next_commit()}, issued {list(self.calls)}"
            )
        call = self.calls[key]
        asked = (record.seen, record.call, record.parents, record.operator)
        if asked != (call.seen, call.kind.value, call.parent_hashes, call.operator):
            raise LocalError(f"the answer to call {key} answers another call: {asked}")
        self.seen += 1
        del self.calls[key]
        self._committing = record.iteration
        outputs: list[Output] = []
        if record.outcome != "ok":
            self._feedback.note(record.operator, record.note)
        for position, candidate in enumerate(record.candidates):
            genome = candidate.genome
            if position >= call.candidates_max:
                reason = "surplus"
            elif genome is None:
                reason = "invalid"
                self._feedback.note(record.operator, candidate.fault)
            elif genome.content_hash in self._origins:
                reason = "duplicate"
            else:
                self._admit(genome, call, record)
                continue
            outputs.append(Skipped(*key, reason, genome.content_hash if genome else b""))
        if not self.awaiting:
            outputs += self._committed_one()
        return outputs

    def _admit(self, genome: Genome, call: Call, record: Proposed) -> None:
        """Asks for a candidate's evaluation and notes where it came from."""
        name = genome.content_hash
        node, own = self.settings.node, genome.content_hash not in self._others
        ancestors = [parent.provenance.ancestry for parent in call.parents]
        self._origins[name] = Provenance(
            node=node,
            own=own,
            operator=record.operator,
            model=record.model,
            prompt_hash=record.prompt_hash,
            parents=call.parent_hashes,
            ancestry=child(maker(node, record.operator, record.model), ancestors),
            round=self.round,
            usage=record.usage,
        )
        if own and name not in self._proposed:
            self._proposed.add(name)
            self._fresh[name] = genome
        self.awaiting.append(EvaluationTask(genome, self._running()[1]))

    def _evaluate(self, record: Evaluated) -> list[Output]:
        if not self.awaiting:
            raise LocalError("no evaluation is awaited")
        task = self.awaiting[0]
        expected = (task.genome.content_hash, task.context.context_hash, task.context.trials)
        got = (record.content_hash, record.context_hash, record.evaluation.trials)
        if got != expected:
            raise LocalError(
                f"evaluations come in order: expected {expected[0].hex()[:12]} over {expected[2]} "
                f"trials, got {got[0].hex()[:12]} over {got[2]}"
            )
        try:
            cell = self.problem.grid.cell(record.evaluation)
        except ValueError as error:
            raise LocalError(f"the evaluation of {expected[0].hex()[:12]}: {error}") from error
        self.seen += 1
        self.awaiting.popleft()
        if self.phase is Phase.CLAIMING:
            self._claims[record.content_hash] = record.evaluation
            if not self.awaiting:
                self._open_gather()
            return []
        outputs: list[Output] = [self._place(task.genome, cell, record.evaluation)]
        if not self.awaiting:
            warming = self.phase is Phase.WARMING
            outputs += self._warmed() if warming else self._committed_one()
        return outputs

    def _place(self, genome: Genome, cell: int, evaluation: Evaluation) -> Placed:
        archive, context, shown = self._running()
        name, points = genome.content_hash, evaluation.points
        outcome = archive.place(Elite(name, cell, points))
        if outcome is not Outcome.KEPT:
            means = tuple(total / evaluation.trials for total in evaluation.measures)
            shown[cell] = Shown(genome, context.fitness(evaluation), means, self._origins[name])
        return Placed(self.round, self._committing, name, cell, points, outcome.value)

    def _arrive(self, record: Arrived) -> list[Output]:
        if self.gather is None or self.gather.round != record.round:
            raise LocalError(f"no gather of round {record.round} is open")
        self.seen += 1
        gather, self.gather = self.gather, None
        archive, context, shown = self._running()
        champion = b""
        for share in gather.shares:
            name = share.genome.content_hash
            cell = self.problem.grid.cell(share.claim)
            self.published.place(Elite(name, cell, share.claim.points))
            if share.champion:
                champion = name
                held = next(s for s in shown.values() if s.genome.content_hash == name)
                self.champions.append(held)
        self._enqueue(i for i in record.items if i.genome.content_hash not in self._proposed)
        best = archive.best()
        closed = RoundClosed(
            round=self.round,
            occupied=len(archive),
            own=sum(1 for held in shown.values() if held.provenance.own),
            points=sum(elite.points for elite in archive),
            best=best.points if best else 0,
            contenders=context.contenders,
            champion=champion,
            shared=tuple(share.genome.content_hash for share in gather.shares),
            arrived=len(record.items),
        )
        if self._goes_on():
            return [closed, *self._open_round(self.round + 1)]
        self.phase = Phase.DONE
        self.calls.clear()  # of rounds that were taken back by a lower ``rounds``
        self._settings.pop(self.round + 1, None)
        self._next_call = (self.round + 1, 0)
        return [closed]

    def _enqueue(self, items: Iterable[Arrival]) -> None:
        """Received elites wait for their turn, as the settings of this round say."""
        settings = self._settings_of(self.round)
        by_use: dict[Use, list[Arrival]] = {use: [] for use in USES}
        for item in items:
            by_use[settings.use_of(item.lag, item.backfill)].append(item)
        self._queue.put(by_use["use"])
        self._later.put(by_use["last"])

    def _decide(self, record: Decided) -> list[Output]:
        self.seen += 1
        if record.decision is Decision.QUARANTINE:
            self._quarantined.add(record.subject)
            self._queue.quarantine(record.subject)
            self._later.quarantine(record.subject)
            kept = [item for item in self._received if item.name[0] != record.subject]
            self._received = deque(kept, maxlen=CHAMPIONS_MAX)
        return []

    # --- Phases ---------------------------------------------------------------------------------

    def _open_round(self, number: int) -> list[Output]:
        """Freezes the pool and the seeds of round ``number`` and asks for its warm-up."""
        self.round, self.phase = number, Phase.WARMING
        self.committed, self._committing = 0, WARM_UP
        self._fresh, self._claims = {}, {}
        settings = self._settings_of(number)
        self._queue.put(self._later.take(max(0, settings.foreign_max - len(self._queue))))
        taken = self._queue.take(settings.foreign_max)
        self._others.update({i.genome.content_hash for i in taken} - self._proposed)
        self._received.extend(reversed([item for item in taken if item.champion]))
        pool = choose_pool(
            self._initial,
            [shown.genome for shown in self.champions],
            [item.genome for item in self._received],
            min(settings.opponents_max, self.problem.opponents_max),
        )
        stream = Stream(settings.seed, settings.node, "battles", number)
        seeds = tuple(stream.word() for _ in range(self.problem.trials))
        context = self.problem.context(pool, seeds)
        self._filling = (Archive(self.problem.grid, context.context_hash), context, {})
        warm = {g.content_hash: g for g in (*pool, *(item.genome for item in taken))}
        self._origins = self._origins_of(warm, taken)
        self.awaiting.extend(EvaluationTask(warm[name], context) for name in sorted(warm))
        self._issue()
        names = tuple(genome.content_hash for genome in pool)
        opened = RoundOpened(number, context.context_hash, names, seeds)
        return [opened] if self.awaiting else [opened, *self._warmed()]

    def _origins_of(
        self, names: Iterable[bytes], taken: Iterable[Arrival]
    ) -> dict[bytes, Provenance]:
        """Provenance of what warms a round up: own champions, received elites, seeds."""
        known = {i.genome.content_hash: _provenance(i) for i in (*self._received, *taken)}
        known |= {shown.genome.content_hash: shown.provenance for shown in self.champions}
        return {name: known.get(name, SEED) for name in names}

    def _warmed(self) -> list[Output]:
        self._filled = self._filling
        self.phase = Phase.SEARCHING
        self._issue()
        return self._end_of_calls()

    def _committed_one(self) -> list[Output]:
        self.committed += 1
        self._issue()
        return self._end_of_calls()

    def _end_of_calls(self) -> list[Output]:
        if self.committed < self._settings_of(self.round).calls:
            return []
        self.phase = Phase.CLAIMING
        fresh = sorted(e.content_hash for e in self._running()[0] if e.content_hash in self._fresh)
        self.awaiting.extend(EvaluationTask(self._fresh[n], self.reference) for n in fresh)
        if not fresh:
            self._open_gather()
        return []

    def _open_gather(self) -> None:
        self.phase = Phase.GATHERING
        shares = choose_shares(
            self._running()[0],
            self._fresh,
            self._origins,
            self._claims,
            self.published,
            self._settings_of(self.round).per_round_max,
        )
        self.gather = Gather(self.round, shares)

    # --- Calls ----------------------------------------------------------------------------------

    def _issue(self) -> None:
        """Issues calls until W are in flight, at most one round ahead of the running one."""
        if self._filled is None:
            return
        archive, _, shown = self._filled
        number, iteration = self._next_call
        while number == self.round or (number == self.round + 1 and self._goes_on()):
            settings = self._settings_of(number)
            if len(self.calls) >= settings.in_flight:
                break
            if iteration >= settings.calls:
                number, iteration = number + 1, 0
                continue
            call = make_call(settings, number, iteration, self.seen, archive, shown, self._feedback)
            self.calls[call.key] = call
            iteration += 1
        self._next_call = (number, iteration)

    def _goes_on(self) -> bool:
        """Whether the next round is to be run; one that has begun always is, to its end."""
        rounds = self.settings.rounds
        return rounds == 0 or self.round + 1 < rounds

    def _settings_of(self, number: int) -> SearchSettings:
        """The settings of a round, fixed when it is first needed."""
        if number not in self._settings:
            self._settings = {n: s for n, s in self._settings.items() if n >= self.round}
            self._settings[number] = self.settings
        return self._settings[number]

    def _running(self) -> tuple[Archive, Context, dict[int, Shown]]:
        if self._filling is None:
            raise LocalError("no round has begun")
        return self._filling


def _provenance(item: Arrival) -> Provenance:
    return Provenance(item.node, False, "", "", b"", (), item.ancestry, item.round)
