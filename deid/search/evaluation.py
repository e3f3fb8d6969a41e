"""What an evaluation yields, and the context in which it holds.

Only integers decide (docs/decisions/0003): ``points`` and the sums of the measures are exact on
every machine; fitness is a float for people.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deid.search.canonical import digest
from deid.search.genome import Genome


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The integers of one genome in one context; additive over disjoint trials.

    points: the objective, summed over trials; more is better; >= 0.
    measures: one sum over trials for each axis of the grid, in the axes' order.
    trials: how many trials (battles, instances) the sums cover; >= 1.
    """

    points: int
    measures: tuple[int, ...]
    trials: int

    def __add__(self, other: Evaluation) -> Evaluation:
        if len(self.measures) != len(other.measures):
            raise ValueError(
                f"cannot add evaluations of {len(self.measures)} and {len(other.measures)} measures"
            )
        sums = tuple(a + b for a, b in zip(self.measures, other.measures, strict=True))
        return Evaluation(self.points + other.points, sums, self.trials + other.trials)


@dataclass(frozen=True, slots=True)
class Context:
    """All that an evaluation depends on beside the genome.

    task_hash: 32 bytes, the problem and its rules (``docs/ARCHITECTURE.md``, Task hash).
    opponents: the ordered pool that every candidate meets; empty where a domain has none.
    seeds: one per trial, each in [0, 2**64).
    points_max: points of a candidate that takes everything in one trial; >= 1.
    """

    task_hash: bytes
    opponents: tuple[Genome, ...]
    seeds: tuple[int, ...]
    points_max: int
    context_hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        names = [genome.content_hash for genome in self.opponents]
        object.__setattr__(
            self, "context_hash", digest([self.task_hash, names, list(self.seeds), self.points_max])
        )

    @property
    def trials(self) -> int:
        """Trials of a whole evaluation."""
        return len(self.seeds)

    @property
    def contenders(self) -> int:
        """N: the pool and the candidate."""
        return len(self.opponents) + 1

    def normalised(self, evaluation: Evaluation) -> float:
        """Share of all points, in [0, 1]: fitness / N."""
        return evaluation.points / (self.points_max * evaluation.trials)

    def fitness(self, evaluation: Evaluation) -> float:
        """Points times N over all points: parity is 1, the most is N (for display only)."""
        return evaluation.points * self.contenders / (self.points_max * evaluation.trials)
