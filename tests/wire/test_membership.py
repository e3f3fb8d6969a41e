"""Peers: alive, suspected, evicted, left; peer exchange; incarnations."""

from __future__ import annotations

from wire.support import (
    EPOCH,
    TASK,
    Pair,
    cell_of,
    draft,
    keys,
    linked,
    node,
    sent,
)

from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import (
    PeerChanged,
    PeerState,
)
from deid.wire.messages import (
    Items,
)
from deid.wire.node import Node


def changes(pair: Pair, at: int) -> list[PeerState]:
    return [event.now for event in pair.happened(at, PeerChanged)]


def test_a_silent_partition_is_suspected_within_five_seconds_and_healed_after() -> None:
    pair = linked(node(1), node(2))
    pair.deliver = lambda near, far, data: None
    pair.pass_time(5_000)
    suspected = [each.peers()[0].state for each in pair.nodes]
    pair.publish(0, draft(1))
    pair.deliver = lambda near, far, data: data
    pair.pass_time(4_000)

    assert suspected == [PeerState.SUSPECTED] * 2
    assert changes(pair, 0) == [PeerState.ALIVE, PeerState.SUSPECTED, PeerState.ALIVE]
    assert len(pair.nodes[1].items()) == 1


def test_a_peer_stopped_for_five_seconds_is_not_evicted() -> None:
    pair = linked(node(1), node(2))
    kept: list[bytes] = []
    stopped = pair.nodes[1]
    pair.nodes[1] = node(9)  # nobody: what is sent meanwhile waits in the kernel
    pair.deliver = lambda near, far, data: kept.append(data) if far == 1 else None
    pair.pass_time(5_000)
    state = pair.nodes[0].peers()[0].state
    pair.nodes[1] = stopped
    pair.deliver = lambda near, far, data: data
    for data in kept:
        stopped.receive(pair.now_ms, (0, "a"), data)
    pair.settle()

    assert state is not PeerState.EVICTED
    assert pair.nodes[0].peers()[0].state is PeerState.ALIVE
    assert PeerState.EVICTED not in changes(pair, 0)


def test_a_peer_that_stays_silent_is_evicted_and_returns_when_it_speaks() -> None:
    pair = linked(node(1, evict_ms=20_000), node(2, evict_ms=20_000))
    pair.deliver = lambda near, far, data: None
    pair.pass_time(21_000)
    evicted = pair.nodes[0].peers()[0].state
    pair.deliver = lambda near, far, data: data
    pair.link(0, 1, "new")
    pair.pass_time(2_000)

    assert evicted is PeerState.EVICTED
    assert pair.nodes[0].peers()[0].state is PeerState.ALIVE


def test_a_lost_link_is_suspected_at_once_and_dialled_again() -> None:
    pair = linked(node(1, seeds=("tcp://host2:1",)), node(2))
    pair.nodes[0].dials()
    pair.nodes[0].link_down(pair.now_ms, (1, "a"))
    state = pair.nodes[0].peers()[0].state
    pair.pass_time(3_000)

    assert state is PeerState.SUSPECTED
    assert "tcp://host2:1" in pair.nodes[0].dials()


def test_who_says_goodbye_has_left_and_its_items_stay() -> None:
    pair = linked(node(1), node(2))
    pair.publish(1, draft(1))
    pair.nodes[1].leave(pair.now_ms)
    pair.settle()

    assert pair.nodes[0].peers()[0].state is PeerState.LEFT
    assert len(pair.nodes[0].items()) == 1


def test_nothing_is_pushed_to_a_suspected_peer() -> None:
    pair = linked(node(1), node(2))
    pair.deliver = lambda near, far, data: None
    pair.pass_time(5_000)
    pair.log.clear()
    pair.publish(0, draft(1))

    assert not sent(pair, 0, Items)


def test_members_learn_of_each_other() -> None:
    pair = Pair(node(1), node(2), node(3))
    pair.link(0, 1, "ab")
    pair.link(2, 1, "cb")
    pair.pass_time(3_000)

    assert set(pair.nodes[0].addresses()) >= {"tcp://host3:1"}
    assert "tcp://host3:1" in pair.nodes[0].dials() + pair.nodes[2].dials()


def test_a_restart_with_a_lower_incarnation_rises_above_what_peers_remember() -> None:
    pair = Pair(node(1), node(2), node(3))
    pair.link(1, 2, "bc")
    old = Node(
        NodeConfig("old", address="tcp://old"), keys(1), TASK, cell_of, Stream(5, "o", "n"),
        epoch=EPOCH, incarnation=40,
    )  # fmt: skip
    pair.nodes[0] = old
    pair.link(0, 1, "ab")
    pair.pass_time(2_000)
    pair.nodes[1].link_down(pair.now_ms, (0, "ab"))
    pair.nodes[0] = node(1)
    pair.link(0, 1, "ab2")
    pair.link(0, 2, "ac2")
    pair.pass_time(60_000)
    names = {peer.name for peer in pair.nodes[1].peers() if peer.key == keys(1).public}

    assert names == {"node1"}


def test_an_idle_node_wakes_rarely() -> None:
    pair = linked(node(1), node(2))
    here, now, wakes = pair.nodes[0], pair.now_ms, 0
    alone = node(5, seeds=("tcp://nobody",))
    for each in (here, alone):
        wakes, at = 0, now
        while at < now + 60_000:
            at = each.tick(at)
            each.outbox()
            wakes += 1

        assert wakes < 60 * 5
