"""Items between nodes: pushed, announced, compared, pulled, refused."""

from __future__ import annotations

from wire.support import (
    EPOCH,
    OTHER_TASK,
    TASK,
    Pair,
    cell_of,
    draft,
    inject,
    item,
    keys,
    linked,
    node,
    sent,
    signed,
)

from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import InputRefused, ItemReceived, OriginRefused
from deid.wire.item import sign
from deid.wire.messages import (
    Compare,
    Have,
    Items,
    LogSeqs,
    Pull,
)
from deid.wire.node import Node
from deid.wire.seqset import SeqSet


def test_a_published_item_is_pushed_at_once_and_received_once() -> None:
    pair = linked(node(1), node(2))
    items = pair.publish(0, draft(1))
    received = pair.happened(1, ItemReceived)
    pair.pass_time(5_000)

    assert [event.signed.raw for event in received] == [items[0].raw]
    assert not received[0].backfill
    assert len(pair.happened(1, ItemReceived)) == 1
    assert len(sent(pair, 0, Items)) == 1


def test_a_lost_push_is_repaired() -> None:
    pair = linked(node(1), node(2))
    pair.deliver = lambda near, far, data: None if data[1] == 9 else data
    pair.publish(0, draft(1))
    pair.deliver = lambda near, far, data: data
    pair.pass_time(4_000)

    assert len(pair.nodes[1].items()) == 1
    assert sent(pair, 1, Pull)


def test_a_lost_answer_is_asked_for_again() -> None:
    pair = linked(node(1), node(2))
    pair.deliver = lambda near, far, data: None if data[1] == 9 else data
    pair.publish(0, draft(1))
    pair.pass_time(6_000)
    asked = len(sent(pair, 1, Pull))
    pair.deliver = lambda near, far, data: data
    pair.pass_time(4_000)

    assert asked >= 2
    assert len(pair.nodes[1].items()) == 1


def test_a_joiner_gets_the_log_as_backfill_and_what_follows_as_fresh() -> None:
    pair = Pair(node(1), node(2))
    pair.publish(0, draft(1), draft(2))
    pair.link()
    pair.pass_time(2_000)
    pair.publish(0, draft(3))
    backfill = {e.signed.name.seq: e.backfill for e in pair.happened(1, ItemReceived)}

    assert backfill == {1: True, 2: True, 3: False}


def test_what_was_missed_over_a_restart_is_late_but_no_backfill() -> None:
    pair = Pair(node(1), node(2))
    items = pair.publish(0, draft(1), draft(2))
    pair.nodes[1].restore(items[0].raw)
    pair.link()
    pair.pass_time(2_000)

    assert [e.backfill for e in pair.happened(1, ItemReceived)] == [False]


def test_items_reach_a_peer_that_their_origin_cannot_reach() -> None:
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(1, 2, "bc")
    pair.pass_time(2_000)
    pair.log.clear()
    pair.publish(0, draft(1))

    assert len(pair.nodes[2].items()) == 1
    assert sent(pair, 1, Have)


def test_in_a_full_mesh_every_node_gets_one_copy() -> None:
    pair = Pair(*(node(number) for number in range(1, 7)))
    for near in range(6):
        for far in range(near):
            pair.link(near, far, f"{far}{near}")
    pair.pass_time(3_000)
    for number in range(10):
        pair.publish(number % 6, draft(number))
        pair.pass_time(500)
    pair.pass_time(3_000)

    assert all(len(each.items()) == 10 for each in pair.nodes)
    assert sum(each.counters.duplicates for each in pair.nodes) == 0
    assert all(each.settled() for each in pair.nodes)


def test_equal_nodes_compare_nothing() -> None:
    pair = linked(node(1), node(2))
    pair.publish(0, draft(1))
    pair.pass_time(3_000)
    pair.log.clear()
    pair.pass_time(60_000)

    assert not [m for near in (0, 1) for m in sent(pair, near, Compare)]
    assert len(pair.log) <= 60 * 4


