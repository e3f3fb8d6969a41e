"""The rules of a round, by hand-made examples."""

from __future__ import annotations

import pytest
from search.driver import (
    TOY_KNOWN,
    Driver,
    arrival,
    settings_of,
    toy_answer,
    toy_arrivals,
    toy_driver,
)
from search.hand import SEED, closed, delivered_once, elites, hand, pools, program, shared, skipped

from deid.errors import LocalError
from deid.plugin.toy import ToyDomain
from deid.search.calls import CallKind
from deid.search.engine import Engine, Phase
from deid.search.records import WARM_UP, Arrival, Decided, Decision, Evaluated, Placed, RoundOpened

# --- Warm-up ------------------------------------------------------------------------------------


def test_an_engine_wants_nothing_before_its_settings() -> None:
    engine = Engine(ToyDomain())

    assert (engine.phase, engine.gather, engine.context, engine.archive) == (
        Phase.NEW,
        None,
        None,
        None,
    )
    assert not engine.calls
    assert not engine.awaiting
    assert engine.shown(0) is None
    assert engine.archive_context is None
    with pytest.raises(LocalError, match="no settings yet"):
        _ = engine.settings


def test_the_pool_is_evaluated_before_the_first_call() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"]}, seeds=(SEED, "rival 2 15 1 0"))
    engine = driver.engine

    assert engine.phase is Phase.WARMING
    assert not engine.calls
    assert {task.genome.source for task in engine.awaiting} == {SEED, "rival 2 15 1 0"}

    driver.until(lambda e: e.phase is Phase.SEARCHING)
    assert elites(driver) == ["seed", "rival"]
    assert list(engine.calls) == [(0, 0)]


def test_the_warm_up_goes_by_content_hash() -> None:
    driver = hand({}, seeds=tuple(f"s{k} 1 0 1 0" for k in range(4)))
    names = [task.genome.content_hash for task in driver.engine.awaiting]

    assert names == sorted(names)


def test_all_candidates_of_a_round_meet_the_same_pool_and_seeds() -> None:
    driver = toy_driver(take=toy_arrivals).configure(settings_of()).finish()
    contexts = [r.context_hash for r in driver.records if isinstance(r, RoundOpened)]
    reference = driver.engine.reference.context_hash
    met: list[set[bytes]] = []
    for record in driver.records:
        if isinstance(record, RoundOpened):
            met.append(set())
        if isinstance(record, Evaluated) and record.context_hash != reference:
            met[-1].add(record.context_hash)

    assert met == [{context} for context in contexts]
    assert len(set(contexts)) == 3, "the seeds differ by round"


def test_an_opponent_meets_its_own_clone_so_n_is_always_pool_and_one() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"]}, seeds=(SEED, "rival 2 15 1 0"))
    context = driver.engine.awaiting[0].context

    assert driver.engine.awaiting[0].genome in context.opponents
    assert context.contenders == 3
    driver.finish()
    assert closed(driver)[0].contenders == 3


def test_what_warms_up_is_placed_with_no_iteration() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"]}).finish()
    placed = [(r.iteration, r.outcome) for r in driver.records if isinstance(r, Placed)]

    assert placed == [(WARM_UP, "new"), (0, "improved")]


def test_a_domain_without_opponents_has_nothing_to_warm_up_with() -> None:
    domain = ToyDomain(trials=2, opponents_max=0)
    driver = Driver(domain, toy_answer(domain, "alpha"), known=TOY_KNOWN)
    driver.configure(settings_of())

    assert driver.engine.phase is Phase.SEARCHING
    assert {call.kind for call in driver.engine.calls.values()} == {CallKind.NEW}
    assert [each.contenders for each in closed(driver.finish())] == [1, 1, 1]


# --- Placing ------------------------------------------------------------------------------------


def test_a_candidate_takes_a_cell_that_is_empty_or_worse() -> None:
    script = {(0, 0): ["a 5 5 0 0"], (0, 1): ["b 4 5 0 0"], (0, 2): ["c 3 15 0 0"]}
    driver = hand(script).finish()

    assert elites(driver) == ["a", "c"]
    assert closed(driver)[0].occupied == 2
    assert closed(driver)[0].points == 8
    assert closed(driver)[0].best == 5


