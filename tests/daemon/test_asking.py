"""A call put to an operator: whatever happens there, an answer comes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from daemon.loops import SETTINGS, Acting, Rig, until
from daemon.support import run

from deid.daemon.asking import NOTE_CHARS_MAX
from deid.daemon.breaker import BreakerPolicy
from deid.daemon.budget import BudgetLimits, BudgetSpent
from deid.plugin import Proposal, Request
from deid.search.calls import Call
from deid.search.records import Proposed, Row

GOOD = "start 5\nalways add 3\n"


def asked(path: Path, act: Any, **changes: Any) -> tuple[Call, Proposed]:
    """The answer of an operator that does ``act`` to a mutation of the first round."""

    async def test() -> tuple[Call, Proposed]:
        settings = replace(SETTINGS, n_init=0, new_parts=0, iterations=3)
        async with Rig(path, settings, operators={"toy": lambda _: Acting(act)}, **changes) as rig:
            call = next(iter(await _calls(rig)))
            return call, await rig.asker.ask(call)

    return run(test())


async def _calls(rig: Rig) -> list[Call]:
    """The first calls, which the engine issues once the archive is warmed up."""
    rig.paused = True
    rig.loop.pause()
    rig.start()
    await until(lambda: bool(rig.engine.calls))
    return list(rig.engine.calls.values())


def test_the_operator_is_shown_the_parents_and_the_answer_says_what_was_asked(
    tmp_path: Path,
) -> None:
    requests: list[Request] = []

    def act(request: Request) -> Proposal:
        requests.append(request)
        return Proposal((GOOD,), "why", "m-1", b"h" * 32)

    call, answer = asked(tmp_path / "a", act)
    (request,) = requests

    assert [each.code for each in request.parents] == [each.genome.code for each in call.parents]
    assert (request.kind.value, request.seed) == (call.kind.value, call.seed)
    assert (request.round, request.iteration) == call.key
    assert (answer.round, answer.iteration, answer.seen) == (*call.key, call.seen)
    assert (answer.call, answer.parents) == ("mutate", call.parent_hashes)
    assert (answer.operator, answer.outcome, answer.note) == ("toy", "ok", "why")
    assert (answer.model, answer.prompt_hash) == ("m-1", b"h" * 32)
    assert [each.source for each in answer.candidates] == [GOOD]
    assert answer.candidates[0].genome is not None
    assert (answer.usage, answer.attempts) == ((0, 0, 0, 0), 1)


def test_a_failure_is_an_answer_without_candidates(tmp_path: Path) -> None:
    def act(request: Request) -> Proposal:
        raise ZeroDivisionError("on purpose")

    _, answer = asked(tmp_path / "a", act)

    assert (answer.outcome, answer.candidates, answer.attempts) == ("raised", (), 1)
    assert "ZeroDivisionError: on purpose" in answer.note


def test_a_text_that_is_no_program_is_kept_with_its_fault(tmp_path: Path) -> None:
    _, answer = asked(tmp_path / "a", lambda request: Proposal(("start nowhere",)))
    (candidate,) = answer.candidates

    assert candidate.source == "start nowhere"
    assert candidate.genome is None
    assert "expected an integer, got 'nowhere'" in candidate.fault


def test_notes_are_cut(tmp_path: Path) -> None:
    _, answer = asked(tmp_path / "a", lambda request: Proposal((GOOD,), "x" * 900))

    assert len(answer.note) == NOTE_CHARS_MAX


@pytest.mark.parametrize("odd", ["\x00", "\x1b[2J", "\U0001f600", "\u2028"])
def test_whatever_text_comes_back_the_journal_can_hold_it(tmp_path: Path, odd: str) -> None:
    _, answer = asked(tmp_path / "a", lambda request: Proposal((f"{GOOD}#{odd}",), odd, odd))

    assert Row.of(answer).input() == answer


def test_an_operator_that_is_configured_no_more_refuses_without_an_attempt(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            call = replace((await _calls(rig))[0], operator="gone")
            await rig.asker.ready(call)
            answer = await rig.asker.ask(call)

            assert (answer.operator, answer.outcome, answer.attempts) == ("gone", "refused", 0)
            assert answer.note == "operator 'gone' is not configured any more"
            assert (answer.seen, answer.parents) == (call.seen, call.parent_hashes)
            assert list(rig.journal.attempts()) == []

    run(test())


def test_a_spent_budget_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent, match="attempts_max is 0"):
        asked(tmp_path / "a", lambda r: Proposal((GOOD,)), limits=BudgetLimits(attempts_max=0))


def test_a_call_is_not_ready_while_its_operators_breaker_is_open(tmp_path: Path) -> None:
    def act(request: Request) -> Proposal:
        raise ZeroDivisionError("on purpose")

    async def test() -> None:
        policy = BreakerPolicy(failures_max=1, open_s=30.0)
        operators = {"toy": lambda _: Acting(act)}
        async with Rig(tmp_path / "a", operators=operators, breaker=policy) as rig:
            first, second, *_ = await _calls(rig)
            await rig.asker.ready(first)
            await rig.asker.ask(first)
            waiting = asyncio.create_task(rig.asker.ready(second))
            await asyncio.sleep(0.01)

            assert not waiting.done()
            waiting.cancel()

    run(test())
