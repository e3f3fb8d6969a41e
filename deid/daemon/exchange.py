"""Between the search and the collective: shares become drafts, received items become arrivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from deid.errors import CandidateError
from deid.plugin.contracts import Domain
from deid.search.calls import Share
from deid.search.evaluation import Context, Evaluation
from deid.search.grid import Grid
from deid.search.records import Arrival
from deid.wire.gather import Arrival as Received
from deid.wire.item import PARENTS_MAX, SOURCE_BYTES_MAX, Item, Usage
from deid.wire.own import Draft

log = structlog.get_logger(__name__)


def draft_of(share: Share, domain: Domain) -> Draft:
    """What is published of ``share``; a source too long for an item is rendered anew."""
    provenance, genome = share.provenance, share.genome
    source = genome.source
    if len(source.encode("utf-8", "replace")) > SOURCE_BYTES_MAX or "\x00" in source:
        source = domain.render(genome)
    return Draft(
        round=provenance.round,
        champion=share.champion,
        code=genome.code,
        source=source,
        claim=share.claim,
        operator=provenance.operator,
        parents=provenance.parents[:PARENTS_MAX],
        model=provenance.model,
        prompt_hash=provenance.prompt_hash,
        usage=Usage(*provenance.usage),
        ancestry=provenance.ancestry,
    )


def arrivals_of(received: Iterable[Received], domain: Domain) -> tuple[Arrival, ...]:
    """What the search gets of received items, in their order.

    An item's text is a claim of its origin; the program is rebuilt from its code alone. Code that
    is none of the domain's is left out and logged.
    """
    arrivals: list[Arrival] = []
    for each in received:
        item = each.signed.item
        try:
            genome = domain.decode(item.code)
        except CandidateError as error:
            log.warning(
                "item.undecodable", origin=item.origin.hex(), seq=item.seq, reason=str(error)
            )
            continue
        arrivals.append(
            Arrival(
                genome=genome,
                node=item.node,
                round=item.round,
                champion=item.champion,
                lag=each.lag,
                backfill=each.backfill,
                ancestry=item.ancestry,
                name=item.name,
            )
        )
    return tuple(arrivals)


def cell_of_claims(grid: Grid, reference: Context) -> Callable[[Evaluation], int]:
    """The reference cell of a claim; :class:`ValueError` for one that cannot be true there."""

    def cell_of(claim: Evaluation) -> int:
        if claim.trials != reference.trials:
            raise ValueError(f"a claim covers {reference.trials} trials, got {claim.trials}")
        if claim.points > reference.points_max * claim.trials:
            raise ValueError(f"a claim of {claim.points} points exceeds what there is")
        return grid.cell(claim)

    return cell_of


def elite_key(item: Item) -> tuple[int, bytes, tuple[bytes, int, int]]:
    """Ascending from the better claim: the total order of items in the reference context."""
    return (-item.claim.points, item.content_hash, (item.origin, item.epoch, item.seq))
