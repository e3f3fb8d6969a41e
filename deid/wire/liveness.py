"""Who is alive: pings, pings through others, suspicion and its confirmations, own slowness.

After SWIM (Das, Gupta, Motivala 2002) and Lifeguard (Dadgar, Phillips, Currey 2017), with one
difference: every verdict is local. Words of others can only shorten the time until a peer that
is silent *here* is evicted here, or say that it is alive; nobody is removed by gossip.
"""

from __future__ import annotations

from collections.abc import Callable

from deid.search.streams import Stream
from deid.wire.book import Book
from deid.wire.config import NodeConfig
from deid.wire.directory import Directory
from deid.wire.events import PeerState
from deid.wire.links import Links
from deid.wire.messages import (
    PREFIX_BYTES,
    Peers,
    Ping,
    Pong,
    Probe,
    Progress,
    Suspect,
    Vouch,
    encode,
)
from deid.wire.peer import Connection, Peer
from deid.wire.roster import Roster

HEALTH_MAX = 8  # as Lifeguard's: times are stretched at most ninefold
_PROBES_MAX = 64  # peers pinged for others at a time
# Lifeguard's log(c + 1) / log(K + 1) for K = 3 confirmations, in thousandths.
_CONFIRMED = (0, 500, 792, 1_000)


