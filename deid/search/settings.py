"""Settings of the search, as the engine folds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

PARTS = 1_000_000  # probabilities are integers out of a million: no float decides anything


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Everything beside the problem that a node's search depends on.

    node: the node's name; with ``seed`` it names every random stream.
    rounds: how many to run; 0 = until stopped.
    iterations: calls in a round after its ``n_init`` initial ones (kind NEW).
    in_flight: W; the call of iteration i sees the commits up to i − W.
    new_parts, cross_parts: probability of NEW and of CROSS, out of :data:`PARTS`.
    opponents_max: most opponents in a round's pool.
    foreign_max: most received elites that are evaluated in one round.
    per_round_max: most improving elites shared in a round beside the champion.
    inspirations_max: most elites of other cells shown with a call.
    candidates_max: most candidates taken of one proposal.
    operators: (name, weight) of each; a call goes to one by weight.
    ordered: no operator needs a model, so commits go in the order of iterations.
    """

    node: str
    seed: int
    rounds: int = 20
    iterations: int = 62
    n_init: int = 8
    in_flight: int = 4
    new_parts: int = 100_000
    cross_parts: int = 0
    opponents_max: int = 20
    foreign_max: int = 32
    per_round_max: int = 8
    inspirations_max: int = 3
    candidates_max: int = 1
    operators: tuple[tuple[str, int], ...] = (("edit", 1),)
    ordered: bool = True

    @property
    def calls(self) -> int:
        """Calls in one round."""
        return self.n_init + self.iterations

    def plain(self) -> dict[str, Any]:
        """For the journal: plain values by name."""
        values = asdict(self)
        values["operators"] = [list(row) for row in self.operators]
        return values

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> SearchSettings:
        """Inverse of :meth:`plain`; fields of a later version are left out."""
        known = {f.name for f in fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        taken["operators"] = tuple((name, weight) for name, weight in taken["operators"])
        return cls(**taken)
