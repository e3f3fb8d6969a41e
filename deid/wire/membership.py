"""Links become peers: handshakes, attachment, peer exchange, and what time does to all of it.

A verdict about a peer is local. It decides to whom this node sends, never whose items it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deid.errors import RemoteError
from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.directory import Directory
from deid.wire.events import KeyInUse, Link, LinkRefused, PeerState, RefusedByPeer
from deid.wire.keys import KeyPair, Verify
from deid.wire.links import Links
from deid.wire.liveness import Liveness
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
    Progress,
    Reason,
    Refuse,
    Status,
    encode,
)
from deid.wire.notices import Notices
from deid.wire.outbox import Outbox
from deid.wire.overlay import Overlay
from deid.wire.peer import Connection, Peer
from deid.wire.record import SignedRecord, answer, parse_record, verified_hello
from deid.wire.roster import GONE, Roster

_UNWANTED = frozenset({Reason.FULL, Reason.REDUNDANT})


class Membership:
    """Every message that concerns peers, over the table of them.

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
        self._stream = stream
        self._outbox = outbox
        self._notices = notices
        self._progress = progress
        self._verify = verify
        self.book = Book(config, stream)
        self.links = Links(config, keys, self.book, outbox, notices, stream)
        self.directory = Directory(
            config, keys, task_hash, self.book, verify, epoch=epoch, incarnation=incarnation
        )
        self.roster = Roster(config, keys.public, task_hash, outbox, notices)
        self.overlay = Overlay(config, stream, self.roster, self.book, self.directory)
        self.liveness = Liveness(
            config,
            keys.public,
            stream,
            self.roster,
            self.links,
            self.book,
            self.directory,
            progress,
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
        self.links.post(
            connection,
            answer(
                message,
                self.directory.own,
                self.links.session,
                self._keys,
                links=len(self.roster.reached()),
            ),
        )

    def on_hello(self, now_ms: int, connection: Connection, message: Hello) -> None:
        key = parse_record(message.record).record.key
        if key == self._keys.public:
            raise RemoteError("hello: it carries this node's own key")
        known = self.roster.get(key)
        signed = verified_hello(
            message,
            connection.nonce,
            self._keys.public,
            self._verify,
            known.signed if known else self.directory.get(key),
        )
        if known is None or known.state in GONE:
            dialled = connection.dialled is not None
            refusal = self.overlay.refusal(message.links, dialled=dialled)
            if refusal is not None:
                self._turn_away(now_ms, connection, signed, refusal, message.links)
                return
        if connection.peer is not None and connection.peer.key != key:
            self._detach(now_ms, connection)
        connection.session = message.session
        self._attach(now_ms, connection, signed, message.links)

    def on_refuse(self, now_ms: int, connection: Connection, message: Refuse) -> None:
        reason = f"{message.reason.label()}: {message.detail}"
        self._notices.tell(RefusedByPeer(connection.link, connection.dialled, reason))
        self._drop(now_ms, connection, refused=True, unwanted=message.reason in _UNWANTED)

    # ---- messages of proven peers --------------------------------------------------------

    def on_bye(self, now_ms: int, peer: Peer) -> None:
        self.roster.change(now_ms, peer, PeerState.LEFT)
        for connection in list(peer.connections):
            self._drop(now_ms, connection)

    def on_status(self, now_ms: int, peer: Peer, message: Status) -> None:
        self.liveness.heard_progress(now_ms, peer, message.progress)
        peer.linked = frozenset(message.linked)
        if self.overlay.sparse or len(message.linked) >= LINKED_MAX:
            return
        # In a mesh who lacks a link may lack the record: an address may be news to it.
        lacking = [
            each.signed.raw
            for each in self.roster.reached()
            if each is not peer and each.key[:PREFIX_BYTES] not in peer.linked
        ]
        if lacking and now_ms >= peer.helped_ms + self._config.dial_ms:
            peer.helped_ms = now_ms
            self.roster.send(peer, Peers(tuple(lacking[:RECORDS_MAX])))

    def on_peers(self, now_ms: int, source: Peer, message: Peers) -> None:
        """Records of others. One about this node that is newer than its own comes from an earlier
        start whose incarnation was higher: rise above it."""
        for signed in self.directory.news(message.records):
            if signed.record.key == self._keys.public:
                self.directory.raise_own(above=signed.record.incarnation)
                self._tell_record(self.directory.own)
            else:
                self._take_record(now_ms, signed, source.key)

    def heard(self, now_ms: int, connection: Connection, peer: Peer) -> None:
        """A valid message came from ``peer``, other than a handshake: it knows this node."""
        connection.heard_ms = now_ms
        self.liveness.heard(now_ms, peer)
        if not connection.accepted:
            connection.accepted = True
            self.changed(now_ms)
        if peer.state is not PeerState.ALIVE:
            peer.compared = False
            self.roster.change(now_ms, peer, PeerState.ALIVE)
            if connection.dialled is not None:
                self.book.up(connection.dialled)

    # ---- time ----------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Ask who is there, ping, suspect, evict, tell what changed."""
        for connection in self.links.overdue(now_ms):
            self._give_up(now_ms, connection)
        for peer in self.liveness.tick(now_ms):
            self._part(now_ms, peer, PeerState.EVICTED, "silent: its peer is evicted")
        status_ms = self.roster.status_due_ms
        if status_ms is not None and now_ms >= status_ms:
            self._tell_status()
        self.overlay.exchange(now_ms)
        surplus = self.overlay.shed(now_ms)
        if surplus is not None:
            for connection in list(surplus.connections):
                detail = "one link too many in a large network"
                self._refuse(now_ms, connection, Reason.REDUNDANT, detail, unwanted=True)

    def next_due_ms(self) -> int:
        """The earliest time at which :meth:`tick` has something to do."""
        due = [self.overlay.next_due_ms()]
        for optional in (
            self.roster.status_due_ms,
            self.links.next_due_ms(),
            self.liveness.next_due_ms(),
        ):
            if optional is not None:
                due.append(optional)
        return min(due)

    def quiet(self) -> bool:
        """Whether nothing waits to be told soon."""
        return self.roster.status_due_ms is None

    def changed(self, now_ms: int) -> None:
        """Something that a status tells has changed."""
        self.roster.changed(now_ms)

    def raise_epoch(self, now_ms: int, epoch: int) -> None:
        """The node's epoch changed: a record with a higher incarnation says so."""
        self.directory.raise_own(above=0, epoch=epoch)
        self._tell_record(self.directory.own)
        self.changed(now_ms)

    def leave(self) -> None:
        """Say goodbye to every peer."""
        for peer in self.roster.members():
            for connection in peer.connections:
                self.links.post(connection, Bye())

    # ---- views and sending ---------------------------------------------------------------

    def all(self) -> Iterator[Peer]:
        """Every remembered peer, by key."""
        return self.roster.all()

    def get(self, key: bytes) -> Peer | None:
        return self.roster.get(key)

    def is_member(self, key: bytes) -> bool:
        """Whether ``key`` is a member with a link."""
        return self.roster.is_member(key)

    def shares(self, peer: Peer) -> bool:
        """Whether ``peer`` works on this node's task."""
        return self.roster.shares(peer)

    def send(self, now_ms: int, peer: Peer, message: Message, *, bulk: bool = False) -> bool:
        """Queue ``message`` on the peer's best link; False where there is none or it is full."""
        return self.roster.send(peer, message, bulk=bulk)

    def send_bytes(self, now_ms: int, peer: Peer, data: bytes, *, bulk: bool = False) -> bool:
        """As :meth:`send`, for a message that is encoded once for many peers."""
        return self.roster.send_bytes(peer, data, bulk=bulk)

    # ---- inside --------------------------------------------------------------------------

    def _met_self(self, now_ms: int, connection: Connection, message: Open) -> None:
        if message.session == self.links.session:
            self._refuse(now_ms, connection, Reason.SELF, "this is the same node")
            if connection.dialled is not None:
                self.book.is_self(connection.dialled)
        else:
            self._notices.tell(KeyInUse(connection.link, connection.dialled))
            self._refuse(now_ms, connection, Reason.SELF, "another process uses this node's key")

    def _turn_away(
        self, now_ms: int, connection: Connection, signed: SignedRecord, refusal: str, links: int
    ) -> None:
        """No room; but both learn of each other, and it of whom to ask instead."""
        key = signed.record.key
        self._take_record(now_ms, signed, key)
        if connection.dialled is not None:
            self.book.proven(connection.dialled, key)
        self.links.post(connection, self.overlay.introduction(key, links=links))
        self._refuse(now_ms, connection, Reason.FULL, refusal, unwanted=True)

    def _attach(
        self, now_ms: int, connection: Connection, signed: SignedRecord, links: int
    ) -> None:
        """``connection`` proved to be ``signed``'s subject."""
        key = signed.record.key
        if self._take_record(now_ms, signed, key) and not self.overlay.sparse:
            self._tell_record(signed)
        self.directory.proven(key)
        peer = self.roster.get(key)
        if peer is None:
            peer = Peer(self.directory.get(key) or signed, PeerState.EVICTED, now_ms)
            self.roster.add(peer)
            self.roster.change(now_ms, peer, PeerState.ALIVE, new=True)
        if connection.peer is None:
            connection.peer = peer
            peer.connections.append(connection)
            if len(peer.connections) > self._config.links_per_peer_max:
                oldest = min(peer.connections, key=lambda each: (each.heard_ms, each.ordinal))
                self._refuse(now_ms, oldest, Reason.REDUNDANT, "more than links_per_peer_max")
        if connection.dialled is not None:
            self.book.proven(connection.dialled, key)
        connection.heard_ms = now_ms
        self.liveness.heard(now_ms, peer)
        self.roster.change(now_ms, peer, PeerState.ALIVE)
        self.liveness.ping(now_ms, peer)
        if peer.record.incarnation >= signed.record.incarnation and peer.signed.raw != signed.raw:
            # So that it rises above what others remember of it.
            self.links.post(connection, Peers((peer.signed.raw,)))
        self.links.post(connection, self.overlay.introduction(key, links=links))

    def _detach(self, now_ms: int, connection: Connection, *, unwanted: bool = False) -> None:
        """``connection`` no longer stands for its peer, and has to prove itself anew."""
        peer = connection.peer
        connection.peer = connection.session = None
        connection.accepted = False
        connection.up_ms = now_ms
        if peer is None:
            return
        peer.connections.remove(connection)
        if peer.connections:
            return
        peer.compared = peer.child = peer.deaf = False
        peer.linked = peer.ping_nonce = None
        if unwanted and peer.state not in GONE:
            self.roster.change(now_ms, peer, PeerState.PASSIVE)
            return
        self.book.lost(now_ms, peer.key)
        if peer.state is PeerState.ALIVE:
            self.liveness.suspect(now_ms, peer)

    def _drop(
        self, now_ms: int, connection: Connection, *, refused: bool = False, unwanted: bool = False
    ) -> None:
        self._detach(now_ms, connection, unwanted=unwanted)
        self.links.down(now_ms, connection, refused=refused)

    def _refuse(
        self,
        now_ms: int,
        connection: Connection,
        reason: Reason,
        detail: str,
        *,
        unwanted: bool = False,
    ) -> None:
        self.links.tell_refusal(connection, reason, detail)
        self._drop(now_ms, connection, refused=True, unwanted=unwanted)

    def _give_up(self, now_ms: int, connection: Connection) -> None:
        """Nobody proved a key in time; should somebody speak later, the handshake begins anew."""
        self.links.tell_refusal(connection, Reason.UNPROVEN, "no hello in time")
        self._drop(now_ms, connection)

    def _part(self, now_ms: int, peer: Peer, state: PeerState, reason: str) -> None:
        self.roster.change(now_ms, peer, state)
        for connection in list(peer.connections):
            self._notices.tell(LinkRefused(connection.link, connection.dialled, reason))
            self._drop(now_ms, connection)

    def _tell_status(self) -> None:
        self.roster.status_due_ms = None
        reached = self.roster.reached()
        linked = tuple(sorted(peer.key[:PREFIX_BYTES] for peer in reached))[:LINKED_MAX]
        data = encode(Status(self._progress(), linked))
        for peer in reached:
            self.roster.send_bytes(peer, data)

    def _tell_record(self, signed: SignedRecord) -> None:
        """Tell all but its subject of a record that is news."""
        data = Peers((signed.raw,))
        for peer in self.roster.members():
            for connection in peer.connections[:1]:
                if peer.key != signed.record.key:
                    self.links.post(connection, data)

    def _take_record(self, now_ms: int, signed: SignedRecord, source: bytes) -> bool:
        peer = self.roster.get(signed.record.key)
        members = {each.key for each in self.roster.members()}
        news = self.directory.take(now_ms, signed, members, source)
        if news and peer is not None:
            peer.signed = signed
            if source != peer.key:
                self.liveness.refuted(now_ms, peer)
        return news
