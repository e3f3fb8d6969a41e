"""What only real sockets show: bad clients, bad servers, stopped peers, limits, IPv6."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from net.drive import (
    LOOPBACK,
    QUICK,
    ZMTP_GREETING,
    Net,
    Peer,
    network,
    port_of,
    run,
    zmtp_frame,
    zmtp_ready,
)

from deid.errors import ConfigError

ECHO = Path(__file__).with_name("echo_peer.py")


def test_clients_that_write_garbage_are_dropped_and_counted() -> None:
    async def main(net: Net) -> None:
        listener = net.peer()
        port = port_of(listener.transport.bind(LOOPBACK))
        garbage = [
            b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47),
            ZMTP_GREETING + b"\x04\x03bad",
            ZMTP_GREETING + zmtp_frame(b"a message before the handshake"),
            b"\x00" * 4_096,
            bytes(range(256)) * 16,
        ]
        for data in garbage:
            with _connected(port, data):
                pass
        counts = listener.transport.counts
        await listener.until(lambda: counts.handshakes_failed >= 3, "failed handshakes")
        await _say(net, port, listener, b"still here")

        assert listener.data() == [b"still here"]

    _run(main)


def test_a_client_that_says_nothing_is_dropped_after_the_handshake_time() -> None:
    async def main(net: Net) -> None:
        listener = net.peer()
        port = port_of(listener.transport.bind(LOOPBACK))
        with _connected(port, b"") as client:
            rest = await asyncio.to_thread(_read_to_end, client)

        assert rest.startswith(b"\xff")  # its greeting, and then the end
        await listener.until(lambda: listener.transport.counts.handshakes_failed, "a failure")

    _run(main)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(zmtp_frame(b"one", more=True) + zmtp_frame(b"two"), id="two frames"),
        pytest.param(zmtp_frame(b"", more=True) + zmtp_frame(b"as REQ does"), id="delimiter"),
        pytest.param(zmtp_frame(b""), id="empty"),
        pytest.param(zmtp_frame(b"x", more=True) * 2_000 + zmtp_frame(b"end"), id="2,001 frames"),
    ],
)
def test_a_message_that_is_not_one_frame_is_thrown_away_whole(frames: bytes) -> None:
    async def main(net: Net) -> None:
        listener = net.peer()
        port = port_of(listener.transport.bind(LOOPBACK))
        with _raw_client(port, frames + zmtp_frame(b"a good one")):
            await listener.got(b"a good one")

        assert listener.data() == [b"a good one"]
        assert listener.transport.counts.malformed_messages == 1
        assert listener.transport.counts.malformed_frames >= 1

    _run(main)


def test_throwing_away_many_frames_is_spread_over_turns() -> None:
    async def main(net: Net) -> None:
        listener = net.peer(started=False)
        port = port_of(listener.transport.bind(LOOPBACK))
        counts = listener.transport.counts
        in_one_turn = 0
        with _raw_client(port, zmtp_frame(b"x", more=True) * 2_000 + zmtp_frame(b"end")):
            while counts.malformed_frames < 2_001:
                before = counts.malformed_frames
                await listener.transport.wait(None)
                listener.drain()
                in_one_turn = max(in_one_turn, counts.malformed_frames - before)

        assert in_one_turn <= 257

    _run(main)


def test_a_frame_over_the_limit_closes_its_connection_and_no_other() -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked()
        address = dialler.ups()[0].dialled
        assert address is not None
        too_long = zmtp_frame(bytes(QUICK.message_bytes_max + 1))
        with _raw_client(port_of(address), too_long) as client:
            await asyncio.to_thread(_read_to_end, client)
        dialler.transport.send(link, b"after")
        await listener.got(b"after")

        assert listener.data() == [b"first", b"after"]
        assert dialler.downs() == []
        assert listener.transport.send(back, b"and back")

    _run(main)


def test_a_client_that_chooses_its_identity_is_not_heard() -> None:
    async def main(net: Net) -> None:
        listener = net.peer()
        port = port_of(listener.transport.bind(LOOPBACK))
        with _raw_client(port, zmtp_frame(b"I am alpha"), identity=b"alpha"):
            await listener.until(lambda: listener.transport.counts.malformed_messages, "a refusal")
        await _say(net, port, listener, b"an honest one")

        assert listener.data() == [b"an honest one"]

    _run(main)


def test_a_listener_that_sends_too_long_a_frame_loses_the_link_and_is_dialled_again() -> None:
    async def main(net: Net) -> None:
        server = _BareRouter()
        try:
            dialler = net.peer()
            dialler.transport.dial(f"tcp://127.0.0.1:{server.port}")
            link = await dialler.up()
            dialler.transport.send(link, b"hello")
            identity, _ = await asyncio.to_thread(server.router.recv_multipart)
            server.router.send_multipart([identity, bytes(QUICK.message_bytes_max + 1)])
            await dialler.down(link)
            dialler.transport.send(await dialler.up(2), b"once more")
            frames = await asyncio.to_thread(server.router.recv_multipart)
        finally:
            server.close()

        assert frames[1] == b"once more"
        assert dialler.data() == []

    _run(main)


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\xff" * 64])
def test_a_server_that_speaks_no_zeromq_is_tried_again_until_it_does(greeting: bytes) -> None:
    async def main(net: Net) -> None:
        connected = asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(greeting)
            connected.set()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        dialler, listener = net.peer(), net.peer()
        dialler.transport.dial(f"tcp://127.0.0.1:{port}")
        await asyncio.wait_for(connected.wait(), 5)
        server.close()
        await dialler.until(lambda: dialler.transport.counts.dials_failed, "a failed dial")
        assert dialler.ups() == []
        listener.transport.bind(f"tcp://127.0.0.1:{port}")
        dialler.transport.send(await dialler.up(), b"at last")
        await listener.got(b"at last")

    _run(main)


def test_a_stopped_peer_slows_no_send_is_given_up_and_comes_back() -> None:
    async def main(net: Net) -> None:
        process, address = await _echo_process()
        try:
            listener, peer = net.peer(), net.peer()
            for target in (address, listener.transport.bind(LOOPBACK)):
                peer.transport.dial(target)
            await peer.up(2)
            stopped, live = (
                next(up.link for up in peer.ups() if (up.dialled == address) is is_stopped)
                for is_stopped in (True, False)
            )
            peer.transport.send(stopped, b"hello")
            await peer.got(b"hello")
            process.send_signal(signal.SIGSTOP)
            slowest_s = await _time_sends(peer, stopped, live, listener)
            down = await peer.down(stopped)
            process.send_signal(signal.SIGCONT)
            again = await peer.up(3)
            peer.transport.send(again, b"welcome back")
            await peer.got(b"welcome back")
        finally:
            process.kill()
            await process.wait()

        assert slowest_s < 0.5  # a blocking send would have taken until the heartbeat's end
        assert down.reason == "disconnected"
        assert peer.transport.counts.sends_dropped_full > 0  # its queue did fill

    async def _time_sends(peer: Peer, stopped: object, live: object, listener: Peer) -> float:
        loop = asyncio.get_running_loop()
        slowest_s = 0.0
        for number in range(300):
            begin_s = loop.time()
            peer.transport.send(stopped, bytes(64 << 10))
            assert peer.transport.send(live, b"%d" % number)
            slowest_s = max(slowest_s, loop.time() - begin_s)
            await listener.got(b"%d" % number)
        return slowest_s

    _run(main)


def test_a_send_to_a_peer_that_dialled_and_vanished_is_refused_and_takes_its_link_down() -> None:
    async def main(net: Net) -> None:
        dialler, _, listener, back = await net.linked()
        await dialler.close()

        end_s = asyncio.get_running_loop().time() + 5
        counts = listener.transport.counts
        while not counts.sends_dropped_gone:
            listener.transport.send(back, b"anybody?")  # refused as full, before it is as gone
            assert asyncio.get_running_loop().time() < end_s

        assert (await listener.down(back)).reason == "the peer closed the connection"
        assert not listener.transport.send(back, b"nobody")

    _run(main)


def test_a_silent_identity_is_forgotten_and_is_another_link_when_it_speaks_again() -> None:
    async def main(net: Net) -> None:
        dialler, link, listener, back = await net.linked(replace(QUICK, inbound_idle_ms=1))
        while not listener.downs():
            listener.transport.wake()
            await asyncio.sleep(0)
        dialler.transport.send(link, b"after a pause")
        received = await listener.got(b"after a pause")

        assert listener.downs()[0].link == back
        assert listener.downs()[0].reason == "silent for too long"
        assert received.link != back
        assert dialler.downs() == []

    _run(main)


def test_the_table_of_identities_is_bounded_and_the_longest_silent_makes_room() -> None:
    async def main(net: Net) -> None:
        listener = net.peer(replace(QUICK, inbound_max=2))
        address = listener.transport.bind(LOOPBACK)
        for name in (b"a", b"b", b"c"):
            peer = net.peer()
            peer.transport.dial(address)
            peer.transport.send(await peer.up(), name)
            await listener.got(name)

        assert [down.link for down in listener.downs()] == [listener.received()[0].link]
        assert listener.transport.counts.inbound_expired == 1

    _run(main)


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:0", "tcp://*:0", "tcp://[::]:0", "tcp://192.0.2.1:0"]
)
def test_plain_links_are_refused_outside_loopback_when_listening(address: str) -> None:
    async def main(net: Net) -> None:
        with pytest.raises(ConfigError, match="plain links stay on this machine") as caught:
            net.peer().transport.bind(address)
        assert "encryption, which arrives with the keys of a later version" in str(caught.value)

    _run(main)


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:7701", "tcp://deid.example:7701"])
def test_plain_links_are_refused_outside_loopback_when_dialling(address: str) -> None:
    async def main(net: Net) -> None:
        peer = net.peer()
        with pytest.raises(ConfigError, match="plain links stay on this machine"):
            peer.transport.dial(address)
        assert peer.transport.counts.dials_failed == 0

    _run(main)


def test_a_name_that_leads_off_the_machine_is_not_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: found)

    async def main(net: Net) -> None:
        peer = net.peer()
        peer.transport.dial("tcp://localhost:7701")
        await peer.until(lambda: peer.transport.counts.dials_failed, "a refusal")
        assert peer.ups() == []

    _run(main)


def test_a_name_is_looked_up_and_each_of_its_addresses_tried() -> None:
    async def main(net: Net) -> None:
        listener, dialler = net.peer(), net.peer()
        address = listener.transport.bind(LOOPBACK)  # IPv4 only; localhost may be ::1 first
        dialler.transport.dial(f"tcp://localhost:{port_of(address)}")
        dialler.transport.send(await dialler.up(), b"by name")
        await listener.got(b"by name")

    _run(main)


def test_ipv6_loopback_listens_and_is_dialled() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")

    async def main(net: Net) -> None:
        listener, dialler = net.peer(), net.peer()
        address = listener.transport.bind("tcp://[::1]:0")
        dialler.transport.dial(address)
        dialler.transport.send(await dialler.up(), b"six")
        await listener.got(b"six")

        assert address.startswith("tcp://[::1]:")

    _run(main)


def test_closing_leaves_no_descriptor_and_no_thread_of_the_transport_behind() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def main(net: Net) -> None:
        warm = net.peer()  # the pyzmq helper thread and its descriptors come with the first
        warm.transport.bind(LOOPBACK)
        await warm.close()
        before = descriptors()
        for _ in range(3):
            dialler, link, listener, _ = await net.linked()
            dialler.transport.dial("tcp://127.0.0.1:9")
            dialler.transport.dial("tcp://localhost:9")
            dialler.transport.send(link, bytes(100))
            await dialler.close()
            await listener.close()

        assert descriptors() <= before

    _run(main)


def test_many_clients_that_come_and_go_leave_no_memory_of_them() -> None:
    async def main(net: Net) -> None:
        listener = net.peer(replace(QUICK, inbound_max=16))
        port = port_of(listener.transport.bind(LOOPBACK))
        for number in range(64):
            with _raw_client(port, zmtp_frame(b"%d" % number)):
                await listener.got(b"%d" % number)

        assert len(listener.ups()) == 64
        assert len(listener.downs()) == 48

    _run(main)


class _BareRouter:
    """A bare ROUTER that keeps to none of our limits."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = self._context.socket(zmq.ROUTER)
        self.router.setsockopt(zmq.LINGER, 0)
        self.router.setsockopt(zmq.RCVTIMEO, 5_000)
        self.port = self.router.bind_to_random_port("tcp://127.0.0.1", 20_000, 32_000)

    def close(self) -> None:
        self.router.close()
        self._context.term()


