"""A transport without sockets, for tests of whatever lies above: peers share a hub.

The same laws and bounds as over ZeroMQ; delivery is immediate, and the hub cuts and heals.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from deid.errors import ConfigError, LocalError
from deid.net.addresses import Address, parse_address, parse_listen
from deid.net.profile import LAN, NetProfile
from deid.net.transport import Arrival, LinkDown, LinkUp, Received, TransportCounts
from deid.wire.events import Link

_PORT_FIRST = 20_000  # what the hub gives for port 0, counting up


class MemoryHub:
    """Where memory transports find each other; all of one event loop."""

    def __init__(self) -> None:
        self.links = itertools.count(1)
        self._ports = itertools.count(_PORT_FIRST)
        self._bound: dict[str, MemoryTransport] = {}
        self._dialling: dict[tuple[MemoryTransport, str], None] = {}
        self._cut: set[frozenset[MemoryTransport]] = set()

    def cut(self, one: MemoryTransport, other: MemoryTransport) -> None:
        """Break the links between two transports and keep them apart until :meth:`heal`."""
        self._cut.add(frozenset((one, other)))
        one.break_links(other, "cut")

    def heal(self, one: MemoryTransport, other: MemoryTransport) -> None:
        """Undo a cut: what is dialled connects again."""
        self._cut.discard(frozenset((one, other)))
        self.connect_all()

    def bind(self, transport: MemoryTransport, wanted: Address) -> Address:
        """Let ``transport`` be found at ``wanted``; port 0 becomes one that is free."""
        port = wanted.port or next(self._ports)
        address = Address(wanted.host, port)
        if str(address) in self._bound:
            raise ConfigError(
                f"net.listen: cannot listen on {address}: another transport of this hub does"
            )
        self._bound[str(address)] = transport
        self.connect_all()
        return address

    def dial(self, transport: MemoryTransport, address: str) -> None:
        """Connect ``transport`` to whoever is, or will be, bound to ``address``."""
        self._dialling[transport, address] = None
        self.connect_all()

    def undial(self, transport: MemoryTransport, address: str) -> None:
        """Forget a dial."""
        self._dialling.pop((transport, address), None)

    def leave(self, transport: MemoryTransport) -> None:
        """Forget ``transport``, its address and its dials."""
        self._bound = {at: who for at, who in self._bound.items() if who is not transport}
        self._dialling = {key: None for key in self._dialling if key[0] is not transport}

    def connect_all(self) -> None:
        """Connect whatever is dialled, bound and not cut."""
        for transport, address in list(self._dialling):
            target = self._bound.get(address)
            if target is not None and frozenset((transport, target)) not in self._cut:
                transport.connect(address, target)


@dataclass(slots=True)
class _Half:
    """One end of a connection: what waits to be drained here, and the other end."""

    link: Link
    owner: MemoryTransport
    dialled: str | None  # canonical
    peer: _Half | None = None  # None once the link is down
    announced: bool = False  # its LinkUp has been queued
    waiting: deque[Arrival] = field(default_factory=deque)
    messages: int = 0
    bytes: int = 0

    @property
    def half_full(self) -> bool:
        """Half of what may wait here is waiting."""
        profile = self.owner.profile
        return (
            2 * self.messages > profile.queue_messages_max
            or 2 * self.bytes > profile.send_queue_bytes_max
        )

    def discard(self) -> None:
        """Throw away the messages that wait."""
        kept = [arrival for arrival in self.waiting if not isinstance(arrival, Received)]
        self.waiting = deque(kept)
        self.messages = self.bytes = 0


class MemoryTransport:
    """See :class:`deid.net.transport.Transport`. Made inside a running event loop."""

    def __init__(self, hub: MemoryHub, profile: NetProfile = LAN) -> None:
        self.counts = TransportCounts()
        self._hub = hub
        self.profile = profile
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._halves: dict[Link, _Half] = {}
        self._ready: dict[Link, _Half] = {}  # with something waiting, in the order of service
        self._dialled: dict[str, tuple[str, _Half | None]] = {}  # canonical: (as spelt, half)
        self._closed = False

    def bind(self, address: str) -> str:
        """See :class:`Transport`."""
        return str(self._hub.bind(self, parse_listen(address)))

    def dial(self, address: str) -> bool:
        """See :class:`Transport`."""
        target = parse_address(address, "peer address")
        if target.is_wildcard:
            raise ConfigError(f"peer address: {address} is a wildcard, which nobody can dial")
        if str(target) in self._dialled:
            return True
        if self._closed or len(self._dialled) >= self.profile.dials_max:
            return False
        self._dialled[str(target)] = (address, None)
        self._hub.dial(self, str(target))
        return True

    def undial(self, address: str) -> None:
        """See :class:`Transport`."""
        canonical = str(parse_address(address, "peer address"))
        self._hub.undial(self, canonical)
        _, half = self._dialled.pop(canonical, (address, None))
        if half is not None:
            _break(half, "no longer dialled", "the peer closed the connection")

    def send(self, link: Link, data: bytes) -> bool:
        """See :class:`Transport`."""
        if not 0 < len(data) <= self.profile.message_bytes_max:
            raise LocalError(
                f"a message has 1 to {self.profile.message_bytes_max} bytes, got {len(data)}"
            )
        half = self._halves.get(link)
        if half is None or half.peer is None:
            self.counts.sends_dropped_gone += 1
            return False
        if not half.peer.owner.accept(half.peer, data):
            self.counts.sends_dropped_full += 1
            return False
        self.counts.messages_sent += 1
        self.counts.bytes_sent += len(data)
        return True

    def congested(self) -> Collection[Link]:
        """See :class:`Transport`."""
        return [link for link, half in self._halves.items() if half.peer and half.peer.half_full]

    def close_link(self, link: Link, reason: str) -> None:
        """See :class:`Transport`."""
        half = self._halves.get(link)
        if half is not None:
            self.counts.messages_muted += half.messages
            half.discard()
            _break(half, reason, "the peer closed the connection")
            self._loop.call_later(self.profile.redial_min_ms / 1000, self._hub.connect_all)

    def drain(self, messages_max: int, bytes_max: int) -> list[Arrival]:
        """See :class:`Transport`."""
        arrivals: list[Arrival] = []
        counts = self.counts
        messages_end = counts.messages_received + messages_max
        bytes_end = counts.bytes_received + bytes_max
        while self._ready:
            half = self._ready.pop(next(iter(self._ready)))
            for _ in range(self.profile.peer_quantum_messages):
                if not half.waiting:
                    break
                arrival = half.waiting[0]
                if isinstance(arrival, Received):
                    full = counts.messages_received >= messages_end
                    if full or counts.bytes_received >= bytes_end:
                        self._ready = {half.link: half, **self._ready}
                        return arrivals
                    self._count(half, arrival)
                arrivals.append(half.waiting.popleft())
            if half.waiting:
                self._ready[half.link] = half
        return arrivals

    async def wait(self, timeout_ms: int | None) -> None:
        """See :class:`Transport`."""
        await asyncio.sleep(0)
        timer = None
        if timeout_ms is not None:
            timer = self._loop.call_later(max(0, timeout_ms) / 1000, self._woken.set)
        try:
            if not self._ready:
                await self._woken.wait()
        finally:
            self._woken.clear()
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """See :class:`Transport`."""
        self._woken.set()

    async def close(self, linger_ms: int | None = None) -> None:
        """See :class:`Transport`; nothing lingers, what was sent has arrived."""
        if self._closed:
            return
        self._closed = True
        self._hub.leave(self)
        for half in list(self._halves.values()):
            _break(half, "closed here", "the peer closed the connection")
        self._dialled.clear()
        self.wake()

    # What the hub and the other end call.

    def connect(self, address: str, target: MemoryTransport) -> None:
        """Open the link to ``address``, unless it stands."""
        spelt, half = self._dialled[address]
        if half is not None:
            return
        here = _Half(next(self._hub.links), self, address)
        there = _Half(next(self._hub.links), target, None, peer=here)
        here.peer = there
        self._dialled[address] = (spelt, here)
        self._halves[here.link] = here
        target._halves[there.link] = there
        self._announce(here, spelt)

    def accept(self, half: _Half, data: bytes) -> bool:
        """Queue a message that came in on ``half``; False if its queue is full."""
        profile = self.profile
        full = half.messages >= profile.queue_messages_max
        if full or half.bytes + len(data) > profile.send_queue_bytes_max:
            return False
        half.messages += 1
        half.bytes += len(data)
        if not half.announced:
            self._announce(half, None)
        self._queue(half, Received(half.link, data))
        return True

    def break_links(self, other: MemoryTransport, reason: str) -> None:
        """Take down every link between this transport and ``other``."""
        for half in list(self._halves.values()):
            if half.peer is not None and half.peer.owner is other:
                _break(half, reason, reason)

    def end(self, half: _Half, reason: str) -> None:
        """``half`` is down; its LinkDown follows what is still waiting."""
        half.peer = None
        del self._halves[half.link]
        if half.announced:
            self._queue(half, LinkDown(half.link, reason))
        if half.dialled is not None and half.dialled in self._dialled:
            self._dialled[half.dialled] = (self._dialled[half.dialled][0], None)

    def _announce(self, half: _Half, spelt: str | None) -> None:
        half.announced = True
        self._queue(half, LinkUp(half.link, spelt))

    def _queue(self, half: _Half, arrival: Arrival) -> None:
        half.waiting.append(arrival)
        self._ready.setdefault(half.link, half)
        self._woken.set()

    def _count(self, half: _Half, received: Received) -> None:
        half.messages -= 1
        half.bytes -= len(received.data)
        self.counts.messages_received += 1
        self.counts.bytes_received += len(received.data)


def _break(half: _Half, reason: str, reason_there: str) -> None:
    peer = half.peer
    half.owner.end(half, reason)
    if peer is not None:
        peer.owner.end(peer, reason_there)
