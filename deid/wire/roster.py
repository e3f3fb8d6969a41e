"""The table of peers: who is what, who can be reached, and the one place where states change."""

from __future__ import annotations

from collections.abc import Iterator

from deid.wire.config import NodeConfig
from deid.wire.events import PeerChanged, PeerState
from deid.wire.messages import Message, encode
from deid.wire.notices import Notices
from deid.wire.outbox import Outbox
from deid.wire.peer import Peer

GONE = frozenset({PeerState.EVICTED, PeerState.LEFT, PeerState.PASSIVE})
_GONE_MAX = 64  # peers that are no members any more and are remembered for people


class Roster:
    """Every remembered peer. ``own`` is this node's key.

    status_due_ms: when to tell the peers what changed; None where nothing did.
    """

    def __init__(
        self, config: NodeConfig, own: bytes, task_hash: bytes, outbox: Outbox, notices: Notices
    ) -> None:
        self._config = config
        self._own = own
        self._task_hash = task_hash
        self._outbox = outbox
        self._notices = notices
        self._peers: dict[bytes, Peer] = {}
        self._members: list[Peer] | None = None
        self.status_due_ms: int | None = None

    def all(self) -> Iterator[Peer]:
        """Every remembered peer, by key."""
        return (self._peers[key] for key in sorted(self._peers))

    def members(self) -> list[Peer]:
        """Peers that are alive or suspected. Not to be changed by the caller."""
        if self._members is None:
            self._members = [peer for peer in self._peers.values() if peer.state not in GONE]
        return self._members

    def linked(self) -> list[Peer]:
        """Members with a link, answering or not."""
        return [peer for peer in self.members() if peer.connections]

    def reached(self) -> list[Peer]:
        """Members that are sent to."""
        return [peer for peer in self.members() if peer.reachable]

    def get(self, key: bytes) -> Peer | None:
        return self._peers.get(key)

    def add(self, peer: Peer) -> None:
        self._peers[peer.key] = peer
        self._members = None

    def is_member(self, key: bytes) -> bool:
        """Whether ``key`` is a member with a link."""
        peer = self._peers.get(key)
        return peer is not None and peer.state not in GONE and bool(peer.connections)

    def is_linked(self, key: bytes) -> bool:
        """Whether a link to ``key`` is up and alive."""
        peer = self._peers.get(key)
        return peer is not None and peer.state is PeerState.ALIVE and bool(peer.connections)

    def shares(self, peer: Peer) -> bool:
        """Whether ``peer`` works on this node's task."""
        return peer.record.task_hash == self._task_hash

    def send(self, peer: Peer, message: Message, *, bulk: bool = False) -> bool:
        """Queue ``message`` on the peer's best link; False where there is none or it is full."""
        return self.send_bytes(peer, encode(message), bulk=bulk)

    def send_bytes(self, peer: Peer, data: bytes, *, bulk: bool = False) -> bool:
        """As :meth:`send`, for a message that is encoded once for many peers."""
        best = peer.best(self._config.suspect_ms, self._own)
        return best is not None and self._outbox.put(best.link, data, bulk=bulk)

    def changed(self, now_ms: int) -> None:
        """Something that a status tells has changed: tell it soon, together with what follows."""
        if self.status_due_ms is None:
            self.status_due_ms = now_ms + self._config.status_ms

    def change(self, now_ms: int, peer: Peer, state: PeerState, *, new: bool = False) -> None:
        """``peer`` is in ``state`` from now on; told where it was in another before."""
        before = None if new else peer.state
        if before is state:
            return
        peer.state = state
        self._members = None
        record, silent_ms = peer.record, now_ms - peer.heard_ms
        self._notices.tell(
            PeerChanged(record.key, record.name, record.address, before, state, silent_ms)
        )
        self.changed(now_ms)
        gone = [each for each in self._peers.values() if each.state in GONE]
        if len(gone) > _GONE_MAX:
            oldest = min(gone, key=lambda each: (each.heard_ms, each.key))
            del self._peers[oldest.key]
