"""What a malicious member does: node 0, a production core whose rim says what it likes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from sim.cluster import Cluster, SimNode

from deid.search.evaluation import Evaluation
from deid.wire.item import SignedItem, sign
from deid.wire.keys import KeyPair
from deid.wire.messages import (
    Absent,
    Have,
    Items,
    LogSeqs,
    Message,
    Peers,
    Status,
    Suspect,
    Tree,
    Vouch,
    encode,
)
from deid.wire.record import PeerRecord, sign_record
from deid.wire.seqset import SeqSet


def _forge(cluster: Cluster, chance: random.Random) -> None:
    """Another node's item with a better claim under the old signature, and a made-up one."""
    liar = cluster.nodes[0]
    foreign = [item for item in _held(liar) if item.item.origin != liar.keys.public]
    if not foreign:
        return
    victim = chance.choice(foreign)
    better = replace(victim.item, claim=Evaluation(10**6, (chance.randrange(200),), 10))
    owned = replace(better, origin=liar.keys.public)
    body = sign(owned, liar.keys).raw[64:].replace(liar.keys.public, victim.item.origin)
    _send_raw(cluster, liar, [victim.raw[:64] + body])


def _flood(cluster: Cluster, chance: random.Random) -> None:
    """Far more than its quota, in big items of which all claim to be alive."""
    liar = cluster.nodes[0]
    if not liar.up:
        return
    own = [item for item in _held(liar) if item.item.origin == liar.keys.public]
    if not own:
        return
    sample = max(own, key=lambda each: each.name).item
    epoch = 1  # beside the epoch of its production core, so that no name is used twice
    raws = []
    for _ in range(8):
        liar.flooded += 1
        item = replace(
            sample,
            epoch=epoch,
            seq=liar.flooded,
            code=chance.randbytes(12_000),
            claim=Evaluation(chance.randrange(1_000), (chance.randrange(200),), 10),
            source="x" * chance.randrange(30_000),
            live=SeqSet(((1, liar.flooded),)),
        )
        raws.append(sign(item, liar.keys).raw)
    for raw in raws:
        _send_raw(cluster, liar, [raw])


def _equivocate(cluster: Cluster, chance: random.Random) -> None:
    """Two items of one name, one for each half of the links."""
    liar = cluster.nodes[0]
    own = [item for item in _held(liar) if item.item.origin == liar.keys.public]
    if not own:
        return
    newest = max(own, key=lambda each: each.item.seq).item
    for half in range(2):
        other = replace(newest, code=chance.randbytes(20))
        links = sorted(liar.links)[half::2]
        _send_raw(cluster, liar, [sign(other, liar.keys).raw], links)


def _lie(cluster: Cluster, chance: random.Random) -> None:
    """That all others are dead, or alive; that it holds what nobody has, and lacks what it has;
    that it is the root of a tree; that unheard-of members are everywhere, signed by themselves."""
    liar = cluster.nodes[0]
    if not liar.up:
        return
    victim = chance.choice(cluster.nodes)
    epoch = next(iter(victim.epochs), 1)
    nothing = (LogSeqs(victim.keys.public, epoch, SeqSet(((1_000, 1_050),))),)
    everything = (LogSeqs(victim.keys.public, epoch, SeqSet(((1, 50),))),)
    lies: list[Message] = [
        Suspect(victim.keys.public, victim.life),
        Vouch(victim.keys.public),
        Have(nothing),
        Absent(everything),
        Tree(bytes(32), chance.randrange(1, 1 << 40), chance.randrange(64), True),
        Status(liar.node._progress(), tuple(chance.randbytes(8) for _ in range(9))),
        Peers(tuple(_invented(chance) for _ in range(20))),
    ]
    for message in chance.sample(lies, 4):
        for link in sorted(liar.links):
            cluster.send(liar, link, encode(message))


def _invented(chance: random.Random) -> bytes:
    pair = KeyPair.from_seed(chance.randbytes(32))
    address = f"tcp://10.0.{chance.randrange(256)}.{chance.randrange(256)}:1"
    record = PeerRecord(pair.public, 1, 1, "nobody", address, b"t" * 32, 0)
    return sign_record(record, pair).raw


def _held(node: SimNode) -> list[SignedItem]:
    return list(node.node.items()) if node.up else []


def _send_raw(
    cluster: Cluster, node: SimNode, raws: list[bytes], links: list[int] | None = None
) -> None:
    data = encode(Items(tuple(raws)))
    for link in sorted(node.links) if links is None else links:
        cluster.send(node, link, data)


MALICE: dict[str, Callable[[Cluster, random.Random], None]] = {
    "forges": _forge,
    "floods": _flood,
    "equivocates": _equivocate,
    "lies": _lie,
}