def test_an_elite_is_shown_with_its_fitness_means_and_maker() -> None:
    driver = hand({(0, 0): ["a 50 15 0 0"]}).finish()
    shown = driver.engine.shown(1)

    assert shown is not None
    assert shown.genome.source == "a 50 15 0 0"
    assert shown.fitness == 50 * 2 / 100
    assert shown.measures == (15.0,)
    assert (shown.provenance.node, shown.provenance.own, shown.provenance.round) == (
        "alpha",
        True,
        0,
    )
    assert shown.provenance.ancestry == (("/seed", 32_768), ("alpha/edit", 32_768))
    assert driver.engine.shown(2) is None


def test_several_candidates_of_one_proposal_are_all_placed() -> None:
    driver = hand({(0, 0): ["a 5 5 0 0", "b 5 15 0 0"]}, candidates_max=2).finish()

    assert elites(driver) == ["a", "b"]


def test_a_candidate_beyond_the_most_is_surplus() -> None:
    driver = hand({(0, 0): ["a 5 5 0 0", "b 9 15 0 0"]}).finish()

    assert elites(driver) == ["a"]
    assert skipped(driver) == ["surplus"]


def test_what_was_met_in_this_round_is_a_duplicate() -> None:
    script = {
        (0, 0): [SEED],  # in the pool
        (0, 1): ["a 5 5 0 0", "a 5 5 0 0"],  # twice in one proposal
        (0, 2): ["a 5 5 0 0"],  # of an earlier call
        (0, 3): ["a 5 5 0 0", "b 5 15 0 0"],
    }
    driver = hand(script, candidates_max=2).finish()

    assert skipped(driver) == ["duplicate"] * 4
    assert elites(driver) == ["a", "b"]


def test_an_invalid_candidate_is_skipped_and_the_operator_is_told_why() -> None:
    driver = hand({(0, 0): ["!what"], (0, 1): ["a 5 5 0 0"]}).finish()

    assert skipped(driver) == ["invalid"]
    assert driver.issued[0, 0].feedback == ()
    assert driver.issued[0, 1].feedback == ("no program: !what",)
    assert elites(driver) == ["a"]


def test_a_call_that_yields_nothing_is_committed_all_the_same() -> None:
    driver = hand({(0, 2): ["a 5 5 0 0"]}).finish()

    assert list(driver.issued) == [(0, 0), (0, 1), (0, 2)]
    assert elites(driver) == ["a"]


def test_a_failed_call_is_committed_and_its_reason_shown_to_the_operator() -> None:
    toy = toy_driver().configure(settings_of(operators=(("edit", 1),)))
    toy.finish()
    failed = [r for r in toy.records if getattr(r, "outcome", "") == "timed-out"]
    told = {fault for call in toy.issued.values() for fault in call.feedback}

    assert failed
    assert {record.note for record in failed[:-1]} <= told  # type: ignore[union-attr]


# --- Champion and improving elites --------------------------------------------------------------


def test_the_champion_is_the_best_elite_of_the_round() -> None:
    driver = hand({(0, 0): ["a 5 5 0 0"], (0, 1): ["b 6 15 0 0"]}, per_round_max=0).finish()

    assert shared(driver) == [["B"]]


def test_a_better_seed_is_no_champion() -> None:
    driver = hand({(0, 0): ["a 5 15 0 0"]}, seeds=("seed 99 0 99 0",)).finish()

    assert shared(driver) == [["A"]]
    assert closed(driver)[0].best == 99
    assert closed(driver)[0].own == 1


def test_a_round_that_finds_no_elite_has_no_champion() -> None:
    driver = hand({(0, 0): ["a 5 0 0 0"]}, seeds=("seed 99 0 99 0",)).finish()

    assert shared(driver) == [[]]
    assert closed(driver)[0].champion == b""
    assert not driver.engine.champions


def test_only_elites_of_the_end_are_claimed_in_the_reference_context() -> None:
    script = {(0, 0): ["worse 5 5 9 25"], (0, 1): ["a 6 5 7 25"]}
    driver = hand(script).until(lambda e: e.phase is Phase.CLAIMING)

    assert [task.genome.source for task in driver.engine.awaiting] == ["a 6 5 7 25"]
    assert driver.engine.awaiting[0].context == driver.engine.reference

    driver.until(lambda e: e.gather is not None)
    gather = driver.engine.gather
    assert gather is not None
    assert [share.claim.points for share in gather.shares] == [14]  # two trials
    assert [share.claim.measures for share in gather.shares] == [(50,)]


