"""Deliberate faults: each breaks one line of the core, and the simulator must notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deid.wire import sharing
from deid.wire.book import Book
from deid.wire.comparing import Comparing
from deid.wire.directory import Directory
from deid.wire.events import ItemReceived, PeerStatus
from deid.wire.gather import Mailbox, Snapshot
from deid.wire.item import ItemName, SignedItem
from deid.wire.keys import Verify
from deid.wire.liveness import Liveness
from deid.wire.log import Logs, OriginLog, Verdict
from deid.wire.node import Draft, Node
from deid.wire.own import OwnLog
from deid.wire.peer import Peer
from deid.wire.repair import Repair
from deid.wire.seqset import SeqSet


@dataclass(frozen=True)
class Mutation:
    """``owner.attribute`` becomes ``broken``; ``word`` starts the violation that shows it."""

    name: str
    owner: Any
    attribute: str
    broken: Callable[..., Any]
    word: str


_publish = Node.publish
_judge = Logs.judge
_take = Mailbox.take
_due = Book.due


def _unchecked(signed: SignedItem, verify: Verify) -> SignedItem:
    return signed


def _nothing(*_: object, **__: object) -> None:
    return None


def _publish_and_send(node: Node, now_ms: int, drafts: Sequence[Draft]) -> list[SignedItem]:
    signed_items = _publish(node, now_ms, drafts)
    node.committed(now_ms, [signed.name for signed in signed_items])
    return signed_items


def _last_name_again(own: OwnLog) -> int:
    log = own._logs.log(own._keys.public, own.epoch)
    return max(own._last_seq + 1, 1 if log is None else log.head)


def _no_champions(candidates: Sequence[Any], others: Any, heads: Any, **words: Any) -> Any:
    newest = words["newest_round"] - words["window_rounds"]
    recent = [each for each in candidates if each.signed.item.round > newest]
    return SeqSet.of([words["seq"], *(each.seq for each in recent)])


def _forgets_what_it_gave(
    mailbox: Mailbox, now_ms: int, round_number: int, peers: Sequence[PeerStatus] = ()
) -> Snapshot:
    mailbox._handed = set()
    return _take(mailbox, now_ms, round_number, peers)


def _put_nothing_late(mailbox: Mailbox, received: ItemReceived) -> bool:
    if received.signed.item.round % 3 == 0:
        return False
    return _put(mailbox, received)


_put = Mailbox.put


def _keeps_expired(log: OriginLog, signed: SignedItem) -> list[ItemName]:
    log.items[signed.item.seq] = signed
    log.live = signed.item.live if signed.item.seq > log.head else log.live
    log._seqs = log._digest = None
    return []


def _any_task(logs: Logs, name: ItemName, body_hash: bytes | None = None) -> Verdict:
    verdict = _judge(logs, name, body_hash)
    return Verdict.HELD if verdict is Verdict.NEW and name.seq % 7 == 0 else verdict


def _no_drop(logs: Logs, origin: bytes) -> list[ItemName]:
    return []


def _evicts_on_word(liveness: Liveness, peer: Peer) -> int:
    return 0 if peer.accusers else 60_000


def _never(*_: object) -> int:
    return 10**9


def _no_dials(book: Book, now_ms: int, linked: Any, *, full: bool, most: int = 0) -> list[str]:
    return _due(book, now_ms, linked, full=full, most=most) if now_ms < 2_000 else []


def _all_equal(mine: Sequence[bytes], theirs: Any) -> bytes:
    return bytes(8)


def _no_bound(directory: Directory, record: Any, members: Any, source: bytes) -> bool:
    return True


MUTATIONS = (
    Mutation("signatures are not checked", sharing, "verified", _unchecked, "authentic"),
    Mutation("pulls are never tried again", Repair, "time_out", _nothing, "complete"),
    Mutation("nothing is ever compared", Comparing, "tell", _nothing, "complete"),
    Mutation("items are sent before durable", Node, "publish", _publish_and_send, "durable"),
    Mutation("a restart uses a name again", OwnLog, "_next_seq", _last_name_again, "authentic"),
    Mutation("the best of a cell expires", "deid.wire.own", "choose_live", _no_champions,
             "retained"),
    Mutation("what was handed out is forgotten", Mailbox, "take", _forgets_what_it_gave, "once"),
    Mutation("the search misses some rounds", Mailbox, "put", _put_nothing_late, "delivered"),
    Mutation("the quota is not enforced", Logs, "_enforce_quota", _no_drop, "bounded"),
    Mutation("some items are taken for held", Logs, "judge", _any_task, "complete"),
    Mutation("expired items are kept", OriginLog, "put", _keeps_expired, "complete"),
    Mutation("an accusation evicts", Liveness, "_evict_after_ms", _evicts_on_word, "alive"),
    Mutation("links that are lost are not dialled again", Book, "due", _no_dials, "alive"),
    Mutation("the passive view has no bound", Directory, "_make_room", _no_bound, "bounded"),
    Mutation("refused addresses are never dialled again", Book, "_delay_ms", _never, "alive"),
    Mutation("parts that differ are taken for equal", "deid.wire.comparing", "differing",
             _all_equal, "complete"),
)  # fmt: skip
