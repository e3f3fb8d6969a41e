"""Origin logs: what is held, expired, missing, refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.support import EPOCH, keys, signed

from deid.search.evaluation import Evaluation
from deid.wire.config import NodeConfig
from deid.wire.item import ItemName, SignedItem
from deid.wire.log import Logs, Verdict
from deid.wire.messages import LogSeqs
from deid.wire.proof import Fork
from deid.wire.seqset import SEQ_MAX, SeqSet

OWN = keys(9).public


def logs(**settings: Any) -> Logs:
    return Logs(NodeConfig("n", **settings), OWN)


def take(table: Logs, *items: SignedItem) -> None:
    for each in items:
        if table.judge(each.name, each.body_hash) is Verdict.NEW:
            table.add(each)


def held(table: Logs) -> list[int]:
    return [name.seq for name in table.names()]


def test_the_newest_item_tells_what_has_expired() -> None:
    table = logs()
    take(table, signed(1), signed(2), signed(3))
    newest = signed(4, live=SeqSet(((2, 2), (4, 4))))
    added = table.add(newest)

    assert held(table) == [2, 4]
    assert [name.seq for name in added.dropped] == [1, 3]
    assert table.judge(signed(3).name) is Verdict.EXPIRED
    assert table.judge(signed(4).name) is Verdict.HELD


def test_missing_is_what_is_alive_and_not_held() -> None:
    table = logs()
    take(table, signed(7, live=SeqSet(((2, 4), (7, 7)))), signed(3))

    assert table.missing_of(keys(1).public) == 2
    assert table.held_of(keys(1).public) == 2


LIVES = {
    seq: SeqSet.of({1 + 2 * (seq // 3), *range(max(1, seq - 2), seq + 1)}) for seq in range(1, 13)
}
STREAM = [
    signed(seq, live=SeqSet.of(n for n in LIVES[seq].descending() if n <= seq)) for seq in LIVES
]


@settings(max_examples=50, deadline=None)
@given(st.permutations(STREAM))
def test_any_order_of_arrival_ends_in_the_same_log(order: list[SignedItem]) -> None:
    """Whatever expired before its successor came is not needed; what is alive is taken again."""
    straight, mixed = logs(), logs()
    take(straight, *STREAM)
    take(mixed, *order)
    for table in (straight, mixed):
        take(table, *STREAM)  # repair: names that are alive and were let go too early come back

    assert held(straight) == held(mixed) == sorted(STREAM[-1].item.live.descending())
    assert straight.root() == mixed.root()


def test_the_root_tells_sets_of_items_apart_and_nothing_else() -> None:
    one, two, three, four = logs(), logs(), logs(), logs()
    take(one, signed(1), signed(2), signed(1, key=2))
    take(two, signed(1, key=2), signed(2), signed(1))
    take(three, signed(1), signed(2), signed(1, key=3))
    take(four, signed(1), signed(2, code=b"other"), signed(1, key=2))

    assert one.root() == two.root()
    assert len({table.root() for table in (logs(), one, three, four)}) == 4


def test_the_root_tells_whether_an_origin_is_proven_to_equivocate_not_by_which_items() -> None:
    one, two, none = logs(), logs(), logs()
    for table in (one, two, none):
        take(table, signed(1), signed(2))
    one.prove(Fork.of(signed(1), signed(1, code=b"other")))
    two.prove(Fork.of(signed(2), signed(2, code=b"other")))

    assert one.root() == two.root() != none.root()
    assert not one.prove(Fork.of(signed(2), signed(2, code=b"other")))


def test_a_second_item_of_one_name_is_a_conflict_and_can_take_its_place() -> None:
    table = logs()
    take(table, signed(1), signed(2))
    other = signed(1, code=b"other, and longer")

    assert table.judge(other.name, other.body_hash) is Verdict.CONFLICT
    take(table, other)
    assert table.get(other.name) == signed(1)
    added = table.replace(other)
    assert (added.kept, added.dropped) == (True, ())
    assert table.get(other.name) == other
    assert table.bytes_of(keys(1).public) == len(other.raw) + len(signed(2).raw)
    assert table.held == 2


def test_a_newest_item_that_is_replaced_takes_its_live_set_along() -> None:
    table = logs()
    take(table, signed(1), signed(2), signed(3))
    added = table.replace(signed(3, code=b"other", live=SeqSet(((2, 3),))))

    assert added.dropped == (signed(1).name,)
    assert held(table) == [2, 3]
    assert table.held == 2
    assert table.bytes_of(keys(1).public) == sum(
        len(log.items[seq].raw) for log in table for seq in log.items
    )


def test_a_log_differs_where_a_name_has_two_items_or_what_is_held_cannot_be_had() -> None:
    table, other = logs(), logs()
    take(table, *(signed(seq) for seq in (1, 2, 3, 4)))
    take(other, signed(1), signed(2, code=b"other"), signed(3))
    log, theirs = table.log(keys(1).public, EPOCH), other.log(keys(1).public, EPOCH)
    assert log is not None and theirs is not None

    assert not log.differs(log.seqs, log.digest[:16])
    assert log.differs(theirs.seqs, theirs.digest[:16])
    assert not log.differs(SeqSet(((1, 1), (3, 3))), theirs.digest_of(SeqSet(((1, 1), (3, 3)))))
    assert not log.differs(SeqSet(((1, 5),)), b"?" * 16)  # the peer is ahead: pull first
    assert theirs.differs(SeqSet(((1, 1), (3, 3))), b"?" * 16)


def test_one_origin_more_than_the_most_has_no_room_but_the_own_always() -> None:
    table = logs(origins_max=2)
    take(table, signed(1), signed(1, key=2), signed(1, key=3))

    assert table.judge(signed(1, key=3).name) is Verdict.NO_ROOM
    assert "2 origins" in (table.no_room(keys(3).public, EPOCH) or "")
    assert table.judge(signed(2, key=2).name) is Verdict.NEW
    assert table.judge(signed(1, key=9).name) is Verdict.NEW


def test_only_the_highest_epochs_of_an_origin_are_kept() -> None:
    table = logs(epochs_max=2)
    take(table, signed(1, epoch=5), signed(1, epoch=7))
    added = table.add(signed(1, epoch=6))

    assert [name.epoch for name in added.dropped] == [5]
    assert table.judge(signed(1, epoch=4).name) is Verdict.NO_ROOM
    assert {log.epoch for log in table.of_origin(keys(1).public)} == {6, 7}


@settings(max_examples=20, deadline=None)
@given(st.permutations([(epoch, seq) for epoch in (5, 6) for seq in range(1, 15)]))
def test_over_all_epochs_the_worst_of_an_origin_go_whatever_the_order(
    order: list[tuple[int, int]],
) -> None:
    straight, mixed = logs(quota_bytes=10 << 16), logs(quota_bytes=10 << 16)
    items = {pair: big(*pair) for pair in order}
    for table, pairs in ((straight, sorted(order)), (mixed, order), (mixed, order)):
        take(table, *(items[pair] for pair in pairs))
    take(straight, *items.values())

    assert set(straight.names()) == set(mixed.names())
    assert straight.bytes_of(keys(1).public) <= 10 << 16
    assert straight.missing_of(keys(1).public) == 0


def big(epoch: int, seq: int) -> SignedItem:
    key = (epoch, seq)
    if key not in _BIG:
        claim = Evaluation(seq * 10 + epoch, (1,), 1)
        _BIG[key] = signed(seq, epoch=epoch, source="x" * 31_000, claim=claim)
    return _BIG[key]


_BIG: dict[tuple[int, int], SignedItem] = {}


def test_what_went_for_the_quota_is_refused_until_the_origin_speaks_again() -> None:
    table = logs(quota_bytes=10 << 16)
    take(table, *(big(5, seq) for seq in range(25, 0, -1)))
    gone = big(5, 1).name

    assert table.judge(gone) is Verdict.OVER_QUOTA
    take(table, signed(26, epoch=5, live=SeqSet(((1, 1), (26, 26)))))
    assert table.judge(gone) is Verdict.NEW


def test_wanted_is_bounded_newest_first_and_leaves_out_what_is_known() -> None:
    table = logs()
    take(table, signed(5, live=SeqSet(((2, 5),))), signed(4))
    origin = keys(1).public

    assert table.wanted(LogSeqs(origin, EPOCH, SeqSet(((1, 7),))), 9) == [7, 6, 3, 2]
    assert table.wanted(LogSeqs(origin, EPOCH, SeqSet(((1, SEQ_MAX),))), 3) == [
        SEQ_MAX,
        SEQ_MAX - 1,
        SEQ_MAX - 2,
    ]
    assert table.wanted(LogSeqs(keys(3).public, EPOCH, SeqSet(((1, 2),))), 9) == [2, 1]


def test_a_dropped_log_leaves_nothing_behind() -> None:
    table = logs()
    empty = table.root()
    take(table, signed(1), signed(2))
    names = table.drop_log(keys(1).public, EPOCH)

    assert names == (signed(1).name, signed(2).name)
    assert (table.root(), table.held, table.bytes_of(keys(1).public)) == (empty, 0, 0)


@pytest.mark.parametrize("seq", [1, 2])
def test_a_name_that_is_not_held_has_no_item(seq: int) -> None:
    assert logs().get(ItemName(keys(1).public, EPOCH, seq)) is None


def test_a_hostile_claim_costs_no_more_than_its_ranges() -> None:
    """All but a few of 2**53 numbers have expired: they are never walked through."""
    table = logs()
    take(table, signed(SEQ_MAX - 1, round=1, live=SeqSet(((3, 4), (SEQ_MAX - 1, SEQ_MAX - 1)))))
    claim = LogSeqs(keys(1).public, EPOCH, SeqSet(((1, SEQ_MAX),)))

    assert table.wanted(claim, 100) == [SEQ_MAX, 4, 3]
