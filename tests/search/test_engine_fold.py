"""The search is a fold over its journalled inputs, and nothing else enters."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search.driver import TOY, Driver, settings_of, toy_answer, toy_arrivals, toy_driver

from deid.search.calls import Call
from deid.search.engine import Phase
from deid.search.records import Arrived, Evaluated, Placed, Proposed, RoundClosed
from deid.search.settings import SearchSettings

GOLDEN_ORDERED = "864848d874f8b9682f582776d6d5ad9e2c1774a84ffa21aef5ba1b0b915e4d90"
GOLDEN_UNORDERED = "a26e09fc742ba2f953c4ccf6d87996a153d174dc920c4057916364725c4f5536"
SMALL = settings_of(rounds=3, iterations=5, n_init=2, candidates_max=2)


def by_seed(calls: Sequence[Call]) -> Call:
    """Some order of completion that depends on the calls alone: the smallest seed first."""
    return min(calls, key=lambda call: call.seed)


def golden(ordered: bool) -> Driver:
    """The run whose journal hash is frozen."""
    driver = toy_driver(choose=by_seed, take=toy_arrivals)
    return driver.configure(settings_of(candidates_max=2, ordered=ordered)).finish()


# --- Equal inputs, equal everything -------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordered", "expected"), [(True, GOLDEN_ORDERED), (False, GOLDEN_UNORDERED)]
)
def test_the_journal_hash_of_a_small_run_never_changes(ordered: bool, expected: str) -> None:
    assert golden(ordered).chain == expected


def test_the_frozen_runs_do_whatever_a_run_may_do() -> None:
    for ordered in (True, False):
        driver = golden(ordered)
        asked = {record.call for record in driver.records if isinstance(record, Proposed)}
        outcomes = {r.outcome for r in driver.records if isinstance(r, Proposed | Placed)}
        closed = [record for record in driver.records if isinstance(record, RoundClosed)]

        assert asked == {"new", "mutate", "cross"}
        assert outcomes >= {"ok", "timed-out", "new", "improved", "kept"}
        assert {row.row.kind for row in driver.stored} >= {"skip", "arrival", "opened"}
        assert [each.contenders for each in closed] == sorted({e.contenders for e in closed})
        assert all(len(each.shared) == 3 for each in closed)


def test_the_journal_hash_does_not_depend_on_the_hash_seed() -> None:
    script = "from search.test_engine_fold import golden; print(golden(False).chain)"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [GOLDEN_UNORDERED]


@pytest.mark.parametrize("change", [{"seed": 2}, {"node": "beta"}])
def test_another_seed_or_name_is_another_search(change: dict[str, object]) -> None:
    base = toy_driver().configure(settings_of()).finish()
    other = toy_driver().configure(settings_of(**change)).finish()

    mine, theirs = ({call.seed for call in d.issued.values()} for d in (base, other))
    assert not mine & theirs


@given(st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_the_same_order_of_completion_gives_the_same_journal_and_state(rng: Random) -> None:
    numbers = [rng.random() for _ in range(200)]

    def run() -> Driver:
        left = iter(numbers)
        driver = toy_driver(
            choose=lambda calls: calls[int(next(left) * len(calls))], take=toy_arrivals
        )
        return driver.configure(settings_of(ordered=False)).finish()

    one, other = run(), run()
    assert one.chain == other.chain
    assert one.records == other.records
    assert one.engine.state_digest() == other.engine.state_digest()


def test_where_the_order_is_free_it_matters_and_is_journalled() -> None:
    chains = {
        toy_driver(choose=choose).configure(settings_of(ordered=False)).finish().chain
        for choose in (by_seed, lambda calls: calls[0], lambda calls: calls[-1])
    }

    assert len(chains) == 3


@given(st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=25)
def test_where_it_is_fixed_the_order_of_completion_leaves_no_trace(
    rng: Random, in_flight: int
) -> None:
    chosen = settings_of(in_flight=in_flight, candidates_max=2)
    expected = toy_driver(take=toy_arrivals).configure(chosen).finish()
    driver = toy_driver(take=toy_arrivals).configure(chosen)
    answer = toy_answer(TOY, "alpha")
    answers: dict[tuple[int, int], Proposed] = {}
    while not driver.done:
        engine = driver.engine
        asked = [call for key, call in engine.calls.items() if key not in answers]
        if asked and rng.random() < 0.7:  # some call, of any that are in flight, completes
            call = rng.choice(asked)
            answers[call.key] = answer(call)
        elif engine.awaiting or engine.gather is not None:
            driver.step()
        else:
            ready = [key for key in answers if engine.may_commit(key)]
            assert ready or asked, "stuck"
            if ready:
                driver.apply(answers.pop(rng.choice(ready)))

    assert driver.chain == expected.chain
    assert driver.engine.state_digest() == expected.engine.state_digest()


# --- What a call sees ---------------------------------------------------------------------------


def commits_seen(driver: Driver, call: Call) -> int:
    """How many calls were committed, their evaluations included, when ``call`` was issued."""
    inputs = [r for r in driver.records if not isinstance(r, Placed)]
    inputs = [
        r for r in inputs if type(r).kind in ("configured", "proposal", "evaluation", "arrival")
    ]
    return sum(isinstance(record, Proposed) for record in inputs[: call.seen])


@pytest.mark.parametrize("in_flight", [1, 2, 3, 5, 14])
def test_iteration_i_sees_exactly_the_commits_up_to_i_minus_w(in_flight: int) -> None:
    chosen = settings_of(in_flight=in_flight, candidates_max=2)
    driver = toy_driver(take=toy_arrivals).configure(chosen).finish()

    for (number, iteration), call in driver.issued.items():
        position = number * chosen.calls + iteration  # counted over all rounds, from 0
        assert commits_seen(driver, call) == max(0, position - in_flight + 1)


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_commit_is_seen_with_all_its_evaluations(in_flight: int) -> None:
    chosen = settings_of(in_flight=in_flight, candidates_max=2)
    driver = toy_driver(take=toy_arrivals).configure(chosen).finish()
    kinds = ("configured", "proposal", "evaluation", "arrival")
    inputs = [record for record in driver.records if record.kind in kinds]

    for call in driver.issued.values():
        following = inputs[call.seen]
        if call.iteration >= in_flight:  # issued while its own round searches
            claims = driver.engine.reference.context_hash
            assert not isinstance(following, Evaluated) or following.context_hash == claims


@given(st.integers(0, 44), st.integers(1, 5))
@settings(max_examples=30)
def test_a_later_commit_changes_no_call_before_i_plus_w(changed: int, in_flight: int) -> None:
    chosen = settings_of(in_flight=in_flight)
    answer = toy_answer(TOY, "alpha")
    before = toy_driver().configure(chosen).finish()

    def spoiled(call: Call) -> Proposed:
        given = answer(call)
        if call.round * chosen.calls + call.iteration < changed:
            return given
        return replace(given, outcome="crashed", note="spoiled", candidates=())

    after = Driver(TOY, spoiled, known={}).configure(chosen).finish()
    for key, call in before.issued.items():
        position = key[0] * chosen.calls + key[1]
        if position - in_flight < changed:
            assert after.issued[key] == call


def test_a_commit_is_seen_by_the_call_w_later_at_the_latest() -> None:
    chosen = settings_of(in_flight=3, rounds=1)
    answer = toy_answer(TOY, "alpha")

    def spoiled(call: Call) -> Proposed:
        failed = replace(answer(call), outcome="crashed", note="spoiled", candidates=())
        return failed if call.iteration == 4 else answer(call)

    driver = Driver(TOY, spoiled).configure(chosen).finish()
    assert "spoiled" not in driver.issued[0, 6].feedback
    assert "spoiled" in driver.issued[0, 7].feedback


def shown_with(call: Call) -> set[bytes]:
    return {shown.genome.content_hash for shown in (*call.parents, *call.inspirations)}


# --- Round boundaries ---------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_the_next_rounds_calls_are_issued_before_this_round_ends(ordered: bool) -> None:
    driver = toy_driver(take=toy_arrivals).configure(settings_of(ordered=ordered))
    driver.until(lambda e: e.gather is not None)

    assert list(driver.engine.calls) == [(1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("ordered", [True, False])
def test_as_many_calls_are_in_flight_at_every_moment_until_the_last_round_runs_out(
    ordered: bool,
) -> None:
    driver = toy_driver(take=toy_arrivals).configure(settings_of(ordered=ordered))
    driver.until(lambda e: bool(e.calls))
    while len(driver.issued) < 45:
        full = 3 if not driver.engine.awaiting or driver.engine.phase is not Phase.SEARCHING else 2
        assert len(driver.engine.calls) == full
        assert driver.step()


def test_first_calls_of_a_round_take_parents_from_the_old_archive_later_ones_from_the_new() -> None:
    chosen = settings_of(new_parts=0, n_init=0, in_flight=3, inspirations_max=36)
    driver = toy_driver(take=toy_arrivals).configure(chosen)
    driver.until(lambda e: e.gather is not None)
    old = driver.engine.archive
    assert old is not None
    held = {elite.content_hash for elite in old}
    placed = {r.content_hash for r in driver.records if isinstance(r, Placed)}

    for call in driver.engine.calls.values():
        assert call.parents
        assert shown_with(call) <= placed
    assert shown_with(driver.engine.calls[1, 2]) == held, "it saw all commits"
    driver.until(lambda e: e.round == 1 and e.committed == 1)
    new = driver.engine.archive
    assert new is not None
    assert new is not old
    assert shown_with(driver.engine.calls[1, 3]) == {elite.content_hash for elite in new} != held


def test_parents_come_from_the_old_archive_until_the_new_one_is_warmed_up() -> None:
    driver = toy_driver(take=toy_arrivals).configure(settings_of())
    driver.until(lambda e: e.gather is not None)
    old = driver.engine.archive
    driver.until(lambda e: e.round == 1)
    assert driver.engine.archive is old
    assert driver.engine.context != driver.engine.archive_context

    driver.until(lambda e: e.phase is Phase.SEARCHING)
    assert driver.engine.archive is not old
    assert driver.engine.context == driver.engine.archive_context


def test_a_rounds_champion_is_in_the_next_pool() -> None:
    driver = toy_driver().configure(settings_of()).finish()
    closed = [record for record in driver.records if isinstance(record, RoundClosed)]
    opened = [record for record in driver.records if record.kind == "opened"]

    for one, following in zip(closed, opened[1:], strict=False):
        assert one.champion in following.pool  # type: ignore[union-attr]


# --- Resume -------------------------------------------------------------------------------------


def steps(driver: Driver) -> list[int]:
    """Lengths of the journal at which a transaction ended: before every input, and at the end."""
    starts = [row.seq - 1 for row in driver.stored if row.row.is_input()]
    return [*starts, len(driver.stored)]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_resume_at_every_step_has_the_same_future(ordered: bool) -> None:
    chosen = replace(SMALL, ordered=ordered)
    whole = toy_driver(choose=by_seed, take=toy_arrivals).configure(chosen).finish()

    for length in steps(whole)[1:]:
        resumed = toy_driver(choose=by_seed, take=toy_arrivals).resume(whole.stored[:length])
        resumed.finish()

        assert resumed.chain == whole.chain, f"resumed after row {length}"
        assert resumed.engine.state_digest() == whole.engine.state_digest()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_resumed_engine_is_the_interrupted_one(ordered: bool) -> None:
    live = toy_driver(choose=by_seed, take=toy_arrivals).configure(replace(SMALL, ordered=ordered))
    while not live.done:
        resumed = toy_driver().resume(live.stored)

        assert resumed.engine.state_digest() == live.engine.state_digest()
        assert resumed.engine.calls == live.engine.calls
        assert list(resumed.engine.awaiting) == list(live.engine.awaiting)
        assert resumed.engine.gather == live.engine.gather
        assert live.step()


@pytest.mark.parametrize("ordered", [True, False])
def test_every_input_changes_the_state(ordered: bool) -> None:
    driver = toy_driver(take=toy_arrivals).configure(replace(SMALL, ordered=ordered))
    digests = [driver.engine.state_digest()]
    while driver.step():
        digests.append(driver.engine.state_digest())

    assert all(a != b for a, b in pairwise(digests))
    assert len(set(digests)) == len(digests)


def test_the_state_tells_apart_what_would_go_on_otherwise() -> None:
    """Two engines as far along as each other, of which one was told of one other thing."""
    chosen = settings_of(rounds=2)
    base = toy_driver(take=toy_arrivals).configure(chosen).until(lambda e: e.gather is not None)
    seen: set[bytes] = set()
    for item_round in (0, 1):
        other = toy_driver().resume(base.stored)
        gather = other.engine.gather
        assert gather is not None
        items = toy_arrivals(replace(gather, round=item_round))
        other.apply(Arrived(gather.round, items))
        seen.add(other.engine.state_digest())

    assert len(seen) == 2


@pytest.mark.parametrize(
    "change", [{"iterations": 13}, {"opponents_max": 7}, {"operators": (("edit", 2),)}]
)
def test_the_state_covers_settings_that_show_only_later(change: dict[str, object]) -> None:
    def state(chosen: SearchSettings) -> bytes:
        return toy_driver().configure(chosen).engine.state_digest()

    assert state(settings_of()) != state(settings_of(**change))
