"""The mutable records of the membership: one per link, one per peer."""

from __future__ import annotations

from dataclasses import dataclass, field

from deid.wire.events import Link, PeerState
from deid.wire.messages import Progress
from deid.wire.record import PeerRecord, SignedRecord


@dataclass(slots=True)
class Connection:
    """One link.

    nonce: the challenge that the other side has to sign. session: of the process behind it.
    proven: it proved its key. accepted: it sent something that only who knows this node sends.
    """

    link: Link
    dialled: str | None
    ordinal: int
    nonce: bytes
    up_ms: int
    heard_ms: int
    opened_ms: int
    session: bytes | None = None
    peer: Peer | None = None
    accepted: bool = False


@dataclass(slots=True)
class Peer:
    """One member as this node sees it.

    progress: its last word about itself. linked: key prefixes of its live neighbours, None before
    it told. compared: it was compared with since its link came up.
    probed_ms: since when a ping is unanswered; retry_ms: when the next goes out. vouched_ms: when
    another peer last said that it is alive. silent: alive by the word of others only. deaf: it
    said that it does not hear this node. accusers: who else suspects its present incarnation.
    helped_ms: when it was last told records that it seemed to lack.
    child: this node is its parent in the tree along which payloads travel.
    """

    signed: SignedRecord
    state: PeerState
    heard_ms: int
    connections: list[Connection] = field(default_factory=list)
    progress: Progress | None = None
    linked: frozenset[bytes] | None = None
    rtt_ms: int | None = None
    ping_nonce: int | None = None
    ping_sent_ms: int = 0
    ping_due_ms: int = 0
    progress_ms: int = 0
    probed_ms: int | None = None
    retry_ms: int = 0
    vouched_ms: int = -1
    silent: bool = False
    deaf: bool = False
    accusers: set[bytes] = field(default_factory=set)
    child: bool = False
    helped_ms: int = 0
    answered_ms: int | None = None
    compared: bool = False
    sent: int = 0

    @property
    def record(self) -> PeerRecord:
        return self.signed.record

    @property
    def key(self) -> bytes:
        return self.signed.record.key

    @property
    def reachable(self) -> bool:
        """Whether it makes sense to send to it: it is heard, and it accepted this node."""
        if self.state is not PeerState.ALIVE or self.silent or self.deaf:
            return False
        for each in self.connections:  # noqa: SIM110 - asked very often, and twice as fast
            if each.accepted:
                return True
        return False

    @property
    def dialled(self) -> bool:
        """Whether this node chose it: a link to it was dialled from here."""
        return any(each.dialled is not None for each in self.connections)

    def best(self, fresh_ms: int, own: bytes) -> Connection | None:
        """The connection to send on: the same at both ends while both hear all of them.

        Those that accepted this node and were heard within ``fresh_ms`` of the last sign of life
        come first, then those that the smaller key dialled, then the oldest.
        """
        if len(self.connections) < 2:
            return self.connections[0] if self.connections else None
        newest_ms = max(each.heard_ms for each in self.connections)
        smaller_is_own = own < self.key
        return min(
            self.connections,
            key=lambda each: (
                not each.accepted,
                newest_ms - each.heard_ms > fresh_ms,
                (each.dialled is not None) != smaller_is_own,
                each.ordinal,
            ),
        )
