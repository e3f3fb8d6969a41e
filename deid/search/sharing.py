"""Which of a round's elites a node publishes."""

from __future__ import annotations

from collections.abc import Mapping

from deid.search.archive import Archive, Elite
from deid.search.calls import Provenance, Share
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome


def choose_shares(
    archive: Archive,
    fresh: Mapping[bytes, Genome],
    origins: Mapping[bytes, Provenance],
    claims: Mapping[bytes, Evaluation],
    published: Archive,
    improving_max: int,
) -> tuple[Share, ...]:
    """The round's champion, then its improving elites, at most ``improving_max`` of them.

    archive: the round's; fresh: what this node first proposed in this round; claims: the
    reference evaluation of every fresh elite; published: what the node has published so far, by
    claims. The champion is the best fresh elite of the archive (none, no champion). An elite
    improves when it becomes the best published one of its reference cell; empty cells go first,
    then more points, then the smaller content hash.
    """
    elites = [elite for elite in archive if elite.content_hash in fresh]
    champion = Archive(archive.grid, archive.context_hash, elites).best()
    ahead = Archive(published.grid, published.context_hash, published)
    for elite in elites:
        claim = claims[elite.content_hash]
        cell = published.grid.cell(claim)
        ahead.place(Elite(elite.content_hash, cell, claim.points))
    improving = [
        elite
        for elite in ahead
        if elite.content_hash in claims
        and (champion is None or elite.content_hash != champion.content_hash)
    ]
    improving.sort(key=lambda e: (published.at(e.cell) is not None, -e.points, e.content_hash))
    names = [champion.content_hash] if champion else []
    names += [elite.content_hash for elite in improving[:improving_max]]
    return tuple(
        Share(fresh[name], origins[name], bool(champion) and position == 0, claims[name])
        for position, name in enumerate(names)
    )
