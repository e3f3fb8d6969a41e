"""Anti-entropy: what a node holds, told to a peer that said to hold something else.

Where there is much to tell, hashes of 64 parts of all origins go first, so that the logs
themselves are told of the parts that differ only.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.forks import Forks
from deid.wire.log import Logs
from deid.wire.membership import Membership
from deid.wire.messages import (
    ALL_PARTS,
    LOGS_MAX,
    ORIGINS_PROVEN_MAX,
    PART_HASH_BYTES,
    PARTS,
    Compare,
    Digest,
    LogSeqs,
)
from deid.wire.peer import Peer
from deid.wire.spread import Spread

_NUMBERS_MAX = 32_768  # of the flat lists in one compare; at most 9 bytes each: under 300 KiB


class Comparing:
    """Begins comparisons, and answers those of others."""

    def __init__(
        self,
        config: NodeConfig,
        own: bytes,
        logs: Logs,
        membership: Membership,
        stream: Stream,
        forks: Forks,
        spread: Spread,
    ) -> None:
        self._config = config
        self._own = own
        self._logs = logs
        self._membership = membership
        self._stream = stream
        self._forks = forks
        self._spread = spread
        self._hashes_of = b""  # the root for which the hashes of the parts hold
        self._hashes: list[bytes] = []
        self.due_ms = 0

    def met(self, now_ms: int, peer: Peer) -> None:
        """``peer`` told its progress: compare at once where this is the first time on this link.
        One side begins, the smaller key; the other answers."""
        assert peer.progress is not None, "met means that it told"
        if peer.progress.root != self._logs.root() and self._own < peer.key:
            self._begin(now_ms, peer)

    def tick(self, now_ms: int) -> bool:
        """Whether the time for a comparison has come; then it was begun, if anybody differs."""
        if now_ms < self.due_ms:
            return False
        period = self._config.compare_ms
        self.due_ms = now_ms + period * 3 // 4 + self._stream.below(period // 2 + 1)
        self._compare(now_ms)
        return True

    def on_digest(self, now_ms: int, peer: Peer, message: Digest) -> None:
        """Tell the parts in which this node differs; none, if none does: then other things do."""
        if self._may_answer(now_ms, peer):
            self.tell(now_ms, peer, ask=True, parts=differing(self._parts(), message))

    def on_compare(self, now_ms: int, peer: Peer, message: Compare) -> None:
        """Answer in kind where asked to; what is missing was learnt before."""
        self._forks.on_compare(now_ms, peer, message)
        peer.compared = True
        if message.ask and self._may_answer(now_ms, peer):
            self.tell(now_ms, peer, ask=False, parts=message.parts)

    def tell(self, now_ms: int, peer: Peer, *, ask: bool, parts: bytes = ALL_PARTS) -> None:
        """Tell ``peer`` what is held of ``parts``."""
        told: list[list[LogSeqs]] = [[]]
        numbers = 0
        chosen = int.from_bytes(parts, "big")
        for entry in self._logs.entries() if chosen else ():
            if not chosen >> part_of(entry.origin) & 1:
                continue
            numbers += 2 * len(entry.seqs.ranges)
            if len(told[-1]) == LOGS_MAX or numbers > _NUMBERS_MAX:
                told.append([])
                numbers = 2 * len(entry.seqs.ranges)
            told[-1].append(entry)
        proven = self._logs.proofs.origins()[:ORIGINS_PROVEN_MAX]
        for page in told:
            last = page is told[-1]
            digests = self._forks.digests(page)
            message = Compare(ask and last, tuple(page), digests, proven, parts)
            self._membership.send(now_ms, peer, message)

    def _compare(self, now_ms: int) -> None:
        """With a random peer among those that said lately to hold something else."""
        root = self._logs.root()
        recent_ms = now_ms - 2 * self._config.ping_ms
        others = [
            peer
            for peer in self._spread.partners()
            if peer.progress is not None
            and peer.progress.root != root
            and peer.progress_ms >= recent_ms
        ]
        if others:
            self._begin(now_ms, self._stream.choice(others))

    def _begin(self, now_ms: int, peer: Peer) -> None:
        if len(self._logs) >= self._config.digest_logs_min:
            self._membership.send(now_ms, peer, Digest(b"".join(self._parts())))
        else:
            self.tell(now_ms, peer, ask=True)

    def _may_answer(self, now_ms: int, peer: Peer) -> bool:
        if peer.answered_ms is not None and now_ms < peer.answered_ms + self._config.answer_ms:
            return False
        peer.answered_ms = now_ms
        return True

    def _parts(self) -> list[bytes]:
        """A hash of what is held of each part of the origins; kept while nothing changes."""
        root = self._logs.root()
        if self._hashes_of != root:
            hashers = [blake2b(digest_size=PART_HASH_BYTES) for _ in range(PARTS)]
            for log in self._logs:
                if log.items:
                    hashers[part_of(log.origin)].update(log.digest)
            self._hashes = [each.digest() for each in hashers]
            self._hashes_of = root
        return self._hashes


def part_of(origin: bytes) -> int:
    """In which of the 64 parts an origin's logs are."""
    return origin[0] % PARTS


def differing(mine: Sequence[bytes], theirs: Digest) -> bytes:
    """The parts whose hashes differ, as bits."""
    size = PART_HASH_BYTES
    found = sum(
        1 << at
        for at, each in enumerate(mine)
        if each != theirs.hashes[at * size : (at + 1) * size]
    )
    return found.to_bytes(PARTS // 8, "big")