class Liveness:
    """Signs of life, and their absence.

    progress: how far this node is, told with pings. health: 0 where this node keeps its own
    times; more where it was late or wrongly suspected, and then judges others more slowly.
    """

    def __init__(
        self,
        config: NodeConfig,
        own: bytes,
        stream: Stream,
        roster: Roster,
        links: Links,
        book: Book,
        directory: Directory,
        progress: Callable[[], Progress],
    ) -> None:
        self._config = config
        self._own = own
        self._stream = stream
        self._roster = roster
        self._links = links
        self._book = book
        self._directory = directory
        self._progress = progress
        self._alarm_ms = 0
        self._asked: dict[tuple[bytes, bytes], int] = {}  # (who asked, about whom) -> until when
        self.health = 0

    # ---- messages ------------------------------------------------------------------------

    def ping(self, now_ms: int, peer: Peer) -> None:
        """Ask for a sign of life on every link, that of each is in question."""
        peer.ping_nonce = self._stream.word() >> 1
        peer.ping_sent_ms = now_ms
        if peer.state is PeerState.ALIVE and peer.probed_ms is None:
            peer.probed_ms = now_ms
            peer.retry_ms = now_ms + self._stretched(self._config.probe_ms)
        peer.ping_due_ms = now_ms + self._jittered(self._period_ms(peer))
        data = Ping(peer.ping_nonce, self._progress())
        for connection in peer.connections:
            self._links.post(connection, data)

    def on_ping(self, now_ms: int, connection: Connection, peer: Peer, message: Ping) -> None:
        self.heard_progress(now_ms, peer, message.progress)
        # On the same link: that is the one whose life is asked for.
        self._links.post(connection, Pong(message.nonce, self._progress()))

    def on_pong(self, now_ms: int, peer: Peer, message: Pong) -> None:
        self.heard_progress(now_ms, peer, message.progress)
        if message.nonce != peer.ping_nonce:
            return
        sample = now_ms - peer.ping_sent_ms
        # An eighth of the new sample, as TCP smooths it (RFC 6298).
        peer.rtt_ms = sample if peer.rtt_ms is None else (7 * peer.rtt_ms + sample) // 8
        peer.ping_nonce = None
        self.health = max(0, self.health - 1)
        if peer.deaf:
            peer.deaf = False
            self._roster.changed(now_ms)

    def on_probe(self, now_ms: int, asker: Peer, message: Probe) -> None:
        """``asker`` does not hear somebody: ask in its place."""
        peer = self._roster.get(message.key)
        if peer is None or peer is asker or not self._roster.is_member(message.key):
            return
        if len(self._asked) >= _PROBES_MAX:
            return
        self._asked[asker.key, peer.key] = now_ms + self._config.suspect_ms
        if now_ms - peer.ping_sent_ms >= self._config.probe_ms:
            self.ping(now_ms, peer)

    def on_vouch(self, now_ms: int, message: Vouch) -> None:
        peer = self._roster.get(message.key)
        if peer is None or not peer.connections or peer.state not in _JUDGED:
            return
        peer.vouched_ms = now_ms
        if peer.state is PeerState.SUSPECTED:
            self._revived(now_ms, peer)

    def on_suspect(self, now_ms: int, accuser: Peer, message: Suspect) -> None:
        """Another's verdict: refuted where it is about this node, otherwise a reason to look."""
        if message.key == self._own:
            accuser.deaf = True  # until it answers a ping
            accuser.ping_due_ms = now_ms
            self._roster.changed(now_ms)
            if message.incarnation >= self._directory.own.record.incarnation:
                self.health = min(HEALTH_MAX, self.health + 1)
                self._directory.raise_own(above=message.incarnation)
                self._tell(Peers((self._directory.own.raw,)))
            return
        peer = self._roster.get(message.key)
        if peer is None or message.incarnation != peer.record.incarnation:
            return
        peer.accusers.add(accuser.key)
        if peer.state is PeerState.ALIVE and peer.probed_ms is None:
            peer.ping_due_ms = now_ms

    def refuted(self, now_ms: int, peer: Peer) -> None:
        """``peer`` signed a record newer than the one under suspicion: it is alive."""
        peer.accusers.clear()
        if peer.state is PeerState.SUSPECTED and peer.connections:
            peer.vouched_ms = now_ms
            self._revived(now_ms, peer)

    def heard(self, now_ms: int, peer: Peer) -> None:
        """Anything came from ``peer`` itself."""
        peer.heard_ms = now_ms
        peer.probed_ms = None
        if peer.silent:
            peer.silent = False
            self._roster.changed(now_ms)
        if peer.accusers:
            peer.accusers.clear()
        if self._asked:
            for asker, about in [pair for pair in self._asked if pair[1] == peer.key]:
                del self._asked[asker, about]
                waiting = self._roster.get(asker)
                if waiting is not None:
                    self._roster.send(waiting, Vouch(about))

    def heard_progress(self, now_ms: int, peer: Peer, progress: Progress) -> None:
        """Whoever just told its progress need not be pinged for it."""
        peer.progress = progress
        peer.progress_ms = now_ms
        peer.ping_due_ms = now_ms + self._jittered(self._period_ms(peer))

    # ---- time ----------------------------------------------------------------------------

    def was_late(self, late_ms: int) -> None:
        """This node itself stood still for so long: nobody else is to blame for that silence."""
        self.health = min(HEALTH_MAX, self.health + 1)
        for peer in self._roster.members():
            peer.heard_ms += late_ms
            peer.retry_ms += late_ms
            if peer.probed_ms is not None:
                peer.probed_ms += late_ms

    def tick(self, now_ms: int) -> list[Peer]:
        """Ping, suspect; the peers whose time is over, to be evicted by the caller."""
        if self._asked:
            self._asked = {pair: due for pair, due in self._asked.items() if due > now_ms}
        over = []
        for peer in list(self._roster.members()):
            if peer.state is PeerState.ALIVE:
                if peer.probed_ms is not None:
                    self._wait_for(now_ms, peer)
                elif peer.connections and now_ms >= peer.ping_due_ms:
                    self.ping(now_ms, peer)
            elif now_ms - peer.heard_ms >= self._evict_after_ms(peer):
                over.append(peer)
            elif peer.connections and now_ms >= peer.ping_due_ms:
                self.ping(now_ms, peer)
        return over

    def next_due_ms(self) -> int | None:
        due: list[int] = []
        for peer in self._roster.members():
            if peer.state is PeerState.SUSPECTED:
                due.append(peer.heard_ms + self._evict_after_ms(peer))
            if peer.probed_ms is not None and peer.state is PeerState.ALIVE:
                due.append(peer.retry_ms)
            elif peer.connections:
                due.append(peer.ping_due_ms)
        return min(due, default=None)

    def suspect(self, now_ms: int, peer: Peer) -> None:
        """Nothing is sent to ``peer`` until it is heard again."""
        peer.probed_ms = None
        peer.silent = False
        peer.ping_due_ms = now_ms + self._config.ping_ms
        self._roster.change(now_ms, peer, PeerState.SUSPECTED)
        for connection in peer.connections:
            if connection.dialled is not None:  # it may be wedged: try another beside it
                self._book.down(now_ms, connection.dialled)
        self._tell(Suspect(peer.key, peer.record.incarnation))

    # ---- inside --------------------------------------------------------------------------

    def _wait_for(self, now_ms: int, peer: Peer) -> None:
        """A ping to ``peer`` is unanswered: again, through others, then the verdict."""
        assert peer.probed_ms is not None
        if now_ms < peer.retry_ms:
            return
        if now_ms - peer.probed_ms >= self._stretched(self._config.suspect_ms):
            if peer.vouched_ms < peer.probed_ms:
                self.suspect(now_ms, peer)
                return
            peer.probed_ms = None
            peer.ping_due_ms = now_ms + self._config.ping_ms
            if not peer.silent:
                peer.silent = True
                self._roster.changed(now_ms)
            return
        self._ask_helpers(peer)
        self._alarm(now_ms)
        self.ping(now_ms, peer)
        peer.retry_ms = now_ms + self._stretched(self._config.probe_ms)

    def _ask_helpers(self, peer: Peer) -> None:
        """Those who say that they hear it, or did not say whom they hear."""
        prefix = peer.key[:PREFIX_BYTES]
        helpers = [
            each
            for each in self._roster.reached()
            if each is not peer and (each.linked is None or prefix in each.linked)
        ]
        for _ in range(min(len(helpers), self._config.helpers_max)):
            helper = helpers.pop(self._stream.below(len(helpers)))
            self._roster.send(helper, Probe(peer.key))

    def _alarm(self, now_ms: int) -> None:
        """One does not answer: it may be more than one, so ask all that were not heard lately."""
        if now_ms - self._alarm_ms < self._config.ping_ms:
            return
        self._alarm_ms = now_ms
        for peer in self._roster.members():
            if peer.probed_ms is None and now_ms - peer.heard_ms >= self._config.ping_ms:
                peer.ping_due_ms = min(peer.ping_due_ms, now_ms)

    def _revived(self, now_ms: int, peer: Peer) -> None:
        peer.silent = True
        peer.probed_ms = None
        peer.heard_ms = max(peer.heard_ms, now_ms - self._config.suspect_ms)
        self._roster.change(now_ms, peer, PeerState.ALIVE)

    def _evict_after_ms(self, peer: Peer) -> int:
        """Silence until eviction: shorter with every other peer that suspects it, too."""
        longest = self._config.evict_ms
        if self.health:
            return longest
        span = longest - min(longest, self._config.evict_min_ms)
        return longest - span * _CONFIRMED[min(len(peer.accusers), len(_CONFIRMED) - 1)] // 1_000

    def _period_ms(self, peer: Peer) -> int:
        """Between two pings of a silent link; who is suspected is always asked at the full rate,
        so that a healed network is noticed at once."""
        if peer.state is PeerState.SUSPECTED:
            return self._config.ping_ms
        share = self._config.ping_share
        return self._config.ping_ms * max(share, len(self._roster.members())) // share

    def _stretched(self, span_ms: int) -> int:
        return span_ms * (1 + self.health)

    def _tell(self, message: Suspect | Peers) -> None:
        """Tell all with a link, those too that are silent: they may hear without being heard."""
        data = encode(message)
        for each in self._roster.linked():
            self._roster.send_bytes(each, data)

    def _jittered(self, period_ms: int) -> int:
        """Between three quarters and five quarters of ``period_ms``, so that nodes drift apart."""
        return period_ms * 3 // 4 + self._stream.below(period_ms // 2 + 1)


_JUDGED = frozenset({PeerState.ALIVE, PeerState.SUSPECTED})
