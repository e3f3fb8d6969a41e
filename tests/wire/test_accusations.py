"""False claims: nobody is believed, everything is checked, and false accusers cost little."""

from __future__ import annotations

from wire.support import Pair, inject, keys, linked, node, picture, sent, signed

from deid.wire.accusations import WAITING_MAX
from deid.wire.events import ClaimAccused, InputRefused
from deid.wire.item import SignedItem
from deid.wire.messages import Accuse, Items

LIAR = 5


def accusation(item: SignedItem) -> Accuse:
    return Accuse(*item.name, item.body_hash)


def holding(*items: SignedItem, **settings: object) -> Pair:
    """Two linked nodes that hold ``items``."""
    pair = linked(node(1, **settings), node(2, **settings))
    inject(pair, 0, Items(tuple(each.raw for each in items)))
    pair.pass_time(4_000)
    return pair


def judge(pair: Pair, at: int, item: SignedItem, holds: bool) -> None:
    pair.nodes[at].judged(pair.now_ms, item, holds=holds)
    pair.settle()


def test_a_lie_found_is_told_and_checked_before_it_is_believed() -> None:
    lie = signed(1, key=LIAR)
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(1, 2, "bc")
    inject(pair, 0, Items((lie.raw,)), "ab")
    pair.pass_time(5_000)
    judge(pair, 0, lie, holds=False)

    assert pair.happened(1, ClaimAccused) == [ClaimAccused(lie, keys(1).public)]
    assert pair.happened(2, ClaimAccused) == []  # not before the one between believes it
    judge(pair, 1, lie, holds=False)
    assert pair.happened(2, ClaimAccused) == [ClaimAccused(lie, keys(2).public)]


def test_an_item_of_a_liar_stays_and_spreads() -> None:
    lie = signed(1, key=LIAR)
    pair = holding(lie)
    judge(pair, 0, lie, holds=False)
    judge(pair, 1, lie, holds=False)

    assert all(lie in each.items() for each in pair.nodes)


def test_a_liar_is_told_of_once() -> None:
    items = [signed(seq, key=LIAR) for seq in range(1, 5)]
    pair = holding(*items)
    pair.log.clear()
    for each in items:
        judge(pair, 0, each, holds=False)
        judge(pair, 1, each, holds=False)

    assert sent(pair, 0, Accuse) == [accusation(items[0])]
    assert sent(pair, 1, Accuse) == [accusation(items[0])]
    assert len(pair.happened(1, ClaimAccused)) == 1


def test_a_claim_that_holds_is_told_to_nobody() -> None:
    pair = holding(signed(1, key=LIAR))
    judge(pair, 0, signed(1, key=LIAR), holds=True)

    assert sent(pair, 0, Accuse) == []


def test_who_accuses_falsely_is_ignored_for_a_while() -> None:
    items = [signed(1, key=key) for key in (5, 6, 7)]
    pair = holding(*items, accuse_ignore_ms=50_000)
    inject(pair, 0, accusation(items[0]))
    inject(pair, 0, accusation(items[1]))  # waits behind the first
    judge(pair, 1, items[0], holds=True)
    inject(pair, 0, accusation(items[2]))
    assert len(pair.happened(1, ClaimAccused)) == 1

    pair.pass_time(51_000)
    inject(pair, 0, accusation(items[2]))
    assert [event.signed for event in pair.happened(1, ClaimAccused)] == [items[0], items[2]]


def test_one_accusation_is_checked_at_a_time_and_none_is_lost() -> None:
    items = [signed(1, key=key) for key in range(5, 12)]
    pair = holding(*items)
    for each in items:
        inject(pair, 0, accusation(each))
        inject(pair, 0, accusation(each))
    for at, each in enumerate(items, 1):
        assert len(pair.happened(1, ClaimAccused)) == at
        judge(pair, 1, each, holds=False)

    assert [event.signed for event in pair.happened(1, ClaimAccused)] == items


def test_few_accusations_of_one_peer_wait_and_do_not_hold_up_others() -> None:
    items = [signed(1, key=key) for key in range(20, 80)]
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(2, 1, "cb")
    pair.pass_time(3_000)
    pair.nodes[1].restore(signed(1, key=LIAR).raw)
    for each in items:
        pair.nodes[1].restore(each.raw)
    for each in items:
        inject(pair, 0, accusation(each), "ab")
    pair.nodes[1].receive(pair.now_ms, (2, "cb"), _encoded(accusation(signed(1, key=LIAR))))
    pair.settle()
    judge(pair, 1, items[0], holds=False)
    judge(pair, 1, items[1], holds=False)
    checked = [event.signed for event in pair.happened(1, ClaimAccused)]

    assert signed(1, key=LIAR) in checked[:3]
    table = pair.nodes[1]._sharing._accusations
    assert max(len(each) for each in table._waiting.values()) <= WAITING_MAX


def test_what_is_not_held_or_has_another_body_is_not_checked() -> None:
    pair = holding(signed(1, key=LIAR))
    inject(pair, 0, accusation(signed(2, key=LIAR)))
    inject(pair, 0, accusation(signed(1, key=LIAR, code=b"other")))

    assert pair.happened(1, ClaimAccused) == []


def test_a_peer_that_comes_later_is_told() -> None:
    lie = signed(1, key=LIAR)
    pair = Pair(node(1), node(2))
    for each in pair.nodes:
        each.restore(lie.raw)
    judge(pair, 0, lie, holds=False)
    pair.link()
    pair.pass_time(3_000)

    assert pair.happened(1, ClaimAccused) == [ClaimAccused(lie, keys(1).public)]


def test_a_node_is_not_accused_to_its_face() -> None:
    pair = holding(signed(1, key=LIAR))
    before = picture(pair.nodes[1]._sharing._accusations)
    mine = signed(1, key=2)
    inject(pair, 0, accusation(mine))

    assert "third node" in pair.happened(1, InputRefused)[0].reason
    assert picture(pair.nodes[1]._sharing._accusations) == before
    judge(pair, 1, mine, holds=False)
    assert sent(pair, 1, Accuse) == []


def _encoded(message: Accuse) -> bytes:
    from deid.wire.messages import encode

    return encode(message)
