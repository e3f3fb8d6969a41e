"""The journal's records: the inputs that the engine folds, and the outputs that follow.

A record has a body and an extra. The journal hash covers bodies alone, so a body holds what the
search depends on and nothing else: no times, keys, epochs, signatures, usage or money
(``docs/formats.md``). Folding the same inputs gives the same outputs; the journal keeps both, so
that a resume and a replay can check today's code against yesterday's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeAlias

from deid.search.archive import NOBODY, Name
from deid.search.canonical import Plain, decode, encode
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.search.lineage import Ancestry
from deid.search.settings import SearchSettings

EPOCH_BYTES = 16
WARM_UP = -1  # the "iteration" of what warms an archive up


# --- Inputs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings that hold from here on (``rounds`` at once, the rest from the next round)."""

    kind: ClassVar[str] = "configured"
    settings: SearchSettings

    def body(self) -> Plain:
        return self.settings.plain()

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> Configured:
        return cls(SearchSettings.of_plain(body))


@dataclass(frozen=True, slots=True)
class Candidate:
    """One text of a proposal; ``genome`` is None where it is no program (``fault`` says why)."""

    source: str
    genome: Genome | None
    fault: str = ""

    def plain(self) -> Plain:
        if self.genome is None:
            return [self.source, None, 0, self.fault]
        return [self.source, self.genome.code, self.genome.size, ""]

    @classmethod
    def of(cls, row: Any) -> Candidate:
        source, code, size, fault = row
        return cls(source, None if code is None else Genome(source, code, size), fault)


@dataclass(frozen=True, slots=True)
class Proposed:
    """The answer to one call, failed ones too.

    seen: how many inputs the engine had folded when it issued the call.
    call: what was asked for (``new``, ``mutate``, ``cross``), of which parents (content hashes).
    outcome: ``ok`` or the failure's word (``raised``, ``timed-out``, ``crashed`` …).
    usage: input, output, cached and reasoning tokens (extra).
    attempts: requests made to a model, or 1 where there is none (extra).
    """

    kind: ClassVar[str] = "proposal"
    round: int
    iteration: int
    seen: int
    call: str
    parents: tuple[bytes, ...]
    operator: str
    outcome: str
    note: str
    candidates: tuple[Candidate, ...]
    model: str = ""
    prompt_hash: bytes = b""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    attempts: int = 1

    def body(self) -> Plain:
        return [
            self.round,
            self.iteration,
            self.seen,
            self.call,
            list(self.parents),
            self.operator,
            self.outcome,
            self.note,
            [candidate.plain() for candidate in self.candidates],
            self.model,
            self.prompt_hash,
        ]

    def extra(self) -> Plain:
        return [list(self.usage), self.attempts]

    @classmethod
    def of(cls, body: Any, extra: Any) -> Proposed:
        number, iteration, seen, call, parents, operator, outcome, note, rows, *model = body
        usage, attempts = extra
        return cls(
            number,
            iteration,
            seen,
            call,
            tuple(parents),
            operator,
            outcome,
            note,
            tuple(Candidate.of(row) for row in rows),
            model=model[0],
            prompt_hash=model[1],
            usage=tuple(usage),
            attempts=attempts,
        )


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The integers of one genome in one context."""

    kind: ClassVar[str] = "evaluation"
    content_hash: bytes
    context_hash: bytes
    evaluation: Evaluation

    def body(self) -> Plain:
        result = self.evaluation
        return [
            self.content_hash,
            self.context_hash,
            result.points,
            list(result.measures),
            result.trials,
        ]

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> Evaluated:
        content_hash, context_hash, points, measures, trials = body
        return cls(content_hash, context_hash, Evaluation(points, tuple(measures), trials))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One elite that a peer shared.

    round: its origin's round; champion: its origin's best of that round.
    lag: the origin's newest known round − ``round``; backfill: it came with an old log.
    name: (origin key, epoch, seq), outside the journal hash.
    """

    genome: Genome
    node: str
    round: int
    champion: bool
    lag: int
    backfill: bool
    ancestry: Ancestry
    name: Name = NOBODY

    def plain(self) -> Plain:
        genome = self.genome
        ancestry: Plain = [list(row) for row in self.ancestry]
        flags: Plain = [self.round, self.champion, self.lag, self.backfill]
        return [genome.source, genome.code, genome.size, self.node, flags, ancestry]

    @classmethod
    def of(cls, row: Any, name: Any) -> Arrival:
        source, code, size, node, (number, champion, lag, backfill), ancestry = row
        return cls(
            Genome(source, code, size),
            node,
            number,
            champion,
            lag,
            backfill,
            ancestry=tuple((label, share) for label, share in ancestry),
            name=(name[0], int.from_bytes(name[1], "big"), name[2]),
        )


