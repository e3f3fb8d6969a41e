"""The contract of transports: every implementation is held to the same laws."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from net.drive import LOOPBACK, QUICK, Net, network, port_of, run

from deid.errors import ConfigError, LocalError
from deid.net.transport import LinkDown, LinkUp, Received

pytestmark = pytest.mark.parametrize("kind", ["zeromq", "memory"])


def test_port_zero_is_bound_to_a_port_that_can_be_dialled(kind: str) -> None:
    async def main(net: Net) -> None:
        listener, dialler = net.peer(), net.peer()
        address = listener.transport.bind(LOOPBACK)
        dialler.transport.dial(address)
        await dialler.up()

        assert address.startswith("tcp://127.0.0.1:")
        assert port_of(address) > 0

    _run(kind, main)


def test_a_taken_address_is_a_clear_configuration_error(kind: str) -> None:
    async def main(net: Net) -> None:
        address = net.peer().transport.bind(LOOPBACK)

        with pytest.raises(ConfigError, match=r"net\.listen: cannot listen on tcp://127"):
            net.peer().transport.bind(address)

    _run(kind, main)


@pytest.mark.parametrize("address", ["127.0.0.1:7", "udp://127.0.0.1:7", "tcp://127.0.0.1"])
def test_a_malformed_address_is_refused(kind: str, address: str) -> None:
    async def main(net: Net) -> None:
        with pytest.raises(ConfigError, match="expected tcp://HOST:PORT"):
            net.peer().transport.bind(address)
        with pytest.raises(ConfigError, match="expected tcp://HOST:PORT"):
            net.peer().transport.dial(address)

    _run(kind, main)


def test_messages_arrive_whole_and_in_order_both_ways(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        sent = [number.to_bytes(2, "big") * (1 + number * 37) for number in range(100)]
        for data in sent:
            assert dialler.transport.send(link, data)
            assert listener.transport.send(back, data)
        await listener.got(sent[-1])
        await dialler.got(sent[-1])

        assert listener.data() == [b"first", *sent]
        assert dialler.data() == sent

    _run(kind, main)


def test_events_of_a_link_come_in_order_and_each_link_once(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        listener.transport.send(back, b"answer")
        await dialler.got(b"answer")
        await listener.close()
        await dialler.down(link)

        kinds = [type(each) for each in dialler.arrivals if each.link == link]
        assert kinds == [LinkUp, Received, LinkDown]
        kinds = [type(each) for each in listener.arrivals if each.link == back]
        assert kinds == [LinkUp, Received, LinkDown]

    _run(kind, main)


def test_a_link_names_the_address_as_it_was_dialled_and_none_where_the_peer_dialled(
    kind: str,
) -> None:
    async def main(net: Net) -> None:
        listener, dialler = net.peer(), net.peer()
        address = listener.transport.bind(LOOPBACK)
        spelt = address.replace("tcp://127.0.0.1", "tcp://[::ffff:127.0.0.1]")
        dialler.transport.dial(spelt)
        dialler.transport.send(await dialler.up(), b"hello")
        await listener.got(b"hello")

        assert [up.dialled for up in dialler.ups()] == [spelt]
        assert [up.dialled for up in listener.ups()] == [None]

    _run(kind, main)


def test_dialling_twice_makes_one_link(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        address = dialler.ups()[0].dialled
        assert address is not None
        assert dialler.transport.dial(address)
        dialler.transport.send(link, b"again")
        await listener.got(b"again")

        assert len(dialler.ups()) == 1
        assert len(listener.ups()) == 1

    _run(kind, main)


def test_a_seed_that_starts_late_is_connected(kind: str) -> None:
    async def main(net: Net) -> None:
        probe = net.peer()
        address = probe.transport.bind(LOOPBACK)
        await probe.close()
        early = net.peer()
        early.transport.dial(address)
        if kind == "zeromq":
            await early.until(lambda: early.transport.counts.dials_failed, "a failed dial")
        late = net.peer()
        late.transport.bind(address)
        early.transport.send(await early.up(), b"there you are")
        await late.got(b"there you are")

    _run(kind, main)


def test_a_peer_that_restarts_on_its_port_is_linked_anew(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        address = dialler.ups()[0].dialled
        assert address is not None
        await listener.close()
        await dialler.down(link)
        again = net.peer()
        again.transport.bind(address)
        second = await dialler.up(2)
        dialler.transport.send(second, b"welcome back")
        await again.got(b"welcome back")

        assert second != link
        assert not dialler.transport.send(link, b"to the old one")

    _run(kind, main)


def test_undialling_takes_the_link_down_and_dialling_again_makes_another(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        address = dialler.ups()[0].dialled
        assert address is not None
        dialler.transport.undial(address)
        await dialler.down(link)
        assert not dialler.transport.send(link, b"gone")
        assert dialler.transport.counts.sends_dropped_gone == 1
        dialler.transport.dial(address)
        second = await dialler.up(2)
        dialler.transport.send(second, b"new")
        await listener.got(b"new")

        assert second != link
        assert b"gone" not in listener.data()

    _run(kind, main)


def test_undialling_what_was_never_dialled_changes_nothing(kind: str) -> None:
    async def main(net: Net) -> None:
        peer = net.peer()
        peer.transport.undial("tcp://127.0.0.1:9")
        await asyncio.sleep(0)

        assert peer.arrivals == []

    _run(kind, main)


def test_the_table_of_dials_is_bounded(kind: str) -> None:
    async def main(net: Net) -> None:
        peer = net.peer(replace(QUICK, dials_max=2))

        assert peer.transport.dial("tcp://127.0.0.1:9")
        assert peer.transport.dial("tcp://127.0.0.1:10")
        assert not peer.transport.dial("tcp://127.0.0.1:11")
        assert peer.transport.dial("tcp://127.0.0.1:9")
        peer.transport.undial("tcp://127.0.0.1:10")
        assert peer.transport.dial("tcp://127.0.0.1:11")

    _run(kind, main)


def test_a_peer_that_does_not_read_fills_its_queue_and_blocks_nobody(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        await listener.stop()
        data = bytes(64 << 10)
        sent = 0
        slowest_s = 0.0
        loop = asyncio.get_running_loop()
        while sent < 4_096:
            begin_s = loop.time()
            queued = dialler.transport.send(link, data)
            slowest_s = max(slowest_s, loop.time() - begin_s)
            if not queued:
                break
            sent += 1
            await asyncio.sleep(0)

        assert 0 < sent < 4_096
        assert slowest_s < 0.25  # a wait for the peer would have no end
        assert dialler.transport.counts.sends_dropped_full == 1
        assert link in dialler.transport.congested()

        listener.start()
        await listener.until(lambda: len(listener.data()) == 1 + sent, "all that was queued")
        await dialler.stop()
        async with asyncio.timeout(5):
            while dialler.transport.congested():
                await dialler.transport.wait(10)
        assert dialler.transport.send(link, b"flows again")
        await listener.got(b"flows again")

    _run(kind, main)


@pytest.mark.parametrize("size", [0, QUICK.message_bytes_max + 1])
def test_an_empty_or_too_long_message_is_our_bug(kind: str, size: int) -> None:
    async def main(net: Net) -> None:
        dialler, link, _, _ = await net.linked()

        with pytest.raises(LocalError, match="1 to 1048576 bytes"):
            dialler.transport.send(link, bytes(size))

    _run(kind, main)


def test_the_longest_message_arrives(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        data = bytes(range(256)) * (QUICK.message_bytes_max // 256)
        assert dialler.transport.send(link, data)
        await listener.got(data)

    _run(kind, main)


def test_what_was_sent_before_a_clean_close_arrives(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        sent = [b"%d" % number * 1_000 for number in range(200)]
        for data in sent:
            assert dialler.transport.send(link, data)
        await dialler.close()
        await listener.got(sent[-1])

        assert listener.data() == [b"first", *sent]

    _run(kind, main)


def test_what_a_closing_listener_sent_arrives(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        sent = [b"%d" % number * 1_000 for number in range(200)]
        for data in sent:
            assert listener.transport.send(back, data)
        await listener.close()
        await dialler.down(link)

        assert dialler.data() == sent

    _run(kind, main)


def test_a_close_waits_for_a_peer_that_does_not_read_no_longer_than_its_linger(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        await listener.stop()
        sent = [dialler.transport.send(link, bytes(256 << 10)) for _ in range(300)]
        assert not sent[-1]
        await dialler.stop()
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        await dialler.transport.close(200)

        assert loop.time() - begin_s < 2

    _run(kind, main)


def test_what_was_sent_before_a_link_is_closed_here_arrives(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        dialler.transport.send(link, b"last words")
        dialler.transport.close_link(link, "refused")
        await listener.got(b"last words")

    _run(kind, main)


def test_a_link_goes_down_after_its_last_message_however_little_is_drained(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        await dialler.stop()
        for number in range(5):
            assert listener.transport.send(back, b"%d" % number)
        await listener.close()
        while not dialler.downs():
            await asyncio.wait_for(dialler.transport.wait(None), 5)
            dialler.drain(messages_max=1)

        assert dialler.data() == [b"0", b"1", b"2", b"3", b"4"]
        assert dialler.arrivals[-1] == LinkDown(link, dialler.downs()[0].reason)

    _run(kind, main)


def test_a_drain_keeps_to_its_counts(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        await listener.stop()
        for _ in range(40):
            assert dialler.transport.send(link, bytes(1_000))
        drained: list[int] = []
        while sum(drained) < 40:
            await listener.transport.wait(None)
            drained.append(len(listener.transport.drain(7, 1 << 20)))
        assert max(drained) == 7
        for _ in range(40):
            assert dialler.transport.send(link, bytes(1_000))
        drained = []
        while sum(drained) < 40:
            await listener.transport.wait(None)
            drained.append(len(listener.transport.drain(64, 3_500)))

        assert max(drained) == 4  # the fourth message passes 3,500 bytes

    _run(kind, main)


def test_a_peer_is_answered_while_another_floods(kind: str) -> None:
    async def main(net: Net) -> None:
        listener = net.peer()
        address = listener.transport.bind(LOOPBACK)
        flooder, honest = net.peer(), net.peer()
        for peer in (flooder, honest):
            peer.transport.dial(address)
        flood_link, link = await flooder.up(), await honest.up()

        async def flood() -> None:
            while True:
                while flooder.transport.send(flood_link, bytes(200)):
                    pass
                await asyncio.sleep(0)

        task = asyncio.create_task(flood())
        for number in range(20):
            ping = b"ping %d" % number
            assert honest.transport.send(link, ping)
            back = (await listener.got(ping)).link
            listener.arrivals.clear()
            assert listener.transport.send(back, ping)
            await honest.got(ping)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert flooder.transport.counts.sends_dropped_full > 0  # it did flood

    _run(kind, main)


def test_a_closed_link_goes_down_at_once_and_its_peer_is_not_heard_on_it(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        listener.transport.close_link(back, "refused")
        down = await listener.down(back)
        dialler.transport.send(link, b"unheard")
        assert not listener.transport.send(back, b"to nobody")
        other = net.peer()
        address = dialler.ups()[0].dialled
        assert address is not None
        other.transport.dial(address)
        other.transport.send(await other.up(), b"heard")
        await listener.got(b"heard")

        assert down.reason == "refused"
        assert b"unheard" not in listener.data()

    _run(kind, main)


def test_a_dialled_link_closed_here_is_dialled_again(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        dialler.transport.close_link(link, "refused")
        await dialler.down(link)
        second = await dialler.up(2)
        dialler.transport.send(second, b"second try")
        await listener.got(b"second try")

        assert second != link

    _run(kind, main)


def test_wait_ends_with_its_time_with_wake_and_with_a_message(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        await listener.stop()
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        await listener.transport.wait(50)
        assert 0.04 < loop.time() - begin_s < 5
        loop.call_soon(listener.transport.wake)
        await asyncio.wait_for(listener.transport.wait(None), 5)
        listener.transport.wake()
        await asyncio.wait_for(listener.transport.wait(None), 5)
        dialler.transport.send(link, b"now")
        await asyncio.wait_for(listener.transport.wait(None), 5)

        assert [each.data for each in listener.drain() if isinstance(each, Received)] == [b"now"]

    _run(kind, main)


def test_wait_gives_other_tasks_a_turn_while_there_is_something_to_read(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, _ = await net.linked()
        await listener.stop()
        dialler.transport.send(link, b"unread")
        await listener.transport.wait(None)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        for _ in range(5):
            await listener.transport.wait(None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert turns >= 5

    _run(kind, main)


def test_closing_twice_is_closing_once_and_nothing_works_after_it(kind: str) -> None:
    async def main(net: Net) -> None:
        dialler, link, _, _ = await net.linked()
        await dialler.close()
        await dialler.transport.close()

        assert not dialler.transport.send(link, b"late")
        assert not dialler.transport.dial("tcp://127.0.0.1:9")
        assert dialler.drain() == []

    _run(kind, main)


def _run(kind: str, main: Callable[[Net], Coroutine[Any, Any, None]]) -> None:
    async def with_network() -> None:
        async with network(kind) as net:
            await main(net)

    run(with_network())
