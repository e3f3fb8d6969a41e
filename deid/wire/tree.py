"""A spanning tree of a network beyond a full mesh, drawn anew by a flood every few seconds.

One node, the root, counts up; every node passes each new count on to all its links at once and
takes the link that brought it first for its parent. Within one count every parent is nearer to
the root, so the links between parents and children hold no circle; for more counts a node keeps
its parent as long as that is so. Where the root falls silent anybody takes its place, and of
several roots that with the smallest key stays. Nothing that is promised depends on the tree:
what it loses, announcements and comparisons bring.
"""

from __future__ import annotations

from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.messages import DISTANCE_MAX, Tree
from deid.wire.peer import Peer
from deid.wire.roster import Roster

_MISSED_MAX = 2  # counts that may fail to come before somebody else begins to count
_ROOTS_MAX = 64  # whose newest count is remembered, so that none lives on as an echo


class Branches:
    """This node's place in the tree: its parent, and which peers are its children."""

    def __init__(self, config: NodeConfig, own: bytes, stream: Stream, roster: Roster) -> None:
        self._config = config
        self._own = own
        self._stream = stream
        self._roster = roster
        self._seen: dict[bytes, int] = {}
        self._root = own
        self._count = 0
        self._distance = 0
        self._heard_ms = 0
        self._due_ms = config.tree_ms
        self._parent: bytes | None = None
        self._before: bytes | None = None  # the parent until the present count came

    def is_branch(self, peer: Peer) -> bool:
        """Whether payloads go to ``peer``: it is this node's parent or child."""
        return peer.child or peer.key == self._parent

    def greet(self, peer: Peer) -> None:
        """Tell a new peer of the tree, so that it need not wait for the next count."""
        if self._count:
            self._roster.send(peer, self._message(peer))

    def on_tree(self, now_ms: int, peer: Peer, message: Tree) -> None:
        peer.child = message.push
        if self._is_newer(now_ms, message):
            self._adopt(now_ms, message.root, message.count, message.distance + 1)
            self._before, self._parent = self._parent, peer.key
            self._flood()
        elif (
            (message.root, message.count) == (self._root, self._count)
            and message.distance < self._distance
            and peer.key == self._before != self._parent
        ):
            self._turn_to(peer)

    def tick(self, now_ms: int) -> None:
        """Count, where this node is the root, or has not heard from one for too long."""
        if now_ms < self._due_ms:
            return
        self._adopt(now_ms, self._own, self._seen.get(self._own, 0) + 1, 0)
        self._parent = self._before = None
        self._flood()

    def next_due_ms(self) -> int:
        return self._due_ms

    def _is_newer(self, now_ms: int, message: Tree) -> bool:
        if message.count <= self._seen.get(message.root, 0) or message.root == self._own:
            return False
        if message.distance >= DISTANCE_MAX:
            return False
        if message.root == self._root:
            return now_ms - self._heard_ms >= self._config.tree_ms // 4  # not for every whim
        stale = now_ms - self._heard_ms > 2 * self._config.tree_ms
        return message.root < self._root or stale or not self._count

    def _adopt(self, now_ms: int, root: bytes, count: int, distance: int) -> None:
        self._root, self._count, self._distance = root, count, distance
        self._heard_ms = now_ms
        self._seen.pop(root, None)
        self._seen[root] = count
        if len(self._seen) > _ROOTS_MAX:
            del self._seen[next(iter(self._seen))]
        period = self._config.tree_ms
        if root == self._own:
            self._due_ms = now_ms + period
        else:
            self._due_ms = now_ms + _MISSED_MAX * period + self._stream.below(_MISSED_MAX * period)

    def _flood(self) -> None:
        for peer in self._roster.reached():
            if self._roster.shares(peer):
                self._roster.send(peer, self._message(peer))

    def _turn_to(self, peer: Peer) -> None:
        """``peer`` is the parent, and not whoever was until now."""
        before = None if self._parent is None else self._roster.get(self._parent)
        self._parent = peer.key
        for each in (before, peer):
            if each is not None and each.reachable:
                self._roster.send(each, self._message(each))

    def _message(self, peer: Peer) -> Tree:
        return Tree(self._root, self._count, self._distance, peer.key == self._parent)
