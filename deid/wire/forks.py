"""Two items of one name: settled so that all nodes keep the same one, and told to everybody.

A comparison tells, beside the numbers of each log, a digest over its items. Where the numbers
leave nothing to pull and the digests differ, the body hashes are told (:class:`Variants`); the
other side pulls the items whose hashes are smaller than its own, and pushes its own where they
are. Who gets to see both items has the proof, and tells it (:class:`Proof`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from deid.errors import RemoteError
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import Equivocation
from deid.wire.item import LIVE_RANGES_MAX, SignedItem, parse_item
from deid.wire.keys import Verify
from deid.wire.log import Logs, OriginLog
from deid.wire.membership import Membership
from deid.wire.messages import (
    BODY_PREFIX_BYTES,
    DIGEST_PREFIX_BYTES,
    VARIANTS_MAX,
    Compare,
    Items,
    LogSeqs,
    Proof,
    Pull,
    Variants,
)
from deid.wire.notices import Notices
from deid.wire.peer import Peer
from deid.wire.proof import Fork, open_proof
from deid.wire.seqset import SeqSet

SETTLED_MAX = 64  # names that one message settles; what is left shows in the next comparison
TOLD_MAX = 8  # proofs sent in answer to one comparison; at most 1 MiB
TOLD_MS = 3_000  # and not again for that long: a peer may have no room for them


class Forks:
    """What this node does about equivocation.

    take: judges a verified item like one that came in a message. batches: raw items, packed
    into messages. partners: peers to which items go.
    """

    def __init__(
        self,
        config: NodeConfig,
        logs: Logs,
        membership: Membership,
        notices: Notices,
        stream: Stream,
        verify: Verify,
        *,
        check: Callable[[SignedItem], None],
        take: Callable[[int, Peer, SignedItem], SignedItem | None],
        batches: Callable[[Iterable[SignedItem]], list[list[bytes]]],
        partners: Callable[[], list[Peer]],
    ) -> None:
        self._config = config
        self._logs = logs
        self._membership = membership
        self._notices = notices
        self._stream = stream
        self._verify = verify
        self._check = check
        self._take = take
        self._batches = batches
        self._partners = partners
        # Peer -> when its variants were settled last, and when it was told proofs.
        self._settled_ms: dict[bytes, int] = {}
        self._told_ms: dict[bytes, int] = {}
        self.proofs = logs.proofs

    # ---- proofs --------------------------------------------------------------------------

    def caught(self, now_ms: int, source: Peer | None, fork: Fork) -> None:
        """Keep a proof, and tell it to everybody but ``source``; a no-op for a known origin."""
        if not self._logs.of_origin(fork.name.origin) or not self._logs.prove(fork):
            return
        self._notices.tell(Equivocation(fork.name, fork.kept.raw, fork.other.raw))
        for peer in self._partners():
            if peer is not source:
                self._tell(now_ms, peer, fork)

    def on_proof(self, now_ms: int, peer: Peer, message: Proof) -> list[SignedItem]:
        """A proof from a peer: checked whole before anything of it is taken. What was new."""
        if not self.proofs.wanted(parse_item(message.one).item.origin):
            self._notices.counters.duplicates += 1
            return []
        fork = open_proof(message.one, message.two, self._verify)
        pair = (fork.kept, fork.other)
        for signed in pair:
            self._check(signed)
        self.caught(now_ms, peer, fork)  # first: what is told by taking goes to the peer, too
        taken = [self._take(now_ms, peer, signed) for signed in pair]
        self.caught(now_ms, peer, fork)  # where the origin was not known before
        return [signed for signed in taken if signed is not None]

    # ---- comparison ----------------------------------------------------------------------

    def digests(self, logs: Sequence[LogSeqs]) -> tuple[bytes, ...]:
        """Over the items of ``logs``, as :class:`Compare` tells them."""
        told = []
        for entry in logs:
            log = self._logs.log(entry.origin, entry.epoch)
            assert log is not None, "only logs that are held are compared"
            digest = log.digest if entry.seqs == log.seqs else log.digest_of(entry.seqs)
            told.append(digest[:DIGEST_PREFIX_BYTES])
        return tuple(told)

    def on_compare(self, now_ms: int, peer: Peer, message: Compare) -> None:
        """Tell the peer the proofs that it lacks, and of one log that differs its bodies."""
        lacking = [each for each in self.proofs.all() if each.name.origin not in message.proven]
        if lacking and self._is_due(now_ms, peer, self._told_ms, TOLD_MS):
            for fork in lacking[:TOLD_MAX]:
                self._tell(now_ms, peer, fork)
        differing = [
            log
            for entry, digest in zip(message.logs, message.digests, strict=False)
            if (log := self._logs.log(entry.origin, entry.epoch)) is not None
            and log.differs(entry.seqs, digest)
            and not self._logs.wanted(entry, 1)
        ]
        if differing:
            self._membership.send(now_ms, peer, _variants(self._stream.choice(differing)))

    def on_variants(self, now_ms: int, peer: Peer, message: Variants) -> None:
        """Pull the items that win over this node's, push those that win over the peer's."""
        if len(message.bodies) != BODY_PREFIX_BYTES * len(message.seqs):
            raise RemoteError(f"variants: expected {BODY_PREFIX_BYTES} bytes for each number")
        log = self._logs.log(message.origin, message.epoch)
        if log is None or not self._is_due(now_ms, peer, self._settled_ms, self._config.answer_ms):
            return
        theirs, ours = _settle(log, message)
        if theirs:
            entry = LogSeqs(log.origin, log.epoch, SeqSet.of(theirs))
            self._membership.send(now_ms, peer, Pull((entry,)))
        for batch in self._batches(log.items[seq] for seq in ours):
            self._membership.send(now_ms, peer, Items(tuple(batch)), bulk=True)

    def _is_due(self, now_ms: int, peer: Peer, last_ms: dict[bytes, int], gap_ms: int) -> bool:
        """Whether ``gap_ms`` have passed since this was true for ``peer``."""
        if now_ms < last_ms.get(peer.key, now_ms - gap_ms) + gap_ms:
            return False
        for key in [key for key in last_ms if not self._membership.is_member(key)]:
            del last_ms[key]
        last_ms[peer.key] = now_ms
        return True

    def _tell(self, now_ms: int, peer: Peer, fork: Fork) -> None:
        self._membership.send(now_ms, peer, Proof(fork.kept.raw, fork.other.raw), bulk=True)


def _variants(log: OriginLog) -> Variants:
    newest = log.seqs.newest(LIVE_RANGES_MAX)
    seqs = SeqSet.of(islice(newest.descending(), VARIANTS_MAX))
    bodies = b"".join(log.items[seq].body_hash[:BODY_PREFIX_BYTES] for seq in seqs)
    return Variants(log.origin, log.epoch, seqs, bodies)


def _settle(log: OriginLog, message: Variants) -> tuple[list[int], list[int]]:
    """Numbers under which the peer's item wins, and under which this node's does."""
    theirs: list[int] = []
    ours: list[int] = []
    for at, seq in enumerate(message.seqs):
        held = log.items.get(seq)
        if held is None:
            continue
        start = at * BODY_PREFIX_BYTES
        body = message.bodies[start : start + BODY_PREFIX_BYTES]
        mine = held.body_hash[:BODY_PREFIX_BYTES]
        if body != mine:
            (theirs if body < mine else ours).append(seq)
    return theirs[:SETTLED_MAX], ours[:SETTLED_MAX]
