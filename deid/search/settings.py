"""Settings of the search, as the engine folds them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

PARTS = 1_000_000  # probabilities are integers out of a million: no float decides anything
LAG_MAX: Final = (1 << 32) - 1  # the largest round: nothing is late

Use = Literal["use", "last", "skip"]
"""What becomes of received elites of one kind: taken in turn, taken where all others leave room in
``foreign_max``, or not taken at all."""

USES: Final[tuple[Use, ...]] = ("use", "last", "skip")

_LATER: Final = frozenset({"lag_max", "late", "backfill"})  # than the first journals


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
    lag_max: received elites of a greater lag are late; rounds.
    late, backfill: what becomes of the late ones, and of those that came with a log which this
    node met after they were published; where both hold, the stricter. It is decided when they
    arrive, by the settings of the round at whose end that is, and for good.
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
    lag_max: int = LAG_MAX
    late: Use = "last"
    backfill: Use = "use"

    def use_of(self, lag: int, backfill: bool) -> Use:
        """What becomes of a received elite with these tags."""
        uses = [self.late if lag > self.lag_max else "use", self.backfill if backfill else "use"]
        return max(uses, key=USES.index)

    @property
    def calls(self) -> int:
        """Calls in one round."""
        return self.n_init + self.iterations

    def plain(self) -> dict[str, Any]:
        """For the journal: plain values by name. Those of :data:`_LATER` are left out at their
        defaults, so that a run which does not use them has the journal hash that it always had."""
        values = asdict(self)
        values["operators"] = [list(row) for row in self.operators]
        defaults = {f.name: f.default for f in fields(self) if f.name in _LATER}
        return {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}

    @classmethod
    def of_plain(cls, values: dict[str, Any]) -> SearchSettings:
        """Inverse of :meth:`plain`; fields of a later version are left out."""
        known = {f.name for f in fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        taken["operators"] = tuple((name, weight) for name, weight in taken["operators"])
        return cls(**taken)
