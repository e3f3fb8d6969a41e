"""A cluster of production nodes under a virtual clock and a seeded, faulty network.

The rim of a simulated node is the smallest correct one: it journals what it publishes before it
commits, stores what it receives before anything else happens, and drains after every call.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import (
    Event,
    ItemReceived,
    ItemsExpired,
    LinkRefused,
    OwnLogBehind,
    RefusedByPeer,
)
from deid.wire.gather import Mailbox
from deid.wire.item import ItemName, SignedItem
from deid.wire.keys import KeyPair, verify_signature
from deid.wire.node import Draft, Node

TICK_MS = 50  # a rim ticks this soon after anything else happened
CELLS = 24  # of the reference grid in simulations
EPOCH_SECONDS = 1_700_000_000

_verdicts: dict[bytes, bool] = {}


def memoised_verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """The real check, once per triple: every node of a cluster checks the same bytes."""
    triple = blake2b(public + signature + message, digest_size=16).digest()
    if triple not in _verdicts:
        if len(_verdicts) > 200_000:
            _verdicts.clear()
        _verdicts[triple] = verify_signature(public, signature, message)
    return _verdicts[triple]


def cell_of(claim: Evaluation) -> int:
    if len(claim.measures) != 1:
        raise ValueError(f"expected one measure, got {len(claim.measures)}")
    return claim.measures[0] % CELLS


@dataclass
class Weather:
    """What the network does to messages; rates in [0, 1]."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[int, int] = (1, 20)
    cut: set[tuple[int, int]] = field(default_factory=set)  # (from, to) that lets nothing through


@dataclass
class End:
    """One end of a connection: the other node's number, its life, and its end's name."""

    other: int
    other_life: int
    other_link: int
    last_ms: int = 0  # arrival of the last message sent: without reordering none overtakes it


@dataclass
class Disk:
    """What survives a crash: raw items by name, what the search got, the epoch, the round, and
    where members were seen."""

    items: dict[ItemName, bytes] = field(default_factory=dict)
    handed: set[bytes] = field(default_factory=set)
    epoch: int = 0
    round: int = 0
    addresses: tuple[str, ...] = ()


