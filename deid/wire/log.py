"""Origin logs: what a node holds of every (origin, epoch), and the names that tell nodes apart.

A log is sparse. Its newest item carries the origin's live set; numbers below it that are not in
the set have expired, the others are held or missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from hashlib import blake2b
from itertools import islice

from deid.search.canonical import HASH_BYTES, digest_bytes
from deid.wire.codec import EPOCH_BYTES, pack
from deid.wire.config import NodeConfig
from deid.wire.item import ITEM_BYTES_MAX, LIVE_RANGES_MAX, ItemName, SignedItem
from deid.wire.messages import LogSeqs
from deid.wire.proof import Fork, Proofs
from deid.wire.retention import beyond_quota
from deid.wire.seqset import SEQ_MAX, SeqSet

# A correct origin has none. A hostile one gets its own items pulled again when this is reached.
_OVER_QUOTA_MAX = 4_096
_FORKED = b"forked"  # in the root before an origin's key


class Verdict(Enum):
    """What a log says to an item."""

    NEW = auto()
    HELD = auto()
    EXPIRED = auto()  # its origin let it go
    OVER_QUOTA = auto()  # it was here, and its origin's better items need the room
    CONFLICT = auto()  # another item has its name: the one with the smaller body hash stays
    NO_ROOM = auto()  # for its origin, or for this epoch of it


@dataclass(frozen=True, slots=True)
class Added:
    """What taking an item in changed: whether it stayed, and what went."""

    kept: bool
    dropped: tuple[ItemName, ...]


class OriginLog:
    """The items of one origin in one epoch.

    met: items up to this number were in the log before this node met it.
    over_quota: numbers that had to go for the quota, until the origin's next newest item.
    """

    __slots__ = ("_digest", "_seqs", "epoch", "items", "live", "met", "origin", "over_quota")

    def __init__(self, origin: bytes, epoch: int, met: int) -> None:
        self.origin = origin
        self.epoch = epoch
        self.met = met
        self.items: dict[int, SignedItem] = {}
        self.live = SeqSet()
        self.over_quota: set[int] = set()
        self._seqs: SeqSet | None = None
        self._digest: bytes | None = None

    @property
    def head(self) -> int:
        """The newest number held; its item carries the live set. 0 of an empty log."""
        return self.live.last

    @property
    def seqs(self) -> SeqSet:
        """The numbers held."""
        if self._seqs is None:
            self._seqs = SeqSet.of(self.items)
        return self._seqs

    @property
    def digest(self) -> bytes:
        """BLAKE2b-256 over origin, epoch, the numbers held and their items' body hashes."""
        if self._digest is None:
            self._digest = self.digest_of(self.seqs)
        return self._digest

    def digest_of(self, seqs: SeqSet) -> bytes:
        """The digest of a log that holds ``seqs`` alone, all of which are held here."""
        name = self.origin + self.epoch.to_bytes(EPOCH_BYTES, "big")
        bodies = b"".join(self.items[seq].body_hash for seq in seqs)
        return digest_bytes(name + pack(seqs.to_gaps()) + bodies)

    def differs(self, seqs: SeqSet, digest: bytes) -> bool:
        """Whether a peer that holds ``seqs``, with ``digest`` over them (or its beginning), has
        another item under one of these names; True, too, where it holds what cannot be had here
        though both know the same newest item."""
        if seqs == self.seqs:
            return not self.digest.startswith(digest)
        if seqs.last > self.head or seqs.within(self.seqs) != seqs:
            return seqs.last == self.head
        return not self.digest_of(seqs).startswith(digest)

    @property
    def missing(self) -> int:
        """Numbers alive by the origin's newest word here, and not held."""
        refused = sum(1 for seq in self.over_quota if seq in self.live)
        return max(0, len(self.live) - len(self.items) - refused)

    @property
    def retained(self) -> SeqSet:
        """What has not expired: the live set, and all numbers above the head."""
        if not self.live:
            return SeqSet(((1, SEQ_MAX),))
        *below, (first, _) = self.live.ranges
        return SeqSet((*below, (first, SEQ_MAX)))

    def expired(self, seq: int) -> bool:
        return seq < self.head and seq not in self.live

    def put(self, signed: SignedItem) -> list[ItemName]:
        """Take ``signed`` in; the names that its live set lets go."""
        item = signed.item
        self.items[item.seq] = signed
        dropped: list[ItemName] = []
        if item.seq > self.head:
            self.live = item.live
            gone = [seq for seq in self.items if seq not in item.live]
            dropped = [self.items.pop(seq).name for seq in gone]
        self._seqs = self._digest = None
        return dropped

    def swap(self, signed: SignedItem) -> list[SignedItem]:
        """Take ``signed`` in place of the item of its name; what its live set lets go."""
        item = signed.item
        self.items[item.seq] = signed
        gone: list[int] = []
        if item.seq == self.head:
            self.live = item.live
            gone = [seq for seq in self.items if seq not in item.live]
        self._seqs = self._digest = None
        return [self.items.pop(seq) for seq in gone]

    def remove(self, seq: int) -> None:
        del self.items[seq]
        self._seqs = self._digest = None


