"""The circuit breaker: pure, with the time as an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.daemon.breaker import Breaker, BreakerPolicy, BreakerState

POLICY = BreakerPolicy(failures_max=3, open_s=1.0, open_max_s=5.0)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(POLICY.failures_max):
        assert breaker.admit(at)
        breaker.failed(at)
    return breaker


def test_fewer_failures_than_the_limit_leave_it_closed() -> None:
    breaker = Breaker(POLICY)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()

    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit(0.0)


def test_an_open_one_refuses_until_its_time_is_over_then_admits_one_trial() -> None:
    breaker = opened()

    assert breaker.state is BreakerState.OPEN
    assert not breaker.admit(0.999)
    assert breaker.wait_s(0.25) == 0.75
    assert breaker.admit(1.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert not breaker.admit(1.0)
    assert breaker.wait_s(1.0) > 0


def test_every_failed_trial_doubles_the_open_time_up_to_the_most() -> None:
    breaker = opened()
    now, waits = 0.0, []
    for _ in range(5):
        wait_s = breaker.wait_s(now)
        waits.append(wait_s)
        now += wait_s
        assert breaker.admit(now)
        breaker.failed(now)

    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_good_trial_closes_it_and_forgets_all() -> None:
    breaker = opened()
    breaker.admit(1.0)
    breaker.succeeded()
    breaker.failed(1.0)

    assert breaker.state is BreakerState.CLOSED
    assert breaker.failures == 1
    assert breaker.admit(1.0)


def test_late_failures_of_calls_from_before_it_opened_do_not_prolong_it() -> None:
    breaker = opened()
    for _ in range(5):
        breaker.failed(0.5)

    assert breaker.wait_s(0.5) == 0.5


def test_a_trial_that_is_given_up_leaves_the_next_call_to_be_the_trial() -> None:
    breaker = opened()
    breaker.admit(1.0)
    breaker.gave_up()

    assert breaker.admit(1.0)


@given(st.lists(st.sampled_from(["admit", "failed", "succeeded", "gave_up"]), max_size=60))
def test_whatever_happens_a_call_is_admitted_within_the_longest_open_time(steps: list[str]) -> None:
    breaker = Breaker(POLICY)
    now = 0.0
    for step in steps:
        now += 0.125
        if step == "admit":
            breaker.admit(now)
        elif step == "failed":
            breaker.failed(now)
        else:
            getattr(breaker, step)()
    breaker.gave_up()  # if a trial is under way, it ends

    assert breaker.admit(now + POLICY.open_max_s)


@pytest.mark.parametrize("failures", [1, 5_000])
def test_the_open_time_never_overflows(failures: int) -> None:
    breaker = Breaker(BreakerPolicy(failures_max=1, open_s=1.0, open_max_s=300.0))
    now = 0.0
    for _ in range(failures):
        breaker.admit(now)
        breaker.failed(now)
        now += 300.0

    assert breaker.wait_s(now - 300.0) == (1.0 if failures == 1 else 300.0)
