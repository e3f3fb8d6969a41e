"""What a log keeps: the origin's choice of its live items, and the quota that all enforce.

An origin chooses (:func:`choose_live`) and says so in every item it signs; the others follow the
newest word they hold. Nodes therefore agree on what is alive without agreeing on anything else.

The quota (:func:`beyond_quota`) holds for origins that choose wrongly, and across epochs, of
which none can speak for another. It must not matter in which order items arrive, so it is a
path-independent choice (Plott 1973): an item stays if and only if the better ones leave room for
a whole item. Dropping can then never make room for something dropped earlier.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from deid.wire.item import ITEM_BYTES_MAX, LIVE_RANGES_MAX, ItemName, SignedItem
from deid.wire.seqset import SeqSet


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item of one's own epoch that may stay alive; ``cell`` is its claim's reference cell."""

    signed: SignedItem
    cell: int

    @property
    def seq(self) -> int:
        return self.signed.item.seq

    @property
    def key(self) -> tuple[int, bytes, bytes, int, int]:
        return self.signed.item.order_key


def beyond_quota(
    items: Iterable[SignedItem], heads: Collection[ItemName], quota_bytes: int
) -> list[SignedItem]:
    """Which of one origin's items its quota cannot hold.

    heads: the newest item of each epoch; it carries the live set, so it ranks before all others
    and always stays. The rest is ranked by the order of items.
    """
    ranked = sorted(items, key=lambda each: (each.name not in heads, each.item.order_key))
    room = quota_bytes - ITEM_BYTES_MAX
    dropped = []
    for each in ranked:
        if room < 0 and each.name not in heads:
            dropped.append(each)
        else:
            room -= len(each.raw)
    return dropped


def choose_live(
    candidates: Sequence[Candidate],
    others: Sequence[SignedItem],
    other_heads: Collection[ItemName],
    *,
    seq: int,
    newest_round: int,
    window_rounds: int,
    quota_bytes: int,
) -> SeqSet:
    """The live set that the new item ``seq`` states, ``seq`` itself included.

    candidates: the epoch's live items so far. others: the origin's items of other epochs, which
    share the quota. The best of every cell stays, and everything of the last ``window_rounds``
    rounds. Where the quota or the number of ranges does not allow that, first those that are no
    cell's best go, oldest first, then the worst cells.
    """
    best: dict[int, Candidate] = {}
    for each in candidates:
        if each.cell not in best or each.key < best[each.cell].key:
            best[each.cell] = each
    champions = {each.seq for each in best.values()}
    kept = [
        each
        for each in candidates
        if each.seq in champions or each.signed.item.round > newest_round - window_rounds
    ]
    # Last to go comes first: the cells' best from the best down, then the rest from the newest.
    kept.sort(
        key=lambda each: (
            (0, 0, each.key) if each.seq in champions else (1, -each.signed.item.round, each.key)
        )
    )
    room = quota_bytes - 2 * ITEM_BYTES_MAX  # for the new item, whose size is not known yet
    kept = _within(kept, room)
    kept = _beside_other_epochs(kept, others, other_heads, room)
    live = SeqSet.of([seq, *(each.seq for each in kept)])
    while len(live.ranges) > LIVE_RANGES_MAX:
        kept.pop()
        live = SeqSet.of([seq, *(each.seq for each in kept)])
    return live


def _within(kept: list[Candidate], room: int) -> list[Candidate]:
    for count, each in enumerate(kept):
        room -= len(each.signed.raw)
        if room < 0:
            return kept[:count]
    return kept


def _beside_other_epochs(
    kept: list[Candidate], others: Sequence[SignedItem], heads: Collection[ItemName], room: int
) -> list[Candidate]:
    """Those that the quota leaves beside the items of other epochs, by the rule of all nodes."""
    if not others:
        return kept
    ours = [each.signed for each in kept]
    dropped = {each.name for each in beyond_quota([*ours, *others], heads, room)}
    return [each for each in kept if each.signed.name not in dropped]
