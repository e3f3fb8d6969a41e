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

    # Membership. A silent link is pinged about once a second; a node with more than ``ping_share``
    # peers pings each of them that much more seldom, so that it sends as many pings whatever their
    # number. One unanswered ping brings the rate back for all that were not heard lately.
    ping_ms: int = 1_000
    ping_share: int = 3
    # An unanswered ping is repeated so often, the first time through ``helpers_max`` others, too;
    # after ``suspect_ms`` without an answer (four pings each way may be lost) there is a verdict.
    probe_ms: int = 400
    helpers_max: int = 3
    suspect_ms: int = 1_600
    # A laptop that sleeps or a process that is stopped comes back to its place; a member that is
    # gone for good stops costing pings: after the longer time alone, after the shorter one where
    # three others are silent witnesses, too (Lifeguard's suspicion).
    evict_ms: int = 60_000
    evict_min_ms: int = 15_000
    late_ms: int = 1_000  # a tick so much later than asked for: this node was stopped, not others
    peers_max: int = 32  # full mesh: links grow with the square
    links_per_peer_max: int = 4  # two are normal: both sides dialled

    # Overlay: what a node links to when it knows of more than ``peers_max`` others.
    active_min: int = 5  # fewer: dial; a random graph of that degree survives the loss of half
    active_max: int = 8  # more: let one go
    links_max: int = 10  # only who has fewer than ``active_min`` links gets the last places
    dialled_min: int = 3  # links of one's own choice, which no crowd of callers can take
    fill_ms: int = 500  # pause between two rounds of dialling for missing links
    explore_ms: int = 30_000  # a link to a random member in exchange for another: halves meet again

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
    per_source_max: int = 40  # of them told by one peer: it cannot fill the view with its friends
    per_prefix_max: int = 64  # of them in one network (an IPv4 /16, an IPv6 /32, a domain)

    # Repair. The comparison period bounds how long a lost push stays lost; the grace lets a push
    # that is on its way arrive before the same item is pulled.
    compare_ms: int = 1_000
    answer_ms: int = 200  # at most one full comparison answered per peer in this time
    pull_grace_ms: int = 200
    digest_logs_min: int = 64  # with more logs hashes of 64 parts are compared first
    pull_timeout_ms: int = 1_000  # without any item from the peer that was asked
    pull_window: int = 64  # most names asked of one peer at a time
    wants_max: int = 8_192
    wants_per_peer_max: int = 2_048  # names that only one peer has told of

    # Peer exchange and words about oneself.
    status_ms: int = 200  # changes are gathered this long before they are told
    exchange_ms: int = 30_000  # known peers are told to a random peer

    # The tree of a network beyond a full mesh: payloads go along it, names beside it.
    tree_ms: int = 2_000  # a tree that lost a branch is drawn anew after that
    announce_ms: int = 200  # names for the links beside the tree are told together
    graft_ms: int = 600  # an announced payload that the tree did not bring by then is pulled

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
