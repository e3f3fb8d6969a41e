"""Real cores over real transports, for tests and measurements of the collective."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b

from net.drive import QUICK, until

from deid.net.collective import Collective
from deid.net.profile import NetProfile
from deid.net.transport import Transport
from deid.search.evaluation import Evaluation
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import Event, PeerState
from deid.wire.gather import Mailbox
from deid.wire.item import SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Draft, Node

TASK_HASH = blake2b(b"tests/net", digest_size=32).digest()
EPOCH = 1 << 64


def draft(name: str, number: int, *, source_chars: int = 40, cell: int | None = None) -> Draft:
    """A program of node ``name`` that no other call makes; None: in a cell of its own."""
    code = blake2b(f"{name} {number}".encode(), digest_size=32).digest()
    return Draft(
        round=number,
        champion=True,
        code=code,
        source="x" * source_chars,
        claim=Evaluation(
            points=1_000 + number, measures=(number if cell is None else cell, 1), trials=10
        ),
        operator="test",
    )


def core(name: str, address: str, seeds: Sequence[str], *, incarnation: int = 1) -> Node:
    """A node whose key and stream follow from its name."""
    return Node(
        NodeConfig(name=name, address=address, seeds=tuple(seeds)),
        KeyPair.from_seed(blake2b(name.encode(), digest_size=32).digest()),
        TASK_HASH,
        lambda claim: claim.measures[0],
        Stream(incarnation, name, "net"),
        epoch=EPOCH,
        incarnation=incarnation,
    )


class Member:
    """A collective that is pumping, with all that it has told."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        address: str,
        seeds: Sequence[str] = (),
        *,
        profile: NetProfile = QUICK,
        incarnation: int = 1,
    ) -> None:
        self.name = name
        self.address = address
        self.events: list[Event] = []
        self.changed = asyncio.Event()
        self.collective = Collective(
            core(name, address, seeds, incarnation=incarnation),
            transport,
            Mailbox(),
            self._told,
            seeds=seeds,
            profile=profile,
        )
        self.collective.start()

    def _told(self, events: Sequence[Event]) -> None:
        self.events += events
        self.changed.set()

    def share(self, number: int, *, source_chars: int = 40) -> SignedItem:
        """Publish one item and commit it at once."""
        (signed,) = self.collective.publish([draft(self.name, number, source_chars=source_chars)])
        self.collective.committed([signed.name])
        return signed

    def held(self) -> set[bytes]:
        return {signed.raw for signed in self.collective.node.items()}

    async def holds(self, wanted: set[bytes]) -> None:
        await until(lambda: wanted <= self.held(), self.changed, f"{self.name} holds all items")

    async def knows(self, count: int) -> None:
        """At least ``count`` peers are alive to this one."""

        def alive() -> bool:
            states = [peer.state for peer in self.collective.peers()]
            return states.count(PeerState.ALIVE) >= count

        await until(alive, self.changed, f"{self.name} knows {count}")
