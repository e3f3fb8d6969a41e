"""Signed records of members, one's own among them: who is said to be where."""

from __future__ import annotations

from collections.abc import Collection

from deid.search.streams import Stream
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

_COUNTED_MAX = 16  # members told by one peer that count for the size of the network


class Directory:
    """The passive view: the newest record of each key, at most ``addresses_max`` of them, and this
    node's own.

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
        self._sources: dict[bytes, bytes] = {}  # key -> who told of it; itself once it was met
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
        """Whether it replaces what is known; of this node itself, whether it contradicts that."""
        record = signed.record
        if record.key == self._keys.public:
            mine = self.own
            return record.incarnation >= mine.record.incarnation and signed.raw != mine.raw
        known = self._records.get(record.key)
        return known is None or record.incarnation > known.record.incarnation

    def take(
        self, now_ms: int, signed: SignedRecord, members: Collection[bytes], source: bytes
    ) -> bool:
        """Keep a verified record that ``source`` told, and its address for dialling; False where
        it is no news, or there is room for ``members`` only."""
        record = signed.record
        if not self.is_news(signed):
            return False
        if record.key in self._records:
            self._forget_address(record.key, but=record.address)
        elif not self._make_room(record, members, source):
            return False
        self._records[record.key] = signed
        if self._sources.get(record.key) != record.key:  # else it proved itself here before
            self._sources[record.key] = source
        # Of two nodes the smaller key dials first, so that two links to one peer are rare.
        defer_ms = self._config.dial_defer_ms if self._keys.public > record.key else 0
        self._book.learn(now_ms, record.address, record.key, defer_ms=defer_ms)
        return True

    def proven(self, key: bytes) -> None:
        """The subject of a record was met: whoever told of it no longer answers for it."""
        if key in self._records:
            self._sources[key] = key

    def others(self, members: Collection[bytes]) -> int:
        """How many beside ``members`` there are: of what one peer told only a few count, so that
        it cannot make a small network look large."""
        met = 0
        told: dict[bytes, int] = {}
        for key, signed in self._records.items():
            if key in members or not self._book.hopeful(signed.record.address):
                continue
            source = self._sources[key]
            if source == key:
                met += 1
            else:
                told[source] = min(_COUNTED_MAX, told.get(source, 0) + 1)
        return met + sum(told.values())

    def some(self, most: int, but: bytes, stream: Stream) -> list[bytes]:
        """At most ``most`` raw records, at random, of others than ``but``."""
        keys = [key for key in self._records if key != but]
        chosen = []
        for _ in range(min(most, len(keys))):
            at = stream.below(len(keys))
            keys[at], keys[-1] = keys[-1], keys[at]
            chosen.append(self._records[keys.pop()].raw)
        return chosen

    def raise_own(self, *, above: int, epoch: int | None = None) -> None:
        """Sign a new record of this node with an incarnation higher than ``above``."""
        kept = self.own.record.epoch if epoch is None else epoch
        self.own = self._signed(kept, max(above, self.own.record.incarnation) + 1)

    def _make_room(self, record: PeerRecord, members: Collection[bytes], source: bytes) -> bool:
        """A place for a new key. Who tells too many replaces its own, a network with too many
        replaces its own; where all is full, the source that told most gives one up. So whoever
        invents members displaces what it invented, and not what others told."""
        mine = [key for key, told_by in self._sources.items() if told_by == source != record.key]
        network = prefix_of(record.address)
        near = [
            key
            for key, each in self._records.items()
            if network and prefix_of(each.record.address) == network
        ]
        if len(mine) >= self._config.per_source_max:
            crowd = mine
        elif len(near) >= self._config.per_prefix_max:
            crowd = near
        elif len(self._records) >= self._config.addresses_max:
            crowd = self._largest_crowd(members)
        else:
            return True
        victim = next((key for key in crowd if key not in members), None)
        if victim is None:
            return False
        self.forget(victim)
        return True

    def _largest_crowd(self, members: Collection[bytes]) -> list[bytes]:
        """What the source told that told most; those that proved themselves count as one."""
        crowds: dict[bytes, list[bytes]] = {}
        for key, source in self._sources.items():
            if key not in members:
                crowds.setdefault(b"" if source == key else source, []).append(key)
        return max(crowds.values(), key=len, default=[])

    def forget(self, key: bytes) -> None:
        self._forget_address(key)
        del self._records[key], self._sources[key]

    def _forget_address(self, key: bytes, but: str = "") -> None:
        address = self._records[key].record.address
        if address != but:
            self._book.forget(address, key)

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


def prefix_of(address: str) -> str:
    """The network of an address: an IPv4 /16, an IPv6 /32, the last two labels of a name. Empty
    for names without a dot and for what only this machine can dial: those say nothing."""
    host = address.rpartition("//")[2].rpartition(":")[0]
    if host.startswith("["):
        return ":".join(host[1:].split(":")[:2])
    labels = host.split(".")
    if len(labels) < 2 or labels[0] == "127":
        return ""
    return ".".join(labels[:2] if labels[-1].isdigit() else labels[-2:])
