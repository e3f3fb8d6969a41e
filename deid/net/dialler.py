"""Keeps one address connected: a fresh DEALER for every attempt, a back-off between them.

One socket serves one connection, so nothing of an earlier one can be mistaken for the next, and a
socket that libzmq has given up silently (a refusal, a protocol error) is replaced like any other.

::

    waiting -> resolving -> connecting -> up -> draining -> waiting
                   |            |                              ^
                   +------------+------------------------------+
"""

from __future__ import annotations

import asyncio
import socket as sockets
from concurrent.futures import Executor
from enum import Enum
from functools import partial
from ipaddress import ip_address
from random import Random
from typing import Protocol

import structlog
import zmq

from deid.errors import ConfigError
from deid.net.addresses import Address
from deid.net.profile import NetProfile
from deid.net.security import LinkSecurity
from deid.net.sockets import Monitor, Socket, open_socket
from deid.wire.events import Link

_log = structlog.get_logger(__name__)

_FAILED = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _FAILED
_EVENTS_MAX = 16  # one attempt has fewer

# Why a dial failed, for people; the most telling one wins over a plain "closed".
_REASONS = {
    int(zmq.EVENT_CLOSED): "refused or unreachable",
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL): "the peer ended the handshake or was too slow",
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): "the peer speaks another protocol",
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH): "the peer refused our key",
    int(zmq.EVENT_DISCONNECTED): "disconnected",
}


class DialState(Enum):
    """Where a dialler stands."""

    WAITING = "waiting"
    RESOLVING = "resolving"
    CONNECTING = "connecting"
    UP = "up"
    DRAINING = "draining"  # disconnected, but what had arrived is still to be read


class DialOwner(Protocol):
    """What a dialler asks of its transport."""

    def dial_opened(self, dialler: Dialler, monitored: Socket, dealer: Socket) -> None:
        """Watch both sockets: a new attempt has begun."""
        ...

    def dial_up(self, dialler: Dialler) -> Link:
        """The connection stands: name its link."""
        ...

    def dial_closed(self, dialler: Dialler, monitored: Socket, dealer: Socket) -> None:
        """Forget both sockets; they are closed next."""
        ...

    def dial_down(self, dialler: Dialler, link: Link, reason: str) -> None:
        """The link of this dialler is gone."""
        ...

    def dial_failed(self, dialler: Dialler, reason: str) -> None:
        """An attempt ended without a link."""
        ...


