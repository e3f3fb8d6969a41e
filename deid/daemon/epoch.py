"""The node's epoch: chosen at start, stored with everything published, renewed when it must be."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from deid.errors import StoreError
from deid.net.collective import Collective
from deid.store import (
    STATE_MARK,
    Backoff,
    Identity,
    Journal,
    Mark,
    StoredItem,
    Transaction,
    next_epoch,
)
from deid.wire.item import SignedItem

log = structlog.get_logger(__name__)


class EpochKeeper:
    """Keeps the two copies of the high-water mark, in the journal and beside the key, in step.

    The order is always journal, mark, network: an item's name is durable in both places before
    the item can leave the node, so no name is ever given twice. A disk that refuses the mark is
    asked again until it takes it; ``fault`` says why meanwhile.
    """

    def __init__(self, key_file: Path, journal: Journal, *, backoff: Backoff | None = None) -> None:
        """:class:`ConfigError` for a bad key file, :class:`StoreError` from the disk."""
        self.identity = Identity.load_or_create(key_file)
        self.fault = ""
        self._journal = journal
        self._backoff = backoff or Backoff()
        self._epoch = 0
        self._writing = asyncio.Lock()  # of the mark, with the journal's part of it
        self._behind = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

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

    async def published(self, signed: Sequence[SignedItem]) -> None:
        """``signed`` are durable in the journal; when this returns they may leave.

        Where the epoch was renewed meanwhile they are signed anew there, and these ones dropped.
        """
        if not signed:
            return
        async with self._writing:
            if signed[0].item.epoch == self._epoch:
                await self._raise_mark(self._mark(signed))
            else:
                dropped = tuple(each.name for each in signed)
                await self._journal.commit(Transaction(dropped=dropped))

    def behind(self) -> None:
        """Own items were met that the state directory does not know: :meth:`keep` renews."""
        self._settled.clear()
        self._behind.set()

    async def settled(self) -> None:
        """Returns when no renewal is due: until then nothing can be published."""
        await self._settled.wait()

    async def keep(self, collective: Collective) -> None:
        """Takes a new epoch whenever :meth:`behind` was called; runs until it is cancelled."""
        while True:
            await self._behind.wait()
            self._behind.clear()
            await self._renew(collective)
            if not self._behind.is_set():
                self._settled.set()

    async def _renew(self, collective: Collective) -> None:
        async with self._writing:
            epoch = next_epoch(int(time.time()), secrets.randbits(64))
            await self._raise_mark(Mark(epoch))
            self._epoch = epoch
            signed = collective.raise_epoch(epoch)
            meta = {STATE_MARK: self._mark(signed).to_bytes()}
            await self._journal.commit(Transaction(items=own_items(signed), meta=meta))
            await self._raise_mark(self._mark(signed))
            collective.committed([each.name for each in signed])
            log.warning("epoch.renewed", items=len(signed))

    async def _raise_mark(self, mark: Mark) -> None:
        """Stores the mark beside the key, however long the disk refuses it."""
        for wait_s in self._backoff.waits():
            try:
                await asyncio.to_thread(self.identity.raise_mark, mark)
            except StoreError as error:
                if error.message != self.fault:
                    log.warning("epoch.mark-refused", reason=error.message)
                self.fault = error.message
                await asyncio.sleep(wait_s)
            else:
                self.fault = ""
                return

    def _mark(self, signed: Sequence[SignedItem]) -> Mark:
        return Mark(self._epoch, max((each.item.seq for each in signed), default=0))


def own_items(signed: Sequence[SignedItem]) -> tuple[StoredItem, ...]:
    """Published items as the journal stores them."""
    return tuple(StoredItem(s.name, s.item.content_hash, True, s.raw) for s in signed)
