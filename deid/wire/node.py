"""One node of the collective, without I/O: fed bytes and time, drained of bytes and events.

The rim calls ``receive``, ``link_up``, ``link_down`` and ``tick``, and after each of them drains
``events``, ``outbox`` and ``dials``. Time is an argument; chance is a stream that the rim seeds
(from the operating system's entropy: challenges are drawn from it). Nothing that a peer sends
makes any method raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from deid.errors import LocalError, RemoteError
from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.clock import Clock
from deid.wire.config import NodeConfig
from deid.wire.events import Event, InputRefused, ItemsExpired, Link, PeerState, PeerStatus
from deid.wire.item import ROUND_MAX, ItemName, SignedItem, open_item
from deid.wire.keys import KeyPair, Verify, verify_signature
from deid.wire.log import Logs, Verdict
from deid.wire.membership import Membership
from deid.wire.messages import (
    MAJOR,
    MINOR,
    Absent,
    Accuse,
    Bye,
    Compare,
    Digest,
    Have,
    Hello,
    Items,
    Message,
    Open,
    Peers,
    Ping,
    Pong,
    Probe,
    Progress,
    Proof,
    Pull,
    Refuse,
    Status,
    Suspect,
    Tree,
    Variants,
    Vouch,
    decode,
)
from deid.wire.notices import Counters, Notices
from deid.wire.outbox import Outbox
from deid.wire.own import Draft, OwnLog
from deid.wire.peer import Connection, Peer
from deid.wire.proof import Fork, open_proof
from deid.wire.sharing import Sharing

__all__ = ["Draft", "Node"]

_QUIET = frozenset({Ping, Pong, Tree})  # between settled nodes these bring no work forward


class Node:
    """A member of the collective.

    keys: its identity. task_hash: 32 bytes; items travel between nodes of one task only.
    cell_of: the reference cell of a claim; :class:`ValueError` for claims of a wrong shape.
    epoch: (wall seconds << 64) | 64 random bits, kept over normal restarts. incarnation: must
    rise with every start (wall milliseconds do). verify: replaced only where checks are memoised.
    """

    def __init__(
        self,
        config: NodeConfig,
        keys: KeyPair,
        task_hash: bytes,
        cell_of: Callable[[Evaluation], int],
        stream: Stream,
        *,
        epoch: int,
        incarnation: int = 0,
        verify: Verify = verify_signature,
    ) -> None:
        self._config = config
        self._keys = keys
        self._task_hash = task_hash
        self._verify = verify
        self._now_ms = 0
        self._round = 0
        self._dials: list[str] = []
        self._left = False
        self._notices = Notices(config.notices_max)
        self._outbox = Outbox(config.control_bytes_max, config.bulk_bytes_max)
        self._logs = Logs(config, keys.public)
        self._own_log = OwnLog(config, keys, task_hash, cell_of, self._logs, epoch)
        self._clock = Clock()
        self._due_ms = 0  # what the last tick asked for
        self._stirred = True  # something came since that may bring work forward
        self._membership = Membership(
            config,
            keys,
            task_hash,
            stream,
            self._outbox,
            self._notices,
            self._progress,
            epoch=epoch,
            incarnation=incarnation,
            verify=verify,
        )
        self._sharing = Sharing(
            config,
            keys.public,
            task_hash,
            cell_of,
            self._logs,
            self._own_log,
            self._membership,
            self._notices,
            stream,
            verify,
        )

    # ---- transport -----------------------------------------------------------------------

    def link_up(self, now_ms: int, link: Link, dialled: str | None) -> None:
        """The transport has a new link; ``dialled`` is the address where this side dialled it."""
        now_ms = self._time(now_ms)
        self._membership.link_up(now_ms, link, dialled)

    def link_down(self, now_ms: int, link: Link) -> None:
        """The transport lost a link."""
        now_ms = self._time(now_ms)
        self._membership.link_down(now_ms, link)

    def receive(self, now_ms: int, link: Link, data: bytes) -> None:
        """One message came over ``link``, which may be new. Never raises on a peer's bytes; what
        is refused is counted, told as an event, and changes nothing else."""
        stirred = self._stirred
        now_ms = self._time(now_ms)
        counters = self._notices.counters
        counters.messages += 1
        connection = self._membership.links.get(link)
        try:
            decoded = decode(data)
            counters.unknown_fields += decoded.unknown_fields
            if decoded.message is None:
                counters.unknown_messages += 1
                self._stirred = stirred
                return
            if connection is None:
                connection = self._unannounced(now_ms, link, decoded.message)
            if connection is None:
                counters.early += 1
                self._stirred = stirred
            else:
                self._dispatch(now_ms, connection, decoded.message)
                if type(decoded.message) in _QUIET and self._membership.quiet():
                    self._stirred = stirred
        except RemoteError as error:
            counters.refused += 1
            self._stirred = stirred
            peer = None if connection is None else connection.peer
            key = None if peer is None else peer.key
            self._notices.tell(InputRefused(link, key, error.message))

    def tick(self, now_ms: int) -> int:
        """Do what time asks for; when to call again, in milliseconds, at the latest. Any other
        call may bring work forward: then call again within some 50 ms."""
        stirred = self._stirred
        now_ms = self._time(now_ms)
        if now_ms < self._due_ms and not stirred:
            self._stirred = False
            return self._clock.outside(self._due_ms)
        self._stirred = False
        self._membership.tick(now_ms)
        self._sharing.tick(now_ms)
        if not self._left:
            due_now = self._membership.overlay.dials(now_ms)
            self._dials += (address for address in due_now if address not in self._dials)
        due = min(self._membership.next_due_ms(), self._sharing.next_due_ms(now_ms))
        self._due_ms = max(now_ms + 1, due)
        return self._clock.outside(self._due_ms)

    def outbox(self, blocked: Collection[Link] = ()) -> list[tuple[Link, bytes]]:
        """Drain what is to be sent, in order; what waits for ``blocked`` links stays, within the
        byte budgets. The rim sends without waiting and drops what the transport does not take."""
        return self._outbox.drain(blocked)

    def events(self) -> list[Event]:
        """Drain what happened."""
        return self._notices.drain()

    def dials(self) -> list[str]:
        """Drain the addresses to (re)dial now. A dial that comes up is a ``link_up``; one that
        does not needs no word: it comes again after a back-off."""
        dials, self._dials = self._dials, []
        return dials

    # ---- search and store ----------------------------------------------------------------

    def restore(self, raw: bytes) -> SignedItem:
        """Take back a stored item before the first link is up, in any order. What the logs do
        not retain is told expired. :class:`RemoteError` where the bytes are not an item of this
        task."""
        signed = open_item(raw, verify=self._verify)
        if signed.item.task_hash != self._task_hash:
            raise RemoteError(f"stored item {signed.name}: it belongs to another task")
        if self._logs.judge(signed.name, signed.body_hash) is Verdict.NEW:
            dropped = self._logs.add(signed, met=0).dropped
        else:
            dropped = () if self._logs.get(signed.name) else (signed.name,)
        if dropped:
            self._notices.tell(ItemsExpired(dropped))
        if signed.item.origin == self._keys.public and signed.item.epoch == self._own_log.epoch:
            self._round = max(self._round, signed.item.round)
        return signed

    def restore_proof(self, kept: bytes, other: bytes) -> None:
        """Take back a stored proof of equivocation, after the items. :class:`RemoteError` where
        the bytes are none of this task."""
        fork = open_proof(kept, other, self._verify)
        if fork.kept.item.task_hash != self._task_hash:
            raise RemoteError(f"stored proof {fork.name}: it belongs to another task")
        self._logs.prove(fork)

    def judged(self, now_ms: int, signed: SignedItem, *, holds: bool) -> None:
        """The rim ran the claim of ``signed`` again, because of :class:`ClaimAccused` or of its
        own accord; a false one is told to all peers."""
        now_ms = self._time(now_ms)
        self._sharing.judged(now_ms, signed, holds=holds)

    def publish(self, now_ms: int, drafts: Sequence[Draft]) -> list[SignedItem]:
        """Number and sign ``drafts``; they are sent once :meth:`committed` names them."""
        now_ms = self._time(now_ms)
        signed_items = self._own_log.publish(drafts)
        newest = max((draft.round for draft in drafts), default=0)
        if newest > self._round:
            self.announce_round(now_ms, newest)
        return signed_items

    def committed(self, now_ms: int, names: Iterable[ItemName]) -> None:
        """These own items are durable: now they may be sent."""
        now_ms = self._time(now_ms)
        waiting = [self._own_log.commit(name) for name in names]
        self._sharing.release(now_ms, [signed for signed in waiting if signed is not None])

    def raise_epoch(self, now_ms: int, epoch: int) -> list[SignedItem]:
        """Go on in a new epoch, which the rim has made durable: what this node published is
        signed anew, to be journalled and committed. Items of the old epoch are told expired and
        come back from peers as received ones."""
        now_ms = self._time(now_ms)
        old = self._own_log.epoch
        signed_items = self._own_log.raise_epoch(epoch)
        if self._logs.log(self._keys.public, old) is not None:
            self._notices.tell(ItemsExpired(self._logs.drop_log(self._keys.public, old)))
        self._membership.raise_epoch(now_ms, epoch)
        return signed_items

    def announce_round(self, now_ms: int, round_number: int) -> None:
        """The search is in this round now; peers are told."""
        if not 0 <= round_number <= ROUND_MAX:
            raise LocalError(f"round: expected 0…{ROUND_MAX:,}, got {round_number:,}")
        now_ms = self._time(now_ms)
        self._round = round_number
        self._membership.changed(now_ms)

    def leave(self, now_ms: int) -> None:
        """Say goodbye; the rim drains the outbox once more and closes."""
        now_ms = self._time(now_ms)
        self._left = True
        self._membership.leave()

    # ---- views ---------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        return self._own_log.epoch

    @property
    def counters(self) -> Counters:
        return self._notices.counters

    def peers(self) -> tuple[PeerStatus, ...]:
        """Every remembered peer, by key, as of the last call that told the time."""
        return tuple(self._status(peer) for peer in self._membership.all())

    def items(self) -> tuple[SignedItem, ...]:
        """Everything held, own items included, by name."""
        return tuple(log.items[seq] for log in self._logs for seq in sorted(log.items))

    def forks(self) -> tuple[Fork, ...]:
        """Proofs of equivocation that are held, by origin."""
        return self._logs.proofs.all()

    def root(self) -> bytes:
        """The hash over all that is held: equal at nodes that hold the same."""
        return self._logs.root()

    def addresses(self) -> tuple[str, ...]:
        """Learned addresses, to be remembered over restarts as further seeds."""
        return self._membership.book.addresses()

    def settled(self) -> bool:
        """Whether every live peer of this task holds exactly what this node holds."""
        return all(
            status.in_step for status in self.peers() if status.same_task and _is_alive(status)
        )

    # ---- inside --------------------------------------------------------------------------

    def _time(self, now_ms: int) -> int:
        """The core's own time, which never runs backwards; called first by whatever is told it.
        Where it is much later than the last tick asked for, this node stood still."""
        now_ms = self._clock.inside(now_ms)
        self._stirred = True
        late_ms = now_ms - self._due_ms
        if late_ms >= self._config.late_ms and self._due_ms:
            self._membership.liveness.was_late(late_ms)
            self._due_ms = now_ms
        self._now_ms = now_ms
        return now_ms

    def _unannounced(self, now_ms: int, link: Link, message: Message) -> Connection | None:
        """A message on a link of which the transport said nothing, or that was given up when its
        peer was evicted: begin a handshake, but never in answer to an end."""
        if self._membership.links.refused(link) or isinstance(message, Refuse | Bye):
            return None
        return self._membership.link_up(now_ms, link, None)

    def _dispatch(self, now_ms: int, connection: Connection, message: Message) -> None:
        members = self._membership
        match message:
            case Open():
                members.on_open(now_ms, connection, message)
            case Hello():
                members.on_hello(now_ms, connection, message)
            case Refuse():
                members.on_refuse(now_ms, connection, message)
            case _ if connection.peer is None:
                self._notices.counters.early += 1
            case Bye():
                members.on_bye(now_ms, connection.peer)
            case _:
                peer = connection.peer
                self._dispatch_proven(now_ms, connection, peer, message)
                members.heard(now_ms, connection, peer)
                self._sharing.met(now_ms, peer)

    def _dispatch_proven(
        self, now_ms: int, connection: Connection, peer: Peer, message: Message
    ) -> None:
        members, sharing = self._membership, self._sharing
        match message:
            case Ping():
                members.liveness.on_ping(now_ms, connection, peer, message)
            case Pong():
                members.liveness.on_pong(now_ms, peer, message)
            case Status():
                members.on_status(now_ms, peer, message)
            case Peers():
                members.on_peers(now_ms, peer, message)
            case Probe():
                members.liveness.on_probe(now_ms, peer, message)
            case Vouch():
                members.liveness.on_vouch(now_ms, message)
            case Suspect():
                members.liveness.on_suspect(now_ms, peer, message)
            case _ if not members.shares(peer):
                raise RemoteError(f"{type(message).__name__}: its sender works on another task")
            case Items():
                sharing.on_items(now_ms, connection, peer, message)
            case Have():
                sharing.on_have(now_ms, peer, message)
            case Compare():
                sharing.on_compare(now_ms, peer, message)
            case Pull():
                sharing.on_pull(now_ms, peer, message)
            case Absent():
                sharing.on_absent(now_ms, peer, message)
            case Digest():
                sharing.on_digest(now_ms, peer, message)
            case Tree():
                sharing.on_tree(now_ms, peer, message)
            case Variants():
                sharing.on_variants(now_ms, peer, message)
            case Proof():
                sharing.on_proof(now_ms, peer, message)
            case Accuse():
                sharing.on_accuse(now_ms, peer, message)

    def _progress(self) -> Progress:
        return Progress(self._own_log.epoch, self._round, self._logs.held, self._logs.root())

    def _status(self, peer: Peer) -> PeerStatus:
        record, progress = peer.record, peer.progress
        epoch = record.epoch if progress is None else progress.epoch
        newest = 0 if progress is None else progress.round
        log = self._logs.log(record.key, epoch)
        held_round = max((each.item.round for each in log.items.values()), default=0) if log else 0
        return PeerStatus(
            name=record.name,
            key=record.key,
            epoch=epoch,
            address=record.address,
            state=peer.state,
            same_task=self._membership.shares(peer),
            round=max(newest, held_round),
            lag=max(0, newest - held_round),
            rtt_ms=peer.rtt_ms,
            sent=peer.sent,
            held=self._logs.held_of(record.key),
            missing=self._logs.missing_of(record.key),
            in_step=progress is not None and progress.root == self._logs.root(),
            version=f"{MAJOR}.{min(MINOR, record.minor)}",
            silent_ms=max(0, self._now_ms - peer.heard_ms),
        )


def _is_alive(status: PeerStatus) -> bool:
    return status.state is PeerState.ALIVE