class SimNode:
    """A node, its disk and its history."""

    def __init__(self, cluster: Cluster, number: int, config: NodeConfig, task: bytes) -> None:
        self.cluster = cluster
        self.number = number
        self.config = config
        self.task = task
        self.keys = KeyPair.from_seed(
            blake2b(f"{cluster.seed}/{number}".encode(), digest_size=32).digest()
        )
        self.disk = Disk(epoch=self._epoch())
        self.life = 0
        self.up = False
        self.host_up = True
        self.slow_until_ms = 0
        self.stopped_until_ms = 0  # neither ticks nor receives, like a process under SIGSTOP
        self.clock_ms = 0  # by how much its clock is ahead of the cluster's
        self.corrupts = 0.0  # share of its messages that a malicious node garbles
        self.links: dict[int, End] = {}
        self.tick_at = -1
        self.malicious = False
        self.flooded = 0
        self.keeps_events = True
        self.gone = False  # left or died for good: nothing is asked of it any more
        # Histories, which no crash erases:
        self.handed: list[SignedItem] = []  # given to the search in this run
        self.handed_before: list[SignedItem] = []  # in runs whose state was lost
        self.stored: set[bytes] = set()  # raw items that were durable here at some time
        self.epochs: list[int] = []
        self.lost_epochs: set[int] = set()  # whose log was lost with the state directory
        self.events: list[Event] = []
        self.node: Node
        self.mailbox: Mailbox

    @property
    def now_ms(self) -> int:
        """What its own clock shows."""
        return self.cluster.now_ms + self.clock_ms

    def move(self, address: str) -> None:
        """The host has another address from the next start on."""
        del self.cluster.by_address[self.config.address]
        self.config = replace(self.config, address=address)
        self.cluster.by_address[address] = self

    def _epoch(self) -> int:
        wall = EPOCH_SECONDS + self.cluster.now_ms // 1000
        return (wall << 64) | self.cluster.chance.getrandbits(64)

    def start(self) -> None:
        self.life += 1
        self.up = self.host_up = True
        self.links = {}
        self.tick_at = -1
        if self.disk.epoch not in self.epochs:
            self.epochs.append(self.disk.epoch)
        self.node = Node(
            replace(self.config, seeds=(*self.config.seeds, *self.disk.addresses)),
            self.keys,
            self.task,
            cell_of,
            Stream(self.cluster.seed, str(self.number), "node", self.life),
            epoch=self.disk.epoch,
            incarnation=self.life,
            verify=memoised_verify,
        )
        self.mailbox = Mailbox(self.disk.handed)
        for raw in list(self.disk.items.values()):
            signed = self.node.restore(raw)
            if signed.item.origin != self.keys.public:
                self.mailbox.put(ItemReceived(signed, self.now_ms, False))
        self.node.announce_round(self.now_ms, self.disk.round)
        self.after()

    def stop(self, *, host: bool) -> None:
        self.up = False
        self.host_up = not host

    def amnesia(self, *, keep_epoch: bool) -> None:
        """The state directory is lost; ``keep_epoch``: the high-water mark too."""
        epoch = self.disk.epoch if keep_epoch else self._epoch()
        self.lost_epochs.add(self.disk.epoch)
        self.disk = Disk(epoch=epoch)
        self.handed_before += self.handed
        self.handed = []

    def publish(self, drafts: list[Draft], journal_ms: int) -> None:
        if not self.up or self.stopped_until_ms > self.cluster.now_ms:
            return
        life = self.life
        self.disk.round += 1
        drafts = [replace(draft, round=self.disk.round) for draft in drafts]
        signed_items = self.node.publish(self.now_ms, drafts)
        self.cluster.at(
            self.cluster.now_ms + journal_ms, lambda: self._journalled(life, signed_items)
        )
        self.after()

    def _journalled(self, life: int, signed_items: list[SignedItem]) -> None:
        if life != self.life or not self.up:
            return
        for signed in signed_items:
            if signed.item.epoch == self.node.epoch:
                self.disk.items[signed.name] = signed.raw
                self.stored.add(signed.raw)
                self.cluster.journalled.setdefault(signed.name, set()).add(signed)
        self.node.committed(self.now_ms, [signed.name for signed in signed_items])
        self.after()

    def gather(self) -> None:
        """One call of the all-gather, journalled with what it handed out."""
        if not self.up or self.stopped_until_ms > self.cluster.now_ms:
            return
        self.disk.addresses = self.node.addresses() or self.disk.addresses
        snapshot = self.mailbox.take(self.now_ms, self.disk.round, self.node.peers())
        for arrival in snapshot.arrivals:
            self.handed.append(arrival.signed)

    def receive(self, link: int, data: bytes) -> None:
        self.node.receive(self.now_ms, link, data)
        self.after()

    def tick(self) -> None:
        deadline = self.node.tick(self.now_ms)
        self.tick_at = -1
        self.after(deadline - self.clock_ms)

    def after(self, deadline: int | None = None) -> None:
        """Drain the node, as a rim does after every call."""
        now_ms = self.cluster.now_ms
        events = self.node.events()
        for event in events:
            self._take(event)
        for link, data in self.node.outbox():
            assert isinstance(link, int)
            self.cluster.send(self, link, data)
        for event in events:  # what was said last is said before the link is closed
            if isinstance(event, LinkRefused | RefusedByPeer):
                assert isinstance(event.link, int)
                self.cluster.close(self, event.link)
        for address in self.node.dials():
            self.cluster.dial(self, address)
        self._schedule(now_ms + TICK_MS if deadline is None else deadline)

    def _schedule(self, at_ms: int) -> None:
        if self.tick_at != -1 and self.tick_at <= at_ms:
            return
        self.tick_at = at_ms
        life = self.life
        self.cluster.at(at_ms, lambda: self._tick_if(life, at_ms))

    def _tick_if(self, life: int, at_ms: int) -> None:
        if not (self.up and life == self.life and self.tick_at == at_ms):
            return
        if self.stopped_until_ms > self.cluster.now_ms:
            self.tick_at = -1
            self._schedule(self.stopped_until_ms)
        else:
            self.tick()

    def _take(self, event: Event) -> None:
        if self.keeps_events:
            self.events.append(event)
        match event:
            case ItemReceived():
                self.disk.items[event.signed.name] = event.signed.raw
                self.stored.add(event.signed.raw)
                self.mailbox.put(event)
            case ItemsExpired():
                for name in event.names:
                    self.disk.items.pop(name, None)
                self.mailbox.expire(event.names)
            case OwnLogBehind():
                self._raise_epoch()
            case _:
                pass

    def _raise_epoch(self) -> None:
        life = self.life
        self.disk.epoch = self._epoch()
        self.epochs.append(self.disk.epoch)
        signed_items = self.node.raise_epoch(self.now_ms, self.disk.epoch)
        self.cluster.at(self.cluster.now_ms + 5, lambda: self._journalled(life, signed_items))


