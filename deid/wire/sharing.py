"""How items travel: pushed by their origin, announced to peers it cannot reach, repaired by
comparison and pulls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from deid.errors import RemoteError
from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.accusations import Accusations
from deid.wire.codec import Tally
from deid.wire.config import NodeConfig
from deid.wire.events import (
    InputRefused,
    ItemReceived,
    ItemsExpired,
    OriginRefused,
    OwnLogBehind,
)
from deid.wire.forks import Forks
from deid.wire.item import ItemName, SignedItem, parse_item, verified
from deid.wire.keys import Verify
from deid.wire.log import Logs, Verdict
from deid.wire.membership import Membership
from deid.wire.messages import (
    ITEMS_MAX,
    LOGS_MAX,
    ORIGINS_PROVEN_MAX,
    PREFIX_BYTES,
    Absent,
    Accuse,
    Compare,
    Have,
    Items,
    LogSeqs,
    Proof,
    Pull,
    Variants,
    encode,
)
from deid.wire.notices import Notices
from deid.wire.own import OwnLog
from deid.wire.peer import Connection, Peer
from deid.wire.proof import Fork
from deid.wire.repair import Repair
from deid.wire.seqset import SeqSet

PULL_NAMES_MAX = 1_024  # in one pull; sixteen times what a window asks
_COMPARE_NUMBERS_MAX = (
    32_768  # of the flat lists in one compare; at most 9 bytes each, so under 300 KiB
)


class Sharing:
    """Every message about items. ``own`` is the key whose log this node writes."""

    def __init__(
        self,
        config: NodeConfig,
        own: bytes,
        task_hash: bytes,
        cell_of: Callable[[Evaluation], int],
        logs: Logs,
        own_log: OwnLog,
        membership: Membership,
        notices: Notices,
        stream: Stream,
        verify: Verify,
    ) -> None:
        self._config = config
        self._own = own
        self._task_hash = task_hash
        self._cell_of = cell_of
        self._logs = logs
        self._own_log = own_log
        self._membership = membership
        self._notices = notices
        self._stream = stream
        self._verify = verify
        self._compare_ms = 0
        self.repair = Repair(config)
        self._forks = Forks(
            config,
            logs,
            membership,
            notices,
            stream,
            verify,
            check=self._check,
            take=self._judge,
            batches=self._batches,
            partners=self._partners,
        )
        self._accusations = Accusations(config, own, logs, membership, notices)

    # ---- own items -----------------------------------------------------------------------

    def release(self, now_ms: int, signed_items: Sequence[SignedItem]) -> None:
        """Own items that are durable: into the log, and out to every peer."""
        released = []
        for signed in signed_items:
            verdict = self._logs.judge(signed.name, signed.body_hash)
            if verdict is Verdict.NEW:
                self._expire(self._logs.add(signed).dropped)
                released.append(signed)
            elif verdict is Verdict.NO_ROOM:
                self._tell_no_room(signed.name)
        if not released:
            return
        batches = [encode(Items(tuple(batch))) for batch in self._batches(released)]
        for peer in self._partners():
            if all(self._membership.send_bytes(now_ms, peer, b, bulk=True) for b in batches):
                peer.sent += len(released)
            else:
                self._tell_names(now_ms, peer, [signed.name for signed in released])

    # ---- messages ------------------------------------------------------------------------

    def on_items(self, now_ms: int, connection: Connection, peer: Peer, message: Items) -> None:
        """Judge each raw item by itself; :class:`RemoteError` where all of them are refused."""
        taken: list[SignedItem] = []
        refusals: list[RemoteError] = []
        for raw in message.raws:
            try:
                signed = self._take(now_ms, peer, raw)
            except RemoteError as error:
                refusals.append(error)
            else:
                if signed is not None:
                    taken.append(signed)
        if refusals and len(refusals) == len(message.raws):
            raise refusals[0]
        for refusal in refusals:
            self._notices.counters.refused += 1
            self._notices.tell(InputRefused(connection.link, peer.key, refusal.message))
        if taken:
            self._relay(now_ms, peer, taken)
        self.pull(now_ms)

    def on_proof(self, now_ms: int, peer: Peer, message: Proof) -> None:
        taken = self._forks.on_proof(now_ms, peer, message)
        if taken:
            self._relay(now_ms, peer, taken)
        self.pull(now_ms)

    def on_variants(self, now_ms: int, peer: Peer, message: Variants) -> None:
        self._forks.on_variants(now_ms, peer, message)

    def on_accuse(self, now_ms: int, peer: Peer, message: Accuse) -> None:
        self._accusations.on_accuse(now_ms, peer, message)

    def judged(self, now_ms: int, signed: SignedItem, *, holds: bool) -> None:
        """The rim ran the claim of ``signed`` again."""
        self._accusations.judged(now_ms, signed, holds=holds, partners=self._partners())

    def on_have(self, now_ms: int, peer: Peer, message: Have) -> None:
        _check_order(message.logs)
        self._learn(now_ms, peer, message.logs, grace_ms=0)
        self.pull(now_ms)

    def on_compare(self, now_ms: int, peer: Peer, message: Compare) -> None:
        _check_order(message.logs)
        self._learn(now_ms, peer, message.logs, grace_ms=self._config.pull_grace_ms)
        self._forks.on_compare(now_ms, peer, message)
        peer.compared = True
        due_ms = 0 if peer.answered_ms is None else peer.answered_ms + self._config.answer_ms
        if message.ask and (peer.answered_ms is None or now_ms >= due_ms):
            peer.answered_ms = now_ms
            self._tell_all(now_ms, peer, ask=False)
        self.pull(now_ms)

    def on_pull(self, now_ms: int, peer: Peer, message: Pull) -> None:
        if sum(len(entry.seqs) for entry in message.logs) > PULL_NAMES_MAX:
            raise RemoteError(f"pull: expected at most {PULL_NAMES_MAX:,} names")
        found: list[SignedItem] = []
        absent: list[ItemName] = []
        for entry in message.logs:
            for seq in entry.seqs.descending():
                name = ItemName(entry.origin, entry.epoch, seq)
                signed = self._logs.get(name)
                if signed is None:
                    absent.append(name)
                else:
                    found.append(signed)
        for page in pages(absent):
            self._membership.send(now_ms, peer, Absent(page))
        for batch in self._batches(found):
            if not self._membership.send(now_ms, peer, Items(tuple(batch)), bulk=True):
                break  # asked for again when its time is up
            peer.sent += len(batch)

    def on_absent(self, now_ms: int, peer: Peer, message: Absent) -> None:
        if sum(len(entry.seqs) for entry in message.logs) > PULL_NAMES_MAX:
            raise RemoteError(f"absent: expected at most {PULL_NAMES_MAX:,} names")
        for entry in message.logs:
            for seq in entry.seqs.descending():
                self.repair.absent(ItemName(entry.origin, entry.epoch, seq), peer.key)
        self.pull(now_ms)

    # ---- repair --------------------------------------------------------------------------

    def met(self, now_ms: int, peer: Peer) -> None:
        """``peer`` told its progress: compare at once where this is the first time on this link.
        One side begins, the smaller key; the other answers."""
        if peer.compared or peer.progress is None or not self._membership.shares(peer):
            return
        if peer.progress.root != self._logs.root() and self._own < peer.key:
            self._tell_all(now_ms, peer, ask=True)
        self._accusations.greet(now_ms, peer)
        peer.compared = True

    def tick(self, now_ms: int) -> None:
        self.repair.time_out(now_ms)
        if now_ms >= self._compare_ms:
            period = self._config.compare_ms
            self._compare_ms = now_ms + period * 3 // 4 + self._stream.below(period // 2 + 1)
            self.repair.keep_sources(self._membership.is_member)
            self._compare(now_ms)
        self.pull(now_ms)

    def next_due_ms(self, now_ms: int) -> int:
        due_ms = self.repair.next_due_ms(now_ms)
        return self._compare_ms if due_ms is None else min(self._compare_ms, due_ms)

    def pull(self, now_ms: int) -> None:
        """Ask for what is missing, as far as the windows allow."""
        for key, names in self.repair.ask(now_ms, self._usable, self._wanted).items():
            peer = self._membership.get(key)
            assert peer is not None, "usable peers are known"
            for page in pages(names):
                self._membership.send(now_ms, peer, Pull(page))

    # ---- inside --------------------------------------------------------------------------

    def _take(self, now_ms: int, peer: Peer, raw: bytes) -> SignedItem | None:
        """The item, if it is new here and stays."""
        tally = Tally()
        signed = parse_item(raw, tally=tally)
        self._check_task(signed)
        verdict = self._logs.judge(signed.name, signed.body_hash)
        if verdict in (Verdict.HELD, Verdict.EXPIRED, Verdict.OVER_QUOTA):
            self._notices.counters.duplicates += 1
            self.repair.done(now_ms, signed.name, peer.key)
            return None
        self._check(signed)
        verified(signed, self._verify)
        self._notices.counters.unknown_fields += tally.unknown_fields
        return self._judge(now_ms, peer, signed)

    def _check_task(self, signed: SignedItem) -> None:
        if signed.item.task_hash != self._task_hash:
            raise RemoteError(f"item {signed.name}: it belongs to another task")

    def _check(self, signed: SignedItem) -> None:
        """Whether an item may be held here at all; :class:`RemoteError` says why not."""
        self._check_task(signed)
        try:
            self._cell_of(signed.item.claim)
        except ValueError as error:
            raise RemoteError(f"item {signed.name}: its claim has no cell: {error}") from None

    def _judge(self, now_ms: int, peer: Peer, signed: SignedItem) -> SignedItem | None:
        """Take a checked and verified item; itself, if it is new here and stays."""
        name = signed.name
        verdict = self._logs.judge(name, signed.body_hash)
        if verdict is Verdict.NEW and not self._is_own(name):
            return signed if self._keep(now_ms, peer, signed) else None
        self.repair.done(now_ms, name, peer.key)
        if self._is_own(name):
            self._met_own(signed)
        elif verdict is Verdict.NO_ROOM:
            self._tell_no_room(name)
        elif verdict is Verdict.CONFLICT:
            return self._settle(now_ms, signed)
        return None

    def _is_own(self, name: ItemName) -> bool:
        """Whether only this node, in its current epoch, can have given ``name``."""
        return name.origin == self._own and name.epoch == self._own_log.epoch

    def _tell_no_room(self, name: ItemName) -> None:
        reason = self._logs.no_room(name.origin, name.epoch) or "no room"
        self._notices.tell(OriginRefused(name.origin, reason))

    def _keep(self, now_ms: int, peer: Peer, signed: SignedItem) -> bool:
        name = signed.name
        want = self.repair.want(name)
        log = self._logs.log(name.origin, name.epoch)
        backfill = want.backfill if want is not None else log is not None and name.seq <= log.met
        added = self._logs.add(signed, met=name.seq if backfill else None)
        self.repair.done(now_ms, name, peer.key)
        if added.kept:
            self._notices.counters.items_taken += 1
            self._notices.tell(ItemReceived(signed, now_ms, backfill))
        self._expire(each for each in added.dropped if each != name)
        return added.kept

    def _met_own(self, signed: SignedItem) -> None:
        """An item of this node's epoch that its log does not hold: older ones have expired, all
        others say that state was lost."""
        name = signed.name
        waiting = self._own_log.waiting(name)
        log = self._logs.log(self._own, self._own_log.epoch)
        conflict = self._logs.judge(name, signed.body_hash) is Verdict.CONFLICT
        lost = waiting is not None and waiting.body_hash != signed.body_hash
        gap = log is not None and name.seq in log.live and name.seq not in log.items
        if (conflict or lost or gap or not self._own_log.knows(name)) and not self._own_log.behind:
            self._own_log.behind = True
            self._notices.tell(OwnLogBehind(name.epoch, name.seq))

    def _settle(self, now_ms: int, signed: SignedItem) -> SignedItem | None:
        """Of two items of one name that with the smaller body hash stays: itself, if it does."""
        name = signed.name
        held = self._logs.get(name)
        assert held is not None, "a conflict is one with what is held"
        self._forks.caught(now_ms, None, Fork.of(held, signed))
        if held.body_hash < signed.body_hash:
            return None
        log = self._logs.log(name.origin, name.epoch)
        backfill = log is not None and name.seq <= log.met
        added = self._logs.replace(signed)
        self._notices.counters.items_taken += 1
        if added.kept:
            self._notices.tell(ItemReceived(signed, now_ms, backfill))
        self._expire(added.dropped)
        return signed if added.kept else None

    def _expire(self, names: Iterable[ItemName]) -> None:
        gone = tuple(names)
        if gone:
            self._notices.tell(ItemsExpired(gone))

    def _relay(self, now_ms: int, source: Peer, taken: list[SignedItem]) -> None:
        """Announce items to peers that their origins do not reach, by those peers' own word."""
        for peer in self._partners():
            if peer is source or peer.linked is None:
                continue
            names = [
                signed.name
                for signed in taken
                if signed.item.origin != peer.key
                and signed.item.origin[:PREFIX_BYTES] not in peer.linked
            ]
            if names:
                self._tell_names(now_ms, peer, names)

    def _learn(self, now_ms: int, peer: Peer, logs: Sequence[LogSeqs], *, grace_ms: int) -> None:
        for entry in logs:
            unknown = self._logs.log(entry.origin, entry.epoch) is None
            due_ms = now_ms if unknown else now_ms + grace_ms
            for seq in self._logs.wanted(entry, self._config.wants_per_peer_max):
                name = ItemName(entry.origin, entry.epoch, seq)
                if not self.repair.learn(due_ms, name, peer.key, backfill=unknown):
                    return

    def _compare(self, now_ms: int) -> None:
        """Compare with a random peer among those that said to hold something else."""
        root = self._logs.root()
        others = [
            peer
            for peer in self._partners()
            if peer.progress is not None and peer.progress.root != root
        ]
        if others:
            self._tell_all(now_ms, self._stream.choice(others), ask=True)

    def _tell_all(self, now_ms: int, peer: Peer, *, ask: bool) -> None:
        told: list[list[LogSeqs]] = [[]]
        numbers = 0
        for entry in self._logs.entries():
            numbers += 2 * len(entry.seqs.ranges)
            if len(told[-1]) == LOGS_MAX or numbers > _COMPARE_NUMBERS_MAX:
                told.append([])
                numbers = 2 * len(entry.seqs.ranges)
            told[-1].append(entry)
        for page in told:
            last = page is told[-1]
            digests, proven = self._forks.digests(page), self._logs.proofs.origins()
            message = Compare(ask and last, tuple(page), digests, proven[:ORIGINS_PROVEN_MAX])
            self._membership.send(now_ms, peer, message)

    def _tell_names(self, now_ms: int, peer: Peer, names: list[ItemName]) -> None:
        for page in pages(names):
            self._membership.send(now_ms, peer, Have(page))

    def _partners(self) -> list[Peer]:
        """Peers to which items go, in a fixed order."""
        members = self._membership
        return [peer for peer in members.all() if peer.reachable and members.shares(peer)]

    def _usable(self, key: bytes) -> bool:
        peer = self._membership.get(key)
        return peer is not None and peer.reachable

    def _wanted(self, name: ItemName) -> bool:
        return self._logs.judge(name) is Verdict.NEW

    def _batches(self, signed_items: Iterable[SignedItem]) -> list[list[bytes]]:
        batches: list[list[bytes]] = []
        room = 0
        for signed in signed_items:
            room -= len(signed.raw)
            if room < 0 or len(batches[-1]) == ITEMS_MAX:
                batches.append([])
                room = self._config.items_message_bytes - len(signed.raw)
            batches[-1].append(signed.raw)
        return batches


def _check_order(logs: Sequence[LogSeqs]) -> None:
    """Each log once, so that a message costs no more than its bytes allow."""
    names = [(entry.origin, entry.epoch) for entry in logs]
    if any(one >= two for one, two in pairwise(names)):
        raise RemoteError("logs: expected each once, in ascending order")


def pages(names: Iterable[ItemName]) -> list[tuple[LogSeqs, ...]]:
    """``names`` by log, in order, in pages that fit one message each."""
    logs: dict[tuple[bytes, int], list[int]] = {}
    for name in names:
        logs.setdefault((name.origin, name.epoch), []).append(name.seq)
    told = [LogSeqs(*log, SeqSet.of(seqs)) for log, seqs in sorted(logs.items())]
    return [tuple(told[at : at + LOGS_MAX]) for at in range(0, len(told), LOGS_MAX)]
