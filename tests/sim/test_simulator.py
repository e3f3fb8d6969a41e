"""The guarantees under faults: the production core, a virtual clock, a seeded network.

A failing seed is printed as the command that replays it.
"""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest
from sim.large import run_large
from sim.mutations import MUTATIONS, Mutation
from sim.run import replay_command, summary
from sim.scenario import Outcome, Scenario, parts, run, scenario_of, shrunk

SEEDS = 500
BLOCK = 50
LARGE = (1, 3)  # seeds run with 32 nodes: a calm one and one with 20 % loss or cuts
MUTATION_SEEDS = 12  # every planted fault shows within these

# Seeds that once failed, and what they showed.
REGRESSIONS = {
    30: "addresses that one peer invented made a small network look large",
    309: "a changed address did not reach who can only dial",
    435: "a restart with the incarnation that its predecessor had risen to went unnoticed",
}

# Seeds that fail still: a member that invents others costs some nodes their link to each other for
# up to 100 s after the last fault; nothing is lost, but 10 s are promised.
OPEN = {
    253: "invented members keep two pairs of nodes apart for 44 s",
    326: "invented members keep two nodes apart for 98 s",
}


def judge(outcomes: list[Outcome]) -> None:
    failed = [each for each in outcomes if each.violations]
    lines = [
        f"{replay_command(each)}\n    " + "\n    ".join(each.violations[:5]) for each in failed
    ]
    assert not failed, "\n".join([f"{len(failed)} of {len(outcomes)} seeds fail", *lines])


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_small_clusters_keep_every_guarantee(first: int) -> None:
    seeds = [seed for seed in range(first, first + BLOCK) if seed not in OPEN]
    outcomes = [run(scenario_of(seed)) for seed in seeds]

    judge(outcomes)
    assert all(each.items for each in outcomes)
    print(summary(outcomes, 0))


@pytest.mark.parametrize("seed", LARGE)
def test_thirty_two_nodes_keep_every_guarantee(seed: int) -> None:
    scenario = replace(scenario_of(seed, 32), chaos_ms=6_000)
    outcome = run(scenario)

    judge([outcome])
    assert outcome.heal_ms is not None


@pytest.mark.parametrize("seed", REGRESSIONS, ids=lambda seed: f"seed-{seed}")
def test_a_seed_that_once_failed_holds(seed: int) -> None:
    judge([run(scenario_of(seed))])


@pytest.mark.parametrize("seed", OPEN, ids=lambda seed: f"seed-{seed}")
@pytest.mark.xfail(reason="no defence yet against members that a liar invents", strict=True)
def test_an_open_seed_holds(seed: int) -> None:
    judge([run(scenario_of(seed))])


def test_a_seed_replays_exactly() -> None:
    assert run(scenario_of(5)) == run(scenario_of(5))


def test_without_faults_an_item_travels_once_to_each_node() -> None:
    calm = replace(
        scenario_of(1), size=6, loss=0.0, duplicate=0.0, reorder=0.0, faults=0, malice="",
        stranger=False, full_seeds=True,
    )  # fmt: skip
    outcome = run(calm)

    judge([outcome])
    assert outcome.copies <= 1.05


def test_sixty_four_nodes_survive_the_death_of_half() -> None:
    outcome = run_large(1, 64)

    assert outcome.violations == ()
    assert outcome.copies <= 1.3
    assert outcome.links <= 10
    assert outcome.idle_bytes <= 2_000


def test_a_failing_schedule_shrinks_to_what_it_needs() -> None:
    scenario = replace(scenario_of(4, 4), faults=5)

    def fails(smaller: Scenario) -> bool:
        return not {"fault1", "fault3"} & smaller.without

    smallest = shrunk(scenario, fails)

    assert set(parts(scenario)) - smallest.without == {"fault1", "fault3"}
    assert "--without" in replay_command(replace(run(scenario_of(5)), scenario=smallest))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name.replace(" ", "-"))
def test_a_planted_fault_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = mutation.owner
    if isinstance(owner, str):
        owner = importlib.import_module(owner)
    monkeypatch.setattr(owner, mutation.attribute, mutation.broken)

    for seed in range(MUTATION_SEEDS):
        violations = run(scenario_of(seed)).violations
        if any(each.startswith(mutation.word) for each in violations):
            return
    raise AssertionError(f"{mutation.name}: not noticed in {MUTATION_SEEDS} seeds")