def test_another_task_shares_members_but_no_items() -> None:
    pair = Pair(node(1), node(2, task=OTHER_TASK), node(3))
    pair.publish(0, draft(1))
    pair.link(0, 1, "ab")
    pair.link(1, 2, "bc")
    pair.pass_time(5_000)

    assert pair.nodes[1].items() == ()
    assert not pair.nodes[0].peers()[0].same_task
    assert pair.nodes[0].settled()
    assert "tcp://host3:1" in pair.nodes[0].addresses()


def test_a_forged_item_is_refused_and_the_rest_of_its_message_taken() -> None:
    pair = linked(node(1), node(2))
    good = signed(1, key=5)
    lie = sign(item(1, origin=keys(6).public), keys(6)).raw
    forged = good.raw[:64] + lie[64:]
    inject(pair, 0, Items((forged, good.raw)))

    assert [each.raw for each in pair.nodes[1].items()] == [good.raw]
    assert pair.nodes[1].counters.refused == 1
    assert "signature" in pair.happened(1, InputRefused)[0].reason


def test_an_item_of_another_task_is_refused() -> None:
    pair = linked(node(1), node(2))
    inject(pair, 0, Items((signed(1, key=5, task_hash=OTHER_TASK).raw,)))

    assert pair.nodes[1].items() == ()
    assert "another task" in pair.happened(1, InputRefused)[0].reason


def test_a_claim_without_a_cell_is_refused() -> None:
    pair = linked(node(1), node(2))
    inject(pair, 0, Items((signed(1, key=5, claim=Evaluation(1, (1, 2), 1)).raw,)))

    assert "no cell" in pair.happened(1, InputRefused)[0].reason


def test_an_origin_without_room_is_refused_with_a_reason() -> None:
    pair = linked(node(1), node(2, origins_max=1))
    inject(pair, 0, Items((signed(1, key=5).raw, signed(1, key=6).raw)))

    refused = pair.happened(1, OriginRefused)
    assert [(event.origin, "origins_max" in event.reason) for event in refused] == [
        (keys(6).public, True)
    ]


def test_an_item_that_is_held_costs_no_signature_check() -> None:
    checks: list[bytes] = []

    def counting(public: bytes, signature: bytes, message: bytes) -> bool:
        checks.append(message)
        return True

    one = node(1)
    two = Node(
        NodeConfig("two"), keys(2), TASK, cell_of, Stream(2, "t", "n"), epoch=EPOCH, verify=counting
    )
    pair = linked(one, two)
    raw = signed(1, key=5).raw
    inject(pair, 0, Items((raw,)))
    before = len(checks)
    for _ in range(5):
        inject(pair, 0, Items((raw,)))

    assert len(checks) == before
    assert two.counters.duplicates == 5


def test_a_push_that_finds_its_queue_full_becomes_an_announcement_and_is_pulled() -> None:
    pair = linked(node(1, bulk_bytes_max=1_000, items_message_bytes=300), node(2))
    pair.log.clear()
    pair.publish(0, *(draft(number) for number in range(8)))
    announced = sent(pair, 0, Have)
    pair.pass_time(12_000)

    assert [sum(len(log.seqs) for log in have.logs) for have in announced] == [8]
    assert sent(pair, 1, Pull)
    assert pair.nodes[1].items() == pair.nodes[0].items()


def test_a_pull_of_everything_is_bounded() -> None:
    pair = linked(node(1), node(2))
    everything = LogSeqs(keys(2).public, EPOCH, SeqSet(((1, 1 << 52),)))
    inject(pair, 0, Pull((everything,)))

    assert "at most 1,024 names" in pair.happened(1, InputRefused)[0].reason


def test_lag_and_round_follow_what_the_peer_announces() -> None:
    pair = linked(node(1), node(2))
    pair.publish(0, draft(1, round_number=3))
    pair.nodes[0].announce_round(pair.now_ms, 5)
    pair.pass_time(1_000)
    status = pair.nodes[1].peers()[0]

    assert (status.round, status.lag, status.held, status.missing) == (5, 2, 1, 0)
