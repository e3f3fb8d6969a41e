"""Handshakes: who may become a peer, and who is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
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
    InputRefused,
    KeyInUse,
    LinkRefused,
    PeerState,
    RefusedByPeer,
)
from deid.wire.messages import (
    Items,
    Open,
    decode,
    encode,
)
from deid.wire.node import Node


def test_a_link_makes_two_peers() -> None:
    pair = linked(node(1), node(2))
    status = pair.nodes[0].peers()[0]

    assert (status.name, status.key, status.state) == ("node2", keys(2).public, PeerState.ALIVE)
    assert (status.address, status.version, status.same_task) == ("tcp://host2:1", "1.0", True)
    assert status.rtt_ms == 0
    assert [peer.key for peer in pair.nodes[1].peers()] == [keys(1).public]


@pytest.mark.parametrize("lost", range(8))
def test_any_lost_handshake_message_is_made_up_for(lost: int) -> None:
    pair = Pair(node(1), node(2))
    pair.deliver = lambda near, far, data: None if len(pair.log) == lost + 1 else data
    pair.link()
    pair.pass_time(4_000)
    pair.publish(0, draft(1))
    pair.pass_time(3_000)

    assert all(each.peers()[0].state is PeerState.ALIVE for each in pair.nodes)
    assert len(pair.nodes[1].items()) == 1


def test_who_cannot_prove_its_key_is_no_peer() -> None:
    """A relay of the challenge to somebody else gets an answer that holds only there."""
    victim, liar = node(1), node(3)
    honest = node(2)
    honest.link_up(0, "x", None)
    victim.link_up(0, "y", None)
    challenge = next(
        m for _, data in victim.outbox() if isinstance(m := decode(data).message, Open)
    )
    honest.receive(0, "x", encode(replace(challenge, key=keys(3).public)))
    hello = honest.outbox()[-1][1]
    victim.receive(0, "y", hello)

    assert victim.peers() == ()
    assert any(isinstance(event, InputRefused) for event in victim.events())
    assert liar.peers() == ()


def test_another_major_is_refused_with_a_reason() -> None:
    here = node(1)
    here.link_up(0, "x", "tcp://old")
    here.outbox()
    here.receive(0, "x", encode(Open(2, 0, b"s" * 8, keys(2).public, b"n" * 16)))
    refusals = [event for event in here.events() if isinstance(event, LinkRefused)]

    assert refusals == [LinkRefused("x", "tcp://old", "version: protocol 1.0 here, 2.0 there")]
    assert b"protocol 1.0 here" in here.outbox()[0][1]


def test_a_newer_minor_is_spoken_to_in_the_older() -> None:
    pair = Pair(node(1), node(2))

    def newer(near: int, far: int, data: bytes) -> bytes:
        message = decode(data).message
        return encode(replace(message, minor=7)) if isinstance(message, Open) else data

    pair.deliver = newer
    pair.link()

    assert pair.nodes[0].peers()[0].version == "1.0"


def test_a_node_does_not_become_its_own_peer() -> None:
    here = node(1, seeds=("tcp://alias",))
    here.tick(0)
    first = here.dials()
    here.link_up(0, "near", "tcp://alias")
    here.link_up(0, "far", None)
    for _ in range(3):
        for link, data in here.outbox():
            here.receive(1, "far" if link == "near" else "near", data)
    refused = [event for event in here.events() if isinstance(event, LinkRefused)]
    here.tick(10**6)

    assert first == ["tcp://alias"]
    assert here.peers() == ()
    assert any("same node" in event.reason for event in refused)
    assert here.dials() == []


def test_a_second_process_with_the_same_key_is_told() -> None:
    one = node(1)
    two = Node(NodeConfig("twin"), keys(1), TASK, cell_of, Stream(99, "x", "y"), epoch=EPOCH)
    pair = Pair(one, two)
    pair.link()

    assert pair.happened(0, KeyInUse)
    assert pair.happened(1, KeyInUse)
    assert one.peers() == two.peers() == ()


def test_one_peer_more_than_the_most_is_refused_and_told_why() -> None:
    full = node(1, peers_max=2)
    nodes = [full, node(2), node(3), node(4)]
    pair = Pair(*nodes)
    for number in (1, 2, 3):
        pair.link(number, 0, f"l{number}")

    assert len(full.peers()) == 2
    assert nodes[3].peers()[0].state is not PeerState.ALIVE
    assert ["peers_max" in event.reason for event in pair.happened(3, RefusedByPeer)] == [True]


def test_a_silent_link_is_given_up() -> None:
    here = node(1, hello_max_ms=5_000)
    here.link_up(0, "x", None)
    for now in range(0, 6_000, 100):
        here.tick(now)
    reasons = [event.reason for event in here.events() if isinstance(event, LinkRefused)]

    assert reasons == ["unproven: no hello in time"]


def test_two_links_to_one_peer_make_one_peer_and_one_is_sent_on() -> None:
    pair = Pair(node(1), node(2))
    pair.link(0, 1, "a")
    pair.link(1, 0, "b")
    pair.pass_time(2_000)
    pair.log.clear()
    pair.publish(0, draft(1))
    pair.publish(1, draft(2))

    assert [len(each.peers()) for each in pair.nodes] == [1, 1]
    assert len(sent(pair, 0, Items)) == len(sent(pair, 1, Items)) == 1
    pair.nodes[0].link_down(pair.now_ms, (1, "a"))
    pair.nodes[1].link_down(pair.now_ms, (0, "a"))
    pair.publish(0, draft(3))
    assert len(pair.nodes[1].items()) == 3


def test_a_process_that_restarts_behind_one_link_proves_itself_anew() -> None:
    pair = linked(node(1), node(2))
    pair.nodes[1] = node(3)
    pair.pass_time(6_000)
    states = {peer.name: peer.state for peer in pair.nodes[0].peers()}

    assert states == {"node2": PeerState.SUSPECTED, "node3": PeerState.ALIVE}
