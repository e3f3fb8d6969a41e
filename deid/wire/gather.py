"""The pure part of the non-blocking all-gather: received items wait here until the search asks.

``take`` never waits: it hands out what has come, each content once in a run, and says how fresh
it is and who is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSet, Sequence
from dataclasses import dataclass

from deid.wire.events import ItemReceived, PeerState, PeerStatus
from deid.wire.item import ItemName, SignedItem

_LOGS_MAX = 16_384  # whose newest round is remembered; twice what a node's logs may be


@dataclass(frozen=True, slots=True)
class Arrival:
    """One item as the search gets it.

    origin_round: the origin's round in which it was proposed.
    lag: the origin's newest known round of the item's epoch minus that; >= 0.
    held_ms: how long it waited here for this call.
    backfill: it was in its origin's log before this node first met that log.
    """

    signed: SignedItem
    origin_round: int
    lag: int
    held_ms: int
    backfill: bool


@dataclass(frozen=True, slots=True)
class PeerReport:
    """What one call of gather knows about one peer; age_ms is the time since it was heard."""

    name: str
    key: bytes
    round: int
    age_ms: int
    state: PeerState
    missing: int


@dataclass(frozen=True, slots=True)
class GatherReport:
    """Counts of one call.

    fresh: items of their origin's newest known round, not backfill. late: all others handed out.
    fresh + late = items in the snapshot. backfill: those of the late that are backfill.
    duplicates: items received since the last call whose content was handed out already, in this
    snapshot or before. expired: items that were let go before the search asked.
    """

    round: int
    fresh: int
    late: int
    backfill: int
    duplicates: int
    expired: int
    peers: tuple[PeerReport, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Items sorted by content hash, and the report."""

    arrivals: tuple[Arrival, ...]
    report: GatherReport


class Mailbox:
    """Received items between two calls of gather.

    handed: content hashes handed out in this run, from the journal; it grows by what ``take``
    returns and may be any mutable set, so that a long run can keep it outside of memory.
    What waits is bounded by the logs: :meth:`expire` takes back what they let go.
    """

    def __init__(self, handed: MutableSet[bytes] | None = None) -> None:
        self._handed: MutableSet[bytes] = set() if handed is None else handed
        # By content hash, then by name: where one name expires, another may still stand.
        self._waiting: dict[bytes, dict[ItemName, ItemReceived]] = {}
        self._contents: dict[ItemName, bytes] = {}
        self._void: set[bytes] = set()
        self._newest: dict[tuple[bytes, int], int] = {}  # (origin, epoch) -> newest round seen
        self._duplicates = 0
        self._expired = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, received: ItemReceived) -> bool:
        """Take one item in; False where its content was handed out or waits already, or its origin
        is in quarantine.

        Of several items with one content the one with the smallest name is handed out, so that
        it does not depend on which came first. An item takes the place of another of its name
        (its origin equivocates) that waits.
        """
        item = received.signed.item
        if item.origin in self._void:
            return False
        if self._contents.get(item.name, item.content_hash) != item.content_hash:
            self._forget(item.name)
        log = (item.origin, item.epoch)
        self._newest[log] = max(self._newest.pop(log, 0), item.round)  # to the end: oldest go first
        if len(self._newest) > _LOGS_MAX:
            del self._newest[next(iter(self._newest))]
        if item.content_hash in self._handed:
            self._duplicates += 1
            return False
        same = self._waiting.setdefault(item.content_hash, {})
        first = not same
        self._duplicates += not first
        same[item.name] = received
        self._contents[item.name] = item.content_hash
        return first

    def quarantine(self, origin: bytes) -> None:
        """Hand out nothing more of ``origin``. A content that others publish, too, is theirs."""
        self._void.add(origin)
        self._forget_all(name for name in self._contents if name.origin == origin)

    def expire(self, names: Iterable[ItemName]) -> None:
        """Take back items that the logs no longer retain."""
        self._expired += self._forget_all(names)

    def take(self, now_ms: int, round_number: int, peers: Sequence[PeerStatus] = ()) -> Snapshot:
        """Everything that came since the last call, at once, and the report of it.

        now_ms: on the clock of the ``received_ms`` of what was put in.
        """
        newest = self._newest_rounds(peers)
        arrivals = tuple(
            self._arrival(now_ms, same[min(same)], newest)
            for _, same in sorted(self._waiting.items())
        )
        fresh = sum(1 for each in arrivals if each.lag == 0 and not each.backfill)
        report = GatherReport(
            round=round_number,
            fresh=fresh,
            late=len(arrivals) - fresh,
            backfill=sum(1 for each in arrivals if each.backfill),
            duplicates=self._duplicates,
            expired=self._expired,
            peers=tuple(_report(peer) for peer in peers),
        )
        for content in self._waiting:
            self._handed.add(content)
        self._waiting.clear()
        self._contents.clear()
        self._duplicates = self._expired = 0
        return Snapshot(arrivals, report)

    def _forget_all(self, names: Iterable[ItemName]) -> int:
        """Take back what waits under ``names``; how many contents went with it."""
        return sum(self._forget(name) for name in list(names))

    def _forget(self, name: ItemName) -> bool:
        """Take back what waits under ``name``; whether a content went with it."""
        content = self._contents.pop(name, None)
        if content is None:
            return False
        del self._waiting[content][name]
        if self._waiting[content]:
            return False
        del self._waiting[content]
        return True

    def _newest_rounds(self, peers: Sequence[PeerStatus]) -> dict[tuple[bytes, int], int]:
        newest = dict(self._newest)
        for peer in peers:
            log = (peer.key, peer.epoch)
            newest[log] = max(newest.get(log, 0), peer.round)
        return newest

    @staticmethod
    def _arrival(
        now_ms: int, received: ItemReceived, newest: dict[tuple[bytes, int], int]
    ) -> Arrival:
        item = received.signed.item
        return Arrival(
            signed=received.signed,
            origin_round=item.round,
            lag=max(0, newest.get((item.origin, item.epoch), 0) - item.round),
            held_ms=max(0, now_ms - received.received_ms),
            backfill=received.backfill,
        )


def _report(peer: PeerStatus) -> PeerReport:
    return PeerReport(peer.name, peer.key, peer.round, peer.silent_ms, peer.state, peer.missing)