@contextmanager
def _connected(port: int, data: bytes) -> Iterator[socket.socket]:
    """A connection that has written ``data``."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        _write(client, data)
        yield client


@contextmanager
def _raw_client(port: int, data: bytes, identity: bytes = b"") -> Iterator[socket.socket]:
    """A connection that has gone through the ZMTP handshake and has written ``data`` then."""
    with _connected(port, ZMTP_GREETING + zmtp_ready(identity)) as client:
        head = _read(client, len(ZMTP_GREETING) + 2)  # the other's greeting, flags and size
        _read(client, head[-1])
        _write(client, data)
        yield client


def _write(client: socket.socket, data: bytes) -> None:
    with suppress(ConnectionError):  # the other side may hang up before it has read all
        client.sendall(data)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = client.recv(size - len(data))
        assert part, "hung up in the handshake"
        data += part
    return data


def _read_to_end(client: socket.socket) -> bytes:
    """All that comes until the other side hangs up; :class:`TimeoutError` if it does not."""
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(4_096):
            parts.append(part)
    return b"".join(parts)


async def _say(net: Net, port: int, listener: Peer, data: bytes) -> None:
    """An honest peer dials, says ``data`` and is heard."""
    peer = net.peer()
    peer.transport.dial(f"tcp://127.0.0.1:{port}")
    peer.transport.send(await peer.up(), data)
    await listener.got(data)


async def _echo_process() -> tuple[asyncio.subprocess.Process, str]:
    """Another process with a transport that sends back what it gets, and its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ECHO),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, line.decode().strip()


def _run(main: Callable[[Net], Coroutine[Any, Any, None]]) -> None:
    async def with_network() -> None:
        async with network("zeromq") as net:
            await main(net)

    run(with_network())
