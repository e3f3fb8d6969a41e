"""The pump under a scripted core: its bounds, and what it survives; then real cores together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from net.drive import LOOPBACK, QUICK, Net, Peer, network, run, until
from net.measure_gather import measure
from net.members import Member, draft

from deid.errors import LocalError
from deid.net.collective import Collective
from deid.net.profile import NetProfile
from deid.wire.events import Event, Link, LinkRefused
from deid.wire.gather import Mailbox
from deid.wire.node import Node


class ScriptedCore:
    """Stands in for a core where a test needs one that misbehaves; notes what it was told."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.ups: list[tuple[Link, str | None]] = []
        self.downs: list[Link] = []
        self.to_send: list[tuple[Link, bytes]] = []
        self.to_dial: list[str] = []
        self.to_tell: list[Event] = []
        self.blocked: list[set[Link]] = []
        self.changed = asyncio.Event()
        self.on_receive: Callable[[bytes], None] = lambda data: None
        self.on_tick: Callable[[], None] = lambda: None

    def link_up(self, now_ms: int, link: Link, dialled: str | None) -> None:
        self.ups.append((link, dialled))
        self.changed.set()

    def link_down(self, now_ms: int, link: Link) -> None:
        self.downs.append(link)
        self.changed.set()

    def receive(self, now_ms: int, link: Link, data: bytes) -> None:
        self.received.append(data)
        self.changed.set()
        self.on_receive(data)

    def tick(self, now_ms: int) -> int:
        self.changed.set()
        self.on_tick()
        return now_ms + 20

    def outbox(self, blocked: Collection[Link] = ()) -> list[tuple[Link, bytes]]:
        self.blocked.append(set(blocked))
        sending, self.to_send = self.to_send, []
        return sending

    def events(self) -> list[Event]:
        told, self.to_tell = self.to_tell, []
        return told

    def dials(self) -> list[str]:
        dials, self.to_dial = self.to_dial, []
        return dials

    def leave(self, now_ms: int) -> None:
        pass


@asynccontextmanager
async def _pumped(
    net: Net,
    core: ScriptedCore,
    *,
    on_events: Callable[[Sequence[Event]], None] = lambda events: None,
    profile: NetProfile = QUICK,
    seeds: Sequence[str] = (),
) -> AsyncIterator[tuple[Collective, Peer, str]]:
    """A collective around ``core``, its transport as a peer that is not pumped, its address."""
    peer = net.peer(profile, started=False)
    address = peer.transport.bind(LOOPBACK)
    collective = Collective(
        cast(Node, core), peer.transport, Mailbox(), on_events, profile=profile, seeds=seeds
    )
    collective.start()
    try:
        yield collective, peer, address
    finally:
        await collective.stop(0)


def test_a_bug_in_one_message_is_counted_and_the_next_is_received() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()

        def fail_on_bad(data: bytes) -> None:
            if data == b"bad":
                raise ZeroDivisionError("a bug of ours")

        core.on_receive = fail_on_bad
        async with _pumped(net, core) as (collective, _, address):
            await _say(net, address, b"good", b"bad", b"good again")
            await until(lambda: len(core.received) == 3, core.changed, "three messages")

            assert core.received == [b"good", b"bad", b"good again"]
            assert collective.counts.failures == 1

    _run(main)


def test_a_bug_in_every_tick_does_not_stop_receiving_nor_take_the_processor() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()

        def fail() -> None:
            raise ZeroDivisionError("a bug of ours")

        core.on_tick = fail
        async with _pumped(net, core) as (collective, _, address):
            begin_s = time.monotonic()
            await until(lambda: collective.counts.failures >= 4, core.changed, "four ticks")
            assert time.monotonic() - begin_s > 0.2  # a pause after each
            await _say(net, address, b"still open")
            await until(lambda: core.received == [b"still open"], core.changed, "a message")

    _run(main)


