"""Between the search and the collective: shares become drafts, received items become arrivals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from deid.errors import CandidateError
from deid.plugin.contracts import Domain
from deid.search.calls import Share
from deid.search.canonical import HASH_BYTES
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Grid
from deid.search.records import Arrival
from deid.wire.gather import Arrival as Received
from deid.wire.item import LABEL_BYTES_MAX, PARENTS_MAX, SOURCE_BYTES_MAX, Item, Usage
from deid.wire.own import Draft

log = structlog.get_logger(__name__)


def draft_of(share: Share, domain: Domain) -> Draft:
    """What is published of ``share``, cut to the bounds of an item: a source that is too long is
    rendered anew, a label shortened, a prompt hash that is none left out."""
    provenance, genome = share.provenance, share.genome
    source = genome.source
    if not _fits(source):
        source = domain.render(genome)
    if not _fits(source):
        source = ""
    hashed = len(provenance.prompt_hash) == HASH_BYTES
    return Draft(
        round=provenance.round,
        champion=share.champion,
        code=genome.code,
        source=source,
        claim=share.claim,
        operator=_label(provenance.operator),
        parents=provenance.parents[:PARENTS_MAX],
        model=_label(provenance.model),
        prompt_hash=provenance.prompt_hash if hashed else b"",
        usage=Usage(*provenance.usage),
        ancestry=tuple((_label(maker), part) for maker, part in provenance.ancestry),
    )


def program_of(code: bytes, domain: Domain) -> Genome | None:
    """The program in the bytes of a peer; None where they are none of the domain's."""
    try:
        return domain.decode(code)
    except CandidateError:
        return None
    except Exception as error:
        log.error("domain.decode-raised", domain=domain.name, exc_info=error)
        return None


def text_of(item: Item, domain: Domain) -> str:
    """The text of an item where it means the item's code, else what the domain renders of that:
    a text is a claim of its origin. Empty where the code is no program."""
    try:
        if domain.parse(item.source).code == item.code:
            return item.source
    except Exception as error:
        if not isinstance(error, CandidateError):
            log.error("domain.parse-raised", domain=domain.name, exc_info=error)
    genome = program_of(item.code, domain)
    return "" if genome is None else domain.render(genome)


def arrivals_of(received: Iterable[Received], domain: Domain) -> tuple[Arrival, ...]:
    """What the search gets of received items, in their order.

    An item's text is a claim of its origin; the program is rebuilt from its code alone. Code that
    is none of the domain's is left out and logged.
    """
    arrivals: list[Arrival] = []
    for each in received:
        item = each.signed.item
        genome = program_of(item.code, domain)
        if genome is None:
            log.warning("item.undecodable", node=item.node, item=str(item.name))
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


def _fits(source: str) -> bool:
    return len(source.encode()) <= SOURCE_BYTES_MAX and "\x00" not in source


def _label(text: str) -> str:
    """Printable text of at most :data:`LABEL_BYTES_MAX` bytes."""
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return shown.encode()[:LABEL_BYTES_MAX].decode(errors="ignore")
