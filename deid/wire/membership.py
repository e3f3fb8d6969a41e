"""Who is there: peers and their states, signs of life, peer exchange.

A verdict about a peer is local. It decides to whom this node sends, never whose items it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deid.errors import RemoteError
from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.directory import Directory
from deid.wire.events import (
    KeyInUse,
    Link,
    LinkRefused,
    PeerChanged,
    PeerState,
    RefusedByPeer,
)
from deid.wire.keys import KeyPair, Verify
from deid.wire.links import Links
from deid.wire.messages import (
    LINKED_MAX,
    MAJOR,
    MINOR,
    PREFIX_BYTES,
    RECORDS_MAX,
    Bye,
    Hello,
    Message,
    Open,
    Peers,
    Ping,
    Pong,
    Progress,
    Reason,
    Refuse,
    Status,
    encode,
)
from deid.wire.notices import Notices
from deid.wire.outbox import Outbox
from deid.wire.peer import Connection, Peer
from deid.wire.record import SignedRecord, answer, parse_record, verified_hello

_GONE = frozenset({PeerState.EVICTED, PeerState.LEFT})
_GONE_MAX = 64  # evicted or left peers that are remembered for people


class Membership:
    """The table of peers, and every message that concerns them.

    progress: how far this node is, to be told with pings.
    """

    def __init__(
        self,
        config: NodeConfig,
        keys: KeyPair,
        task_hash: bytes,
        stream: Stream,
        outbox: Outbox,
        notices: Notices,
        progress: Callable[[], Progress],
        *,
        epoch: int,
        incarnation: int,
        verify: Verify,
    ) -> None:
        self._config = config
        self._keys = keys
        self._task_hash = task_hash
        self._stream = stream
        self._outbox = outbox
        self._notices = notices
        self._progress = progress
        self._verify = verify
        self._peers: dict[bytes, Peer] = {}
        self._exchange_ms = 0
        self._status_due_ms: int | None = None
        self.book = Book(config, stream)
        self.links = Links(config, keys, self.book, outbox, notices, stream)
        self.directory = Directory(
            config, keys, task_hash, self.book, verify, epoch=epoch, incarnation=incarnation
        )

    # ---- links ---------------------------------------------------------------------------

    def link_up(self, now_ms: int, link: Link, dialled: str | None) -> Connection | None:
        """A new link; None where there is no room for more unproven ones. A no-op for an incoming
        one that is known: its first message may come before the transport's word."""
        known = self.links.get(link)
        if known is not None and known.dialled is None and dialled is None:
            return known
        self.link_down(now_ms, link)
        return self.links.up(now_ms, link, dialled)

    def link_down(self, now_ms: int, link: Link) -> None:
        """The transport lost ``link``; a no-op for one that is not known (any more)."""
        self.links.closed(link)
        connection = self.links.get(link)
        if connection is not None:
            self._outbox.forget(link)
            self._drop(now_ms, connection)

    # ---- handshake -----------------------------------------------------------------------

    def on_open(self, now_ms: int, connection: Connection, message: Open) -> None:
        if message.major != MAJOR:
            detail = f"protocol {MAJOR}.{MINOR} here, {message.major}.{message.minor} there"
            self._refuse(now_ms, connection, Reason.VERSION, detail)
            return
        if message.key == self._keys.public:
            self._met_self(now_ms, connection, message)
            return
        if connection.session not in (None, message.session):
            self._detach(now_ms, connection)
            self.links.open(now_ms, connection)
        connection.session = message.session
        mine = answer(message, self.directory.own, self.links.session, self._keys)
        self.links.post(connection, mine)

    def on_hello(self, now_ms: int, connection: Connection, message: Hello) -> None:
        key = parse_record(message.record).record.key
        if key == self._keys.public:
            raise RemoteError("hello: it carries this node's own key")
        known = self._peers.get(key)
        signed = verified_hello(
            message,
            connection.nonce,
            self._keys.public,
            self._verify,
            known.signed if known else self.directory.get(key),
        )
        if self.full() and (known is None or known.state in _GONE):
            detail = f"{self._config.peers_max} peers are linked already (peers_max)"
            self._refuse(now_ms, connection, Reason.FULL, detail)
            return
        if connection.peer is not None and connection.peer.key != key:
            self._detach(now_ms, connection)
        connection.session = message.session
        self._attach(now_ms, connection, signed)

    def on_refuse(self, now_ms: int, connection: Connection, message: Refuse) -> None:
        reason = f"{message.reason.label()}: {message.detail}"
        self._notices.tell(RefusedByPeer(connection.link, connection.dialled, reason))
        self._drop(now_ms, connection, refused=True)

    # ---- messages of proven peers --------------------------------------------------------

    def on_bye(self, now_ms: int, peer: Peer) -> None:
        self._change(now_ms, peer, PeerState.LEFT)
        for connection in list(peer.connections):
            self._drop(now_ms, connection)

    def on_ping(self, now_ms: int, connection: Connection, peer: Peer, message: Ping) -> None:
        self._heard_progress(now_ms, peer, message.progress)
        # On the same link: that is the one whose life is asked for.
        self.links.post(connection, Pong(message.nonce, self._progress()))

    def on_pong(self, now_ms: int, peer: Peer, message: Pong) -> None:
        self._heard_progress(now_ms, peer, message.progress)
        if message.nonce == peer.ping_nonce:
            sample = now_ms - peer.ping_sent_ms
            # An eighth of the new sample, as TCP smooths it (RFC 6298).
            peer.rtt_ms = sample if peer.rtt_ms is None else (7 * peer.rtt_ms + sample) // 8
            peer.ping_nonce = None

    def on_status(self, now_ms: int, peer: Peer, message: Status) -> None:
        self._heard_progress(now_ms, peer, message.progress)
        peer.linked = frozenset(message.linked)

    def on_peers(self, now_ms: int, message: Peers) -> None:
        """Records of others. One about this node that is newer than its own comes from an earlier
        start whose incarnation was higher: rise above it."""
        for signed in self.directory.news(message.records):
            if signed.record.key == self._keys.public:
                self.directory.raise_own(above=signed.record.incarnation)
                self._tell_record(self.directory.own)
            else:
                self._take_record(now_ms, signed)

    def heard(self, now_ms: int, connection: Connection, peer: Peer) -> None:
        """A valid message came from ``peer``, other than a handshake: it knows this node."""
        connection.heard_ms = peer.heard_ms = now_ms
        if not connection.accepted:
            connection.accepted = True
            self.changed(now_ms)
        if peer.state is not PeerState.ALIVE:
            peer.compared = False
            self._change(now_ms, peer, PeerState.ALIVE)
            if connection.dialled is not None:
                self.book.up(connection.dialled)

    # ---- time ----------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Suspect, evict, ping, ask again who is there, tell what changed."""
        for connection in self.links.overdue(now_ms):
            self._give_up(now_ms, connection)
        for peer in list(self._peers.values()):
            self._check(now_ms, peer)
        if self._status_due_ms is not None and now_ms >= self._status_due_ms:
            self._tell_status(now_ms)
        if now_ms >= self._exchange_ms:
            self._exchange_ms = now_ms + self._jittered(self._config.exchange_ms)
            self._exchange(now_ms)

    def next_due_ms(self) -> int:
        """The earliest time at which :meth:`tick` has something to do."""
        due = [self._exchange_ms]
        for optional in (self._status_due_ms, self.links.next_due_ms()):
            if optional is not None:
                due.append(optional)
        for peer in self.members():
            if peer.connections:
                due.append(peer.ping_due_ms)
            due.append(peer.heard_ms + self._silence_limit(peer))
        return min(due)

    def changed(self, now_ms: int) -> None:
        """Something that a status tells has changed: tell it soon, together with what follows."""
        if self._status_due_ms is None:
            self._status_due_ms = now_ms + self._config.status_ms

    def raise_epoch(self, now_ms: int, epoch: int) -> None:
        """The node's epoch changed: a record with a higher incarnation says so."""
        self.directory.raise_own(above=0, epoch=epoch)
        self._tell_record(self.directory.own)
        self.changed(now_ms)

    def leave(self) -> None:
        """Say goodbye to every peer."""
        for peer in self.members():
            for connection in peer.connections:
                self.links.post(connection, Bye())

    # ---- views and sending ---------------------------------------------------------------

    def all(self) -> Iterator[Peer]:
        """Every remembered peer, by key."""
        return (self._peers[key] for key in sorted(self._peers))

    def members(self) -> list[Peer]:
        """Peers that are alive or suspected."""
        return [peer for peer in self._peers.values() if peer.state not in _GONE]

    def get(self, key: bytes) -> Peer | None:
        return self._peers.get(key)

    def is_member(self, key: bytes) -> bool:
        """Whether ``key`` is a member with a link."""
        peer = self._peers.get(key)
        return peer is not None and peer.state not in _GONE and bool(peer.connections)

    def shares(self, peer: Peer) -> bool:
        """Whether ``peer`` works on this node's task."""
        return peer.record.task_hash == self._task_hash

    def linked(self, key: bytes) -> bool:
        """Whether a link to ``key`` is up and alive."""
        peer = self._peers.get(key)
        return peer is not None and peer.state is PeerState.ALIVE and bool(peer.connections)

    def full(self) -> bool:
        return len(self.members()) >= self._config.peers_max

    def send(self, now_ms: int, peer: Peer, message: Message, *, bulk: bool = False) -> bool:
        """Queue ``message`` on the peer's best link; False where there is none or it is full."""
        return self.send_bytes(now_ms, peer, encode(message), bulk=bulk)

    def send_bytes(self, now_ms: int, peer: Peer, data: bytes, *, bulk: bool = False) -> bool:
        """As :meth:`send`, for a message that is encoded once for many peers."""
        best = peer.best(now_ms, self._config.suspect_ms, self._keys.public)
        return best is not None and self._outbox.put(best.link, data, bulk=bulk)

    # ---- inside --------------------------------------------------------------------------

    def _met_self(self, now_ms: int, connection: Connection, message: Open) -> None:
        if message.session == self.links.session:
            self._refuse(now_ms, connection, Reason.SELF, "this is the same node")
            if connection.dialled is not None:
                self.book.is_self(connection.dialled)
        else:
            self._notices.tell(KeyInUse(connection.link, connection.dialled))
            self._refuse(now_ms, connection, Reason.SELF, "another process uses this node's key")

    def _attach(self, now_ms: int, connection: Connection, signed: SignedRecord) -> None:
        """``connection`` proved to be ``signed``'s subject."""
        if self._take_record(now_ms, signed):
            self._tell_record(signed)
        key = signed.record.key
        peer = self._peers.get(key)
        if peer is None:
            peer = Peer(self.directory.get(key) or signed, PeerState.EVICTED, now_ms)
            self._peers[key] = peer
            self._change(now_ms, peer, PeerState.ALIVE, new=True)
        if connection.peer is None:
            connection.peer = peer
            peer.connections.append(connection)
            if len(peer.connections) > self._config.links_per_peer_max:
                oldest = min(peer.connections, key=lambda each: (each.heard_ms, each.ordinal))
                self._refuse(now_ms, oldest, Reason.REDUNDANT, "more than links_per_peer_max")
        if connection.dialled is not None:
            self.book.proven(connection.dialled, key)
        connection.heard_ms = peer.heard_ms = now_ms
        self._change(now_ms, peer, PeerState.ALIVE)
        self._ping(now_ms, peer, connection)
        told = [each.signed.raw for each in self.members() if each is not peer]
        if peer.record.incarnation > signed.record.incarnation:
            told.insert(0, peer.signed.raw)  # so that it rises above what others remember of it
        if told:
            self.links.post(connection, Peers(tuple(told[:RECORDS_MAX])))

    def _detach(self, now_ms: int, connection: Connection) -> None:
        """``connection`` no longer stands for its peer, and has to prove itself anew."""
        peer = connection.peer
        connection.peer = connection.session = None
        connection.accepted = False
        connection.up_ms = now_ms
        if peer is None:
            return
        peer.connections.remove(connection)
        if not peer.connections:
            peer.compared = False
            peer.linked = peer.ping_nonce = None
            self.book.lost(now_ms, peer.key)
            if peer.state is PeerState.ALIVE:
                self._change(now_ms, peer, PeerState.SUSPECTED)

    def _drop(self, now_ms: int, connection: Connection, *, refused: bool = False) -> None:
        self._detach(now_ms, connection)
        self.links.down(now_ms, connection, refused=refused)

    def _refuse(self, now_ms: int, connection: Connection, reason: Reason, detail: str) -> None:
        self.links.tell_refusal(connection, reason, detail)
        self._drop(now_ms, connection, refused=True)

    def _give_up(self, now_ms: int, connection: Connection) -> None:
        """Nobody proved a key in time; should somebody speak later, the handshake begins anew."""
        self.links.tell_refusal(connection, Reason.UNPROVEN, "no hello in time")
        self._drop(now_ms, connection)

    def _change(self, now_ms: int, peer: Peer, state: PeerState, *, new: bool = False) -> None:
        before = None if new else peer.state
        if before is state:
            return
        peer.state = state
        record, silent_ms = peer.record, now_ms - peer.heard_ms
        self._notices.tell(
            PeerChanged(record.key, record.name, record.address, before, state, silent_ms)
        )
        self.changed(now_ms)
        gone = [each for each in self._peers.values() if each.state in _GONE]
        if len(gone) > _GONE_MAX:
            oldest = min(gone, key=lambda each: (each.heard_ms, each.key))
            del self._peers[oldest.key]

    def _check(self, now_ms: int, peer: Peer) -> None:
        silent_ms = now_ms - peer.heard_ms
        if peer.state is PeerState.ALIVE and silent_ms >= self._config.suspect_ms:
            self._change(now_ms, peer, PeerState.SUSPECTED)
            for connection in peer.connections:
                if connection.dialled is not None:  # it may be wedged: try another beside it
                    self.book.down(now_ms, connection.dialled)
        if peer.state is PeerState.SUSPECTED and silent_ms >= self._config.evict_ms:
            self._change(now_ms, peer, PeerState.EVICTED)
            for connection in list(peer.connections):
                reason = "silent: its peer is evicted"
                self._notices.tell(LinkRefused(connection.link, connection.dialled, reason))
                self._drop(now_ms, connection)
        if peer.connections and now_ms >= peer.ping_due_ms:
            for connection in peer.connections:
                self._ping(now_ms, peer, connection)

    def _silence_limit(self, peer: Peer) -> int:
        alive = peer.state is PeerState.ALIVE
        return self._config.suspect_ms if alive else self._config.evict_ms

    def _heard_progress(self, now_ms: int, peer: Peer, progress: Progress) -> None:
        """Whoever just told its progress need not be pinged for it."""
        peer.progress = progress
        peer.ping_due_ms = now_ms + self._jittered(self._config.ping_ms)

    def _ping(self, now_ms: int, peer: Peer, connection: Connection) -> None:
        if peer.ping_nonce is None or now_ms >= peer.ping_due_ms:
            peer.ping_nonce = self._stream.word() >> 1
            peer.ping_sent_ms = now_ms
        peer.ping_due_ms = now_ms + self._jittered(self._config.ping_ms)
        self.links.post(connection, Ping(peer.ping_nonce, self._progress()))

    def _tell_status(self, now_ms: int) -> None:
        self._status_due_ms = None
        reached = [peer for peer in self.members() if peer.reachable]
        linked = tuple(sorted(peer.key[:PREFIX_BYTES] for peer in reached))[:LINKED_MAX]
        data = encode(Status(self._progress(), linked))
        for peer in reached:
            self.send_bytes(now_ms, peer, data)

    def _exchange(self, now_ms: int) -> None:
        """Tell a random peer of all others."""
        reached = [peer for peer in self.all() if peer.reachable]
        if reached:
            peer = self._stream.choice(reached)
            raws = [each.signed.raw for each in self.members() if each is not peer]
            mine = self.directory.own.raw
            self.send(now_ms, peer, Peers((mine, *raws[: RECORDS_MAX - 1])))

    def _tell_record(self, signed: SignedRecord) -> None:
        """Tell all but its subject of a record that is news."""
        for peer in self.members():
            for connection in peer.connections[:1]:
                if peer.key != signed.record.key:
                    self.links.post(connection, Peers((signed.raw,)))

    def _take_record(self, now_ms: int, signed: SignedRecord) -> bool:
        peer = self._peers.get(signed.record.key)
        members = {each.key for each in self.members()}
        news = self.directory.take(now_ms, signed, members)
        if news and peer is not None:
            peer.signed = signed
        return news

    def _jittered(self, period_ms: int) -> int:
        """Between three quarters and five quarters of ``period_ms``, so that nodes drift apart."""
        return period_ms * 3 // 4 + self._stream.below(period_ms // 2 + 1)
