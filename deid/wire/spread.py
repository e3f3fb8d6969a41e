"""How new items spread: from their origin to all in a full mesh, along a tree in a larger network.

The tree is Plumtree's (Leitão, Pereira, Rodrigues, "Epidemic broadcast trees", 2007): one for all
origins, made of links marked at both ends. Payloads go along it, names over all other links. A
payload that comes twice prunes a link from it; one that the tree did not bring is pulled from who
announced it, and that link is grafted. So the tree mends itself, and what even the announcements
lose the comparisons bring back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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

_BROUGHT_MAX = 1_024  # items of which is known which link of the tree brought them
_WAITING_MAX = 1_024  # names that wait to be announced to one peer


class Spread:
    """Pushes and announcements of items just released or taken in."""

    def __init__(
        self,
        config: NodeConfig,
        membership: Membership,
        batches: Callable[[Iterable[SignedItem]], list[list[bytes]]],
    ) -> None:
        self._config = config
        self._membership = membership
        self._batches = batches
        self._waiting: dict[bytes, list[ItemName]] = {}
        self._announce_ms: int | None = None
        self._brought: dict[ItemName, bytes] = {}

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
        self._brought.update((signed.name, b"") for signed in released)
        if not self.sparse:
            self._push(partners, released)
            return
        self._ensure_branch(partners)
        self._push([peer for peer in partners if peer.eager], released)
        names = [signed.name for signed in released]
        for peer in partners:
            if not peer.eager:
                self._announce_later(now_ms, peer, names)

    def relay(self, now_ms: int, source: Peer, taken: Sequence[SignedItem]) -> None:
        """Items that ``source`` brought. In a mesh they are announced to peers that their origins
        do not reach, by those peers' own word; along the tree they are passed on."""
        others = [peer for peer in self.partners() if peer is not source]
        if self.sparse:
            self._push([peer for peer in others if peer.eager], taken)
            names = [signed.name for signed in taken]
            for peer in others:
                if not peer.eager:
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

    def pushed(self, peer: Peer, fresh: Sequence[SignedItem], repeated: Sequence[ItemName]) -> None:
        """``peer`` pushed items that were new here, and others that were not. Of two links that
        bring the same the later one is pruned; what was pulled before it came says nothing."""
        for signed in fresh:
            self._brought[signed.name] = peer.key
        while len(self._brought) > _BROUGHT_MAX:
            del self._brought[next(iter(self._brought))]
        if not self.sparse:
            return
        if fresh:
            peer.eager = True
        elif any(self._brought.get(name, peer.key) != peer.key for name in repeated):
            self._mark(peer, push=False)

    def pulled(self, peer: Peer) -> None:
        """The tree did not bring what ``peer`` announced: graft the link to it."""
        if self.sparse and not peer.eager:
            self._mark(peer, push=True)

    def on_tree(self, peer: Peer, message: Tree) -> None:
        peer.eager = message.push

    def tell_names(self, peer: Peer, names: Iterable[ItemName]) -> None:
        for page in pages(names):
            self._membership.roster.send(peer, Have(page))

    def tick(self, now_ms: int) -> None:
        if self._announce_ms is None or now_ms < self._announce_ms:
            return
        self._announce_ms = None
        for key, names in self._waiting.items():
            peer = self._membership.get(key)
            if peer is not None and peer.reachable:
                self.tell_names(peer, names)
        self._waiting.clear()

    def next_due_ms(self) -> int | None:
        return self._announce_ms

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

    def _ensure_branch(self, partners: Sequence[Peer]) -> None:
        """A node without any branch takes its oldest link for one."""
        if partners and not any(peer.eager for peer in partners):
            oldest = min(partners, key=lambda peer: peer.connections[0].ordinal)
            self._mark(oldest, push=True)

    def _mark(self, peer: Peer, *, push: bool) -> None:
        peer.eager = push
        self._membership.roster.send(peer, Tree(push))


def pages(names: Iterable[ItemName]) -> list[tuple[LogSeqs, ...]]:
    """``names`` by log, in order, in pages that fit one message each."""
    logs: dict[tuple[bytes, int], list[int]] = {}
    for name in names:
        logs.setdefault((name.origin, name.epoch), []).append(name.seq)
    told = [LogSeqs(*log, SeqSet.of(seqs)) for log, seqs in sorted(logs.items())]
    return [tuple(told[at : at + LOGS_MAX]) for at in range(0, len(told), LOGS_MAX)]