@dataclass(frozen=True, slots=True)
class Arrived:
    """The snapshot that ``gather`` gave at the end of ``round``, sorted by content hash."""

    kind: ClassVar[str] = "arrival"
    round: int
    items: tuple[Arrival, ...]

    def body(self) -> Plain:
        return [self.round, [item.plain() for item in self.items]]

    def extra(self) -> Plain:
        return [_name_plain(item.name) for item in self.items]

    @classmethod
    def of(cls, body: Any, extra: Any) -> Arrived:
        number, rows = body
        items = (Arrival.of(row, name) for row, name in zip(rows, extra, strict=True))
        return cls(number, tuple(items))


def _name_plain(name: Name) -> Plain:
    """An epoch has up to 128 bits, more than an integer of MessagePack."""
    origin, epoch, seq = name
    return [origin, epoch.to_bytes(EPOCH_BYTES, "big"), seq]


class Decision(Enum):
    """What the rim may decide."""

    QUARANTINE = "quarantine"  # subject: the origin key whose items may do nothing here


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of the rim; its subject is a key, hence outside the hash."""

    kind: ClassVar[str] = "decision"
    decision: Decision
    subject: bytes

    def body(self) -> Plain:
        return [self.decision.value]

    def extra(self) -> Plain:
        return [self.subject]

    @classmethod
    def of(cls, body: Any, extra: Any) -> Decided:
        return cls(Decision(body[0]), extra[0])


# --- Outputs ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """The frozen context of a round: the pool's content hashes in order, and the seeds."""

    kind: ClassVar[str] = "opened"
    round: int
    context_hash: bytes
    pool: tuple[bytes, ...]
    seeds: tuple[int, ...]

    def body(self) -> Plain:
        return [self.round, self.context_hash, list(self.pool), list(self.seeds)]

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> RoundOpened:
        number, context_hash, pool, seeds = body
        return cls(number, context_hash, tuple(pool), tuple(seeds))


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an evaluated genome: ``new``, ``improved`` or ``kept`` (the cell did not)."""

    kind: ClassVar[str] = "placement"
    round: int
    iteration: int  # WARM_UP for what warmed the archive up
    content_hash: bytes
    cell: int
    points: int
    outcome: str

    def body(self) -> Plain:
        return [
            self.round,
            self.iteration,
            self.content_hash,
            self.cell,
            self.points,
            self.outcome,
        ]

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> Placed:
        return cls(*body)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A candidate that was not evaluated: ``invalid``, ``duplicate`` or ``surplus``."""

    kind: ClassVar[str] = "skip"
    round: int
    iteration: int
    reason: str
    content_hash: bytes  # empty where there is no genome

    def body(self) -> Plain:
        return [self.round, self.iteration, self.reason, self.content_hash]

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> Skipped:
        return cls(*body)


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """The end of a round.

    occupied, own: cells with an elite, and with one that this node proposed.
    points: the sum over the cells; best: the largest; contenders: N of the round.
    champion: empty where the round found none. shared: what was published, champion first.
    """

    kind: ClassVar[str] = "round"
    round: int
    occupied: int
    own: int
    points: int
    best: int
    contenders: int
    champion: bytes
    shared: tuple[bytes, ...]
    arrived: int

    def body(self) -> Plain:
        return [
            self.round,
            self.occupied,
            self.own,
            self.points,
            self.best,
            self.contenders,
            self.champion,
            list(self.shared),
            self.arrived,
        ]

    def extra(self) -> Plain:
        return None

    @classmethod
    def of(cls, body: Any, extra: Any) -> RoundClosed:
        *figures, champion, shared, arrived = body
        number, occupied, own, points, best, contenders = figures
        return cls(
            number,
            occupied,
            own,
            points,
            best,
            contenders,
            champion=champion,
            shared=tuple(shared),
            arrived=arrived,
        )


Input: TypeAlias = Configured | Proposed | Evaluated | Arrived | Decided
Output: TypeAlias = RoundOpened | Placed | Skipped | RoundClosed
Record: TypeAlias = Input | Output

INPUTS: dict[str, type[Input]] = {
    c.kind: c for c in (Configured, Proposed, Evaluated, Arrived, Decided)
}
OUTPUTS: dict[str, type[Output]] = {c.kind: c for c in (RoundOpened, Placed, Skipped, RoundClosed)}


@dataclass(frozen=True, slots=True)
class Row:
    """A record as the journal stores it: canonical bytes, ``extra`` empty where there is none."""

    kind: str
    body: bytes
    extra: bytes

    @classmethod
    def of(cls, record: Record) -> Row:
        extra = record.extra()
        return cls(record.kind, encode(record.body()), b"" if extra is None else encode(extra))

    def is_input(self) -> bool:
        return self.kind in INPUTS

    def input(self) -> Input:
        """The input that this row holds; :class:`KeyError` if it holds none."""
        return INPUTS[self.kind].of(decode(self.body), self._extra())

    def record(self) -> Record:
        """The record; :class:`KeyError` on a kind that this version does not know."""
        if self.is_input():
            return self.input()
        return OUTPUTS[self.kind].of(decode(self.body), self._extra())

    def _extra(self) -> Any:
        return decode(self.extra) if self.extra else None
