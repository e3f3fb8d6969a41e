"""Signs of life: pings through others, suspicion, confirmations, refutation, own slowness."""

from __future__ import annotations

from wire.support import Pair, draft, inject, keys, linked, node, sent

from deid.wire.events import PeerChanged, PeerState
from deid.wire.messages import Peers, Ping, Probe, Suspect, Vouch, encode
from deid.wire.record import parse_record


def triangle() -> Pair:
    """Three nodes, all linked to all."""
    pair = Pair(node(1), node(2), node(3))
    for near, far in ((0, 1), (0, 2), (1, 2)):
        pair.link(near, far, f"{near}{far}")
    pair.pass_time(3_000)
    return pair


def state(pair: Pair, at: int, of: int) -> PeerState:
    wanted = keys(of + 1).public
    return next(peer.state for peer in pair.nodes[at].peers() if peer.key == wanted)


def cut(*pairs: tuple[int, int]) -> object:
    return lambda near, far, data: None if (near, far) in pairs else data


def test_a_peer_that_others_hear_is_not_suspected_but_not_sent_to_either() -> None:
    pair = triangle()
    pair.deliver = cut((0, 1), (1, 0))  # type: ignore[assignment]
    pair.pass_time(8_000)
    states = state(pair, 0, 1), state(pair, 1, 0)
    pair.log.clear()
    items = pair.publish(0, draft(1))
    pair.pass_time(2_000)

    assert states == (PeerState.ALIVE, PeerState.ALIVE)
    assert sent(pair, 0, Probe) or sent(pair, 2, Vouch)
    assert items[0] in pair.nodes[1].items()
    assert not [1 for near, far, data in pair.log if (near, far) == (0, 1) and data[1] == 9]


def test_a_silent_peer_that_nobody_hears_is_suspected_by_all() -> None:
    pair = triangle()
    pair.deliver = cut((1, 0), (1, 2), (0, 1), (2, 1))  # type: ignore[assignment]
    pair.pass_time(5_000)

    assert state(pair, 0, 1) is state(pair, 2, 1) is PeerState.SUSPECTED
    assert state(pair, 0, 2) is PeerState.ALIVE


def test_confirmations_shorten_the_time_until_eviction() -> None:
    alone = linked(node(1, evict_ms=60_000), node(2))
    alone.deliver = lambda near, far, data: None
    alone.pass_time(30_000)
    assert alone.nodes[0].peers()[0].state is PeerState.SUSPECTED

    pair = Pair(*(node(number) for number in range(1, 6)))
    for near in range(5):
        for far in range(near):
            pair.link(near, far, f"{far}{near}")
    pair.pass_time(3_000)
    pair.deliver = lambda near, far, data: None if 4 in (near, far) else data
    pair.pass_time(14_000)
    early = state(pair, 0, 4)
    pair.pass_time(5_000)

    assert early is PeerState.SUSPECTED
    assert state(pair, 0, 4) is PeerState.EVICTED


def test_a_repeated_accuser_changes_nothing() -> None:
    pair = triangle()
    pair.deliver = cut((1, 0), (0, 1), (1, 2), (2, 1))  # type: ignore[assignment]
    pair.pass_time(5_000)
    said = Suspect(keys(2).public, 0)
    for _ in range(20):
        pair.nodes[0].receive(pair.now_ms, (2, "02"), encode(said))
    pair.pass_time(20_000)

    assert state(pair, 0, 1) is PeerState.SUSPECTED


def test_no_accusation_evicts_who_is_heard() -> None:
    pair = triangle()
    for _ in range(60):
        pair.nodes[0].receive(pair.now_ms, (2, "02"), encode(Suspect(keys(2).public, 0)))
        pair.pass_time(1_000)

    assert [event.now for event in pair.happened(0, PeerChanged)] == [PeerState.ALIVE] * 2


def test_who_is_suspected_refutes_with_a_higher_incarnation() -> None:
    pair = linked(node(1), node(2))
    before = pair.nodes[1]._membership.directory.own.record.incarnation
    pair.log.clear()
    inject(pair, 0, Suspect(keys(2).public, before))
    told = [parse_record(raw).record for peers in sent(pair, 1, Peers) for raw in peers.records]

    assert [record.incarnation for record in told if record.key == keys(2).public] == [before + 1]
    inject(pair, 0, Suspect(keys(2).public, before))
    assert pair.nodes[1]._membership.directory.own.record.incarnation == before + 1


def test_one_who_stood_still_blames_itself_and_nobody_else() -> None:
    pair = linked(node(1), node(2))
    pair.now_ms += 20_000  # neither node was given the processor: a laptop that slept
    pair.nodes[0].tick(pair.now_ms)
    health = pair.nodes[0]._membership.liveness.health
    pair.pass_time(200)

    assert [event.now for event in pair.happened(0, PeerChanged)] == [PeerState.ALIVE]
    assert health > 0
    pair.pass_time(30_000)
    assert pair.nodes[0]._membership.liveness.health == 0


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    pair = linked(node(1), node(2))
    pair.now_ms -= 2_500
    pair.publish(0, draft(1))
    pair.pass_time(3_000)
    pair.log.clear()
    pair.pass_time(3_000)

    assert len(pair.nodes[1].items()) == 1
    assert sent(pair, 0, Ping) + sent(pair, 1, Ping)
    assert pair.nodes[0].peers()[0].state is PeerState.ALIVE


def test_an_idle_mesh_of_thirty_two_sends_as_few_pings_a_node_as_one_of_four() -> None:
    def pings(size: int) -> float:
        pair = Pair(*(node(number) for number in range(1, size + 1)))
        for near in range(size):
            for far in range(near):
                pair.link(near, far, f"{far}-{near}")
        pair.pass_time(16_000)
        pair.log.clear()
        pair.pass_time(10_000)
        return sum(1 for _, _, data in pair.log if data[1] == 5) / size / 10

    assert 1 < pings(4) < 2
    assert pings(16) < 2
