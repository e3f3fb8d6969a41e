"""False reference claims: who was found to lie here, and who says so of others.

A claim that does not hold is its own proof: whoever holds the item can run it again. So an
accusation names an item and nothing more, and nobody believes it before the check. Checks are the
rim's; this table sees to it that they cost little: one accusation is checked at a time, each
accuser has few waiting, and who accuses falsely is not listened to for a while.
"""

from __future__ import annotations

from collections import deque

from deid.errors import RemoteError
from deid.wire.config import NodeConfig
from deid.wire.events import ClaimAccused
from deid.wire.item import ItemName, SignedItem
from deid.wire.log import Logs
from deid.wire.membership import Membership
from deid.wire.messages import Accuse
from deid.wire.notices import Notices
from deid.wire.peer import Peer

WAITING_MAX = 32  # accusations of one accuser that wait for their check
ACCUSERS_MAX = 64  # with accusations that wait
FOUND_MAX = 1_024  # liars that are remembered; the default of origins_max


class Accusations:
    """``own`` is this node's key: what it is accused of it knows best."""

    def __init__(
        self,
        config: NodeConfig,
        own: bytes,
        logs: Logs,
        membership: Membership,
        notices: Notices,
    ) -> None:
        self._config = config
        self._own = own
        self._logs = logs
        self._membership = membership
        self._notices = notices
        self._found: dict[bytes, Accuse] = {}  # by origin: one lie of each that was found out
        self._waiting: dict[bytes, deque[Accuse]] = {}  # by accuser, who was heard first first
        self._checking: tuple[bytes, Accuse] | None = None  # accuser, what it said
        self._ignored: dict[bytes, int] = {}  # false accusers -> until when

    def on_accuse(self, now_ms: int, peer: Peer, message: Accuse) -> None:
        """A peer says that an item's claim is false: it waits for the check."""
        if message.origin in (self._own, peer.key):
            raise RemoteError("accuse: expected the item of a third node")
        if message.origin in self._found or now_ms < self._ignored.get(peer.key, now_ms):
            return
        if peer.key not in self._waiting and len(self._waiting) >= ACCUSERS_MAX:
            return
        waiting = self._waiting.setdefault(peer.key, deque())
        if message not in waiting and len(waiting) < WAITING_MAX:
            waiting.append(message)
        self._next()

    def judged(self, now_ms: int, signed: SignedItem, *, holds: bool, partners: list[Peer]) -> None:
        """The rim checked a claim, asked or not: a liar's is told to everybody, and who accused
        falsely is ignored for a while."""
        said = Accuse(*signed.name, signed.body_hash)
        if not holds and said.origin != self._own and said.origin not in self._found:
            if len(self._found) >= FOUND_MAX:
                del self._found[next(iter(self._found))]
            self._found[said.origin] = said
            for peer in partners:
                if peer.key != said.origin:
                    self._membership.send(now_ms, peer, said)
        if self._checking is not None and self._checking[1] == said:
            accuser, self._checking = self._checking[0], None
            if holds:
                self._waiting.pop(accuser, None)
                self._ignore(now_ms, accuser)
        self._next()

    def greet(self, now_ms: int, peer: Peer) -> None:
        """Tell a peer that was not there what was found out."""
        for said in list(self._found.values())[-WAITING_MAX:]:
            if said.origin != peer.key:
                self._membership.send(now_ms, peer, said)

    def _next(self) -> None:
        """Hand the next accusation to the rim, accusers in turn; what cannot be checked, since
        the item is not held, or need not be, is dropped."""
        while self._checking is None and self._waiting:
            accuser = next(iter(self._waiting))
            waiting = self._waiting.pop(accuser)
            said = waiting.popleft()
            if waiting:
                self._waiting[accuser] = waiting  # to the end
            held = self._logs.get(ItemName(said.origin, said.epoch, said.seq))
            if held is None or held.body_hash != said.body or said.origin in self._found:
                continue
            self._checking = (accuser, said)
            self._notices.tell(ClaimAccused(held, accuser))

    def _ignore(self, now_ms: int, accuser: bytes) -> None:
        self._ignored = {key: until for key, until in self._ignored.items() if until > now_ms}
        self._ignored[accuser] = now_ms + self._config.accuse_ignore_ms