def test_an_improving_elite_is_the_best_of_its_reference_cell_so_far() -> None:
    script = {
        (0, 0): ["a 9 0 1 0"],
        (0, 1): ["b 8 10 5 10"],
        (1, 0): ["c 9 0 1 20"],
        (1, 1): ["d 8 10 5 10"],  # the same claim as b, by a larger hash or a smaller one
        (1, 2): ["e 7 20 6 10"],
    }
    driver = hand(script, per_round_max=9, opponents_max=1).finish()

    assert shared(driver)[0] == ["A", "b"]
    assert shared(driver)[1] == ["C", "e"]
    assert {e.cell: e.points for e in driver.engine.published} == {0: 2, 1: 12, 2: 2}


def test_no_more_improving_elites_are_shared_than_allowed() -> None:
    script = {(0, 0): ["a 9 0 1 0"], (0, 1): ["b 8 10 1 10"], (0, 2): ["c 7 20 2 20"]}

    assert shared(hand(script, per_round_max=1).finish()) == [["A", "c"]]
    assert shared(hand(script, per_round_max=0).finish()) == [["A"]]


def test_what_was_proposed_in_an_earlier_round_is_never_shared_again() -> None:
    script = {(0, 0): ["a 9 5 1 0"], (0, 1): ["b 8 5 1 0"], (1, 0): ["b 8 15 1 0"], (1, 1): []}
    again = hand({**script, (1, 0): ["b 8 5 1 0"]}, opponents_max=1).finish()
    other = hand(script, opponents_max=1).finish()

    assert shared(other) == [["A"], ["B"]]
    assert shared(again) == [["A"], []]
    assert elites(again) == ["b"], "it is evaluated anew in the new context"
    assert closed(again)[1].own == 1


# --- Opponents ----------------------------------------------------------------------------------


def test_past_champions_join_the_pool_the_newest_first() -> None:
    script = {(0, 0): ["a 9 5 1 0"], (1, 0): ["b 19 5 1 0"], (2, 0): ["c 29 5 1 0"]}
    driver = hand(script, opponents_max=3).finish()

    assert pools(driver) == [["seed"], ["seed", "a"], ["seed", "b", "a"]]


def test_past_champions_warm_the_next_archive_up_as_the_nodes_own() -> None:
    driver = hand({(0, 0): ["a 9 15 1 0"], (1, 0): []}).finish()

    assert elites(driver) == ["seed", "a"]
    assert closed(driver)[1].own == 1


def test_the_domain_bounds_the_pool_too() -> None:
    script = {(0, 0): ["a 9 5 1 0"], (1, 0): []}
    driver = hand(script, opponents_max=1)
    assert pools(driver.finish()) == [["seed"], ["seed"]]

    generous = hand(script, opponents_max=4)
    generous.engine.problem.opponents_max = 1  # type: ignore[misc]
    assert pools(generous.finish()) == [["seed"], ["seed"]]


# --- Received elites ----------------------------------------------------------------------------

FOREIGN = arrival(program("foreign 50 25 50 25"), champion=False)
RIVAL = arrival(program("rival 60 15 60 15"), peer=1)


def test_received_elites_are_evaluated_here_and_fill_the_next_archive() -> None:
    take = delivered_once(FOREIGN, RIVAL)
    driver = hand({(0, 0): ["a 9 5 1 0"], (1, 0): []}, take=take)
    driver.until(lambda e: e.round == 1)

    assert {t.genome.source for t in driver.engine.awaiting} >= {
        "foreign 50 25 50 25",
        "rival 60 15 60 15",
    }
    driver.finish()
    assert elites(driver) == ["a", "rival", "foreign"]
    shown = driver.engine.shown(2)
    assert shown is not None
    assert (shown.provenance.node, shown.provenance.own) == ("peer-0", False)
    assert shown.provenance.ancestry == FOREIGN.ancestry


def test_received_elites_are_never_shared_nor_counted_as_own() -> None:
    driver = hand({(0, 0): ["a 9 5 1 0"], (1, 0): []}, take=delivered_once(FOREIGN, RIVAL))
    driver.finish()

    assert shared(driver) == [["A"], []]
    assert [(each.occupied, each.own) for each in closed(driver)] == [(1, 1), (3, 1)]
    assert [each.arrived for each in closed(driver)] == [2, 0]


def test_a_copy_of_a_received_elite_is_not_the_nodes_own_in_any_later_round() -> None:
    script = {(0, 0): [], (1, 0): [FOREIGN.genome.source], (2, 0): [FOREIGN.genome.source]}
    driver = hand(script, take=delivered_once(FOREIGN)).finish()

    assert skipped(driver) == ["duplicate"]  # in round 1, where it warmed up
    assert elites(driver) == ["seed", "foreign"]
    assert shared(driver) == [[], [], []]
    assert closed(driver)[2].own == 0


