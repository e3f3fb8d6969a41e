"""The contract of a transport: it moves messages over links, and never waits for a peer.

Laws (tests/net/test_transport.py holds every implementation to them):

- A *link* is one connection to one peer, opaque and never used twice. Its events come in order:
  one :class:`LinkUp`, any number of :class:`Received`, one :class:`LinkDown`.
- A dialled link comes up with its connection; one that a peer opened comes up with that peer's
  first message at the latest. So whoever dials speaks first.
- Messages of one link arrive whole and in order, or not at all; a lost one is never told.
- ``send`` returns at once whatever the peer does. True means queued, not delivered.
- ``dial`` keeps an address connected, now or later, as often as it takes, until ``undial``.
- Every queue is bounded; a full one drops what is newest (sending) or slows the sender down
  (receiving).
- ``drain`` serves peers in turns: one that floods delays another by its turns, not by its queue.
- ``wait`` gives every other task of the loop a turn, also where it need not wait.
- All methods belong to the thread of the event loop in which the transport was made.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from deid.wire.events import Link


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A link exists. dialled: the address as it was given to ``dial``; None if the peer dialled."""

    link: Link
    dialled: str | None


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link is gone for good. reason: for people."""

    link: Link
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """One whole message."""

    link: Link
    data: bytes


Arrival: TypeAlias = LinkUp | LinkDown | Received


@dataclass(slots=True)
class TransportCounts:
    """What went through and what did not, since the start."""

    messages_received: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    bytes_sent: int = 0
    sends_dropped_full: int = 0  # the peer's queue was full
    sends_dropped_gone: int = 0  # the link was gone
    malformed_messages: int = 0  # not one frame, or an empty one
    malformed_frames: int = 0  # frames thrown away with them
    handshakes_failed: int = 0  # clients that spoke no ZeroMQ, or too slowly
    dials_failed: int = 0  # attempts that ended without a link
    inbound_expired: int = 0  # silent identities forgotten
    messages_muted: int = 0  # of links that were closed here


class Transport(Protocol):
    """See the module's laws."""

    @property
    def counts(self) -> TransportCounts:
        """Live counters."""
        ...

    def bind(self, address: str) -> str:
        """Listen on ``address`` and return the actual one; port 0 is the system's choice.

        Raises :class:`ConfigError` if the address is malformed, refused or taken.
        """
        ...

    def dial(self, address: str) -> bool:
        """Keep a link to ``address``; repeating it changes nothing.

        False: the table of dials is full, nothing was done. Raises :class:`ConfigError` if the
        address is malformed or refused.
        """
        ...

    def undial(self, address: str) -> None:
        """Stop dialling ``address`` and drop its link, if any; unknown addresses are ignored."""
        ...

    def send(self, link: Link, data: bytes) -> bool:
        """Queue ``data`` and return at once; False if the queue is full or the link is gone.

        Raises :class:`LocalError` if ``data`` is empty or longer than a message may be.
        """
        ...

    def congested(self) -> Collection[Link]:
        """Links to which sending had better pause: what is queued there has not left yet.

        A link is in from the moment a queue is half full or refused a message; look again after
        ``NetProfile.congestion_ms``.
        """
        ...

    def close_link(self, link: Link, reason: str) -> None:
        """Take ``link`` down from this side; what its peer still sends on it is thrown away.

        What was sent on it before still leaves, if it can within the profile's linger.
        A dialled address is dialled again after its back-off; see ``undial``. Unknown links are
        ignored.
        """
        ...

    def drain(self, messages_max: int, bytes_max: int) -> list[Arrival]:
        """What has arrived, at most ``messages_max`` messages, without waiting.

        Stops once ``bytes_max`` bytes are reached, so the last message may pass it.
        """
        ...

    async def wait(self, timeout_ms: int | None) -> None:
        """Return once ``drain`` may have something, ``wake`` was called, or the time is over.

        One task waits at a time.
        """
        ...

    def wake(self) -> None:
        """Make the current or the next ``wait`` return."""
        ...

    async def close(self, linger_ms: int | None = None) -> None:
        """Close all links, giving what was queued at most ``linger_ms`` to leave.

        None: the profile's linger. Closing twice is closing once. A peer that is sending at that
        moment may lose the end: TCP resets a connection that is closed with something unread.
        """
        ...
