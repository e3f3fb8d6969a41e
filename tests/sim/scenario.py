"""From a seed to a schedule of faults, and its run: chaos, healing, judgement.

A schedule is a list of steps that depends on the seed alone; the network's chance comes from the
same seed. So a failing seed replays exactly: ``python tests/sim/run.py --seed N``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sim.checker import Checker
from sim.cluster import Cluster, SimNode, Weather

from deid.search.evaluation import Evaluation
from deid.wire.config import NodeConfig
from deid.wire.item import SignedItem, sign
from deid.wire.messages import Items, encode
from deid.wire.node import Draft
from deid.wire.seqset import SeqSet

TASK = b"t" * 32
OTHER_TASK = b"o" * 32
HEAL_MS_MAX = 10_000  # all nodes must agree within this after the last fault
QUIET_MS = 2_000  # agreement must last: what is on its way at the first may still disturb it
GATHER_MS = 700


@dataclass(frozen=True)
class Scenario:
    """What a seed says. size: nodes. chaos_ms: until healing starts."""

    seed: int
    size: int
    chaos_ms: int
    loss: float
    duplicate: float
    reorder: float
    delay_ms: tuple[int, int]
    full_seeds: bool
    malice: str  # "", "garbles", "forges", "floods" or "equivocates": node 0
    stranger: bool  # the last node works on another task
    amnesia: bool
    faults: int


@dataclass(frozen=True)
class Outcome:
    """What a run showed. heal_ms: from the last fault to agreement, None where there was none.
    copies: raw items received over items taken in."""

    scenario: Scenario
    violations: tuple[str, ...]
    heal_ms: int | None
    items: int
    messages: int
    copies: float


def scenario_of(seed: int, size: int | None = None) -> Scenario:
    chance = random.Random(f"scenario {seed}")
    drawn = chance.randint(3, 6)
    calm = chance.random() < 0.2
    malice = chance.choice(["", "", "", "garbles", "forges", "floods", "equivocates"])
    return Scenario(
        seed=seed,
        size=drawn if size is None else size,
        chaos_ms=chance.randint(6_000, 14_000),
        loss=0.0 if calm else chance.choice([0.0, 0.02, 0.1, 0.2]),
        duplicate=0.0 if calm else chance.choice([0.0, 0.05, 0.2]),
        reorder=0.0 if calm else chance.choice([0.0, 0.1, 0.5]),
        delay_ms=chance.choice([(1, 5), (5, 60), (20, 200)]),
        full_seeds=chance.random() < 0.5,
        malice=malice,
        stranger=chance.random() < 0.15,
        amnesia=chance.random() < 0.25,
        faults=0 if calm else chance.randint(1, 6),
    )


def run(scenario: Scenario) -> Outcome:
    """One run of ``scenario`` from the first start to the judgement."""
    cluster = _build(scenario)
    checker = Checker(cluster)
    _schedule(cluster, scenario, checker)
    cluster.run(scenario.chaos_ms)
    _heal(cluster)
    healed_ms = _wait_for_agreement(cluster, checker)
    for node in cluster.nodes:
        node.gather()
    checker.bounds()
    violations = checker.violations()
    if healed_ms is None:
        violations.append(f"complete: no agreement within {HEAL_MS_MAX} ms of healing")
    return _outcome(cluster, scenario, violations, healed_ms)


def _wait_for_agreement(cluster: Cluster, checker: Checker) -> int | None:
    """Run on until all agree and stay so; after how many milliseconds they did."""
    start = cluster.now_ms
    agreed_ms: int | None = None
    while cluster.now_ms < start + HEAL_MS_MAX:
        waited = cluster.now_ms - start
        agreed_ms = (waited if agreed_ms is None else agreed_ms) if checker.converged() else None
        if agreed_ms is not None and waited - agreed_ms >= QUIET_MS:
            break
        cluster.run(cluster.now_ms + 250)
    return agreed_ms


def _outcome(
    cluster: Cluster, scenario: Scenario, violations: list[str], healed_ms: int | None
) -> Outcome:
    counters = [node.node.counters for node in cluster.nodes if node.life]
    taken = sum(each.items_taken for each in counters)
    duplicates = sum(each.duplicates for each in counters)
    return Outcome(
        scenario=scenario,
        violations=tuple(violations),
        heal_ms=healed_ms,
        items=taken,
        messages=sum(each.messages for each in counters),
        copies=(taken + duplicates) / max(1, taken),
    )


# ---- the cast --------------------------------------------------------------------------------


def _build(scenario: Scenario) -> Cluster:
    cluster = Cluster(scenario.seed)
    cluster.weather = Weather(
        scenario.loss, scenario.duplicate, scenario.reorder, scenario.delay_ms
    )
    addresses = [f"tcp://node{number}" for number in range(scenario.size)]
    for number, address in enumerate(addresses):
        seeds = tuple(addresses) if scenario.full_seeds else (addresses[0], addresses[number - 1])
        outbound_only = scenario.size > 3 and number == 2
        config = NodeConfig(
            name=f"node{number}",
            address="" if outbound_only else address,
            seeds=seeds,
            dial_max_ms=4_000,
            window_rounds=4,
            quota_bytes=(8 + 2) << 16,
        )
        stranger = scenario.stranger and number == scenario.size - 1
        cluster.add(config, OTHER_TASK if stranger else TASK)
    if scenario.malice:
        cluster.nodes[0].malicious = True
        cluster.nodes[0].corrupts = 0.3 if scenario.malice == "garbles" else 0.0
    return cluster


def _schedule(cluster: Cluster, scenario: Scenario, checker: Checker) -> None:
    chance = random.Random(f"steps {scenario.seed}")
    for node in cluster.nodes:
        late = chance.random() < 0.2
        cluster.at(chance.randint(0, scenario.chaos_ms // 2) if late else 0, node.start)
        rounds = chance.randint(600, 3_000)
        for at_ms in range(chance.randint(100, 1_500), scenario.chaos_ms, rounds):
            step = partial(node.publish, _drafts(chance), chance.randint(1, 80))
            cluster.at(at_ms, step)
        for at_ms in range(GATHER_MS, scenario.chaos_ms, GATHER_MS):
            cluster.at(at_ms, node.gather)
    for at_ms in range(1_000, scenario.chaos_ms, 1_000):
        cluster.at(at_ms, checker.bounds)
    for _ in range(scenario.faults):
        _fault(cluster, scenario, chance)
    malice: dict[str, Callable[[Cluster, random.Random], None]] = {
        "forges": _forge,
        "floods": _flood,
        "equivocates": _equivocate,
    }
    if scenario.malice in malice:
        for at_ms in range(1_500, scenario.chaos_ms, 1_500):
            cluster.at(at_ms, partial(malice[scenario.malice], cluster, chance))


def _drafts(chance: random.Random) -> list[Draft]:
    """One to three; one in eight has a content that others publish, too."""
    drafts = []
    for number in range(chance.randint(1, 3)):
        common = chance.random() < 0.125
        code = bytes([chance.randrange(4)]) * 20 if common else chance.randbytes(20)
        drafts.append(
            Draft(
                round=0,
                champion=number == 0,
                code=code,
                source="mov 0, 1\n",
                claim=Evaluation(chance.randrange(1_000), (chance.randrange(200),), 10),
                operator="edit",
            )
        )
    return drafts


# ---- faults ----------------------------------------------------------------------------------


def _fault(cluster: Cluster, scenario: Scenario, chance: random.Random) -> None:
    start = chance.randint(500, scenario.chaos_ms - 2_000)
    end = min(scenario.chaos_ms, start + chance.randint(500, 6_000))
    node = chance.choice(cluster.nodes)
    kind = chance.choice(["crash", "host", "cut", "one-way", "split", "slow", "leave", "amnesia"])
    match kind:
        case "crash" | "host":
            cluster.at(start, partial(node.stop, host=kind == "host"))
            cluster.at(end, partial(_restart, node))
        case "amnesia" if scenario.amnesia:
            keep = chance.random() < 0.5
            cluster.at(start, partial(node.stop, host=False))
            cluster.at(start, partial(node.amnesia, keep_epoch=keep))
            cluster.at(end, partial(_restart, node))
        case "cut" | "one-way":
            other = chance.choice(cluster.nodes)
            pairs = {(node.number, other.number)}
            pairs |= set() if kind == "one-way" else {(other.number, node.number)}
            cluster.at(start, lambda: cluster.weather.cut.update(pairs))
            cluster.at(end, lambda: cluster.weather.cut.difference_update(pairs))
        case "split":
            side = {each.number for each in cluster.nodes if chance.random() < 0.5}
            numbers = range(len(cluster.nodes))
            pairs = {(a, b) for a in numbers for b in numbers if (a in side) != (b in side)}
            cluster.at(start, lambda: cluster.weather.cut.update(pairs))
            cluster.at(end, lambda: cluster.weather.cut.difference_update(pairs))
        case "slow":

            def slow() -> None:
                node.slow_until_ms = end

            cluster.at(start, slow)
        case "leave":
            back = chance.random() < 0.5 or node.number == 0  # the seed of all others comes back
            cluster.at(start, partial(_leave, node, for_good=not back))
            if back:
                cluster.at(end, partial(_restart, node))
        case _:
            pass


def _restart(node: SimNode) -> None:
    if not node.up and not node.gone:
        node.start()


def _leave(node: SimNode, *, for_good: bool) -> None:
    if node.up:
        node.node.leave(node.cluster.now_ms)
        node.after()
        node.stop(host=False)
    node.gone = node.gone or for_good


def _heal(cluster: Cluster) -> None:
    cluster.weather = replace(cluster.weather, loss=0.0, duplicate=0.0, reorder=0.0, cut=set())
    for node in cluster.nodes:
        node.slow_until_ms = 0
        node.host_up = True
        if node.life == 0:
            node.start()
        _restart(node)


# ---- malice (node 0) -------------------------------------------------------------------------


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


def _held(node: SimNode) -> list[SignedItem]:
    return list(node.node.items()) if node.up else []


def _send_raw(
    cluster: Cluster, node: SimNode, raws: list[bytes], links: list[int] | None = None
) -> None:
    data = encode(Items(tuple(raws)))
    for link in sorted(node.links) if links is None else links:
        cluster.send(node, link, data)
