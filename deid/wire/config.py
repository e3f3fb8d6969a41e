"""Every setting of the protocol core, with its unit, its default and why."""

from __future__ import annotations

from dataclasses import dataclass

from deid.wire.item import ITEM_BYTES_MAX


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Settings of one node; all times in milliseconds of the rim's monotonic clock.

    name: for people; need not be unique.
    address: where others may dial this node; empty when nobody can (outbound only).
    seeds: addresses to dial from the start and for ever, as long as they are not linked.
    """

    name: str
    address: str = ""
    seeds: tuple[str, ...] = ()

    # Membership. One ping a second on a silent link; four seconds leave room for three of them
    # to be lost, so that a silent partition is suspected within five and loss alone rarely is.
    ping_ms: int = 1_000
    suspect_ms: int = 4_000
    # A laptop that sleeps or a process that is stopped comes back to its place; a member that is
    # gone for good stops costing pings after this.
    evict_ms: int = 60_000
    peers_max: int = 32  # full mesh: links grow with the square
    links_per_peer_max: int = 4  # two are normal: both sides dialled

    # Handshake: sent again as long as the other side is unknown, given up after the last.
    hello_retry_ms: int = 500
    hello_max_ms: int = 10_000

    # Dialling: doubled after every try up to the most, so that a dead seed costs nothing.
    dial_ms: int = 1_000
    dial_max_ms: int = 30_000
    # Of two nodes that know each other's address the larger key waits this long before it
    # dials, so that one connection is the rule and two the exception.
    dial_defer_ms: int = 2_000
    addresses_max: int = 128  # learned ones; seeds are kept beside them

    # Repair. The comparison period bounds how long a lost push stays lost; the grace lets a push
    # that is on its way arrive before the same item is pulled.
    compare_ms: int = 1_000
    answer_ms: int = 200  # at most one full comparison answered per peer in this time
    pull_grace_ms: int = 200
    pull_timeout_ms: int = 2_000  # without any item from the peer that was asked
    pull_window: int = 64  # most names asked of one peer at a time
    wants_max: int = 8_192
    wants_per_peer_max: int = 2_048  # names that only one peer has told of

    # Peer exchange and words about oneself.
    status_ms: int = 200  # changes are gathered this long before they are told
    exchange_ms: int = 30_000  # known peers are told to a random peer

    # Sending: what waits for one peer between two drains.
    control_bytes_max: int = 1 << 20
    bulk_bytes_max: int = 4 << 20
    items_message_bytes: int = 128 << 10  # items are packed together up to this

    # Retention (docs/protocol.md, "What is kept").
    window_rounds: int = 32
    quota_bytes: int = 1 << 20  # per origin, over all its epochs
    origins_max: int = 1_000
    epochs_max: int = 8  # logs kept per origin; each keeps its newest item come what may

    # Trust.
    proofs_max: int = 64  # of equivocation, one an origin; at most 128 KiB each
    accuse_ignore_ms: int = 600_000  # who accuses falsely costs one check in that time

    notices_max: int = 1_024  # undrained events that are only for the log

    def __post_init__(self) -> None:
        if self.quota_bytes < (self.epochs_max + 2) * ITEM_BYTES_MAX:
            raise ValueError(
                f"quota_bytes must hold the newest item of {self.epochs_max} epochs and two more: "
                f"at least {(self.epochs_max + 2) * ITEM_BYTES_MAX:,}, got {self.quota_bytes:,}"
            )
