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
from deid.wire.comparing import Comparing
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
    Absent,
    Accuse,
    Compare,
    Digest,
    Have,
    Items,
    LogSeqs,
    Proof,
    Pull,
    Tree,
    Variants,
)
from deid.wire.notices import Notices
from deid.wire.own import OwnLog
from deid.wire.peer import Connection, Peer
from deid.wire.proof import Fork
from deid.wire.repair import Repair
from deid.wire.spread import Spread, pages

PULL_NAMES_MAX = 1_024  # in one pull; sixteen times what a window asks


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
        self._spread = Spread(config, own, membership, stream, self._batches)
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
        self.comparing = Comparing(config, own, logs, membership, stream, self._forks, self._spread)
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
        self._spread.release(now_ms, released)

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
            self._spread.relay(now_ms, peer, taken)
        self.pull(now_ms)

    def on_proof(self, now_ms: int, peer: Peer, message: Proof) -> None:
        taken = self._forks.on_proof(now_ms, peer, message)
        if taken:
            self._spread.relay(now_ms, peer, taken)
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
        grace_ms = self._spread.grace_ms(0)
        self._learn(now_ms, peer, message.logs, grace_ms=grace_ms, announced=True)
        self.pull(now_ms)

    def on_tree(self, now_ms: int, peer: Peer, message: Tree) -> None:
        self._spread.on_tree(now_ms, peer, message)

    def on_digest(self, now_ms: int, peer: Peer, message: Digest) -> None:
        self.comparing.on_digest(now_ms, peer, message)

    def on_compare(self, now_ms: int, peer: Peer, message: Compare) -> None:
        _check_order(message.logs)
        grace_ms = self._spread.grace_ms(self._config.pull_grace_ms)
        self._learn(now_ms, peer, message.logs, grace_ms=grace_ms)
        self.comparing.on_compare(now_ms, peer, message)
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
        """``peer`` told its progress, maybe for the first time on this link."""
        if peer.compared or peer.progress is None or not self._membership.shares(peer):
            return
        self.comparing.met(now_ms, peer)
        self._spread.greet(peer)
        self._accusations.greet(now_ms, peer)
        peer.compared = True

    def tick(self, now_ms: int) -> None:
        self.repair.time_out(now_ms)
        self._spread.tick(now_ms)
        if self.comparing.tick(now_ms):
            self.repair.keep_sources(self._membership.is_member)
        self.pull(now_ms)

    def next_due_ms(self, now_ms: int) -> int:
        due = [self.comparing.due_ms]
        for optional in (self.repair.next_due_ms(now_ms), self._spread.next_due_ms()):
            if optional is not None:
                due.append(optional)
        return min(due)

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

    def _learn(
        self,
        now_ms: int,
        peer: Peer,
        logs: Sequence[LogSeqs],
        *,
        grace_ms: int,
        announced: bool = False,
    ) -> None:
        """Want what is missing of ``logs``, which ``peer`` holds. Of a log that is new here nothing
        can be on its way, but for what travels along the tree."""
        for entry in logs:
            unknown = self._logs.log(entry.origin, entry.epoch) is None
            due_ms = now_ms if unknown and not self._spread.sparse else now_ms + grace_ms
            backfill = unknown and not announced
            for seq in self._logs.wanted(entry, self._config.wants_per_peer_max):
                name = ItemName(entry.origin, entry.epoch, seq)
                if not self.repair.learn(due_ms, name, peer.key, backfill=backfill):
                    return

    def _partners(self) -> list[Peer]:
        return self._spread.partners()

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
