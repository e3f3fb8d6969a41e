"""Equivocation between nodes: all end with the same item, all have the proof, nobody else pays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from wire.support import (
    EPOCH,
    OTHER_TASK,
    Pair,
    draft,
    inject,
    keys,
    linked,
    node,
    picture,
    sent,
    signed,
)

from deid.search.evaluation import Evaluation
from deid.wire.events import Equivocation, InputRefused, ItemReceived, OwnLogBehind
from deid.wire.item import SignedItem
from deid.wire.messages import Compare, Items, Proof, Pull, Variants, decode
from deid.wire.node import Node
from deid.wire.seqset import SeqSet

BAD = 5  # the key that equivocates


def two_of(seq: int = 1, **changes: object) -> tuple[SignedItem, SignedItem]:
    """Items of one name, the one that is kept first."""
    pair = (
        signed(seq, key=BAD, **changes),
        signed(seq, key=BAD, **{"code": b"other", **changes}),
    )
    wins, loses = sorted(pair, key=lambda each: each.body_hash)
    return wins, loses


def raws(which: Node) -> list[bytes]:
    return [each.raw for each in which.items() if each.item.origin == keys(BAD).public]


def test_whichever_came_first_the_item_of_the_smaller_hash_stays() -> None:
    wins, loses = two_of()
    for order in ((wins, loses), (loses, wins)):
        pair = linked(node(1), node(2))
        for each in order:
            inject(pair, 0, Items((each.raw,)))

        assert raws(pair.nodes[1]) == [wins.raw]
        assert pair.nodes[1].forks()[0].kept == wins


def test_an_item_that_wins_is_handed_to_the_rim_and_the_search() -> None:
    wins, loses = two_of()
    pair = linked(node(1), node(2))
    for each in (loses, wins, loses):
        inject(pair, 0, Items((each.raw,)))

    assert [e.signed for e in pair.happened(1, ItemReceived)] == [loses, wins]
    assert pair.happened(1, Equivocation) == [Equivocation(wins.name, wins.raw, loses.raw)]


def test_nodes_that_hold_one_each_end_with_the_same_and_both_with_the_proof() -> None:
    wins, loses = two_of()
    for first, second in ((wins, loses), (loses, wins)):
        one, two = node(1), node(2)
        one.restore(first.raw)
        two.restore(second.raw)
        pair = linked(one, two)
        pair.pass_time(3_000)

        assert raws(one) == raws(two) == [wins.raw]
        assert [each.kept for each in one.forks()] == [each.kept for each in two.forks()] == [wins]
        assert all(each.settled() for each in pair.nodes)


def test_many_forks_of_a_log_are_settled_though_one_proof_is_kept() -> None:
    pairs = [two_of(seq) for seq in range(1, 200)]
    one, two = node(1), node(2)
    for at, items in enumerate(pairs):
        one.restore(items[at % 2].raw)
        two.restore(items[1 - at % 2].raw)
    pair = linked(one, two)
    pair.pass_time(20_000)

    assert raws(one) == raws(two) == [wins.raw for wins, _ in pairs]
    assert len(one.forks()) == len(two.forks()) == 1
    assert all(each.settled() for each in pair.nodes)


def test_the_live_set_of_the_newest_item_that_wins_holds() -> None:
    """The newest item forks, and the variants keep different items alive."""
    early = [signed(seq, key=BAD) for seq in (1, 2)]
    keeps = signed(3, key=BAD, live=SeqSet(((1, 3),)))
    drops = signed(3, key=BAD, code=b"drops", live=SeqSet(((2, 3),)))
    expected = [2, 3] if drops.body_hash < keeps.body_hash else [1, 2, 3]
    for newest in (keeps, drops):
        one, two = node(1), node(2)
        other = drops if newest is keeps else keeps
        for each in (*early, newest):
            one.restore(each.raw)
        for each in (*early, other):
            two.restore(each.raw)
        pair = linked(one, two)
        pair.pass_time(6_000)

        for which in pair.nodes:
            assert [each.item.seq for each in which.items()] == expected
        assert all(each.settled() for each in pair.nodes)


def test_variants_of_different_size_leave_both_with_the_same_within_the_quota() -> None:
    """Items that had to go beside the larger variant come back beside the smaller one."""
    quota = 10 << 16

    def big(seq: int, size: int, code: bytes = b"") -> SignedItem:
        claim = Evaluation(1_000 - seq, (1,), 1)
        changes = {"code": code or b"code %d" % seq, "claim": claim}
        return signed(seq, key=BAD, source="x" * size, **changes)

    base = [big(seq, 30_000) for seq in range(2, 25)]
    variants = big(1, 10), big(1, 31_000, b"big")
    one, two = node(1, quota_bytes=quota), node(2, quota_bytes=quota)
    for each in (*base, variants[0]):
        one.restore(each.raw)
    for each in (*base, variants[1]):
        two.restore(each.raw)
    pair = linked(one, two)
    pair.pass_time(12_000)

    assert raws(one) == raws(two)
    assert min(variants, key=lambda each: each.body_hash).raw in raws(one)
    assert sum(map(len, raws(one))) <= quota


def test_a_proof_reaches_nodes_that_neither_item_reached() -> None:
    wins, loses = two_of()
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(1, 2, "bc")
    pair.pass_time(3_000)
    for each in (loses, wins):
        inject(pair, 0, Items((each.raw,)), "ab")
    pair.pass_time(1_000)

    assert pair.happened(2, Equivocation) == [Equivocation(wins.name, wins.raw, loses.raw)]
    assert raws(pair.nodes[2]) == [wins.raw]


def test_a_lost_proof_is_told_again() -> None:
    wins, loses = two_of()
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(1, 2, "bc")
    pair.pass_time(3_000)
    pair.deliver = lambda near, far, data: None if data[1] == 15 else data
    for each in (wins, loses):
        inject(pair, 0, Items((each.raw,)), "ab")
    pair.pass_time(5_000)
    assert pair.nodes[2].forks() == ()
    pair.deliver = lambda near, far, data: data
    pair.pass_time(8_000)

    assert len(pair.nodes[2].forks()) == 1
    assert pair.nodes[1].settled()


def test_equal_nodes_with_a_proof_compare_nothing() -> None:
    pair = linked(node(1), node(2))
    for each in two_of():
        inject(pair, 0, Items((each.raw,)))
    pair.pass_time(8_000)
    pair.log.clear()
    pair.pass_time(20_000)

    assert len(pair.nodes[0].forks()) == len(pair.nodes[1].forks()) == 1
    for kind in (Compare, Proof, Variants):
        assert not [m for near in (0, 1) for m in sent(pair, near, kind)]


def test_a_proof_survives_a_restart() -> None:
    wins, loses = two_of()
    pair = linked(node(1), node(2))
    for each in (loses, wins):
        inject(pair, 0, Items((each.raw,)))
    pair.pass_time(3_000)
    told = pair.happened(1, Equivocation)[0]
    again = node(2)
    for each in pair.nodes[1].items():
        again.restore(each.raw)
    again.restore_proof(told.kept, told.other)

    assert again.forks() == pair.nodes[1].forks()
    assert again._progress().root == pair.nodes[1]._progress().root


def test_a_joiner_that_restored_the_loser_changes_to_the_winner() -> None:
    wins, loses = two_of()
    joiner = node(3)
    joiner.restore(loses.raw)
    known = node(1)
    known.restore(wins.raw)
    known.restore_proof(wins.raw, loses.raw)
    linked(known, joiner)

    assert raws(joiner) == [wins.raw]
    assert len(joiner.forks()) == 1


def test_a_node_that_meets_its_own_second_item_raises_its_epoch() -> None:
    """A state directory put back from a backup, while peers hold what was lost."""
    pair = linked(node(1), node(2))
    items = pair.publish(1, draft(1))
    other = signed(1, key=2, epoch=EPOCH, code=b"lost")
    inject(pair, 0, Proof(items[0].raw, other.raw))

    assert pair.happened(1, OwnLogBehind) == [OwnLogBehind(EPOCH, 1)]


def test_a_bad_proof_is_refused_and_changes_nothing() -> None:
    wins, loses = two_of()
    no_cell = signed(1, key=BAD, claim=Evaluation(1, (1, 2), 1))
    far = [signed(1, key=BAD, task_hash=OTHER_TASK, code=code) for code in (b"a", b"b")]
    pair = linked(node(1), node(2))
    pair.nodes[1].tick(pair.now_ms)
    bad = [
        Proof(wins.raw, wins.raw),
        Proof(wins.raw, signed(2, key=BAD).raw),
        Proof(wins.raw, loses.raw[:-1]),
        Proof(wins.raw, wins.raw[:64] + loses.raw[64:]),
        Proof(wins.raw, no_cell.raw),
        Proof(far[0].raw, far[1].raw),
        Variants(keys(BAD).public, EPOCH, SeqSet(((1, 2),)), b"v" * 31),
    ]
    for at, message in enumerate(bad, 1):
        before = picture(pair.nodes[1]._logs)
        inject(pair, 0, message)

        assert picture(pair.nodes[1]._logs) == before
        assert len(pair.happened(1, InputRefused)) == at


def test_a_proof_of_an_origin_without_room_is_not_kept() -> None:
    pair = linked(node(1), node(2, origins_max=1))
    inject(pair, 0, Items((signed(1, key=6).raw,)))
    inject(pair, 0, Proof(*(each.raw for each in two_of())))

    assert pair.nodes[1].forks() == ()
    assert raws(pair.nodes[1]) == []


def test_variants_are_answered_seldom_and_in_small_parts() -> None:
    """A peer that claims to hold others everywhere gets few questions for it."""
    pair = linked(node(1), node(2))
    for seq in range(1, 201):
        pair.nodes[1].restore(signed(seq, key=BAD, live=SeqSet(((1, seq),))).raw)
    pair.log.clear()
    claim = Variants(keys(BAD).public, EPOCH, SeqSet(((1, 200),)), bytes(16 * 200))
    for _ in range(10):
        inject(pair, 0, claim)
    asked = [m for m in sent(pair, 1, Pull) if m.logs[0].origin == keys(BAD).public]

    assert [sum(len(entry.seqs) for entry in each.logs) for each in asked] == [64]


def test_an_equivocator_costs_no_other_origin_an_item() -> None:
    good = [signed(seq, key=6) for seq in range(1, 30)]
    pair = linked(node(1), node(2))
    for each in good:
        inject(pair, 0, Items((each.raw,)))
    for seq in range(1, 60):
        for each in two_of(seq):
            inject(pair, 0, Items((each.raw,)))

    held = [each for each in pair.nodes[1].items() if each.item.origin == keys(6).public]
    assert held == good


def test_a_message_of_the_most_variants_fits() -> None:
    from deid.wire.messages import VARIANTS_MAX, encode

    seqs = SeqSet(((1, VARIANTS_MAX),))
    full = Variants(keys(1).public, EPOCH, seqs, bytes(16 * VARIANTS_MAX))

    assert decode(encode(full)).message == full


LIVES = (SeqSet(((1, 6),)), SeqSet(((3, 6),)), SeqSet(((1, 2), (6, 6))))
STREAM = [signed(seq, key=BAD) for seq in range(1, 6)]
FORKED = [signed(seq, key=BAD, code=b"fork %d" % seq) for seq in (2, 4)]
HEADS = [signed(6, key=BAD, code=b"head %d" % at, live=live) for at, live in enumerate(LIVES)]
EVERYTHING = [*STREAM, *FORKED, *HEADS]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_each_got_in_whatever_order_all_end_with_the_same(data: st.DataObject) -> None:
    """Three nodes; every item reaches at least one of them, the winning head included."""
    nodes = [node(number) for number in (1, 2, 3)]
    owners = [data.draw(st.sets(st.integers(0, 2), min_size=1)) for _ in EVERYTHING]
    for at, each in enumerate(nodes):
        got = [item for item, who in zip(EVERYTHING, owners, strict=True) if at in who]
        for item in data.draw(st.permutations(got)):
            each.restore(item.raw)
    pair = Pair(*nodes)
    for near, far in ((0, 1), (1, 2), (0, 2)):
        pair.link(near, far, f"{near}{far}")
    pair.pass_time(15_000)
    first = raws(nodes[0])

    assert raws(nodes[1]) == raws(nodes[2]) == first
    assert all(each.settled() for each in nodes)
    roots = {each._progress().root for each in nodes}
    assert len(roots) == 1