class Logs:
    """All logs of a node, within the limits of its configuration.

    own: this node's key; it always has a place.
    """

    def __init__(self, config: NodeConfig, own: bytes) -> None:
        self._config = config
        self._own = own
        self._origins: dict[bytes, dict[int, OriginLog]] = {}
        self._bytes: dict[bytes, int] = {}
        self._root: bytes | None = None
        self.held = 0
        self.proofs = Proofs(config.proofs_max)

    def __len__(self) -> int:
        """Origins of which something is kept."""
        return len(self._origins)

    def __iter__(self) -> Iterator[OriginLog]:
        for origin in sorted(self._origins):
            logs = self._origins[origin]
            yield from (logs[epoch] for epoch in sorted(logs))

    def log(self, origin: bytes, epoch: int) -> OriginLog | None:
        return self._origins.get(origin, {}).get(epoch)

    def of_origin(self, origin: bytes) -> list[OriginLog]:
        return list(self._origins.get(origin, {}).values())

    def get(self, name: ItemName) -> SignedItem | None:
        log = self.log(name.origin, name.epoch)
        return None if log is None else log.items.get(name.seq)

    def bytes_of(self, origin: bytes) -> int:
        """Raw bytes held of one origin, over all its epochs."""
        return self._bytes.get(origin, 0)

    def judge(self, name: ItemName, body_hash: bytes | None = None) -> Verdict:
        """What becomes of an item of this name; without a body hash, of any."""
        log = self.log(name.origin, name.epoch)
        if log is None:
            return Verdict.NO_ROOM if self.no_room(name.origin, name.epoch) else Verdict.NEW
        held = log.items.get(name.seq)
        if held is not None:
            same = body_hash is None or held.body_hash == body_hash
            return Verdict.HELD if same else Verdict.CONFLICT
        if log.expired(name.seq):
            return Verdict.EXPIRED
        return Verdict.OVER_QUOTA if name.seq in log.over_quota else Verdict.NEW

    def no_room(self, origin: bytes, epoch: int) -> str | None:
        """Why a new log (origin, epoch) cannot be taken; None where it can."""
        logs = self._origins.get(origin)
        if logs is None:
            if origin == self._own or len(self._origins) < self._config.origins_max:
                return None
            return f"{self._config.origins_max:,} origins are kept already (origins_max)"
        if len(logs) < self._config.epochs_max or epoch > min(logs):
            return None
        return f"{self._config.epochs_max} higher epochs of it are kept already (epochs_max)"

    def add(self, signed: SignedItem, *, met: int | None = None) -> Added:
        """Take in a verified item that :meth:`judge` called NEW.

        met: for the first item of a log, up to where the log was there before; its own number
        less one where nothing is said.
        """
        name = signed.name
        log = self.log(name.origin, name.epoch)
        dropped: list[ItemName] = []
        if log is None:
            log = OriginLog(name.origin, name.epoch, name.seq - 1 if met is None else met)
            dropped += self._make_room(log)
        newest = name.seq > log.head
        self._count(signed, 1)
        for seq in [seq for seq in log.items if newest and seq not in signed.item.live]:
            self._count(log.items[seq], -1)
        dropped += log.put(signed)
        if newest:
            for each in self._origins[name.origin].values():
                each.over_quota.clear()
        dropped += self._enforce_quota(name.origin)
        self._root = None
        return Added(name not in dropped, tuple(dropped))

    def replace(self, signed: SignedItem) -> Added:
        """Take in a verified item that :meth:`judge` called CONFLICT, in place of the one held.

        What went for the quota may fit beside it: it is wanted again.
        """
        name = signed.name
        log = self._origins[name.origin][name.epoch]
        self._count(log.items[name.seq], -1)
        self._count(signed, 1)
        gone = log.swap(signed)
        for each in gone:
            self._count(each, -1)
        for other in self._origins[name.origin].values():
            other.over_quota.clear()
        dropped = [*(each.name for each in gone), *self._enforce_quota(name.origin)]
        self._root = None
        return Added(name not in dropped, tuple(dropped))

    def prove(self, fork: Fork) -> bool:
        """Keep a proof of equivocation; False where there is one of its origin, or no room."""
        added = self.proofs.add(fork)
        if added:
            self._root = None
        return added

    def drop_log(self, origin: bytes, epoch: int) -> tuple[ItemName, ...]:
        """Forget a whole log; the names that were held."""
        log = self._origins[origin].pop(epoch)
        for signed in log.items.values():
            self._count(signed, -1)
        if not self._origins[origin]:
            del self._origins[origin], self._bytes[origin]
        self._root = None
        return tuple(signed.name for signed in log.items.values())

    def wanted(self, claimed: LogSeqs, most: int) -> list[int]:
        """Which of the numbers that a peer claims to hold are missing here: at most ``most``,
        newest first, as the newest tells which of the others are alive."""
        log = self.log(claimed.origin, claimed.epoch)
        if log is None:
            refused = self.no_room(claimed.origin, claimed.epoch) is not None
            return [] if refused else list(islice(claimed.seqs.descending(), most))
        if log.seqs == claimed.seqs:
            return []
        wanted = claimed.seqs.within(log.retained).minus(log.seqs)
        fresh = (seq for seq in wanted.descending() if seq not in log.over_quota)
        return list(islice(fresh, most))

    def root(self) -> bytes:
        """BLAKE2b-256 over the digests of all logs in order, and the origins that are proven to
        equivocate: equal where equal items, and proofs against the same origins, are held."""
        if self._root is None:
            hasher = blake2b(digest_size=HASH_BYTES)
            for log in self:
                if log.items:
                    hasher.update(log.digest)
            for origin in self.proofs.origins():
                hasher.update(_FORKED + origin)
            self._root = hasher.digest()
        return self._root

    def entries(self) -> list[LogSeqs]:
        """What is held, log by log, as a comparison tells it."""
        return [
            LogSeqs(log.origin, log.epoch, log.seqs.newest(LIVE_RANGES_MAX))
            for log in self
            if log.items
        ]

    def names(self) -> Iterable[ItemName]:
        """All names held, in order."""
        return (log.items[seq].name for log in self for seq in sorted(log.items))

    def missing_of(self, origin: bytes) -> int:
        return sum(log.missing for log in self._origins.get(origin, {}).values())

    def held_of(self, origin: bytes) -> int:
        return sum(len(log.items) for log in self._origins.get(origin, {}).values())

    def _make_room(self, log: OriginLog) -> tuple[ItemName, ...]:
        logs = self._origins.setdefault(log.origin, {})
        self._bytes.setdefault(log.origin, 0)
        gone: tuple[ItemName, ...] = ()
        if len(logs) >= self._config.epochs_max:
            gone = self._drop_lowest(logs)
        logs[log.epoch] = log
        return gone

    def _drop_lowest(self, logs: dict[int, OriginLog]) -> tuple[ItemName, ...]:
        log = logs.pop(min(logs))
        for signed in log.items.values():
            self._count(signed, -1)
        return tuple(signed.name for signed in log.items.values())

    def _enforce_quota(self, origin: bytes) -> list[ItemName]:
        quota = self._config.quota_bytes
        if self._bytes[origin] <= quota - ITEM_BYTES_MAX:
            return []  # the rule reserves room for one whole item; see retention.py
        logs = self._origins[origin]
        items = [signed for log in logs.values() for signed in log.items.values()]
        heads = {log.items[log.head].name for log in logs.values()}
        gone = beyond_quota(items, heads, quota)
        for signed in gone:
            log = logs[signed.item.epoch]
            log.remove(signed.item.seq)
            if len(log.over_quota) >= _OVER_QUOTA_MAX:
                log.over_quota.clear()
            log.over_quota.add(signed.item.seq)
            self._count(signed, -1)
        return [signed.name for signed in gone]

    def _count(self, signed: SignedItem, sign: int) -> None:
        self.held += sign
        self._bytes[signed.item.origin] += sign * len(signed.raw)
