"""Clusters beyond a full mesh: the overlay under loss and mass death, and what it costs.

``python tests/sim/run.py --size 1000 --seeds 5`` runs these.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from functools import partial

from sim.cluster import Cluster, SimNode, Weather

from deid.search.evaluation import Evaluation
from deid.wire.config import NodeConfig
from deid.wire.node import Draft

TASK = b"t" * 32
SEED_NODES = 3  # which all others are told to dial at first
JOIN_MS = 8_000  # in which all start
SETTLE_MS = 12_000  # from then on the overlay has taken shape
HEAL_MS_MAX = 30_000
PUBLISHERS = 100
ROUNDS = 3
ROUND_MS = 2_500


@dataclass(frozen=True)
class LargeOutcome:
    """What a run of a large cluster showed.

    copies: payloads received over payloads taken in, before the deaths. links: the most that a
    node had once the overlay had taken shape. idle_bytes: sent by a node in a second without news,
    on average. heal_ms: from the deaths to agreement.
    """

    seed: int
    size: int
    violations: tuple[str, ...]
    heal_ms: int | None
    items: int
    messages: int
    copies: float
    links: int
    idle_bytes: float


def run_large(seed: int, size: int, *, loss: float = 0.2, killed: float = 0.5) -> LargeOutcome:
    """Join, publish, fall still; then loss, half die at once while others publish, all agree."""
    chance = random.Random(f"large {seed}")
    cluster = _build(seed, size, chance)
    cluster.run(JOIN_MS + SETTLE_MS)
    violations = _isolated(cluster, "after joining")
    publishers = chance.sample(cluster.nodes, min(PUBLISHERS, size))
    before = _copies(cluster)
    _publish(cluster, publishers, chance)
    cluster.run(cluster.now_ms + ROUNDS * ROUND_MS)
    calm_ms = _agree(cluster)
    if calm_ms is None:
        violations.append("complete: no agreement before the deaths")
    received, taken = (now - then for now, then in zip(_copies(cluster), before, strict=True))
    links = max(_links(node) for node in cluster.nodes)
    idle = _idle_bytes(cluster)

    cluster.weather.loss = loss
    for node in chance.sample(cluster.nodes, int(size * killed)):
        node.stop(host=chance.random() < 0.5)
    _publish(cluster, [node for node in publishers if node.up], chance)
    cluster.run(cluster.now_ms + ROUNDS * ROUND_MS)
    heal_ms = _agree(cluster)
    if heal_ms is None:
        violations.append(f"complete: no agreement within {HEAL_MS_MAX} ms of half dying")
    violations += _isolated(cluster, "after half died")
    live = [node for node in cluster.nodes if node.up]
    return LargeOutcome(
        seed=seed,
        size=size,
        violations=tuple(violations),
        heal_ms=heal_ms,
        items=len(live[0].node.items()),
        messages=sum(node.node.counters.messages for node in cluster.nodes),
        copies=received / max(1, taken),
        links=links,
        idle_bytes=idle,
    )


def _build(seed: int, size: int, chance: random.Random) -> Cluster:
    cluster = Cluster(seed)
    cluster.weather = Weather(delay_ms=(5, 60))
    seeds = tuple(f"tcp://node{number}" for number in range(SEED_NODES))
    for number in range(size):
        # Four networks, so that the bound on each of them is at work.
        config = NodeConfig(f"node{number}", address=f"tcp://node{number}", seeds=seeds)
        node = cluster.add(config, TASK)
        node.keeps_events = False
        cluster.at(chance.randrange(JOIN_MS) if number >= SEED_NODES else 0, node.start)
    return cluster


def _publish(cluster: Cluster, publishers: list[SimNode], chance: random.Random) -> None:
    for node in publishers:
        for turn in range(ROUNDS):
            at_ms = cluster.now_ms + turn * ROUND_MS + chance.randrange(ROUND_MS)
            draft = Draft(
                round=0,
                champion=True,
                code=chance.randbytes(20),
                source="mov 0, 1\n",
                claim=Evaluation(chance.randrange(1_000), (chance.randrange(200),), 10),
                operator="edit",
            )
            cluster.at(at_ms, partial(node.publish, [draft], 5))


def _agree(cluster: Cluster) -> int | None:
    """Run on until all live nodes hold the same; how long that took."""
    start = cluster.now_ms
    while cluster.now_ms < start + HEAL_MS_MAX:
        live = [node for node in cluster.nodes if node.up]
        if len({node.node.root() for node in live}) == 1:
            return cluster.now_ms - start
        cluster.run(cluster.now_ms + 500)
    return None


def _isolated(cluster: Cluster, when: str) -> list[str]:
    """The live nodes are one component, by the links over which they send."""
    live = {node.keys.public: node for node in cluster.nodes if node.up}
    start = next(iter(live))
    seen, queue = {start}, deque([start])
    while queue:
        for peer in live[queue.popleft()].node._membership.roster.reached():
            if peer.key in live and peer.key not in seen:
                seen.add(peer.key)
                queue.append(peer.key)
    if len(seen) == len(live):
        return []
    return [f"overlay: {len(live) - len(seen)} of {len(live)} live nodes are cut off {when}"]


def _links(node: SimNode) -> int:
    return len(node.node._membership.roster.linked())


def _copies(cluster: Cluster) -> tuple[int, int]:
    counters = [node.node.counters for node in cluster.nodes if node.life]
    taken = sum(each.items_taken for each in counters)
    return taken + sum(each.duplicates for each in counters), taken


def _idle_bytes(cluster: Cluster, span_ms: int = 5_000) -> float:
    sent = 0

    def count(node: SimNode, data: bytes) -> None:
        nonlocal sent
        sent += len(data)

    cluster.watchers.append(count)
    cluster.run(cluster.now_ms + span_ms)
    cluster.watchers.remove(count)
    return sent / len(cluster.nodes) / (span_ms / 1_000)
