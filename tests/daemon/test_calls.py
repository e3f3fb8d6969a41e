"""One call from its attempts to its figures, with real operators of both isolations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from daemon.bad_operators import GOOD_TEXT
from daemon.support import BAD, FakeClock, ScriptedBackend, operator, rate_limited, request, run

from deid.daemon.attempt_log import MemoryAttemptLog
from deid.daemon.attempts import Attempts, Model, RetryPolicy, Spent
from deid.daemon.breaker import BreakerPolicy
from deid.daemon.budget import Budget, BudgetLimits, BudgetSpent
from deid.daemon.calls import Reply, call_operator
from deid.daemon.operators import ISOLATIONS
from deid.errors import JournalError
from deid.plugin import Proposal, Usage
from deid.store.values import AttemptState


def attempts_of(
    *script: object, attempts_max: int | None = None, log: MemoryAttemptLog | None = None
) -> Attempts:
    return Attempts(
        log or MemoryAttemptLog(),
        {"main": Model("main", ScriptedBackend(*script))},
        Budget(BudgetLimits(attempts_max=attempts_max)),
        FakeClock(),
        node="n",
        seed=1,
        retries=RetryPolicy(attempts_max=2, first_s=0.01),
    )


async def outcomes(attempts: Attempts, iteration: int) -> list[tuple[AttemptState, str]]:
    return [(row.state, row.outcome) for row in attempts.log.attempts_for(3, iteration)]


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_operator_without_a_model_makes_one_attempt_a_call(isolation: str) -> None:
    async def test() -> None:
        port = operator("raises", isolation=isolation)
        attempts = attempts_of()
        good = await call_operator(port, attempts, "mine", request(1))
        bad = await call_operator(port, attempts, "mine", request(BAD))
        await port.close()

        assert (good.outcome, good.proposal.candidates) == ("ok", (GOOD_TEXT,))
        assert bad.outcome == "raised"
        assert bad.proposal.candidates == ()
        assert "ZeroDivisionError: on purpose" in bad.proposal.note
        assert good.spent == bad.spent == Spent(1, Usage())
        assert await outcomes(attempts, 1) == [(AttemptState.SETTLED, "ok")]
        assert await outcomes(attempts, BAD) == [(AttemptState.SETTLED, "raised")]
        assert attempts.budget.state().spent.attempts == 2

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_call_with_a_model_reports_its_attempts_and_their_usage(isolation: str) -> None:
    async def test() -> None:
        port = operator("asks-the-model", kind="bad-asker", isolation=isolation)
        attempts = attempts_of(rate_limited(), "MOV 0, 1")
        reply = await call_operator(port, attempts, "mine", request(BAD))
        await port.close()

        proposal = Proposal(("MOV 0, 1",), model="fake-1")
        assert reply == Reply("ok", proposal, Spent(2, Usage(100, 20)))

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_model_that_fails_for_good_gives_the_call_its_outcome(isolation: str) -> None:
    async def test() -> None:
        port = operator("asks-the-model", kind="bad-asker", isolation=isolation)
        attempts = attempts_of(rate_limited(), rate_limited())
        reply = await call_operator(port, attempts, "mine", request(BAD))
        await port.close()

        assert (reply.outcome, reply.spent.attempts) == ("rate-limited", 2)
        assert "429" in reply.proposal.note

    run(test())


def test_a_call_that_the_breaker_refuses_is_no_attempt() -> None:
    async def test() -> None:
        port = operator(
            "raises", isolation="inline", breaker=BreakerPolicy(failures_max=1, open_s=60.0)
        )
        attempts = attempts_of()
        first = await call_operator(port, attempts, "mine", request(BAD))
        second = await call_operator(port, attempts, "mine", request(BAD + 1))

        assert (first.outcome, first.spent.attempts) == ("raised", 1)
        assert (second.outcome, second.spent.attempts) == ("refused", 0)
        assert attempts.budget.state().spent.attempts == 1
        assert await outcomes(attempts, BAD + 1) == []

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(("kind", "how"), [("bad", "prints"), ("bad-asker", "asks-the-model")])
def test_a_spent_budget_is_raised_and_the_operator_is_not_to_blame(
    isolation: str, kind: str, how: str
) -> None:
    async def test() -> None:
        port = operator(how, kind=kind, isolation=isolation)
        with pytest.raises(BudgetSpent, match="attempts_max is 0"):
            await call_operator(port, attempts_of(attempts_max=0), "mine", request(BAD))
        counters: Any = port.counters()
        await port.close()

        assert (counters.calls, counters.failures, counters.failures_in_row) == (1, (), 0)
        assert counters.in_flight == 0

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_journal_that_disagrees_is_raised_through_the_operator(isolation: str) -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        port = operator("asks-the-model", kind="bad-asker", isolation=isolation)
        await call_operator(port, attempts_of("x", log=log), "mine", request(BAD))
        (row,) = log.attempts_for(3, BAD)
        log.post(replace(row, request_hash=b"?"))
        with pytest.raises(JournalError, match="the journal holds request 3f"):
            await call_operator(port, attempts_of(log=log), "mine", request(BAD))
        await port.close()

    run(test())


def test_a_call_made_again_after_a_restart_gives_the_same_reply_for_nothing() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        port = operator("asks-the-model", kind="bad-asker", isolation="inline")
        live = await call_operator(
            port, attempts_of(rate_limited(), "x", log=log), "mine", request(BAD)
        )
        again = await call_operator(port, attempts_of(log=log), "mine", request(BAD))

        assert again == live

    run(test())
