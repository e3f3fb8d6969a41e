"""From a seed to a schedule of faults, and its run: chaos, healing, judgement.

A schedule is a list of steps that depends on the seed alone; the network's chance comes from the
same seed. So a failing seed replays exactly: ``python tests/sim/run.py --seed N``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sim.checker import Checker
from sim.cluster import Cluster, Weather
from sim.faults import heal, schedule_fault
from sim.malice import MALICE

from deid.search.evaluation import Evaluation
from deid.wire.config import NodeConfig
from deid.wire.node import Draft

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
    malice: str  # "", "garbles", or one of malice.py: node 0
    stranger: bool  # the last node works on another task
    amnesia: bool
    faults: int
    without: frozenset[str] = frozenset()  # parts of the schedule that are left out


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
    malice = chance.choice(["", "", "", "garbles", *MALICE])
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


def parts(scenario: Scenario) -> list[str]:
    """What can be left out of the schedule, each on its own, without changing the rest."""
    found = [f"fault{number}" for number in range(scenario.faults)]
    found += [
        name for name in ("malice", "loss", "duplicate", "reorder") if getattr(scenario, name)
    ]
    found += [name for name in ("stranger", "amnesia") if getattr(scenario, name)]
    return [*found, "late", *(f"items{number}" for number in range(scenario.size))]


def reduced(scenario: Scenario) -> Scenario:
    """The scenario without the properties that are left out."""
    none = {"malice": "", "loss": 0.0, "duplicate": 0.0, "reorder": 0.0}
    changes: dict[str, Any] = {
        name: none.get(name, False)
        for name in (*none, "stranger", "amnesia")
        if name in scenario.without
    }
    return replace(scenario, **changes)


def shrunk(scenario: Scenario, fails: Callable[[Scenario], bool]) -> Scenario:
    """The smallest part of a failing schedule, found greedily, that still fails: no single part
    of what is left can be left out."""
    again = True
    while again:
        again = False
        for part in parts(scenario):
            if part in scenario.without:
                continue
            smaller = replace(scenario, without=scenario.without | {part})
            if fails(smaller):
                scenario, again = smaller, True
    return scenario


def run(scenario: Scenario) -> Outcome:
    """One run of ``scenario`` from the first start to the judgement."""
    scenario = reduced(scenario)
    cluster = _build(scenario)
    checker = Checker(cluster)
    _schedule(cluster, scenario, checker)
    cluster.run(scenario.chaos_ms)
    heal(cluster)
    healed_ms = _wait_for_agreement(cluster, checker)
    for node in cluster.nodes:
        node.gather()
    checker.bounds()
    violations = checker.violations()
    if healed_ms is None:
        violations += checker.strangers()
        violations.append(f"complete: no agreement within {HEAL_MS_MAX} ms of healing")
    return _outcome(cluster, scenario, violations, healed_ms)


def _wait_for_agreement(cluster: Cluster, checker: Checker) -> int | None:
    """Run on until all agree and stay so; after how many milliseconds they did."""
    start = cluster.now_ms
    agreed_ms: int | None = None
    while cluster.now_ms < start + HEAL_MS_MAX:
        waited = cluster.now_ms - start
        agreed_ms = (
            (waited if agreed_ms is None else agreed_ms)
            if checker.converged() and not checker.strangers()
            else None
        )
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
            digest_logs_min=4,
            addresses_max=32,
            per_source_max=12,
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
        chance = random.Random(f"steps {scenario.seed} {node.number}")
        late = chance.random() < 0.2 and "late" not in scenario.without
        cluster.at(chance.randint(0, scenario.chaos_ms // 2) if late else 0, node.start)
        rounds = chance.randint(600, 3_000)
        for at_ms in range(chance.randint(100, 1_500), scenario.chaos_ms, rounds):
            if f"items{node.number}" in scenario.without:
                break
            step = partial(node.publish, _drafts(chance), chance.randint(1, 80))
            cluster.at(at_ms, step)
        for at_ms in range(GATHER_MS, scenario.chaos_ms, GATHER_MS):
            cluster.at(at_ms, node.gather)
    for at_ms in range(1_000, scenario.chaos_ms, 1_000):
        cluster.at(at_ms, checker.bounds)
    for number in range(scenario.faults):
        fault = random.Random(f"fault {scenario.seed} {number}")
        if f"fault{number}" not in scenario.without:
            schedule_fault(cluster, scenario.chaos_ms, fault, amnesia=scenario.amnesia)
    if scenario.malice in MALICE:
        for at_ms in range(1_500, scenario.chaos_ms, 1_500):
            cluster.at(at_ms, partial(MALICE[scenario.malice], cluster, chance))


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
