"""Settings that change under way, the end of a run, and what fits nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from search.driver import Driver, settings_of, toy_arrivals, toy_driver
from search.hand import closed, elites, hand, pools

from deid.errors import LocalError
from deid.search.engine import Phase
from deid.search.evaluation import Evaluation
from deid.search.records import (
    Arrived,
    Configured,
    Decided,
    Decision,
    Evaluated,
    Input,
    Proposed,
    RoundOpened,
)

# --- Rounds -------------------------------------------------------------------------------------


def test_after_its_rounds_a_search_is_done_and_wants_nothing() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"], (1, 0): []}).finish()
    engine = driver.engine

    assert [each.round for each in closed(driver)] == [0, 1]
    assert (engine.phase, dict(engine.calls), engine.gather) == (Phase.DONE, {}, None)
    assert not engine.awaiting
    assert driver.wanted() is None


def test_no_rounds_means_until_stopped() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"]}, rounds=0).until(lambda e: e.round == 30)

    assert len(closed(driver)) == 30


def test_a_done_search_goes_on_when_it_gets_more_rounds() -> None:
    driver = hand({(0, 0): ["a 9 5 5 5"], (1, 0): ["b 8 15 5 5"]}, rounds=1).finish()
    outputs = driver.apply(Configured(replace(driver.engine.settings, rounds=2)))

    assert [type(output) for output in outputs] == [RoundOpened]
    assert driver.engine.phase is Phase.WARMING
    driver.finish()
    assert pools(driver) == [["seed"], ["seed", "a"]]
    assert elites(driver) == ["a", "b"]


def test_a_done_search_calls_at_once_with_parents_of_its_last_archive() -> None:
    driver = hand({(0, 0): ["a 9 5 5 5"]}, in_flight=2, rounds=1, iterations=3).finish()
    driver.apply(Configured(replace(driver.engine.settings, rounds=2)))

    assert driver.engine.phase is Phase.WARMING
    assert list(driver.engine.calls) == [(1, 0), (1, 1)]
    parents = {p.genome.source for call in driver.engine.calls.values() for p in call.parents}
    assert parents == {"a 9 5 5 5"}


def test_the_same_rounds_change_nothing_for_a_done_search() -> None:
    driver = hand({(0, 0): ["a 9 5 5 5"]}).finish()

    assert driver.apply(Configured(driver.engine.settings)) == []
    assert driver.engine.phase is Phase.DONE
    assert not driver.engine.calls


def test_more_rounds_while_the_last_one_gathers_begin_without_a_stop() -> None:
    driver = hand({(0, 0): ["a 9 5 5 5"]}, rounds=1).until(lambda e: e.gather is not None)
    driver.apply(Configured(replace(driver.engine.settings, rounds=2)))

    assert list(driver.engine.calls) == [(1, 0)]
    driver.finish()
    assert [each.round for each in closed(driver)] == [0, 1]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_round_that_has_begun_ends_though_it_is_one_too_many_now(rounds: int) -> None:
    driver = hand({(0, 0): [], (3, 4): []}, rounds=9, in_flight=2)
    driver.until(lambda e: e.round == 2 and e.committed == 1)
    driver.apply(Configured(replace(driver.engine.settings, rounds=rounds)))
    driver.finish()

    assert [each.round for each in closed(driver)] == [0, 1, 2]
    assert not driver.engine.calls


def test_calls_of_a_round_that_was_taken_back_are_made_anew_when_it_comes_after_all() -> None:
    driver = hand({(0, 0): ["a 9 5 5 5"]}, rounds=9, iterations=3, in_flight=2)
    driver.until(lambda e: e.gather is not None)
    assert list(driver.engine.calls) == [(1, 0), (1, 1)]
    early = driver.engine.calls[1, 0]

    driver.apply(Configured(replace(driver.engine.settings, rounds=1)))
    driver.finish()
    driver.apply(Configured(replace(driver.engine.settings, rounds=2)))
    assert list(driver.engine.calls) == [(1, 0), (1, 1)]
    assert driver.engine.calls[1, 0].seen > early.seen
    driver.finish()
    assert [each.round for each in closed(driver)] == [0, 1]


# --- Other settings -----------------------------------------------------------------------------


def test_other_settings_hold_from_the_next_round_that_has_not_begun_to_call() -> None:
    driver = hand({}, rounds=4, iterations=4, in_flight=1)
    driver.until(lambda e: e.committed == 1)
    driver.apply(Configured(replace(driver.engine.settings, iterations=2)))
    driver.finish()

    calls = [len([key for key in driver.issued if key[0] == number]) for number in range(4)]
    assert calls == [4, 2, 2, 2]


def test_settings_given_before_a_done_search_goes_on_hold_at_once() -> None:
    driver = hand({}, rounds=9, iterations=3, in_flight=2).until(lambda e: e.gather is not None)
    driver.apply(Configured(replace(driver.engine.settings, rounds=1)))  # round 1 had begun to call
    driver.finish()
    driver.apply(Configured(replace(driver.engine.settings, rounds=2, iterations=5)))
    driver.finish()

    assert len([key for key in driver.issued if key[0] == 1]) == 5


def test_more_calls_in_flight_are_issued_from_the_next_round_on() -> None:
    driver = hand({}, rounds=3, iterations=6, in_flight=1).until(lambda e: e.committed == 2)
    driver.apply(Configured(replace(driver.engine.settings, in_flight=3)))
    assert len(driver.engine.calls) == 1

    driver.until(lambda e: e.round == 1 and e.committed == 2)
    assert list(driver.engine.calls) == [(1, 2), (1, 3), (1, 4)]


def test_more_calls_in_flight_than_a_round_has_run_one_round_ahead_at_most() -> None:
    driver = hand({(0, 0): ["a 5 5 5 5"]}, rounds=5, iterations=2, in_flight=64)
    ahead = 0
    while not driver.done:
        assert driver.step()
        ahead = max([ahead, *(key[0] - driver.engine.round for key in driver.engine.calls)])

    assert ahead == 1
    assert sorted(driver.issued) == [(number, k) for number in range(5) for k in range(2)]


def test_a_round_without_calls_goes_straight_to_its_gather() -> None:
    driver = hand({}, rounds=2, iterations=0).finish()

    assert [each.round for each in closed(driver)] == [0, 1]
    assert not driver.issued


@pytest.mark.parametrize("ordered", [True, False])
def test_in_flight_calls_and_state_of_a_round_are_bounded(ordered: bool) -> None:
    driver = toy_driver(take=toy_arrivals).configure(settings_of(rounds=12, ordered=ordered))
    while not driver.done:
        assert len(driver.engine.calls) <= 3
        assert len(driver.engine._settings) <= 2
        assert len(driver.engine._origins) <= 15 + 8 + 4  # calls, pool, received
        assert len(driver.engine._fresh) <= 15
        assert driver.step()


# --- What does not fit --------------------------------------------------------------------------


def refused(driver: Driver, record: Input, match: str | None = None) -> None:
    """``record`` is refused, and the engine is as it was."""
    before = driver.engine.state_digest()

    with pytest.raises(LocalError, match=match):
        driver.apply(record)
    assert driver.engine.state_digest() == before


def at(phase: Phase, **changed: object) -> Driver:
    """A toy search in its second round, in ``phase``."""
    driver = toy_driver(take=toy_arrivals).configure(settings_of(rounds=2, **changed))
    return driver.until(lambda e: e.round == 1 and e.phase is phase)


PROPOSED = Proposed(1, 0, 3, "new", (), "edit", "ok", "", ())
EVALUATED = Evaluated(bytes(32), bytes(32), Evaluation(1, (1, 1), 2))


@pytest.mark.parametrize("record", [PROPOSED, EVALUATED, Arrived(0, ())])
def test_before_its_settings_an_engine_takes_no_work(record: Input) -> None:
    driver = toy_driver()

    refused(driver, record, r"does not fit|no evaluation|no gather")
    assert driver.engine.phase is Phase.NEW


@pytest.mark.parametrize("changed", [{"node": "beta"}, {"seed": 2}, {"ordered": False}])
def test_a_run_keeps_its_name_its_seed_and_its_order(changed: dict[str, object]) -> None:
    driver = at(Phase.SEARCHING)

    refused(driver, Configured(settings_of(**changed)), "keeps its node name")


@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.CLAIMING, Phase.GATHERING])
def test_answers_are_taken_while_searching_only(phase: Phase) -> None:
    driver = at(phase)
    calls = [*driver.engine.calls, (1, 0)]

    for number, iteration in calls:
        assert not driver.engine.may_commit((number, iteration))
        record = replace(PROPOSED, round=number, iteration=iteration)
        refused(driver, record, f"phase {phase.value}")


@pytest.mark.parametrize("phase", [Phase.SEARCHING, Phase.GATHERING, Phase.DONE])
def test_an_evaluation_that_nobody_awaits_is_refused(phase: Phase) -> None:
    refused(at(phase), EVALUATED, "no evaluation is awaited")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: replace(e, content_hash=bytes(32)),
        lambda e: replace(e, context_hash=bytes(32)),
        lambda e: replace(e, evaluation=replace(e.evaluation, trials=3)),
    ],
)
@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.CLAIMING])
def test_an_evaluation_of_something_else_is_refused(
    phase: Phase, spoil: Callable[[Evaluated], Evaluated]
) -> None:
    driver = at(phase)
    record = driver.wanted()
    assert isinstance(record, Evaluated)

    refused(driver, spoil(record), "evaluations come in order")


def test_evaluations_come_in_the_order_in_which_they_are_awaited() -> None:
    driver = at(Phase.WARMING)
    task = driver.engine.awaiting[1]
    result = driver.evaluate(task.genome, task.context)
    record = Evaluated(task.genome.content_hash, task.context.context_hash, result)

    refused(driver, record, "evaluations come in order")


@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.CLAIMING])
@pytest.mark.parametrize("measures", [(), (1,), (1, 2, 3)])
def test_an_evaluation_with_a_wrong_number_of_measures_is_refused(
    phase: Phase, measures: tuple[int, ...]
) -> None:
    driver = at(phase)
    record = driver.wanted()
    assert isinstance(record, Evaluated)
    result = replace(record.evaluation, measures=measures)

    refused(driver, replace(record, evaluation=result), "the evaluation of")


@pytest.mark.parametrize("phase", [Phase.WARMING, Phase.SEARCHING, Phase.CLAIMING, Phase.DONE])
def test_arrivals_enter_at_the_end_of_a_round_only(phase: Phase) -> None:
    refused(at(phase), Arrived(1, ()), "no gather of round 1 is open")


@pytest.mark.parametrize("number", [0, 2])
def test_arrivals_of_another_round_are_refused(number: int) -> None:
    refused(at(Phase.GATHERING), Arrived(number, ()), f"no gather of round {number} is open")


@pytest.mark.parametrize(
    "change",
    [
        {"seen": 0},
        {"call": "cross"},
        {"parents": (bytes(32),)},
        {"operator": "other"},
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_an_answer_to_a_call_that_was_never_made_is_refused(
    change: dict[str, object], ordered: bool
) -> None:
    driver = at(Phase.SEARCHING, ordered=ordered, cross_parts=0)
    record = driver.wanted()
    assert isinstance(record, Proposed)

    refused(driver, replace(record, **change), "answers another call")  # type: ignore[arg-type]


@pytest.mark.parametrize("ordered", [True, False])
def test_an_answer_is_taken_once(ordered: bool) -> None:
    driver = at(Phase.SEARCHING, ordered=ordered)
    record = driver.wanted()
    assert record is not None
    driver.apply(record)
    driver.until(lambda e: not e.awaiting)

    refused(driver, record, "does not fit")


def test_where_no_operator_needs_a_model_answers_come_in_order() -> None:
    driver = at(Phase.SEARCHING)
    assert driver.engine.next_commit() == (1, 0)
    ready = [key for key in driver.engine.calls if driver.engine.may_commit(key)]

    assert list(driver.engine.calls) == [(1, 0), (1, 1), (1, 2)]
    assert ready == [(1, 0)]
    refused(driver, driver._answer(driver.engine.calls[1, 1]), r"next \(1, 0\)")


def test_where_one_does_they_come_in_any_order() -> None:
    driver = at(Phase.SEARCHING, ordered=False)
    assert driver.engine.next_commit() is None
    ready = [key for key in driver.engine.calls if driver.engine.may_commit(key)]

    assert ready == [(1, 0), (1, 1), (1, 2)]
    driver.apply(driver._answer(driver.engine.calls[1, 2]))
    assert (1, 2) not in driver.engine.calls


def test_no_answer_is_taken_while_candidates_of_another_are_evaluated() -> None:
    driver = at(Phase.SEARCHING, ordered=False)
    while not driver.engine.awaiting:
        assert driver.step()

    assert not any(driver.engine.may_commit(key) for key in driver.engine.calls)


def test_what_was_refused_leaves_no_trace_in_the_run() -> None:
    clean = toy_driver(take=toy_arrivals).configure(settings_of(rounds=2)).finish()
    driver = toy_driver(take=toy_arrivals).configure(settings_of(rounds=2))
    while not driver.done:
        for record in (PROPOSED, EVALUATED, Arrived(7, ()), Configured(settings_of("beta"))):
            refused(driver, record)
        assert driver.step()

    assert driver.chain == clean.chain


def test_a_decision_may_come_at_any_time() -> None:
    decided = Decided(Decision.QUARANTINE, bytes(32))
    for phase in Phase:
        driver = toy_driver() if phase is Phase.NEW else at(phase)
        seen = driver.engine.seen

        assert driver.apply(decided) == []
        assert driver.engine.seen == seen + 1