class Cluster:
    """The nodes, the clock, the network."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ms = 0
        self.chance = random.Random(seed)
        self.weather = Weather()
        self.nodes: list[SimNode] = []
        self.by_address: dict[str, SimNode] = {}
        self.journalled: dict[ItemName, set[SignedItem]] = {}  # by correct and other nodes
        self.watchers: list[Callable[[SimNode, bytes], None]] = []  # see every message sent
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._link = itertools.count(1)

    def add(self, config: NodeConfig, task: bytes) -> SimNode:
        node = SimNode(self, len(self.nodes), config, task)
        self.nodes.append(node)
        if config.address:
            self.by_address[config.address] = node
        return node

    def at(self, at_ms: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_ms, next(self._order), action))

    def run(self, until_ms: int) -> None:
        while self._due and self._due[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(self._due)
            action()
        self.now_ms = until_ms

    # ---- the network ---------------------------------------------------------------------

    def dial(self, node: SimNode, address: str) -> None:
        other = self.by_address.get(address)
        if other is None:
            return
        life = node.life
        self.at(self.now_ms + 2 * self._delay(), lambda: self._connect(node, life, other, address))

    def _connect(self, node: SimNode, life: int, other: SimNode, address: str) -> None:
        blocked = {(node.number, other.number), (other.number, node.number)} & self.weather.cut
        if not (node.up and node.life == life and other.up) or blocked:
            return
        near, far = next(self._link), next(self._link)
        node.links[near] = End(other.number, other.life, far)
        other.links[far] = End(node.number, node.life, near)
        node.node.link_up(node.now_ms, near, address)
        node.after()
        if self.chance.random() < 0.5 and other is not node:  # else known by its first message
            other.node.link_up(other.now_ms, far, None)
            other.after()

    def send(self, node: SimNode, link: int, data: bytes) -> None:
        end = node.links.get(link)
        if end is None:
            return
        for watcher in self.watchers:
            watcher(node, data)
        other = self.nodes[end.other]
        gone = not other.up or other.life != end.other_life or end.other_link not in other.links
        if gone:
            if other.host_up:  # the kernel of the other side answers with a reset
                self._reset(node, link)
            return
        if node.corrupts and self.chance.random() < node.corrupts:
            data = self._garbled(data)
        copies = 1 + (self.chance.random() < self.weather.duplicate)
        for _ in range(copies):
            if (node.number, end.other) in self.weather.cut:
                continue
            if self.chance.random() < self.weather.loss:
                continue
            self._deliver(end, data)

    def _deliver(self, end: End, data: bytes) -> None:
        other, life = self.nodes[end.other], end.other_life
        at_ms = max(self.now_ms + self._delay(), other.slow_until_ms)
        if self.chance.random() >= self.weather.reorder:
            at_ms = end.last_ms = max(at_ms, end.last_ms)

        def arrive() -> None:
            if other.up and other.life == life and end.other_link in other.links:
                busy_ms = max(other.slow_until_ms, other.stopped_until_ms)
                if busy_ms > self.now_ms:
                    self.at(busy_ms, arrive)
                else:
                    other.receive(end.other_link, data)

        self.at(at_ms, arrive)

    def close(self, node: SimNode, link: int) -> None:
        """``node`` closes ``link``; what it sent last still arrives, then the other sees it."""
        end = node.links.get(link)
        if end is None:
            return

        def forget() -> None:
            node.links.pop(link, None)

        self.at(self.now_ms + 1, forget)
        other = self.nodes[end.other]

        def down() -> None:
            if other.up and other.life == end.other_life and end.other_link in other.links:
                del other.links[end.other_link]
                other.node.link_down(other.now_ms, end.other_link)
                other.after()

        self.at(max(self.now_ms, end.last_ms) + self._delay() + 1, down)

    def _reset(self, node: SimNode, link: int) -> None:
        life = node.life

        def down() -> None:
            if node.up and node.life == life and node.links.pop(link, None) is not None:
                node.node.link_down(node.now_ms, link)
                node.after()

        self.at(self.now_ms + self._delay(), down)

    def _delay(self) -> int:
        return self.chance.randint(*self.weather.delay_ms)

    def _garbled(self, data: bytes) -> bytes:
        kind = self.chance.randrange(3)
        if kind == 0:
            return self.chance.randbytes(self.chance.randint(0, 64))
        at = self.chance.randrange(len(data))
        if kind == 1:
            return data[:at]
        return data[:at] + bytes([self.chance.randrange(256)]) + data[at + 1 :]
