"""Whom to link to: everybody in a small network, a few at random in a large one.

After HyParView (Leitão, Pereira, Rodrigues 2007): an active view of links, a passive view of
records (the directory) to replace them from, both remixed all the time. Of the active view a part
is of the node's own choice, so that callers, however many, cannot surround it.
"""

from __future__ import annotations

from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.directory import Directory
from deid.wire.messages import RECORDS_MAX, Peers
from deid.wire.peer import Peer
from deid.wire.roster import Roster

_MODE_MS = 1_000  # the size of the network is looked at so often
_GREETING = 24  # records for a new link, from a node that may be new itself
_SHUFFLE = 12  # records in a regular exchange
_SHED_ROOM = 4  # links beyond peers_max that a node takes while it sheds, from who has few


class Overlay:
    """The choice of links. ``sparse``: more are known than a full mesh can have."""

    def __init__(
        self, config: NodeConfig, stream: Stream, roster: Roster, book: Book, directory: Directory
    ) -> None:
        self._config = config
        self._stream = stream
        self._roster = roster
        self._book = book
        self._directory = directory
        self._mode_ms = 0
        self._fill_ms = 0
        self._shed_ms = 0
        self._explore_ms = config.explore_ms // 2
        self._exchange_ms = 0
        self._explored = False
        self.sparse = False

    def refusal(self, links: int, *, dialled: bool) -> str | None:
        """Why nobody more is taken who has so many ``links`` already; None where there is room.
        dialled: this node sought the link."""
        config = self._config
        if not self.sparse:
            if len(self._roster.members()) < config.peers_max:
                return None
            return f"{config.peers_max} peers are linked already (peers_max)"
        here = self._roster.linked()
        if dialled or links < config.active_min:
            most = min(config.links_max, config.peers_max)
            if len(here) > most:  # the network has just grown: some links are about to go
                most = min(len(here) + 1, config.peers_max + _SHED_ROOM)
            setting = "links_max"
        else:
            most = min(config.active_max, config.peers_max)
            setting = "active_max"
            callers = sum(1 for peer in here if not peer.dialled)
            if callers >= most - min(config.dialled_min, most - 1):
                return f"{callers} callers are linked already ({setting})"
        if len(here) < most:
            return None
        limit = "peers_max" if most == config.peers_max else setting
        return f"{len(here)} peers are linked already ({limit})"

    def dials(self, now_ms: int) -> list[str]:
        """Addresses to dial now."""
        self._look(now_ms)
        if not self.sparse:
            if now_ms < self._fill_ms:
                return []
            # A few at a time: the first answer may tell that the network is too large for a mesh.
            full = len(self._roster.members()) >= self._config.peers_max
            most = self._config.active_max
            found = self._book.due(now_ms, self._roster.is_linked, full=full, most=most)
            if len(found) == most:
                self._fill_ms = now_ms + self._config.fill_ms
            return found
        lacking = self._lacking()
        if lacking > 0 and now_ms >= self._fill_ms:
            self._fill_ms = now_ms + self._config.fill_ms
            return self._book.some(now_ms, self._roster.is_linked, lacking)
        if now_ms >= self._explore_ms:
            self._explore_ms = now_ms + self._jittered(self._config.explore_ms)
            self._explored = True
            return self._book.some(now_ms, self._roster.is_linked, 1)
        return []

    def shed(self, now_ms: int) -> Peer | None:
        """A peer whose link is to be given up now, if any."""
        if not self.sparse or now_ms < self._shed_ms:
            return None
        self._shed_ms = now_ms + self._config.fill_ms
        linked = self._roster.linked()
        most = self._most()
        if len(linked) <= most - self._explored:
            return None
        silent = [peer for peer in linked if not peer.reachable and peer.probed_ms is None]
        if len(linked) > most and silent:
            return self._stream.choice(silent)
        rich = [peer for peer in linked if self._rich(peer)]
        beside = [peer for peer in rich if not peer.child]
        if len(linked) <= most and not beside:
            return None
        self._explored = False
        choice = beside or rich or ([] if len(linked) <= self._config.links_max else linked)
        return self._stream.choice(choice) if choice else None

    def exchange(self, now_ms: int) -> None:
        """Tell a random peer of some others."""
        if now_ms < self._exchange_ms:
            return
        self._exchange_ms = now_ms + self._jittered(self._config.exchange_ms)
        reached = [peer for peer in self._roster.all() if peer.reachable]
        if reached:
            peer = self._stream.choice(reached)
            self._roster.send(peer, self.introduction(peer.key, links=len(reached)))

    def introduction(self, to: bytes, *, links: int) -> Peers:
        """Records for ``to``, which has so many ``links``: of all members in a mesh, otherwise of
        some of the passive view, of more where it may be new."""
        mine = self._directory.own.raw
        if self.sparse:
            most = _GREETING if links < self._config.active_min else _SHUFFLE
            return Peers((mine, *self._directory.some(most, to, self._stream)))
        raws = [each.signed.raw for each in self._roster.members() if each.key != to]
        return Peers((mine, *raws[: RECORDS_MAX - 1]))

    def next_due_ms(self) -> int:
        due = [self._exchange_ms]
        if self.sparse:
            due.append(self._explore_ms)
            if len(self._roster.linked()) > self._most() - self._explored:
                due.append(self._shed_ms)
            if self._lacking() > 0:
                due.append(self._fill_ms)
        else:
            dial_ms = self._book.next_due_ms()
            if dial_ms is not None:
                due.append(max(dial_ms, self._fill_ms))
        return min(due)

    def _look(self, now_ms: int) -> None:
        """How large is the network? A quarter between the two answers keeps it from swinging."""
        if now_ms < self._mode_ms:
            return
        self._mode_ms = now_ms + _MODE_MS
        members = {peer.key for peer in self._roster.members()}
        known = len(members) + self._directory.others(members)
        if known > self._config.peers_max:
            self.sparse = True
        elif known <= self._config.peers_max * 3 // 4:
            self.sparse = False

    def _lacking(self) -> int:
        """Links to dial for: up to the least, and to as many of its own choice as it should have;
        at least one where it has none at all."""
        reached = self._roster.reached()
        chosen = sum(1 for peer in reached if peer.dialled)
        lacking = max(self._config.active_min - len(reached), self._config.dialled_min - chosen)
        return min(lacking, self._most() - len(reached))

    def _most(self) -> int:
        return min(self._config.active_max, self._config.peers_max)

    def _rich(self, peer: Peer) -> bool:
        """Whether ``peer`` can lose a link without having to look for another."""
        return peer.linked is not None and len(peer.linked) > self._config.active_min

    def _jittered(self, period_ms: int) -> int:
        return period_ms * 3 // 4 + self._stream.below(period_ms // 2 + 1)
