"""The collective as the daemon sees it: a protocol core and a transport, kept going by one task.

The pump takes what has arrived to the core, lets time pass in it, and sends what it wants sent.
It works in turns of a few milliseconds (:attr:`NetProfile.receive_turn_ms`), so that the loop's
other tasks are never held up, and nothing that a peer does, or that a bug makes of it, ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from deid.errors import ConfigError, LocalError
from deid.net.addresses import parse_address
from deid.net.profile import LAN, NetProfile
from deid.net.transport import Arrival, LinkDown, LinkUp, Transport
from deid.wire.events import (
    Event,
    ItemReceived,
    ItemsExpired,
    Link,
    LinkRefused,
    PeerStatus,
    RefusedByPeer,
)
from deid.wire.gather import Mailbox, Snapshot
from deid.wire.item import ItemName, SignedItem
from deid.wire.node import Draft, Node

_log = structlog.get_logger(__name__)

_WAIT_MS_MAX = 1_000  # the pump looks around at least so often, whatever the core's deadline
_RETRY_MS = 100  # to the next turn after a step of this one failed
_REFUSED_DIALS_MAX = 256  # addresses whose refusal was logged; beyond, they are only counted

T = TypeVar("T")


@dataclass(slots=True)
class PumpCounts:
    """What the pump did and survived, since the start."""

    turns: int = 0
    turns_cut_short: int = 0  # by their time: the rest was taken up in the next
    messages_lost: int = 0  # sends that a transport refused
    failures: int = 0  # bugs of ours, logged and survived
    dials_refused: int = 0  # addresses from peers that may not be dialled


class Collective:
    """Owns a core and a transport between :meth:`start` and :meth:`stop`.

    ``on_events`` gets every event of the core, in order, the events of a turn together (one
    transaction), within that turn: it must not wait. Received items go on to ``mailbox`` once it
    has returned, so what it stores is stored before the search can see it; if it raises, that is
    logged and counted, and the search does not get that turn's items.
    """

    def __init__(
        self,
        node: Node,
        transport: Transport,
        mailbox: Mailbox,
        on_events: Callable[[Sequence[Event]], None],
        *,
        seeds: Sequence[str] = (),
        profile: NetProfile = LAN,
    ) -> None:
        """``seeds`` are the core's: addresses that stay dialled even if they never answer."""
        self.node = node
        self.transport = transport
        self.mailbox = mailbox
        self.counts = PumpCounts()
        self._on_events = on_events
        self._seeds = frozenset(_canonical(seed) for seed in seeds)
        self._profile = profile
        self._loop = asyncio.get_running_loop()
        self._pump_task: asyncio.Task[None] | None = None
        self._stopping = False
        self._arrived: deque[Arrival] = deque()
        self._unsent: deque[tuple[Link, bytes]] = deque()
        self._dialled_by: dict[Link, str] = {}
        self._give_up_ms: dict[str, int] = {}  # learned addresses without a link -> when
        self._refused_dials: set[str] = set()

    def start(self) -> None:
        """Begin to pump; returns at once, whether or not anybody can be reached."""
        if self._pump_task is not None:
            raise LocalError("a collective is started once")
        self._pump_task = asyncio.create_task(self._pump(), name="collective-pump")

    async def stop(self, linger_ms: int | None = None) -> None:
        """Say goodbye, let what was queued leave for at most ``linger_ms``, and close."""
        self._stopping = True
        self.transport.wake()
        if self._pump_task is not None:
            await self._pump_task
        self._guarded("send", self._send_all, None)  # items first: a goodbye ends the exchange
        self._guarded("leave", partial(self.node.leave, self.now_ms()), None)
        self._guarded("send", self._send_all, None)
        await self.transport.close(linger_ms)

    def now_ms(self) -> int:
        """The core's clock: the event loop's, monotonic."""
        return int(self._loop.time() * 1000)

    # What the search calls: none of these touches a socket.

    def publish(self, drafts: Sequence[Draft]) -> list[SignedItem]:
        """Sign and append; nothing leaves before :meth:`committed` names the items."""
        return self.node.publish(self.now_ms(), drafts)

    def committed(self, names: Iterable[ItemName]) -> None:
        """These items are durable here: let them go out."""
        self.node.committed(self.now_ms(), names)
        self.transport.wake()

    def take(self, round_number: int) -> Snapshot:
        """Everything that arrived since the last call, and the report; never waits."""
        return self.mailbox.take(self.now_ms(), round_number, self.node.peers())

    def announce_round(self, round_number: int) -> None:
        """Tell peers which round this node is in."""
        self.node.announce_round(self.now_ms(), round_number)
        self.transport.wake()

    def raise_epoch(self, epoch: int) -> list[SignedItem]:
        """Begin a new epoch of the own log; commit what is returned like a publication."""
        return self.node.raise_epoch(self.now_ms(), epoch)

    def judged(self, signed: SignedItem, *, holds: bool) -> None:
        """The claim of ``signed`` was run again: a false one is told to all peers."""
        self.node.judged(self.now_ms(), signed, holds=holds)
        self.transport.wake()

    def peers(self) -> tuple[PeerStatus, ...]:
        """The core's view of every peer."""
        return self.node.peers()

    def settled(self) -> bool:
        """Every live peer of this task holds what this node holds, by its last word."""
        return self.node.settled()

    # The pump.

    async def _pump(self) -> None:
        while not self._stopping:
            wait_ms = self._guarded("turn", self._turn, None)
            try:
                if wait_ms is None:  # a bug in every turn must not take the whole processor
                    await asyncio.sleep(_RETRY_MS / 1000)
                else:
                    await self.transport.wait(wait_ms)
            except Exception:  # noqa: BLE001 - as in _guarded
                self._failed("wait")
                await asyncio.sleep(_RETRY_MS / 1000)

    def _turn(self) -> int:
        """One turn; returns how long the pump may wait for the next, in milliseconds."""
        self.counts.turns += 1
        self._receive(self._loop.time() + self._profile.receive_turn_ms / 1000)
        retry_ms = self.now_ms() + _RETRY_MS
        deadline_ms = self._guarded("tick", partial(self.node.tick, self.now_ms()), retry_ms)
        self._guarded("dial", self._dial, None)
        self._send(self._loop.time() + self._profile.send_turn_ms / 1000)
        self._tell(self._guarded("events", self.node.events, []))
        return self._wait_ms(deadline_ms)

    def _wait_ms(self, deadline_ms: int) -> int:
        if self._arrived or self._unsent:
            self.counts.turns_cut_short += 1
            return 0
        wait_ms = min(max(0, deadline_ms - self.now_ms()), _WAIT_MS_MAX)
        if self.transport.congested():
            wait_ms = min(wait_ms, self._profile.congestion_ms)
        return wait_ms

    def _receive(self, until_s: float) -> None:
        if not self._arrived:
            profile = self._profile
            self._arrived.extend(
                self.transport.drain(profile.turn_messages_max, profile.turn_bytes_max)
            )
        while self._arrived and self._loop.time() < until_s:
            self._guarded("receive", partial(self._take_in, self._arrived.popleft()), None)

    def _take_in(self, arrival: Arrival) -> None:
        now_ms = self.now_ms()
        link = arrival.link
        if isinstance(arrival, LinkUp):
            if arrival.dialled is not None:
                address = _canonical(arrival.dialled)
                self._dialled_by[link] = address
                self._give_up_ms.pop(address, None)
            self.node.link_up(now_ms, link, arrival.dialled)
        elif isinstance(arrival, LinkDown):
            if link in self._dialled_by:
                self._expect(self._dialled_by.pop(link), now_ms)
            self.node.link_down(now_ms, link)
        else:
            self.node.receive(now_ms, link, arrival.data)

    def _dial(self) -> None:
        now_ms = self.now_ms()
        for address in self.node.dials():
            try:
                dialled = self.transport.dial(address)
            except ConfigError as error:  # an address that a peer told of
                self._refuse_dial(address, error)
            else:
                if dialled and _canonical(address) not in self._dialled_by.values():
                    self._expect(_canonical(address), now_ms)
        given_up = [address for address, at_ms in self._give_up_ms.items() if at_ms <= now_ms]
        for address in given_up:
            del self._give_up_ms[address]
            self.transport.undial(address)

    def _expect(self, address: str, now_ms: int) -> None:
        """A link to ``address`` is wanted; a learned one has only so long to come up."""
        if address not in self._seeds:
            self._give_up_ms[address] = now_ms + self._profile.dial_give_up_ms

    def _refuse_dial(self, address: str, error: ConfigError) -> None:
        self.counts.dials_refused += 1
        if address not in self._refused_dials and len(self._refused_dials) < _REFUSED_DIALS_MAX:
            self._refused_dials.add(address)
            _log.warning("dial.refused", address=address, reason=error.message)

    def _send(self, until_s: float) -> None:
        if not self._unsent:
            outbox = partial(self.node.outbox, self.transport.congested())
            self._unsent.extend(self._guarded("outbox", outbox, []))
        while self._unsent and self._loop.time() < until_s:
            self._send_one()

    def _send_all(self) -> None:
        self._unsent.extend(self.node.outbox())
        while self._unsent:
            self._send_one()

    def _send_one(self) -> None:
        send = partial(self.transport.send, *self._unsent.popleft())
        if not self._guarded("send", send, False):
            self.counts.messages_lost += 1

    def _tell(self, events: Sequence[Event]) -> None:
        if not events:
            return
        told = self._guarded("on_events", partial(self._told, events), False)
        for event in events:
            if told or not isinstance(event, ItemReceived):
                self._guarded("event", partial(self._act_on, event), None)

    def _told(self, events: Sequence[Event]) -> bool:
        self._on_events(events)
        return True

    def _act_on(self, event: Event) -> None:
        if isinstance(event, ItemReceived):
            self.mailbox.put(event)
        elif isinstance(event, ItemsExpired):
            self.mailbox.expire(event.names)
        elif isinstance(event, LinkRefused | RefusedByPeer):
            self._close_refused(event)

    def _close_refused(self, event: LinkRefused | RefusedByPeer) -> None:
        """Close the link, and leave its address alone until the core asks for it again."""
        address = self._dialled_by.get(event.link)
        self.transport.close_link(event.link, event.reason)
        if address is not None:
            self._give_up_ms.pop(address, None)
            self.transport.undial(address)

    def _guarded(self, step: str, action: Callable[[], T], otherwise: T) -> T:
        """Do ``action``; a bug in it is logged with its trace, counted and survived."""
        try:
            return action()
        except Exception:  # noqa: BLE001 - one bad message must not end the exchange with all peers
            self._failed(step)
            return otherwise

    def _failed(self, step: str) -> None:
        self.counts.failures += 1
        _log.exception("collective.failure", step=step)


def _canonical(address: str) -> str:
    return str(parse_address(address, "peer address"))
