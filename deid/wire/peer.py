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
        """Whether it makes sense to send to it: alive, and it accepted this node."""
        return self.state is PeerState.ALIVE and any(each.accepted for each in self.connections)

    def best(self, now_ms: int, fresh_ms: int, own: bytes) -> Connection | None:
        """The connection to send on: the same at both ends while both hear all of them.

        Those that accepted this node and were heard within ``fresh_ms`` come first, then those
        that the smaller key dialled, then the oldest.
        """
        if not self.connections:
            return None
        smaller_is_own = own < self.key
        return min(
            self.connections,
            key=lambda each: (
                not each.accepted,
                now_ms - each.heard_ms > fresh_ms,
                (each.dialled is not None) != smaller_is_own,
                each.ordinal,
            ),
        )