def test_a_copy_of_a_seed_that_is_not_in_the_pool_is_not_the_nodes_own() -> None:
    other = "other 9 15 9 15"
    driver = hand({(0, 0): [other]}, seeds=(SEED, other), opponents_max=1).finish()

    assert pools(driver) == [["seed"]]
    assert elites(driver) == ["seed", "other"]
    assert shared(driver) == [[]]
    assert closed(driver)[0].own == 0


def test_received_champions_become_opponents_other_elites_do_not() -> None:
    driver = hand({(0, 0): ["a 9 5 1 0"], (1, 0): []}, take=delivered_once(FOREIGN, RIVAL))

    assert pools(driver.finish())[1] == ["seed", "a", "rival"]


def test_a_slow_peers_champion_is_not_crowded_out_by_a_fast_peers() -> None:
    fast = [arrival(program(f"fast{k} 9 5 1 0"), 1, 100 + k, seq=k) for k in range(3)]
    slow = arrival(program("slow 9 5 1 0"), 2, 0)
    driver = hand({(0, 0): [], (1, 0): []}, take=delivered_once(*fast, slow), opponents_max=3)

    assert pools(driver.finish())[1] == ["seed", "fast2", "slow"]


def test_no_more_received_elites_are_evaluated_in_a_round_than_allowed() -> None:
    items = [arrival(program(f"f{k} 9 5 1 0"), k, champion=False) for k in range(3)]
    driver = hand({(0, 0): [], (1, 0): [], (2, 0): []}, take=delivered_once(*items), foreign_max=2)

    driver.until(lambda e: e.round == 1)
    assert {t.genome.source[:2] for t in driver.engine.awaiting} == {"se", "f0", "f1"}
    assert driver.engine.queued == 1
    driver.until(lambda e: e.round == 2)
    assert {t.genome.source[:2] for t in driver.engine.awaiting} == {"se", "f2"}
    assert driver.engine.queued == 0


def test_what_this_node_proposed_itself_is_not_received() -> None:
    back = [arrival(program(text), k) for k, text in enumerate((SEED, "a 9 5 1 0", "b 8 5 1 0"))]
    script = {(0, 0): ["a 9 5 1 0"], (0, 1): ["b 8 5 1 0"], (1, 0): []}
    driver = hand(script, take=delivered_once(*back))
    driver.until(lambda e: e.round == 1)

    assert {task.genome.source for task in driver.engine.awaiting} == {SEED, "a 9 5 1 0"}
    assert pools(driver)[1] == ["seed", "a"]
    assert closed(driver.finish())[1].own == 1


def test_the_order_of_arrivals_within_a_snapshot_changes_nothing_later() -> None:
    items = tuple(arrival(program(f"f{k} 9 5 1 0"), k % 2, k, seq=k) for k in range(6))

    def state(snapshot: tuple[Arrival, ...]) -> bytes:
        driver = hand({(0, 0): [], (1, 0): []}, take=lambda gather: snapshot, foreign_max=3)
        return driver.until(lambda e: e.round == 1).engine.state_digest()

    assert state(items) == state(items[::-1])


def test_a_quarantined_origin_loses_its_place_in_queue_and_pool() -> None:
    waiting = arrival(program("waiting 9 5 1 0"), peer=1, champion=False, seq=2)
    driver = hand(
        {(0, 0): [], (1, 0): [], (2, 0): []}, take=delivered_once(RIVAL, waiting), foreign_max=1
    )
    driver.until(lambda e: e.round == 1)
    assert pools(driver)[1] == ["seed", "rival"]
    assert driver.engine.queued == 1

    assert driver.apply(Decided(Decision.QUARANTINE, bytes([1]) * 32)) == []
    assert driver.engine.queued == 0
    driver.finish()
    assert pools(driver)[2] == ["seed"]


def test_a_quarantine_leaves_other_origins_alone() -> None:
    driver = hand({(0, 0): [], (1, 0): [], (2, 0): []}, take=delivered_once(RIVAL))
    driver.until(lambda e: e.round == 1)
    driver.apply(Decided(Decision.QUARANTINE, bytes([2]) * 32))

    assert pools(driver.finish())[2] == ["seed", "rival"]
