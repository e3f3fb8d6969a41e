"""The node's epoch: chosen at start, stored with everything published, renewed when it must be."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from deid.net.collective import Collective
from deid.store import STATE_MARK, Identity, Journal, Mark, StoredItem, Transaction
from deid.wire.item import SignedItem

log = structlog.get_logger(__name__)


class EpochKeeper:
    """Keeps the two copies of the high-water mark, in the journal and beside the key, in step.

    The order is always journal, mark, network: an item's name is durable in both places before
    the item can leave the node, so no name is ever given twice.
    """

    def __init__(self, key_file: Path, journal: Journal) -> None:
        """:class:`ConfigError` for a bad key file, :class:`StoreError` from the disk."""
        self.identity = Identity.load_or_create(key_file)
        self._journal = journal
        self._epoch = 0

    async def open(self) -> int:
        """The epoch of this start."""
        stored = self._journal.meta(STATE_MARK)
        state = None if stored is None else Mark.of_bytes(stored)
        choice = self.identity.current(state, int(time.time()), secrets.randbits(64))
        self._epoch = choice.epoch
        log.info("epoch.chosen", reason=choice.reason, fresh=choice.fresh)
        if choice.fresh:
            mark = {STATE_MARK: self._mark(()).to_bytes()}
            await self._journal.commit(Transaction(meta=mark))
        return choice.epoch

    def meta(self, signed: Sequence[SignedItem]) -> Mapping[str, bytes]:
        """What the journal stores in the transaction that holds ``signed``."""
        return {STATE_MARK: self._mark(signed).to_bytes()} if signed else {}

    def published(self, signed: Sequence[SignedItem]) -> None:
        """``signed`` are durable in the journal; when this returns they may leave."""
        if signed:
            self.identity.raise_mark(self._mark(signed))

    async def renew(self, collective: Collective) -> None:
        """A new epoch, because own items exist that the state directory does not know."""
        choice = self.identity.renew(
            "own items were met that the state directory does not know",
            int(time.time()),
            secrets.randbits(64),
        )
        self._epoch = choice.epoch
        signed = collective.raise_epoch(choice.epoch)
        meta = {STATE_MARK: self._mark(signed).to_bytes()}
        await self._journal.commit(Transaction(items=own_items(signed), meta=meta))
        self.published(signed)
        collective.committed([each.name for each in signed])
        log.warning("epoch.renewed", items=len(signed))

    def _mark(self, signed: Sequence[SignedItem]) -> Mark:
        return Mark(self._epoch, max((each.item.seq for each in signed), default=0))


def own_items(signed: Sequence[SignedItem]) -> tuple[StoredItem, ...]:
    """Published items as the journal stores them."""
    return tuple(StoredItem(s.name, s.item.content_hash, True, s.raw) for s in signed)
