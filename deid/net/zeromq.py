"""The transport over ZeroMQ: one ROUTER that listens, one DEALER for each address dialled.

Routing identities are left to libzmq: a client that chooses one is refused, because a chosen
identity could be somebody else's. All sends are DONTWAIT.

One bound is out of reach from here: libzmq hands a message over when its last frame is in, and
has no limit on frames, so a peer that never ends a message makes it buffer without bound
(seen with libzmq 4.3.5). Plain links come from this machine only; see docs/protocol.md, Limits.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import structlog
import zmq

from deid.errors import ConfigError, LocalError
from deid.net.addresses import Address, parse_address, parse_listen
from deid.net.dialler import Dialler, DialState
from deid.net.profile import LAN, NetProfile
from deid.net.security import LinkSecurity, PlainSecurity
from deid.net.sockets import Monitor, ReadySet, SendQueue, Socket, open_socket
from deid.net.transport import Arrival, LinkDown, LinkUp, Received, TransportCounts
from deid.wire.events import Link

_log = structlog.get_logger(__name__)

_IDENTITY_BYTES = 5  # libzmq's own identities: a zero byte and a 32-bit counter
_FRAMES_DISCARDED_MAX = 256  # of a malformed message, in one turn
_EVENTS_MAX = 256  # of the ROUTER's monitor, in one turn
_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


@dataclass(slots=True)
class _Outlet:
    """The sending side of a link; identity: None on a DEALER, which has one peer."""

    socket: Socket
    identity: bytes | None
    queue: SendQueue


@dataclass(slots=True)
class _Inbound:
    """A peer that dialled us."""

    link: Link
    heard_s: float


class ZmqTransport:
    """See :class:`deid.net.transport.Transport`. Made inside a running event loop."""

    def __init__(
        self,
        profile: NetProfile = LAN,
        security: LinkSecurity | None = None,
        *,
        rng: Random | None = None,
    ) -> None:
        """``security``: plain by default. ``rng`` jitters the back-off between dials."""
        self.counts = TransportCounts()
        self._profile = profile
        self._security = security or PlainSecurity()
        self._rng = rng or Random()
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[Socket] = zmq.Context(io_threads=1)
        self._resolver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="deid-lookup")
        self._ready = ReadySet(self._loop)
        self._arrivals: list[Arrival] = []  # ups and downs as they happen, messages when drained
        self._links = itertools.count(1)
        self._outlets: dict[Link, _Outlet] = {}
        self._router: Socket | None = None
        self._router_monitor: Monitor | None = None
        self._inbound: OrderedDict[bytes, _Inbound] = OrderedDict()  # longest silent first
        self._muted: dict[bytes, None] = {}  # identities whose link was closed here, oldest first
        self._pressed: dict[Link, SendQueue] = {}  # links that were congested when last looked at
        self._diallers: dict[str, Dialler] = {}  # by canonical address
        self._by_dealer: dict[Socket, Dialler] = {}
        self._by_monitor: dict[Socket, Dialler] = {}
        self._draining: set[Dialler] = set()  # disconnected, with something left to read
        self._mid_message: set[Socket] = set()  # the rest of a malformed message comes next
        self._closed = False

    def bind(self, address: str) -> str:
        """See :class:`Transport`; may be called once."""
        if self._router is not None or self._closed:
            raise LocalError(f"a transport listens on one address, asked for {address} as well")
        wanted = parse_listen(address)
        self._security.check(wanted, "net.listen")
        router = open_socket(self._context, zmq.ROUTER, self._profile)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # tells of peers gone and of full queues
        router.setsockopt(zmq.IPV6, int(wanted.is_ipv6))
        self._security.secure_router(router)
        try:
            router.bind(str(wanted))
        except zmq.ZMQError as error:
            router.close(0)
            raise ConfigError(
                f"net.listen: cannot listen on {wanted}: {error.strerror}",
                hint="is another daemon running with this address, or is the address another's?",
            ) from error
        self._router = router
        self._router_monitor = Monitor(self._context, router, int(_REFUSED))
        self._ready.add(router)
        self._ready.add(self._router_monitor.socket)
        actual = router.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(actual, bytes)
        return str(parse_address(actual.rstrip(b"\0").decode(), "net.listen"))

    def dial(self, address: str) -> bool:
        """See :class:`Transport`."""
        target = parse_address(address, "peer address")
        if target.is_wildcard:
            raise ConfigError(f"peer address: {address} is a wildcard, which nobody can dial")
        self._security.check(target, "peer address")
        if str(target) in self._diallers:
            return True
        if self._closed or len(self._diallers) >= self._profile.dials_max:
            return False
        self._diallers[str(target)] = dialler = self._new_dialler(address, target)
        dialler.start()
        return True

    def undial(self, address: str) -> None:
        """See :class:`Transport`."""
        dialler = self._diallers.pop(str(parse_address(address, "peer address")), None)
        if dialler is not None:
            dialler.stop("no longer dialled", self._profile.linger_ms)

    def send(self, link: Link, data: bytes) -> bool:
        """See :class:`Transport`."""
        if not 0 < len(data) <= self._profile.message_bytes_max:
            raise LocalError(
                f"a message has 1 to {self._profile.message_bytes_max} bytes, got {len(data)}"
            )
        outlet = self._outlets.get(link)
        if outlet is None:
            self.counts.sends_dropped_gone += 1
            return False
        try:
            queued = outlet.queue.send(outlet.socket, data, outlet.identity)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH or outlet.identity is None:
                raise
            self.counts.sends_dropped_gone += 1
            self._forget_inbound(outlet.identity, "the peer closed the connection")
            return False
        finally:
            self._ready.touch(outlet.socket)  # a send may have swallowed the edge of a message
        if not queued:
            outlet.queue.pause(self._loop.time() + self._profile.congestion_ms / 1000)
            self._pressed[link] = outlet.queue
            self.counts.sends_dropped_full += 1
            return False
        if outlet.queue.half_full:
            self._pressed[link] = outlet.queue
        self.counts.messages_sent += 1
        self.counts.bytes_sent += len(data)
        return True

    def congested(self) -> Collection[Link]:
        """See :class:`Transport`."""
        now_s = self._loop.time()
        for link, queue in list(self._pressed.items()):
            if not queue.congested(now_s):
                del self._pressed[link]
        return self._pressed.keys()

    def close_link(self, link: Link, reason: str) -> None:
        """See :class:`Transport`."""
        outlet = self._outlets.get(link)
        if outlet is None:
            return
        if outlet.identity is None:
            self._by_dealer[outlet.socket].drop(reason, self._profile.linger_ms)
            return
        self._forget_inbound(outlet.identity, reason)
        self._muted[outlet.identity] = None
        if len(self._muted) > self._profile.inbound_max:
            del self._muted[next(iter(self._muted))]

    def drain(self, messages_max: int, bytes_max: int) -> list[Arrival]:
        """See :class:`Transport`."""
        if not self._closed:
            self._read_monitors()
            self._expire_inbound()
            self._read_all(
                self.counts.messages_received + messages_max,
                self.counts.bytes_received + bytes_max,
            )
            self._end_drained()
        arrivals = list(self._arrivals)
        self._arrivals.clear()
        return arrivals

    async def wait(self, timeout_ms: int | None) -> None:
        """See :class:`Transport`."""
        if not self._arrivals:
            await self._ready.wait(timeout_ms)

    def wake(self) -> None:
        """See :class:`Transport`."""
        self._ready.wake()

    async def close(self, linger_ms: int | None = None) -> None:
        """See :class:`Transport`."""
        if self._close_sockets(self._profile.linger_ms if linger_ms is None else linger_ms):
            await asyncio.to_thread(self._context.term)  # waits for lingering sockets, no longer

    def abandon(self) -> None:
        """Close at once, without an event loop's help; what was queued is lost."""
        if self._close_sockets(0):
            self._context.term()

    def _close_sockets(self, linger_ms: int) -> bool:
        if self._closed:
            return False
        self._closed = True
        for dialler in self._diallers.values():
            dialler.stop("closed here", linger_ms)
        self._diallers.clear()
        for identity in list(self._inbound):
            self._forget_inbound(identity, "closed here")
        if self._router is not None and self._router_monitor is not None:
            self._ready.remove(self._router)
            self._ready.remove(self._router_monitor.socket)
            self._router_monitor.close()
            self._router.close(linger_ms)
        self._resolver.shutdown(wait=False, cancel_futures=True)
        self._ready.wake()
        return True

    # What the diallers report (DialOwner).

    def dial_opened(self, dialler: Dialler, monitored: Socket, dealer: Socket) -> None:
        """Watch a new attempt's sockets."""
        self._by_monitor[monitored] = dialler
        self._by_dealer[dealer] = dialler
        self._ready.add(monitored)
        self._ready.add(dealer)

    def dial_up(self, dialler: Dialler) -> Link:
        """Name the link that has come up, and tell of it."""
        assert dialler.dealer is not None
        link = next(self._links)
        queue = SendQueue(self._profile.send_queue_bytes_max)
        self._outlets[link] = _Outlet(dialler.dealer, None, queue)
        self._arrivals.append(LinkUp(link, dialler.text))
        return link

    def dial_closed(self, dialler: Dialler, monitored: Socket, dealer: Socket) -> None:
        """Forget an attempt's sockets."""
        self._ready.remove(monitored)
        self._ready.remove(dealer)
        del self._by_monitor[monitored]
        del self._by_dealer[dealer]
        self._mid_message.discard(dealer)

    def dial_down(self, dialler: Dialler, link: Link, reason: str) -> None:
        """Forget a link, and tell of it."""
        self._down(link, reason)

    def dial_failed(self, dialler: Dialler, reason: str) -> None:
        """Count an attempt that led to nothing."""
        self.counts.dials_failed += 1
        self._ready.wake()

    # Reading.

    def _read_monitors(self) -> None:
        for socket in self._ready:
            if self._router_monitor is not None and socket is self._router_monitor.socket:
                refused = sum(1 for _ in self._router_monitor.events(_EVENTS_MAX))
                self.counts.handshakes_failed += refused
            elif (dialler := self._by_monitor.get(socket)) is not None:
                dialler.monitored()
                if dialler.state is DialState.DRAINING:
                    self._draining.add(dialler)
                if dialler.dealer is not None:
                    self._ready.touch(dialler.dealer)  # its state says now what may be read

    def _end_drained(self) -> None:
        """Disconnected links end once all that had arrived on them has been read."""
        for dialler in list(self._draining):
            dealer = dialler.dealer
            if dealer is None or not int(dealer.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                self._draining.discard(dialler)
                dialler.drained()

    def _read_all(self, messages_end: int, bytes_end: int) -> None:
        """Read in turns until nothing is left or the counters reach their ends."""
        counts = self.counts
        served = True
        while served:
            served = False
            for socket in self._ready:
                quantum = min(self._quantum(socket), messages_end - counts.messages_received)
                if quantum > 0 and counts.bytes_received < bytes_end:
                    served |= self._read(socket, quantum, bytes_end)
                    self._ready.serve_last(socket)

    def _quantum(self, socket: Socket) -> int:
        """Messages that one turn takes from ``socket``; the ROUTER takes turns of its own."""
        if socket is self._router:
            return self._profile.peer_quantum_messages * max(1, len(self._inbound))
        dialler = self._by_dealer.get(socket)
        if dialler is None or dialler.state not in (DialState.UP, DialState.DRAINING):
            return 0
        return self._profile.peer_quantum_messages

    def _read(self, socket: Socket, quantum: int, bytes_end: int) -> bool:
        """Read up to ``quantum`` messages; False once the socket is empty or out of favour."""
        try:
            for _ in range(quantum):
                if self.counts.bytes_received >= bytes_end:
                    return False
                if socket in self._mid_message and not self._discard(socket):
                    return False  # the rest in the next turn
                self._read_message(socket)
        except zmq.Again:
            self._ready.seen_empty(socket)
            return False
        return True

    def _read_message(self, socket: Socket) -> None:
        identity = socket.recv(zmq.DONTWAIT) if socket is self._router else None
        data = socket.recv(zmq.DONTWAIT)
        chosen = identity is not None and (len(identity) != _IDENTITY_BYTES or identity[0] != 0)
        more = bool(socket.getsockopt(zmq.RCVMORE))
        if more:
            self._mid_message.add(socket)
        self.counts.messages_received += 1
        self.counts.bytes_received += len(data)
        if more or chosen or not data:
            self.counts.malformed_messages += 1
            self.counts.malformed_frames += 1
            return
        if identity in self._muted:
            self.counts.messages_muted += 1
            return
        link = self._heard(identity) if identity is not None else self._by_dealer[socket].link
        assert link is not None
        self._arrivals.append(Received(link, data))

    def _discard(self, socket: Socket) -> bool:
        """Throw the rest of a malformed message away; True once it has ended."""
        for _ in range(_FRAMES_DISCARDED_MAX):
            socket.recv(zmq.DONTWAIT)
            self.counts.malformed_frames += 1
            if not socket.getsockopt(zmq.RCVMORE):
                self._mid_message.discard(socket)
                return True
        return False

    # Links.

    def _heard(self, identity: bytes) -> Link:
        now_s = self._loop.time()
        inbound = self._inbound.get(identity)
        if inbound is not None:
            inbound.heard_s = now_s
            self._inbound.move_to_end(identity)
            return inbound.link
        if len(self._inbound) >= self._profile.inbound_max:
            self._expire(next(iter(self._inbound)), "displaced: too many peers dialled us")
        link = next(self._links)
        assert self._router is not None
        queue = SendQueue(self._profile.send_queue_bytes_max)
        self._inbound[identity] = _Inbound(link, now_s)
        self._outlets[link] = _Outlet(self._router, identity, queue)
        self._arrivals.append(LinkUp(link, None))
        return link

    def _expire_inbound(self) -> None:
        deadline_s = self._loop.time() - self._profile.inbound_idle_ms / 1000
        while self._inbound:
            identity, inbound = next(iter(self._inbound.items()))
            if inbound.heard_s >= deadline_s:
                return
            self._expire(identity, "silent for too long")

    def _expire(self, identity: bytes, reason: str) -> None:
        self.counts.inbound_expired += 1
        self._forget_inbound(identity, reason)

    def _forget_inbound(self, identity: bytes, reason: str) -> None:
        self._down(self._inbound.pop(identity).link, reason)

    def _down(self, link: Link, reason: str) -> None:
        del self._outlets[link]
        self._pressed.pop(link, None)
        self._arrivals.append(LinkDown(link, reason))
        self._ready.wake()

    def _new_dialler(self, text: str, target: Address) -> Dialler:
        return Dialler(
            text,
            target,
            self,
            self._context,
            self._profile,
            self._security,
            self._resolver,
            self._rng,
        )
