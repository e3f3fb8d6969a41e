"""The merged archive: the best published elite of every cell, by claims that hold.

Every item carries its reference claim. Per cell, claims are re-run here from the best down until
one holds; so nodes that hold the same items show the same archive, whatever was claimed. A claim
that does not hold is proof of a lie: that item is void.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from deid.daemon.exchange import elite_key, program_of
from deid.plugin.contracts import Domain
from deid.search.archive import Archive, Elite
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.wire.item import Item

Evaluate = Callable[[Genome, Context], Awaitable[Evaluation]]


@dataclass(frozen=True, slots=True)
class Merged:
    """The archive by claims, the item that holds each of its cells, and the items found void."""

    archive: Archive
    items: dict[int, Item]
    void: tuple[Item, ...]


class ClaimChecker:
    """Checks reference claims, each content at most once."""

    def __init__(self, domain: Domain, evaluate: Evaluate) -> None:
        self._domain = domain
        self._reference = domain.reference()
        self._evaluate = evaluate
        self._known: dict[bytes, Evaluation | None] = {}  # by content; None: no program at all

    async def holds(self, item: Item) -> bool:
        """Whether ``item``'s claim is what its code earns here."""
        if item.content_hash not in self._known:
            genome = program_of(item.code, self._domain)
            claim = None if genome is None else await self._evaluate(genome, self._reference)
            self._known[item.content_hash] = claim
            return claim == item.claim
        return self._known[item.content_hash] == item.claim

    async def merge(self, items: Iterable[Item]) -> Merged:
        """The merged archive of ``items``, and of any other iterable with the same items.

        What was known of other contents is forgotten: ``items`` is all that the node holds.
        """
        grid = self._domain.grid
        by_cell: dict[int, list[Item]] = {}
        contents: set[bytes] = set()
        for item in items:
            contents.add(item.content_hash)
            by_cell.setdefault(grid.cell(item.claim), []).append(item)
        archive = Archive(grid, self._reference.context_hash)
        held: dict[int, Item] = {}
        void: list[Item] = []
        for cell in sorted(by_cell):
            for item in sorted(by_cell[cell], key=elite_key):
                if await self.holds(item):
                    name = (item.origin, item.epoch, item.seq)
                    archive.place(Elite(item.content_hash, cell, item.claim.points, name))
                    held[cell] = item
                    break
                void.append(item)
        self._known = {name: claim for name, claim in self._known.items() if name in contents}
        return Merged(archive, held, tuple(void))
