"""Helpers of the protocol's tests: keys, items, a pair of linked nodes, a picture of all state."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from hashlib import blake2b
from typing import Any

from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.clock import Clock
from deid.wire.config import NodeConfig
from deid.wire.events import Event
from deid.wire.item import Item, SignedItem, Usage, sign
from deid.wire.keys import KeyPair
from deid.wire.messages import Message, decode, encode
from deid.wire.node import Draft, Node
from deid.wire.notices import Notices
from deid.wire.seqset import SeqSet

TASK = bytes(range(32))
OTHER_TASK = b"o" * 32
EPOCH = (1_700_000_000 << 64) | 7


def keys(number: int) -> KeyPair:
    return KeyPair.from_seed(blake2b(b"key %d" % number, digest_size=32).digest())


def cell_of(claim: Evaluation) -> int:
    if len(claim.measures) != 1:
        raise ValueError(f"expected one measure, got {len(claim.measures)}")
    return claim.measures[0]


def item(number: int = 1, **changes: Any) -> Item:
    """Item ``number`` of key 1, alive together with all before it."""
    made = Item(
        origin=keys(1).public,
        epoch=EPOCH,
        seq=number,
        task_hash=TASK,
        node="alpha",
        round=number,
        champion=True,
        code=b"code %d" % number,
        source="MOV 0, 1\n",
        parents=(b"p" * 32,),
        operator="edit",
        model="",
        prompt_hash=b"",
        usage=Usage(),
        price=0,
        claim=Evaluation(100 + number, (number,), 10),
        ancestry=(("edit", 65_536),),
        live=SeqSet(((1, number),)),
    )
    return replace(made, **changes)


def signed(number: int = 1, key: int = 1, **changes: Any) -> SignedItem:
    pair = keys(key)
    return sign(item(number, **{"origin": pair.public, **changes}), pair)


def draft(number: int, *, points: int = 100, cell: int = 0, round_number: int = 1) -> Draft:
    return Draft(
        round=round_number,
        champion=True,
        code=b"draft %d" % number,
        source="DAT 0\n",
        claim=Evaluation(points, (cell,), 10),
        operator="edit",
    )


def node(number: int, *, task: bytes = TASK, epoch: int = EPOCH, **settings: Any) -> Node:
    config = NodeConfig(**{"name": f"node{number}", "address": f"tcp://host{number}:1", **settings})
    return Node(config, keys(number), task, cell_of, Stream(number, "test", "node"), epoch=epoch)


class Pair:
    """Nodes joined by perfect links of no delay; ``settle`` carries messages until none is left.

    deliver: may drop a message (return None) or change it.
    """

    def __init__(self, *nodes: Node) -> None:
        self.nodes = list(nodes)
        self.now_ms = 1_000
        self.log: list[tuple[int, int, bytes]] = []  # (from, to, message)
        self.seen: dict[int, list[Event]] = {at: [] for at in range(len(nodes))}
        self.deliver: Callable[[int, int, bytes], bytes | None] = lambda near, far, data: data

    def link(self, near: int = 0, far: int = 1, name: str = "a") -> None:
        """``near`` dials ``far``."""
        self.nodes[near].link_up(self.now_ms, (far, name), f"tcp://host{far}:1")
        self.nodes[far].link_up(self.now_ms, (near, name), None)
        self.settle()

    def settle(self) -> None:
        moved = True
        while moved:
            moved = False
            far: int
            name: str
            for near, sender in enumerate(self.nodes):
                for link, data in sender.outbox():
                    assert isinstance(link, tuple)
                    far, name = link
                    self.log.append((near, far, data))
                    carried = self.deliver(near, far, data)
                    if carried is not None:
                        self.nodes[far].receive(self.now_ms, (near, name), carried)
                        moved = True
            for at, each in enumerate(self.nodes):
                self.seen[at] += each.events()

    def pass_time(self, span_ms: int, step_ms: int = 50) -> None:
        for _ in range(0, span_ms, step_ms):
            self.now_ms += step_ms
            for each in self.nodes:
                each.tick(self.now_ms)
            self.settle()

    def publish(self, at: int, *drafts: Draft) -> list[SignedItem]:
        items = self.nodes[at].publish(self.now_ms, list(drafts))
        self.nodes[at].committed(self.now_ms, [each.name for each in items])
        self.settle()
        return items

    def happened(self, at: int, kind: type[Event]) -> list[Any]:
        return [event for event in self.seen[at] if isinstance(event, kind)]


def linked(*nodes: Node) -> Pair:
    """The first two of ``nodes``, linked and settled."""
    pair = Pair(*nodes)
    pair.link()
    pair.pass_time(3_000)
    return pair


def sent(pair: Pair, near: int, kind: type) -> list[Any]:
    """The messages of one kind that ``near`` sent."""
    messages = (decode(data).message for at, _, data in pair.log if at == near)
    return [message for message in messages if isinstance(message, kind)]


def inject(pair: Pair, near: int, message: Message, name: str = "a") -> None:
    """``near`` says something that its core would not."""
    pair.nodes[1 - near].receive(pair.now_ms, (near, name), encode(message))
    pair.settle()


_UNTOLD = {"_now_ms", "_stirred"}  # the time, and whether a tick looks around early


def picture(thing: Any, seen: frozenset[int] = frozenset()) -> Any:
    """All state reachable from ``thing`` as plain values, but for notices, counters and the time:
    equal pictures mean that nothing changed."""
    if isinstance(thing, (int, str, bytes, type(None), Enum)) or callable(thing):
        return thing
    if isinstance(thing, Notices | Clock) or id(thing) in seen:
        return "…"
    seen |= {id(thing)}
    if isinstance(thing, dict):
        return [(picture(key, seen), picture(thing[key], seen)) for key in thing]
    if isinstance(thing, (list, tuple, deque)):
        return [picture(each, seen) for each in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(repr(each) for each in thing)
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    names += list(getattr(thing, "__dict__", ()))
    return [(name, picture(getattr(thing, name), seen)) for name in names if name not in _UNTOLD]
