"""ZeroMQ sockets as this package uses them: their options, readiness in asyncio, and monitors.

libzmq's descriptor is edge-triggered: it tells that *something* changed, and any call on the
socket may swallow the edge. So every socket that was touched stays in the ready set until it has
been seen empty (:class:`ReadySet`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

import zmq
from zmq.utils.monitor import parse_monitor_message

from deid.net.profile import NetProfile

Socket: TypeAlias = "zmq.Socket[bytes]"

# From here on a message is handed over without a copy, so that its end can be tracked; below, a
# full queue is a bound of its own (256 messages of 4 KiB are 1 MiB).
TRACKED_BYTES_MIN = 4_096

_NEVER_MS = 86_400_000  # a day: the socket is replaced long before

_monitor_names = itertools.count()


def open_socket(context: zmq.Context[Socket], kind: int, profile: NetProfile) -> Socket:
    """A socket of ``kind`` with every limit of ``profile`` set, neither bound nor connected."""
    socket = context.socket(kind)
    options = {
        zmq.LINGER: 0,
        zmq.SNDHWM: profile.queue_messages_max,
        zmq.RCVHWM: profile.queue_messages_max,
        zmq.MAXMSGSIZE: profile.message_bytes_max,
        # Nothing is queued before a connection stands, because nothing is sent before its monitor
        # says so. IMMEDIATE = 1, and likewise RECONNECT_IVL = -1, would throw away what has come
        # in and is unread when a connection ends (seen with libzmq 4.3.5).
        zmq.IMMEDIATE: 0,
        zmq.RECONNECT_IVL: _NEVER_MS,  # the dialler makes a new socket: one link, one connection
        zmq.HEARTBEAT_IVL: profile.heartbeat_ms,
        zmq.HEARTBEAT_TIMEOUT: profile.heartbeat_timeout_ms,
        zmq.HEARTBEAT_TTL: profile.heartbeat_timeout_ms,  # the peer's patience with us
        zmq.HANDSHAKE_IVL: profile.handshake_ms,
        zmq.CONNECT_TIMEOUT: profile.connect_timeout_ms,
        zmq.BACKLOG: profile.backlog,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    socket.copy_threshold = TRACKED_BYTES_MIN
    return socket


class SendQueue:
    """Sends to one peer without waiting, within a bound in bytes beside libzmq's in messages."""

    __slots__ = ("_bytes_max", "_in_flight", "_paused_until_s", "_queued_bytes")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._in_flight: deque[tuple[zmq.MessageTracker, int]] = deque()
        self._queued_bytes = 0
        self._paused_until_s = 0.0

    def pause(self, until_s: float) -> None:
        """Be congested until then, whatever the bytes say; the clock is the caller's."""
        self._paused_until_s = until_s

    @property
    def half_full(self) -> bool:
        """More than half of the bytes were taken when last looked at."""
        return 2 * self._queued_bytes > self._bytes_max

    def congested(self, now_s: float) -> bool:
        """More than half of the bytes are taken, or a pause is on."""
        self._forget_sent()
        return now_s < self._paused_until_s or self.half_full

    def send(self, socket: Socket, data: bytes, identity: bytes | None = None) -> bool:
        """False if the queue is full; other :class:`zmq.ZMQError` go through."""
        size = len(data)
        tracked = size >= TRACKED_BYTES_MIN
        if tracked and not self._has_room(size):
            return False
        try:
            if identity is not None:
                socket.send(identity, zmq.DONTWAIT | zmq.SNDMORE)
            if not tracked:
                socket.send(data, zmq.DONTWAIT)
                return True
            tracker = socket.send(data, zmq.DONTWAIT, copy=False, track=True)
        except zmq.Again:
            return False
        self._in_flight.append((tracker, size))
        self._queued_bytes += size
        return True

    def _has_room(self, size: int) -> bool:
        self._forget_sent()
        return self._queued_bytes + size <= self._bytes_max

    def _forget_sent(self) -> None:
        in_flight = self._in_flight
        while in_flight and in_flight[0][0].done:
            self._queued_bytes -= in_flight.popleft()[1]


class Monitor:
    """The events of one socket's connections, read without waiting."""

    __slots__ = ("_watched", "socket")

    def __init__(self, context: zmq.Context[Socket], watched: Socket, events: int) -> None:
        name = f"inproc://deid-monitor-{next(_monitor_names)}"
        watched.monitor(name, events)
        self._watched = watched
        self.socket = context.socket(zmq.PAIR)
        # Unbounded: at a bound, libzmq's I/O thread would wait for us with all links on it.
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(name)

    def events(self, events_max: int) -> Iterator[int]:
        """At most ``events_max`` events (:class:`zmq.Event` values) in their order."""
        for _ in range(events_max):
            try:
                frames = self.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            yield int(parse_monitor_message(frames)["event"])

    def close(self) -> None:
        """Stop watching; before the watched socket is closed."""
        self._watched.monitor(None, 0)
        self.socket.close(0)


class ReadySet:
    """Which sockets may have something to read, in the order in which they are to be served."""

    __slots__ = ("_asked", "_descriptors", "_loop", "_ready", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._descriptors: dict[Socket, int] = {}
        self._ready: dict[Socket, None] = {}  # insertion order: the first is served first
        self._woken = asyncio.Event()
        self._asked = False

    def __iter__(self) -> Iterator[Socket]:
        return iter(list(self._ready))

    def __contains__(self, socket: Socket) -> bool:
        return socket in self._ready

    def add(self, socket: Socket) -> None:
        """Watch ``socket`` from now on."""
        descriptor = int(socket.getsockopt(zmq.FD))
        self._descriptors[socket] = descriptor
        self._loop.add_reader(descriptor, self.touch, socket)
        self.touch(socket)

    def remove(self, socket: Socket) -> None:
        """Forget ``socket``; before it is closed."""
        self._loop.remove_reader(self._descriptors.pop(socket))
        self._ready.pop(socket, None)

    def touch(self, socket: Socket) -> None:
        """``socket`` may have become readable: it was written to, or its descriptor fired."""
        if socket in self._descriptors:
            self._ready.setdefault(socket)
            self._woken.set()

    def seen_empty(self, socket: Socket) -> None:
        """A receive found nothing: the descriptor will tell of the next change."""
        self._ready.pop(socket, None)

    def serve_last(self, socket: Socket) -> None:
        """``socket`` has had its turn and may have more."""
        if socket in self._ready:
            del self._ready[socket]
            self._ready[socket] = None

    def wake(self) -> None:
        """Make the current or the next :meth:`wait` return."""
        self._asked = True
        self._woken.set()

    async def wait(self, timeout_ms: int | None) -> None:
        """Return when a socket is readable, or woken, or after ``timeout_ms``."""
        await asyncio.sleep(0)
        timer = None
        if timeout_ms is not None:
            timer = self._loop.call_later(max(0, timeout_ms) / 1000, self.wake)
        try:
            while not self._asked and not self._any_readable():
                self._woken.clear()
                await self._woken.wait()
        finally:
            self._asked = False
            if timer is not None:
                timer.cancel()

    def _any_readable(self) -> bool:
        for socket in list(self._ready):
            if int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return True
            self.seen_empty(socket)
        return False