def test_a_failing_event_handler_is_counted_and_the_pump_goes_on() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()

        def fail(events: Sequence[Event]) -> None:
            raise OSError("no space left")

        async with _pumped(net, core, on_events=fail) as (collective, _, address):
            core.to_tell.append(LinkRefused(10**9, None, "a link that does not exist"))
            await until(lambda: collective.counts.failures == 1, core.changed, "a failure")
            await _say(net, address, b"on we go")
            await until(lambda: core.received == [b"on we go"], core.changed, "a message")

    _run(main)


def test_expensive_messages_are_spread_over_turns_so_that_the_loop_stays_responsive() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()

        def cost_a_millisecond(data: bytes) -> None:
            end_s = time.perf_counter() + 0.001
            while time.perf_counter() < end_s:
                pass

        core.on_receive = cost_a_millisecond
        async with _pumped(net, core) as (collective, _, address):
            lags_s: list[float] = []
            watch = asyncio.create_task(_watch_lag(lags_s))
            await _say(net, address, *[b"%d" % number for number in range(200)])
            await until(lambda: len(core.received) == 200, core.changed, "200 messages")
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

            assert collective.counts.turns_cut_short > 10
            # A turn takes 4 + 2 ms and the message that passes them: 200 ms at once is far off.
            assert sorted(lags_s)[len(lags_s) * 9 // 10] < 0.05

    _run(main)


def test_sending_goes_on_while_input_takes_all_of_its_time() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        answers: list[bytes] = []

        def answer_slowly(data: bytes) -> None:
            end_s = time.perf_counter() + QUICK.receive_turn_ms / 1000
            while time.perf_counter() < end_s:
                pass
            core.to_send.append((core.ups[0][0], data))
            answers.append(data)

        core.on_receive = answer_slowly
        async with _pumped(net, core) as (_, _, address):
            peer = net.peer()
            peer.transport.dial(address)
            link = await peer.up()
            for number in range(50):
                assert peer.transport.send(link, b"%d" % number)
            await peer.got(b"0")

            assert len(answers) < 50  # the first answer did not wait for the last message

    _run(main)


def test_a_learned_address_that_does_not_answer_is_given_up_and_a_seed_is_not() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        profile = replace(QUICK, dial_give_up_ms=50, dials_max=2)
        seed, learned, another = (f"tcp://127.0.0.1:{port}" for port in (9, 10, 11))
        core.to_dial = [seed, learned]
        async with _pumped(net, core, profile=profile, seeds=[seed]) as (_, peer, _):
            await until(lambda: not core.to_dial, core.changed, "dials taken")
            assert not peer.transport.dial(another)  # the table is full
            await until(lambda: peer.transport.dial(another), core.changed, "a place in it")

            assert peer.transport.dial(seed)  # still there, so this needs no place
            assert not peer.transport.dial(learned)

    _run(main, kind="memory")


def test_a_learned_address_with_a_link_is_kept_until_the_link_goes_down() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        profile = replace(QUICK, dial_give_up_ms=50)
        other = net.peer()
        core.to_dial = [other.transport.bind(LOOPBACK)]
        async with _pumped(net, core, profile=profile):
            await until(lambda: core.ups, core.changed, "a link")
            ticks = _Count(10)
            core.on_tick = ticks
            await until(lambda: ticks.left == 0, core.changed, "ten ticks of 20 ms")
            assert core.downs == []
            core.to_dial = [core.ups[0][1] or ""]  # asked again while linked: nothing happens
            ticks.left = 10
            await until(lambda: ticks.left == 0, core.changed, "ten ticks of 20 ms")
            assert core.downs == []

    _run(main, kind="memory")


def test_an_address_that_may_not_be_dialled_is_refused_and_the_others_are_dialled() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        other = net.peer()
        address = other.transport.bind(LOOPBACK)
        core.to_dial = ["tcp://192.0.2.1:7701", "nonsense", address]
        async with _pumped(net, core) as (collective, _, _):
            await until(lambda: core.ups, core.changed, "a link")

            assert [dialled for _, dialled in core.ups] == [address]
            assert collective.counts.dials_refused == 2
            assert collective.counts.failures == 0

    _run(main)


def test_a_refused_link_is_closed_and_its_address_left_alone() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        other = net.peer()
        core.to_dial = [other.transport.bind(LOOPBACK)]
        async with _pumped(net, core) as (_, peer, _):
            await until(lambda: core.ups, core.changed, "a link")
            link, address = core.ups[0]
            core.to_tell.append(LinkRefused(link, address, "another major version"))
            await until(lambda: core.downs == [link], core.changed, "the link's end")
            ticks = _Count(10)
            core.on_tick = ticks
            await until(lambda: ticks.left == 0, core.changed, "ten ticks of 20 ms")

            assert len(core.ups) == 1
            assert not peer.transport.send(link, b"gone")

    _run(main)


def test_the_core_is_told_which_links_are_congested() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        other = net.peer(started=False)
        core.to_dial = [other.transport.bind(LOOPBACK)]
        async with _pumped(net, core) as (collective, _, _):
            await until(lambda: core.ups, core.changed, "a link")
            link, _ = core.ups[0]

            def fill() -> bool:
                core.to_send += [(link, bytes(64 << 10))] * 8
                return core.blocked[-1] == {link}

            await until(fill, core.changed, "congestion")
            core.to_send.clear()
            other.start()
            await until(lambda: core.blocked[-1] == set(), core.changed, "its end")

            assert collective.counts.failures == 0

    _run(main)


def test_a_collective_is_started_once() -> None:
    async def main(net: Net) -> None:
        async with _pumped(net, ScriptedCore()) as (collective, _, _):
            with pytest.raises(LocalError, match="started once"):
                collective.start()

    _run(main)


@pytest.mark.parametrize("kind", ["zeromq", "memory"])
def test_what_one_member_commits_another_takes_and_nothing_before(kind: str) -> None:
    async def main(swarm: Swarm) -> None:
        alpha = swarm.member("alpha")
        beta = swarm.member("beta", alpha.address)
        await beta.holds({alpha.share(0).raw})  # from here on alpha's log is known
        beta.collective.take(0)
        (early,) = alpha.collective.publish([draft("alpha", 1)])
        (late,) = alpha.collective.publish([draft("alpha", 2)])
        alpha.collective.committed([late.name])
        await beta.holds({late.raw})
        assert early.raw not in beta.held()
        alpha.collective.committed([early.name])
        await beta.holds({early.raw, late.raw})
        snapshot = beta.collective.take(2)

        assert {each.signed.raw for each in snapshot.arrivals} == {early.raw, late.raw}
        assert snapshot.report.fresh == 1
        assert [peer.name for peer in snapshot.report.peers] == ["alpha"]
        assert beta.collective.take(2).arrivals == ()

    _run_swarm(main, kind)


@pytest.mark.parametrize("kind", ["zeromq", "memory"])
def test_members_that_know_one_seed_find_each_other_and_share_everything(kind: str) -> None:
    async def main(swarm: Swarm) -> None:
        seed = swarm.member("seed")
        members = [seed, *(swarm.member(name, seed.address) for name in ("a", "b", "c", "d"))]
        for member in members:
            await member.knows(4)
        items = {member.share(number).raw for member in members for number in range(10)}
        for member in members:
            await member.holds(items)

        assert all(member.collective.counts.failures == 0 for member in members)

    _run_swarm(main, kind)


def test_a_member_that_starts_before_its_seed_joins_it_and_gets_what_it_missed() -> None:
    async def main(swarm: Swarm) -> None:
        probe = swarm.member("probe")
        address = probe.address
        await probe.collective.stop(0)
        early = swarm.member("early", address)
        mine = early.share(1)
        assert early.collective.take(1).arrivals == ()  # alone is a normal state
        late = swarm.member("late", listen=address)
        await late.holds({mine.raw})

    _run_swarm(main, "zeromq")


def test_a_member_that_returns_on_its_port_gets_back_what_it_lost() -> None:
    async def main(swarm: Swarm) -> None:
        alpha = swarm.member("alpha")
        beta = swarm.member("beta", alpha.address)
        items = {alpha.share(1).raw, beta.share(1).raw}
        await alpha.holds(items)
        await beta.holds(items)
        await alpha.collective.stop()
        again = swarm.member("gamma", listen=alpha.address)
        await again.holds(items)

    _run_swarm(main, "zeromq")


def test_what_was_committed_just_before_a_clean_stop_reaches_the_peer() -> None:
    async def main(swarm: Swarm) -> None:
        alpha = swarm.member("alpha")
        beta = swarm.member("beta", alpha.address)
        await beta.holds({alpha.share(1).raw})  # from here on what alpha commits is pushed
        last = alpha.share(2, source_chars=20_000)
        await alpha.collective.stop()
        await beta.holds({last.raw})

    _run_swarm(main, "zeromq")


def test_garbage_on_a_link_is_refused_by_the_core_and_the_members_go_on() -> None:
    async def main(swarm: Swarm) -> None:
        alpha = swarm.member("alpha")
        beta = swarm.member("beta", alpha.address)
        await _say(swarm.net, alpha.address, b"\xc1garbage", bytes(100), b"\x93" * 1_000)
        item = beta.share(1)
        await alpha.holds({item.raw})
        counters = alpha.collective.node.counters
        await until(lambda: counters.refused >= 3, alpha.changed, "three refusals")

        assert alpha.collective.counts.failures == 0

    _run_swarm(main, "zeromq")


def test_a_stopped_peer_does_not_slow_gather() -> None:
    figures = asyncio.run(measure(peers=3, stopped=1, calls=200, pace_ms=5, chars=20_000))

    # A call that waited for the stopped peer would take until its heartbeat is missed: 4 s.
    assert max(figures.calls_ms) < 500
    assert sorted(figures.calls_ms)[100] < 50
    assert figures.received > 0  # from the live ones
    assert figures.failures == 0


def test_a_transport_that_fails_to_wait_does_not_end_the_pump() -> None:
    async def main(net: Net) -> None:
        core = ScriptedCore()
        async with _pumped(net, core) as (collective, peer, address):
            wait, failures_left = peer.transport.wait, _Count(3)

            async def fail_at_first(timeout_ms: int | None) -> None:
                failures_left()
                if failures_left.left:
                    raise OSError("a bug of ours")
                await wait(timeout_ms)

            peer.transport.wait = fail_at_first  # type: ignore[method-assign]
            await _say(net, address, b"still open")
            await until(lambda: core.received == [b"still open"], core.changed, "a message")

            assert collective.counts.failures == 2

    _run(main)


class _Count:
    """Counts calls down."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left = max(0, self.left - 1)


class Swarm:
    """Members on one network."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.members: list[Member] = []

    def member(self, name: str, *seeds: str, listen: str = LOOPBACK) -> Member:
        transport = self.net.peer(started=False).transport
        member = Member(name, transport, transport.bind(listen), seeds)
        self.members.append(member)
        return member


async def _say(net: Net, address: str, *messages: bytes) -> Peer:
    """A peer dials ``address`` and sends ``messages``; it stays."""
    peer = net.peer()
    peer.transport.dial(address)
    link = await peer.up()
    for data in messages:
        assert peer.transport.send(link, data)
    return peer


async def _watch_lag(lags_s: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        begin_s = loop.time()
        await asyncio.sleep(0)
        lags_s.append(loop.time() - begin_s)


def _run(main: Callable[[Net], Coroutine[Any, Any, None]], kind: str = "zeromq") -> None:
    async def with_network() -> None:
        async with network(kind) as net:
            await main(net)

    run(with_network())


def _run_swarm(main: Callable[[Swarm], Coroutine[Any, Any, None]], kind: str) -> None:
    async def with_swarm() -> None:
        async with network(kind) as net:
            swarm = Swarm(net)
            try:
                await main(swarm)
            finally:
                for member in swarm.members:
                    await member.collective.stop(0)

    run(with_swarm())
