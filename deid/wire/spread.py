"""How new items spread: from their origin to all in a full mesh, along a tree in a larger network.

Payloads go along the tree, names over all other links, as in Plumtree (Leitão, Pereira, Rodrigues,
"Epidemic broadcast trees", 2007); but the tree is drawn by its root (tree.py), not by pruning what
came twice: with many origins at a time, each circle would be cut in several places. What the tree
did not bring is pulled from who announced it, and what even the announcements lose the comparisons
bring back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.item import ItemName, SignedItem
from deid.wire.membership import Membership
from deid.wire.messages import (
    LOGS_MAX,
    PREFIX_BYTES,
    Have,
    Items,
    LogSeqs,
    Tree,
    encode,
)
from deid.wire.peer import Peer
from deid.wire.seqset import SeqSet
from deid.wire.tree import Branches

_WAITING_MAX = 1_024  # names that wait to be announced to one peer


class Spread:
    """Pushes and announcements of items just released or taken in."""

    def __init__(
        self,
        config: NodeConfig,
        own: bytes,
        membership: Membership,
        stream: Stream,
        batches: Callable[[Iterable[SignedItem]], list[list[bytes]]],
    ) -> None:
        self._config = config
        self._stream = stream
        self._membership = membership
        self._batches = batches
        self._waiting: dict[bytes, list[ItemName]] = {}
        self._announce_ms: int | None = None
        self._branches = Branches(config, own, stream, membership.roster)

    @property
    def sparse(self) -> bool:
        return self._membership.overlay.sparse

    def partners(self) -> list[Peer]:
        """Peers to which items go, in a fixed order."""
        members = self._membership
        reached = [peer for peer in members.roster.reached() if members.shares(peer)]
        return sorted(reached, key=lambda peer: peer.key)

    def release(self, now_ms: int, released: Sequence[SignedItem]) -> None:
        """Own items: to every peer of a mesh, along the tree otherwise."""
        partners = self.partners()
        if not self.sparse:
            self._push(partners, released)
            return
        self._push([peer for peer in partners if self._branches.is_branch(peer)], released)
        names = [signed.name for signed in released]
        for peer in partners:
            if not self._branches.is_branch(peer):
                self._announce_later(now_ms, peer, names)

    def relay(self, now_ms: int, source: Peer, taken: Sequence[SignedItem]) -> None:
        """Items that ``source`` brought. In a mesh they are announced to peers that their origins
        do not reach, by those peers' own word; along the tree they are passed on."""
        others = [peer for peer in self.partners() if peer is not source]
        if self.sparse:
            self._push([peer for peer in others if self._branches.is_branch(peer)], taken)
            names = [signed.name for signed in taken]
            for peer in others:
                if not self._branches.is_branch(peer):
                    self._announce_later(now_ms, peer, names)
            return
        for peer in others:
            if peer.linked is None:
                continue
            told = [
                signed.name
                for signed in taken
                if signed.item.origin != peer.key
                and signed.item.origin[:PREFIX_BYTES] not in peer.linked
            ]
            if told:
                self.tell_names(peer, told)

    def grace_ms(self, in_mesh_ms: int) -> int:
        """How long an item that others have may still be on its way here. Along a tree that is
        drawn anew each time, so that of a branch that lost its stem one asks first, and brings
        the item to the others before they ask, too."""
        if not self.sparse:
            return in_mesh_ms
        return self._config.graft_ms + self._stream.below(self._config.graft_ms)

    def on_tree(self, now_ms: int, peer: Peer, message: Tree) -> None:
        self._branches.on_tree(now_ms, peer, message)

    def greet(self, peer: Peer) -> None:
        """``peer`` is new, or back."""
        if self.sparse:
            self._branches.greet(peer)

    def tell_names(self, peer: Peer, names: Iterable[ItemName]) -> None:
        for page in pages(names):
            self._membership.roster.send(peer, Have(page))

    def tick(self, now_ms: int) -> None:
        if self.sparse:
            self._branches.tick(now_ms)
        if self._announce_ms is None or now_ms < self._announce_ms:
            return
        self._announce_ms = None
        for key, names in self._waiting.items():
            peer = self._membership.get(key)
            if peer is not None and peer.reachable:
                self.tell_names(peer, names)
        self._waiting.clear()

    def next_due_ms(self) -> int | None:
        if not self.sparse:
            return self._announce_ms
        due_ms = self._branches.next_due_ms()
        return due_ms if self._announce_ms is None else min(due_ms, self._announce_ms)

    def _push(
        self, peers: Sequence[Peer], items: Sequence[SignedItem], but: Sequence[Peer] = ()
    ) -> None:
        if not peers:
            return
        batches = [encode(Items(tuple(batch))) for batch in self._batches(items)]
        for peer in peers:
            sent = [self._membership.roster.send_bytes(peer, b, bulk=True) for b in batches]
            if all(sent):
                peer.sent += len(items)
            else:
                self.tell_names(peer, [signed.name for signed in items])

    def _announce_later(self, now_ms: int, peer: Peer, names: Sequence[ItemName]) -> None:
        waiting = self._waiting.setdefault(peer.key, [])
        waiting += names[: _WAITING_MAX - len(waiting)]  # the comparisons tell the rest
        if self._announce_ms is None:
            self._announce_ms = now_ms + self._config.announce_ms


def pages(names: Iterable[ItemName]) -> list[tuple[LogSeqs, ...]]:
    """``names`` by log, in order, in pages that fit one message each."""
    logs: dict[tuple[bytes, int], list[int]] = {}
    for name in names:
        logs.setdefault((name.origin, name.epoch), []).append(name.seq)
    told = [LogSeqs(*log, SeqSet.of(seqs)) for log, seqs in sorted(logs.items())]
    return [tuple(told[at : at + LOGS_MAX]) for at in range(0, len(told), LOGS_MAX)]