class Dialler:
    """One address, dialled until :meth:`stop`."""

    def __init__(
        self,
        text: str,
        address: Address,
        owner: DialOwner,
        context: zmq.Context[Socket],
        profile: NetProfile,
        security: LinkSecurity,
        resolver: Executor,
        rng: Random,
    ) -> None:
        """``text`` is the address as the caller spelt it; ``rng`` jitters the back-off."""
        self.text = text
        self.state = DialState.WAITING
        self.dealer: Socket | None = None
        self.link: Link | None = None
        self._address = address
        self._owner = owner
        self._context = context
        self._profile = profile
        self._security = security
        self._resolver = resolver
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._monitor: Monitor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lookup: asyncio.Future[list[str]] | None = None
        self._hosts: list[str] = []  # numeric, still to be tried before the next back-off
        self._failures = 0
        self._up_at_s = 0.0

    def start(self) -> None:
        """Begin the first attempt; never waits."""
        if self._address.ip is not None:
            self._connect(self._address)
            return
        self.state = DialState.RESOLVING
        self._lookup = self._loop.run_in_executor(
            self._resolver, partial(_look_up, self._address.host)
        )
        self._lookup.add_done_callback(self._resolved)

    def stop(self, reason: str, linger_ms: int = 0) -> None:
        """End for good; a link goes down with ``reason``. Sent messages have ``linger_ms``."""
        if self._lookup is not None:
            self._lookup.remove_done_callback(self._resolved)
            self._lookup.cancel()
        self._cancel_timer()
        self.monitored()
        link = self.link
        # Without a connection nothing can leave, and lingering would only hold up the end.
        self._close(linger_ms if self.state is DialState.UP else 0)
        self._cancel_timer()
        if link is not None:
            self._owner.dial_down(self, link, reason)

    def monitored(self) -> None:
        """Read the monitor's events and act on them."""
        if self._monitor is None:
            return
        for event in self._monitor.events(_EVENTS_MAX):
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED and self.state is DialState.CONNECTING:
                self._cancel_timer()
                self.state = DialState.UP
                self._up_at_s = self._loop.time()
                self.link = self._owner.dial_up(self)
            elif self.state is DialState.UP:
                self.state = DialState.DRAINING
            elif self.state is DialState.CONNECTING:
                self._failed(_REASONS.get(event, "failed"))
                return

    def drained(self) -> None:
        """The DEALER was read empty: a disconnected link ends here."""
        if self.state is DialState.DRAINING:
            self.drop(_REASONS[int(zmq.EVENT_DISCONNECTED)])

    def drop(self, reason: str, linger_ms: int = 0) -> None:
        """End the link, if there is one, and dial again after the back-off.

        What was sent has ``linger_ms`` to leave.
        """
        link = self.link
        if link is None:
            return
        up_ms = (self._loop.time() - self._up_at_s) * 1000
        self._failures = 0 if up_ms >= self._profile.redial_max_ms else self._failures + 1
        self._hosts.clear()
        self._close(linger_ms)
        self._owner.dial_down(self, link, reason)
        self._wait()

    def _resolved(self, lookup: asyncio.Future[list[str]]) -> None:
        self._lookup = None
        if lookup.cancelled():
            return
        error = lookup.exception()
        if error is not None:
            self._failed(f"no address found: {error}")
            return
        self._hosts = lookup.result()
        self._connect_next_host()

    def _connect_next_host(self) -> None:
        address = Address(self._hosts.pop(0), self._address.port)
        try:
            self._security.check(address, self.text)
        except ConfigError as error:
            self._failed(error.message)
        else:
            self._connect(address)

    def _connect(self, address: Address) -> None:
        self.state = DialState.CONNECTING
        dealer = open_socket(self._context, zmq.DEALER, self._profile)
        dealer.setsockopt(zmq.IPV6, int(address.is_ipv6))
        self._security.secure_dealer(dealer, address)
        monitor = Monitor(self._context, dealer, int(_WATCHED))
        self.dealer, self._monitor = dealer, monitor
        self._owner.dial_opened(self, monitor.socket, dealer)
        profile = self._profile
        patience_ms = profile.connect_timeout_ms + profile.handshake_ms + profile.dial_slack_ms
        self._timer = self._loop.call_later(patience_ms / 1000, self._silent)
        try:
            dealer.connect(str(address))
        except zmq.ZMQError as error:  # no route, no IPv6 here
            self._failed(str(error))

    def _silent(self) -> None:
        self._failed("the peer answered nothing that is ZeroMQ")

    def _failed(self, reason: str) -> None:
        self._close(0)
        self._owner.dial_failed(self, reason)
        if self._hosts:  # a name has several addresses: the next one at once
            self._connect_next_host()
            return
        if self._failures == 0:
            _log.info("dial.failed", address=self.text, reason=reason)
        self._failures += 1
        self._wait()

    def _wait(self) -> None:
        profile = self._profile
        doublings = min(max(self._failures - 1, 0), 16)
        ceiling_ms = min(profile.redial_max_ms, profile.redial_min_ms << doublings)
        delay_ms = ceiling_ms * self._rng.uniform(0.5, 1.0)
        self.state = DialState.WAITING
        self._timer = self._loop.call_later(delay_ms / 1000, self.start)

    def _close(self, linger_ms: int) -> None:
        self._cancel_timer()
        self.link = None
        self.state = DialState.WAITING
        if self.dealer is None or self._monitor is None:
            return
        self._owner.dial_closed(self, self._monitor.socket, self.dealer)
        self._monitor.close()
        self.dealer.close(linger_ms)
        self.dealer = self._monitor = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _look_up(host: str) -> list[str]:
    """Numeric addresses of ``host``, in the system's order; :class:`OSError` if there are none."""
    found = sockets.getaddrinfo(host, None, type=sockets.SOCK_STREAM)
    return list(dict.fromkeys(str(ip_address(str(entry[4][0]))) for entry in found))
