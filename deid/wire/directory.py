"""Signed records of members, one's own among them: who is said to be where."""

from __future__ import annotations

from collections.abc import Collection

from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.keys import KeyPair, Verify
from deid.wire.messages import MINOR
from deid.wire.record import (
    PeerRecord,
    SignedRecord,
    parse_record,
    sign_record,
    verified_record,
)


class Directory:
    """The newest record of each key, at most ``addresses_max`` of them, and this node's own.

    Only the subject of a record can sign one with a higher incarnation.
    """

    def __init__(
        self,
        config: NodeConfig,
        keys: KeyPair,
        task_hash: bytes,
        book: Book,
        verify: Verify,
        *,
        epoch: int,
        incarnation: int,
    ) -> None:
        self._config = config
        self._keys = keys
        self._task_hash = task_hash
        self._book = book
        self._verify = verify
        self._records: dict[bytes, SignedRecord] = {}
        self.own = self._signed(epoch, incarnation)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: bytes) -> SignedRecord | None:
        return self._records.get(key)

    def news(self, raws: Collection[bytes]) -> list[SignedRecord]:
        """Those of ``raws`` that say something new, verified; :class:`RemoteError` where one of
        all is malformed or not signed by its subject. Changes nothing."""
        parsed = [parse_record(raw) for raw in raws]
        return [verified_record(each, self._verify) for each in parsed if self.is_news(each)]

    def is_news(self, signed: SignedRecord) -> bool:
        record = signed.record
        known = self.own if record.key == self._keys.public else self._records.get(record.key)
        return known is None or record.incarnation > known.record.incarnation

    def take(self, now_ms: int, signed: SignedRecord, members: Collection[bytes]) -> bool:
        """Keep a verified record, and its address for dialling; False where it is no news, or
        there is room for ``members`` only."""
        record = signed.record
        if not self.is_news(signed):
            return False
        if record.key not in self._records and len(self._records) >= self._config.addresses_max:
            stranger = next((key for key in self._records if key not in members), None)
            if stranger is None:
                return False
            del self._records[stranger]
        self._records[record.key] = signed
        # Of two nodes the smaller key dials first, so that two links to one peer are rare.
        defer_ms = self._config.dial_defer_ms if self._keys.public > record.key else 0
        self._book.learn(now_ms, record.address, record.key, defer_ms=defer_ms)
        return True

    def raise_own(self, *, above: int, epoch: int | None = None) -> None:
        """Sign a new record of this node with an incarnation higher than ``above``."""
        kept = self.own.record.epoch if epoch is None else epoch
        self.own = self._signed(kept, max(above, self.own.record.incarnation) + 1)

    def _signed(self, epoch: int, incarnation: int) -> SignedRecord:
        record = PeerRecord(
            key=self._keys.public,
            incarnation=incarnation,
            epoch=epoch,
            name=self._config.name,
            address=self._config.address,
            task_hash=self._task_hash,
            minor=MINOR,
        )
        return sign_record(record, self._keys)
