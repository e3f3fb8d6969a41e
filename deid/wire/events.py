"""What the core tells the rim: values to log, to store, to hand to the search, to act upon."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from deid.wire.item import ItemName, SignedItem

Link: TypeAlias = Hashable
"""One connection as the transport names it; the core only compares and hashes it."""


class PeerState(Enum):
    """What this node thinks of a peer; it decides to whom it sends, never whose items it takes."""

    ALIVE = "alive"  # it answers, this node or another that says so
    SUSPECTED = "suspected"  # silent too long or without a link; still a member
    EVICTED = "evicted"  # silent far too long; out of the views until it speaks again
    LEFT = "left"  # said goodbye
    PASSIVE = "passive"  # not linked on purpose: one of many in a network beyond a full mesh


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer, for people and for the gather report.

    round: the newest round of its epoch that it told of. lag: rounds between that and the newest
    item of that epoch held here (0 where it published nothing since).
    rtt_ms: smoothed; None before the first answer. sent: items sent to it.
    held, missing: items of its origin, over all epochs, held here and known to be alive but
    missing here. in_step: it holds the same items as this node, by its last word.
    """

    name: str
    key: bytes
    epoch: int
    address: str
    state: PeerState
    same_task: bool
    round: int
    lag: int
    rtt_ms: int | None
    sent: int
    held: int
    missing: int
    in_step: bool
    version: str
    silent_ms: int


@dataclass(frozen=True, slots=True)
class ItemReceived:
    """A verified item that this node did not hold: store it, hand it to the search.

    backfill: it was in its origin's log before this node first met that log.
    """

    signed: SignedItem
    received_ms: int
    backfill: bool


@dataclass(frozen=True, slots=True)
class ItemsExpired:
    """Items no longer retained: their origin let them go, or its quota did."""

    names: tuple[ItemName, ...]


@dataclass(frozen=True, slots=True)
class PeerChanged:
    """A peer is in another state than before (None: it is new)."""

    key: bytes
    name: str
    address: str
    before: PeerState | None
    now: PeerState
    silent_ms: int


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """Close this link: the core ignores it from now on."""

    link: Link
    address: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedByPeer:
    """The other side refuses this node, and says why. The link is to be closed."""

    link: Link
    address: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class InputRefused:
    """A peer's bytes broke a rule; nothing of them was taken."""

    link: Link
    key: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class OriginRefused:
    """An origin's log has no room here."""

    origin: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Equivocation:
    """An origin signed two different items under one name: both raw items are the proof, to be
    stored and given back with ``restore_proof``. The one with the smaller body hash is kept."""

    name: ItemName
    kept: bytes
    other: bytes


@dataclass(frozen=True, slots=True)
class ClaimAccused:
    """A peer says that the reference claim of ``signed`` is false: check it, tell ``judged``.
    There is no other until then."""

    signed: SignedItem
    accuser: bytes


@dataclass(frozen=True, slots=True)
class OwnLogBehind:
    """An item of this node's own key and epoch is newer than its log: state was lost or restored.
    Take a new epoch, make it durable, call ``raise_epoch``; until then nothing can be published."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """Another running node holds this node's private key."""

    link: Link
    address: str | None


Event: TypeAlias = (
    ItemReceived
    | ItemsExpired
    | PeerChanged
    | LinkRefused
    | RefusedByPeer
    | InputRefused
    | OriginRefused
    | Equivocation
    | ClaimAccused
    | OwnLogBehind
    | KeyInUse
)
