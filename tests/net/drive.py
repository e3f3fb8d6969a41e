"""What the tests of the network rim share: transports that drain themselves, raw clients, waits.

Nothing here sleeps: every wait ends with the event it waits for, or fails at its deadline.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

from deid.net.memory import MemoryHub, MemoryTransport
from deid.net.profile import LAN, NetProfile
from deid.net.transport import Arrival, LinkDown, LinkUp, Received, Transport
from deid.net.zeromq import ZmqTransport
from deid.wire.events import Link

T = TypeVar("T")

DEADLINE_S = 10.0  # far above what any wait here takes; a failure, not a pace
LOOPBACK = "tcp://127.0.0.1:0"
# Times cut down so that what takes seconds on a network takes a fraction here.
QUICK = replace(
    LAN,
    heartbeat_ms=200,
    heartbeat_timeout_ms=600,
    handshake_ms=300,
    connect_timeout_ms=300,
    dial_slack_ms=100,
    redial_min_ms=10,
    redial_max_ms=50,
)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run an asynchronous test."""
    return asyncio.run(asyncio.wait_for(main, 3 * DEADLINE_S))


async def until(condition: Callable[[], T | None], changed: asyncio.Event, what: str) -> T:
    """The first true value of ``condition``, looked at whenever ``changed`` is set."""

    async def look() -> T:
        while not (value := condition()):
            changed.clear()
            await changed.wait()
        return value

    try:
        return await asyncio.wait_for(look(), DEADLINE_S)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S} s: {what}") from None


class Peer:
    """A transport and everything that it has told so far."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.arrivals: list[Arrival] = []
        self.changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._pump())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def close(self) -> None:
        await self.stop()
        await self.transport.close()
        self.drain()

    def drain(self, messages_max: int = 64, bytes_max: int = 1 << 22) -> list[Arrival]:
        arrivals = self.transport.drain(messages_max, bytes_max)
        self.arrivals += arrivals
        self.changed.set()
        return arrivals

    async def _pump(self) -> None:
        while True:
            await self.transport.wait(None)
            self.drain()

    # What arrived.

    def ups(self) -> list[LinkUp]:
        return [each for each in self.arrivals if isinstance(each, LinkUp)]

    def downs(self) -> list[LinkDown]:
        return [each for each in self.arrivals if isinstance(each, LinkDown)]

    def received(self) -> list[Received]:
        return [each for each in self.arrivals if isinstance(each, Received)]

    def data(self) -> list[bytes]:
        return [each.data for each in self.received()]

    async def until(self, condition: Callable[[], T | None], what: str) -> T:
        return await until(condition, self.changed, what)

    async def up(self, count: int = 1) -> Link:
        """The link of the ``count``-th LinkUp."""
        ups = await self.until(lambda: self.ups()[: count if len(self.ups()) >= count else 0], "up")
        return ups[-1].link

    async def down(self, link: Link) -> LinkDown:
        return await self.until(
            lambda: next((each for each in self.downs() if each.link == link), None), "down"
        )

    async def got(self, data: bytes) -> Received:
        return await self.until(
            lambda: next((each for each in self.received() if each.data == data), None),
            f"message {data!r:.40}",
        )


class Net:
    """Makes peers of one kind that can reach each other, and closes them all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.peers: list[Peer] = []
        self._hub = MemoryHub()

    def peer(self, profile: NetProfile = QUICK, *, started: bool = True) -> Peer:
        transport: Transport
        if self.kind == "memory":
            transport = MemoryTransport(self._hub, profile)
        else:
            transport = ZmqTransport(profile)
        peer = Peer(transport)
        self.peers.append(peer)
        if started:
            peer.start()
        return peer

    async def linked(self, profile: NetProfile = QUICK) -> tuple[Peer, Link, Peer, Link]:
        """A peer that dialled and its link, and the other and its link."""
        listener, dialler = self.peer(profile), self.peer(profile)
        dialler.transport.dial(listener.transport.bind(LOOPBACK))
        link = await dialler.up()
        assert dialler.transport.send(link, b"first")
        first = await listener.got(b"first")
        return dialler, link, listener, first.link


@asynccontextmanager
async def network(kind: str) -> AsyncIterator[Net]:
    net = Net(kind)
    try:
        yield net
    finally:
        for peer in net.peers:
            await peer.close()


def port_of(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


# ZMTP 3.0 (rfc.zeromq.org/spec/23) by hand, for what no library would send.

ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def zmtp_ready(identity: bytes = b"") -> bytes:
    """The handshake command of a DEALER."""
    body = b"\x05READY" + _property(b"Socket-Type", b"DEALER") + _property(b"Identity", identity)
    return b"\x04" + bytes([len(body)]) + body


def zmtp_frame(data: bytes, *, more: bool = False) -> bytes:
    """One message frame in its long form."""
    return bytes([0x02 | more]) + struct.pack(">Q", len(data)) + data


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value
