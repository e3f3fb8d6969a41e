"""What the engine asks of the world: calls of an operator, evaluations, and gathers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from deid.search.canonical import Plain
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.lineage import Ancestry, founder, maker


class CallKind(Enum):
    """What a call asks for."""

    NEW = "new"
    MUTATE = "mutate"
    CROSS = "cross"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a program came from.

    node: name of the node that proposed it, "" for a seed of the domain.
    own: it was this one, and the program is neither a seed nor had it come from a peer before.
    usage: input, output, cached and reasoning tokens of the call that made it.
    """

    node: str
    own: bool
    operator: str
    model: str
    prompt_hash: bytes
    parents: tuple[bytes, ...]
    ancestry: Ancestry
    round: int
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)


SEED = Provenance("", False, "seed", "", b"", (), founder(maker("", "seed")), 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """An elite as an operator sees it, in the context in which its archive was filled.

    measures: the mean of every axis.
    """

    genome: Genome
    fitness: float
    measures: tuple[float, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Call:
    """One call, a pure function of the inputs up to ``seen``."""

    round: int
    iteration: int
    seen: int
    kind: CallKind
    operator: str
    parents: tuple[Shown, ...]
    inspirations: tuple[Shown, ...]
    feedback: tuple[str, ...]
    seed: int
    candidates_max: int

    @property
    def key(self) -> tuple[int, int]:
        return (self.round, self.iteration)

    @property
    def parent_hashes(self) -> tuple[bytes, ...]:
        return tuple(parent.genome.content_hash for parent in self.parents)

    def plain(self) -> Plain:
        """What it asks, in plain values."""
        shown = [example.genome.content_hash for example in self.inspirations]
        return [
            [self.round, self.iteration, self.seen, self.kind.value, self.operator],
            [list(self.parent_hashes), shown, list(self.feedback)],
            [self.seed, self.candidates_max],
        ]


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """``genome`` is to be evaluated in ``context``."""

    genome: Genome
    context: Context


@dataclass(frozen=True, slots=True)
class Share:
    """An elite to publish; ``claim`` is its evaluation in the reference context."""

    genome: Genome
    provenance: Provenance
    champion: bool
    claim: Evaluation


@dataclass(frozen=True, slots=True)
class Gather:
    """The end of ``round``: publish ``shares`` (champion first), then give a snapshot."""

    round: int
    shares: tuple[Share, ...]
