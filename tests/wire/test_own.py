"""A node's own log: names, durability, the quota, a new epoch."""

from __future__ import annotations

import pytest
from wire.support import EPOCH, Pair, draft, keys, node, signed

from deid.errors import LocalError
from deid.search.evaluation import Evaluation
from deid.wire.events import ItemReceived, ItemsExpired, OriginRefused, OwnLogBehind
from deid.wire.item import SignedItem
from deid.wire.node import Draft, Node


def commit(each: Node, items: list[SignedItem]) -> None:
    each.committed(0, [signed_item.name for signed_item in items])


def test_numbers_go_on_from_one_and_are_never_used_again() -> None:
    first = node(1)
    items = first.publish(0, [draft(1), draft(2)])
    commit(first, items)
    second = node(1)
    for each in items:
        second.restore(each.raw)

    assert [each.item.seq for each in items] == [1, 2]
    assert [each.item.seq for each in second.publish(0, [draft(3)])] == [3]


def test_nothing_is_held_or_sent_before_it_is_durable() -> None:
    pair = Pair(node(1), node(2))
    pair.link()
    items = pair.nodes[0].publish(pair.now_ms, [draft(1)])
    pair.pass_time(5_000)
    before = pair.nodes[1].items()
    pair.nodes[0].committed(pair.now_ms, [items[0].name])
    pair.settle()

    assert pair.nodes[0].items() == tuple(items)
    assert before == ()
    assert pair.nodes[1].items() == tuple(items)


def test_a_draft_that_breaks_a_bound_takes_none_of_its_batch() -> None:
    publisher = node(1)
    broken = Draft(1, True, b"", "", Evaluation(1, (1,), 1), "edit")
    with pytest.raises(LocalError, match="cannot be published"):
        publisher.publish(0, [draft(1), broken])

    assert [each.item.seq for each in publisher.publish(0, [draft(2)])] == [1]


def test_every_item_states_what_is_alive() -> None:
    publisher = node(1, window_rounds=2)
    for number in range(1, 7):
        cell, points = number % 2, number
        commit(publisher, publisher.publish(0, [draft(number, cell=cell, points=points,
                                                      round_number=number)]))  # fmt: skip
    last = publisher.items()[-1].item

    # Cell 0 is best held by 6 (itself), cell 1 by 5; rounds 5 and 6 are within the window.
    assert list(last.live.descending()) == [6, 5, 4]  # 4 was cell 0's best when 6 was signed
    assert [each.item.seq for each in publisher.items()] == [4, 5, 6]


def test_the_own_log_stays_within_its_quota() -> None:
    publisher = node(1, quota_bytes=10 << 16, window_rounds=100)
    for number in range(60):
        big = Draft(1, True, b"%d" % number, "x" * 30_000, Evaluation(number, (number,), 1), "edit")
        commit(publisher, publisher.publish(0, [big]))
    held = publisher.items()

    assert sum(len(each.raw) for each in held) <= (10 << 16) - (1 << 16)
    assert held[-1].item.seq == 60
    assert [each.item.claim.points for each in held] == list(range(60 - len(held), 60))


def test_an_own_item_from_nowhere_tells_that_state_was_lost() -> None:
    """The peer still has what this node published before its disk was lost."""
    pair = Pair(node(1), node(2))
    for number in (1, 2, 3):
        pair.nodes[1].restore(signed(number).raw)
    pair.link()
    pair.pass_time(3_000)

    events = pair.happened(0, OwnLogBehind)
    assert [event.epoch for event in events] == [EPOCH]
    with pytest.raises(LocalError, match="raise the epoch"):
        pair.nodes[0].publish(pair.now_ms, [draft(1)])


def test_a_new_epoch_brings_the_old_items_back_and_keeps_the_new_ones() -> None:
    pair = Pair(node(1), node(2))
    for number in (1, 2, 3):
        pair.nodes[1].restore(signed(number).raw)
    reborn = pair.nodes[0]
    commit(reborn, reborn.publish(0, [draft(77)]))
    pair.link()
    pair.pass_time(3_000)
    again = reborn.raise_epoch(pair.now_ms, EPOCH + 1)
    pair.nodes[0].committed(pair.now_ms, [each.name for each in again])
    pair.pass_time(3_000)

    assert [each.item.code for each in again] == [b"draft 77"]
    expected = {(EPOCH, 1), (EPOCH, 2), (EPOCH, 3), (EPOCH + 1, 1)}
    for each in pair.nodes:
        assert {(held.item.epoch, held.item.seq) for held in each.items()} == expected
    assert pair.happened(0, ItemsExpired)
    received = {event.signed.name.seq for event in pair.happened(0, ItemReceived)}
    assert received == {1, 2, 3}


def test_what_waits_for_its_commit_is_signed_anew_in_the_new_epoch() -> None:
    publisher = node(1)
    waiting = publisher.publish(0, [draft(1)])
    again = publisher.raise_epoch(0, EPOCH + 1)
    commit(publisher, waiting)
    before = publisher.items()
    commit(publisher, again)

    assert before == ()
    assert [each.name for each in publisher.items()] == [(keys(1).public, EPOCH + 1, 1)]


def test_the_same_epoch_is_no_new_one() -> None:
    with pytest.raises(LocalError, match="must differ"):
        node(1).raise_epoch(0, EPOCH)


def test_an_epoch_below_those_that_are_kept_is_told() -> None:
    publisher = node(1, epoch=1, epochs_max=2)
    for epoch in (5, 6):
        publisher.restore(signed(1, epoch=epoch).raw)
    commit(publisher, publisher.publish(0, [draft(1)]))
    refused = [event for event in publisher.events() if isinstance(event, OriginRefused)]

    assert ["epochs_max" in event.reason for event in refused] == [True]
