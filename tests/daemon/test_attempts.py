"""The daemon owns every attempt: nothing is sent unreserved, nothing is paid for twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from daemon.support import FakeClock, ScriptedBackend, rate_limited, request, run
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.daemon.attempt_log import AttemptLog, JournalAttemptLog, MemoryAttemptLog
from deid.daemon.attempts import Attempts, Call, LoopClock, Model, RetryPolicy, Spent
from deid.daemon.budget import Amount, Budget, BudgetLimits, BudgetSpent, Price
from deid.errors import ConfigError, JournalError, StoreError
from deid.plugin import Completion, Message, ModelFailure, Usage
from deid.search.canonical import digest_bytes
from deid.store.journal import Journal
from deid.store.values import Attempt, AttemptState

ASK = [Message("system", "be brief"), Message("user", "a warrior, please")]
SERVER_ERROR = ModelFailure("server-error", "500", retry=True)
REFUSED = ModelFailure("refused", "401", retry=False)


def attempts_of(
    backend: Any,
    log: AttemptLog | None = None,
    *,
    limits: BudgetLimits | None = None,
    clock: Any = None,
    retries: RetryPolicy | None = None,
    seed: int = 1,
    **model: Any,
) -> Attempts:
    log = log or MemoryAttemptLog()
    fields: dict[str, Any] = {"max_output_tokens": 50, "price": Price(1_000_000, 2_000_000)}
    chosen = Model("main", backend, "fake-1", **{**fields, **model})
    budget = Budget(limits or BudgetLimits(), Amount.of(log.charged()))
    return Attempts(
        log, {"main": chosen}, budget, clock or FakeClock(), node="n", seed=seed, retries=retries
    )


def call_of(attempts: Attempts, iteration: int = 1, **changes: Any) -> Call:
    return attempts.open("llm", request(iteration, **changes), needs_model=True)


def rows(attempts: Attempts, iteration: int = 1) -> list[Attempt]:
    return list(attempts.log.attempts_for(3, iteration))


# --- One attempt --------------------------------------------------------------------------------


def test_an_attempt_is_journalled_before_it_is_sent_and_its_reply_before_it_is_used() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        seen: list[list[tuple[AttemptState, str]]] = []

        class Spy(ScriptedBackend):
            async def send(self, request: Any) -> Completion:
                seen.append([(row.state, row.outcome) for row in log.attempts_for(3, 1)])
                return await super().send(request)

        attempts = attempts_of(Spy("MOV 0, 1"), log)
        call = call_of(attempts)
        completion = await call.complete(ASK)

        assert completion == Completion("MOV 0, 1", "fake-1", Usage(100, 20))
        assert seen == [[(AttemptState.RESERVED, "")]]
        (row,) = rows(attempts)
        assert (row.state, row.outcome) == (AttemptState.SETTLED, "ok")
        assert (row.round, row.iteration, row.ordinal, row.serial) == (3, 1, 0, 0)
        assert (row.operator, row.model) == ("llm", "main")
        assert row.usage == (100, 20, 0, 0)
        assert row.settled_micro_usd == 100 + 2 * 20
        assert row.request_hash == digest_bytes(row.request)
        assert call.spent == Spent(1, Usage(100, 20))
        assert attempts.budget.state().spent == Amount(1, 120, 140)
        assert attempts.budget.state().held == Amount()

    run(test())


def test_the_worst_case_bounds_tokens_by_bytes_and_the_output_by_the_request() -> None:
    async def test() -> None:
        backend = ScriptedBackend(None, "x")
        attempts = attempts_of(backend, clock=LoopClock(), attempt_timeout_s=0.01)
        with pytest.raises(ModelFailure, match="no reply in"):
            await call_of(attempts, deadline_s=0.1).complete(ASK)
        (row,) = rows(attempts)
        sent = sum(len(each.content) + len(each.role) for each in ASK)

        assert row.state is AttemptState.UNKNOWN
        assert row.outcome == "timed-out"
        assert sent < row.usage[0] < sent + 300
        assert row.usage[1] == 50
        assert row.reserved_micro_usd == row.usage[0] + 2 * 50
        assert attempts.budget.state().spent == Amount(1, row.usage[0] + 50, row.reserved_micro_usd)

    run(test())


@pytest.mark.parametrize(
    ("usage", "charged"),
    [
        (Usage(100, 40, 5, 7), (100, 40, 5, 7)),
        (Usage(10_000, 10_000), (10_000, 10_000, 0, 0)),  # more than was reserved: it is owed
        (Usage(1, 1), (64, 32, 0, 0)),  # less than 1,024 and 512 bytes can be
    ],
)
def test_usage_is_charged_as_reported_but_not_below_what_the_text_must_have_cost(
    usage: Usage, charged: tuple[int, ...]
) -> None:
    async def test() -> None:
        attempts = attempts_of(ScriptedBackend(Completion("y" * 512, "m", usage)))
        await call_of(attempts).complete([Message("user", "x" * 1_020)])
        (row,) = rows(attempts)

        assert row.state is AttemptState.SETTLED
        assert row.usage == charged
        assert attempts.budget.state().spent.tokens == charged[0] + charged[1]

    run(test())


def test_a_reply_without_usage_is_charged_the_worst_case() -> None:
    async def test() -> None:
        attempts = attempts_of(ScriptedBackend(Completion("text", "m", Usage())))
        completion = await call_of(attempts).complete(ASK)
        (row,) = rows(attempts)

        assert completion.text == "text"
        assert (row.state, row.outcome) == (AttemptState.UNKNOWN, "ok")
        assert attempts.budget.state().spent == Amount(
            1, row.usage[0] + row.usage[1], row.reserved_micro_usd
        )

    run(test())


@pytest.mark.parametrize(
    ("failure", "state", "tokens"),
    [
        (rate_limited(), AttemptState.SETTLED, 0),
        (SERVER_ERROR, AttemptState.UNKNOWN, None),
        (ModelFailure("garbage", "cut", retry=False, usage=Usage(9, 4)), AttemptState.SETTLED, 13),
        (
            ModelFailure("garbage", "cut", retry=False, usage=Usage(-9, 4)),
            AttemptState.UNKNOWN,
            None,
        ),
    ],
)
def test_a_failure_keeps_its_reservation_unless_its_cost_is_known(
    failure: ModelFailure, state: AttemptState, tokens: int | None
) -> None:
    async def test() -> None:
        attempts = attempts_of(ScriptedBackend(failure), retries=RetryPolicy(attempts_max=1))
        with pytest.raises(ModelFailure) as caught:
            await call_of(attempts).complete(ASK)
        (row,) = rows(attempts)
        spent = attempts.budget.state().spent

        assert caught.value.outcome == failure.outcome
        assert (row.state, row.outcome) == (state, failure.outcome)
        assert spent.attempts == 1
        assert spent.tokens == (row.usage[0] + row.usage[1] if tokens is None else tokens)

    run(test())


@pytest.mark.parametrize(
    ("entry", "outcome", "says"),
    [
        (ValueError("sk-secret leaked"), "raised", r"ValueError: \[secret\] leaked"),
        (TimeoutError("of its own"), "raised", "TimeoutError: of its own"),
        ({"text": "no completion"}, "garbage", "a dict where a Completion"),
        (Completion(b"bytes", "m", Usage(1, 1)), "garbage", "a bytes as its text"),  # type: ignore[arg-type]
        (Completion("\ud800", "m", Usage(1, 1)), "garbage", "no valid text"),
        (Completion("x" * (2 << 20), "m", Usage(1, 1)), "garbage", "2097152 characters"),
        (Completion("x", "m", Usage(-1, 1)), "garbage", "input_tokens = -1"),
        (Completion("x", "m", Usage(1, 1.5)), "garbage", "output_tokens = 1.5"),  # type: ignore[arg-type]
        (Completion("x", "m" * 201, Usage(1, 1)), "garbage", "no short text"),
    ],
)
def test_a_backend_that_breaks_its_contract_costs_one_attempt(
    entry: object, outcome: str, says: str
) -> None:
    async def test() -> None:
        attempts = attempts_of(
            ScriptedBackend(entry), secrets=("sk-secret",), retries=RetryPolicy(attempts_max=1)
        )
        with pytest.raises(ModelFailure, match=says) as caught:
            await call_of(attempts).complete(ASK)
        (row,) = rows(attempts)

        assert caught.value.outcome == row.outcome == outcome
        assert row.state is AttemptState.UNKNOWN
        assert b"sk-secret" not in row.request + row.reply

    run(test())


# --- Retries ------------------------------------------------------------------------------------


def test_failed_attempts_are_made_again_after_growing_pauses_each_of_them_recorded() -> None:
    async def test() -> None:
        clock = FakeClock()
        backend = ScriptedBackend(SERVER_ERROR, SERVER_ERROR, SERVER_ERROR, "at last")
        attempts = attempts_of(backend, clock=clock)
        call = call_of(attempts, deadline_s=100.0)
        completion = await call.complete(ASK)

        assert completion.text == "at last"
        assert len(backend.requests) == 4
        assert [row.ordinal for row in rows(attempts)] == [0, 1, 2, 3]
        assert [row.outcome for row in rows(attempts)] == ["server-error"] * 3 + ["ok"]
        assert len({row.request_hash for row in rows(attempts)}) == 1
        assert call.spent.attempts == 4
        for pause_s, longest in zip(clock.slept, (1.0, 2.0, 4.0), strict=True):
            assert longest / 2 <= pause_s < longest

    run(test())


def test_pauses_are_jittered_by_the_stream_of_seed_node_and_call() -> None:
    async def pauses(seed: int, iteration: int) -> list[float]:
        clock = FakeClock()
        attempts = attempts_of(ScriptedBackend(*[SERVER_ERROR] * 3, "x"), clock=clock, seed=seed)
        await call_of(attempts, iteration, deadline_s=100.0).complete(ASK)
        return clock.slept

    assert run(pauses(1, 1)) == run(pauses(1, 1))
    assert len({tuple(run(pauses(*key))) for key in ((1, 1), (1, 2), (2, 1), (2, 2))}) == 4


def test_a_providers_retry_after_is_the_least_pause() -> None:
    async def test() -> None:
        clock = FakeClock()
        attempts = attempts_of(ScriptedBackend(rate_limited(17.5), "x"), clock=clock)
        await call_of(attempts, deadline_s=100.0).complete(ASK)

        assert clock.slept == [17.5]

    run(test())


@pytest.mark.parametrize("wish", [float("nan"), float("inf"), -5.0, "soon"])
def test_a_retry_after_that_is_no_time_is_ignored(wish: Any) -> None:
    async def test() -> None:
        clock = FakeClock()
        attempts = attempts_of(ScriptedBackend(rate_limited(wish), "x"), clock=clock)
        await call_of(attempts, deadline_s=100.0).complete(ASK)

        assert 0.5 <= clock.slept[0] < 1.0

    run(test())


def test_no_pause_outlives_the_call() -> None:
    async def test() -> None:
        clock = FakeClock()
        backend = ScriptedBackend(rate_limited(30.0), "never sent")
        with pytest.raises(ModelFailure, match="429"):
            await call_of(attempts_of(backend, clock=clock), deadline_s=30.0).complete(ASK)

        assert clock.slept == []
        assert len(backend.requests) == 1

    run(test())


def test_an_attempt_may_not_outlive_the_call() -> None:
    async def test() -> None:
        clock = FakeClock()
        backend = ScriptedBackend(SERVER_ERROR, "x")
        attempts = attempts_of(backend, clock=clock, attempt_timeout_s=60.0)
        await call_of(attempts, deadline_s=5.0).complete(ASK)

        assert [each.timeout_s for each in backend.requests] == [5.0, 5.0 - clock.slept[0]]

    run(test())


def test_what_no_retry_can_help_is_sent_once() -> None:
    async def test() -> None:
        backend = ScriptedBackend(REFUSED, "never sent")
        with pytest.raises(ModelFailure, match="401"):
            await call_of(attempts_of(backend)).complete(ASK)

        assert len(backend.requests) == 1

    run(test())


def test_attempts_of_one_reply_are_bounded() -> None:
    async def test() -> None:
        backend = ScriptedBackend(*[SERVER_ERROR] * 9)
        attempts = attempts_of(backend, retries=RetryPolicy(attempts_max=3, first_s=0.1))
        with pytest.raises(ModelFailure, match="500"):
            await call_of(attempts, deadline_s=100.0).complete(ASK)

        assert len(backend.requests) == 3

    run(test())


def test_a_hanging_attempt_is_given_up_and_made_again() -> None:
    async def test() -> None:
        backend = ScriptedBackend(None, "second")
        attempts = attempts_of(
            backend,
            clock=LoopClock(),
            attempt_timeout_s=0.02,
            retries=RetryPolicy(first_s=0.001),
        )
        completion = await call_of(attempts).complete(ASK)

        assert completion.text == "second"
        assert [row.outcome for row in rows(attempts)] == ["timed-out", "ok"]

    run(test())


# --- Requests -----------------------------------------------------------------------------------


def test_a_request_carries_the_models_options_the_operators_over_them_and_a_bounded_output() -> (
    None
):
    async def test() -> None:
        backend = ScriptedBackend("a", "b")
        attempts = attempts_of(backend, options={"temperature": 1.0, "top_p": 0.9})
        call = call_of(attempts)
        await call.complete(ASK)
        await call.complete(ASK, {"top_p": 0.5, "max_output_tokens": 10_000})

        assert backend.requests[0].messages == tuple(ASK)
        assert dict(backend.requests[0].options) == {
            "temperature": 1.0,
            "top_p": 0.9,
            "max_output_tokens": 50,
        }
        assert dict(backend.requests[1].options) == {
            "temperature": 1.0,
            "top_p": 0.5,
            "max_output_tokens": 50,
        }

    run(test())


def test_a_request_hash_depends_on_what_is_sent_and_on_nothing_else() -> None:
    async def hash_of(
        messages: list[Message], chosen: dict[str, object], seed: int = 1, **model: Any
    ) -> bytes:
        attempts = attempts_of(ScriptedBackend("x"), seed=seed, **model)
        await call_of(attempts).complete(messages, chosen)
        return rows(attempts)[0].request_hash

    same = [
        run(hash_of(ASK, {"a": 1, "b": 0.1})),
        run(hash_of(ASK, {"b": 0.1, "a": 1}, seed=2)),
        run(hash_of(ASK, {"b": 0.1}, options={"a": 1}, attempt_timeout_s=5.0)),
    ]
    other = [
        run(hash_of(ASK, {"a": 1})),
        run(hash_of(ASK[:1], {"a": 1, "b": 0.1})),
        run(hash_of(ASK, {"a": 1, "b": 0.1}, max_output_tokens=49)),
    ]

    assert len(set(same)) == 1
    assert len({*same, *other}) == 4


@pytest.mark.parametrize(
    ("messages", "options"),
    [
        ([Message("user", "\ud800")], {}),
        (["no message"], {}),
        ([Message("user", 3)], {}),
        (ASK, {"x": object()}),
        (ASK, {"x": float("nan")}),
        (ASK, {"max_output_tokens": 0}),
        (ASK, {"max_output_tokens": "many"}),
        ([Message("user", "x" * (5 << 20))], {}),
    ],
)
def test_what_is_no_request_is_refused_before_anything_is_reserved(
    messages: Any, options: Any
) -> None:
    async def test() -> None:
        backend = ScriptedBackend()
        attempts = attempts_of(backend)
        with pytest.raises(ModelFailure) as caught:
            await call_of(attempts).complete(messages, options)

        assert caught.value.outcome == "garbage"
        assert attempts.budget.state().spent == Amount()
        assert rows(attempts) == []

    run(test())


def test_requests_under_way_are_bounded() -> None:
    async def test() -> None:
        class Counting(ScriptedBackend):
            now = most = 0

            async def send(self, request: Any) -> Completion:
                self.now += 1
                self.most = max(self.most, self.now)
                for _ in range(5):
                    await asyncio.sleep(0)
                self.now -= 1
                return await super().send(request)

        backend = Counting(*["x"] * 12)
        attempts = attempts_of(backend, in_flight_max=3)
        await asyncio.gather(*(call_of(attempts, n).complete(ASK) for n in range(12)))

        assert backend.most == 3

    run(test())


def test_an_operator_that_needs_a_model_names_one_that_is_configured() -> None:
    attempts = attempts_of(ScriptedBackend())

    with pytest.raises(ConfigError, match="needs a model 'other'; have: main"):
        attempts.open("llm", request(), needs_model=True, model="other")
    with pytest.raises(ConfigError, match="needs a model; have: none"):
        Attempts(
            MemoryAttemptLog(), {}, Budget(BudgetLimits()), FakeClock(), node="n", seed=1
        ).model("llm")


# --- Budgets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [BudgetLimits(attempts_max=2), BudgetLimits(tokens_max=600), BudgetLimits(usd_max=700)],
)
def test_what_does_not_fit_the_budget_is_never_sent(limits: BudgetLimits) -> None:
    async def test() -> None:
        backend = ScriptedBackend(*["x"] * 99)
        attempts = attempts_of(backend, limits=limits)
        sent = 0
        with pytest.raises(BudgetSpent):
            for iteration in range(99):
                await call_of(attempts, iteration).complete(ASK)
                sent += 1
        spent = attempts.budget.state().spent

        assert 1 <= sent == len(backend.requests) == spent.attempts
        assert rows(attempts, sent) == []
        assert spent.tokens <= (limits.tokens_max or spent.tokens)
        assert spent.micro_usd <= (limits.usd_max or spent.micro_usd)

    run(test())


ENTRIES = st.sampled_from(
    ["reply", Completion("x", "m", Usage()), rate_limited(), SERVER_ERROR, REFUSED, ValueError()]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ENTRIES, min_size=80, max_size=80),
    st.integers(0, 20),
    st.integers(0, 5_000),
    st.integers(1, 8),
)
def test_no_limit_is_overrun_whatever_providers_do(
    script: list[object], attempts_max: int, tokens_max: int, in_flight: int
) -> None:
    async def test() -> None:
        limits = BudgetLimits(attempts_max=attempts_max, tokens_max=tokens_max)
        backend = ScriptedBackend(*script)
        log = MemoryAttemptLog()
        attempts = attempts_of(backend, log, limits=limits, in_flight_max=in_flight)
        calls = (call_of(attempts, n, deadline_s=1e9).complete(ASK) for n in range(20))
        await asyncio.gather(*calls, return_exceptions=True)
        charged = Amount.of(log.charged())

        assert charged.attempts == len(backend.requests) <= attempts_max
        assert charged.tokens <= tokens_max
        assert attempts.budget.state().spent == charged
        assert attempts.budget.state().held == Amount()

    run(test())


def test_a_limit_in_money_needs_the_price_of_every_model() -> None:
    with pytest.raises(ConfigError, match="usd_max needs the price of model 'main'"):
        attempts_of(ScriptedBackend(), limits=BudgetLimits(usd_max=1), price=None)


def test_no_key_is_shown_by_a_models_description() -> None:
    assert "sk-secret" not in repr(Model("main", ScriptedBackend(), secrets=("sk-secret",)))


# --- Restarts -----------------------------------------------------------------------------------


def test_after_a_restart_known_attempts_are_served_without_a_request_or_a_pause() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        script = (SERVER_ERROR, "first", REFUSED)

        async def play(backend: ScriptedBackend, clock: FakeClock) -> tuple[Any, ...]:
            attempts = attempts_of(backend, log, clock=clock)
            call = call_of(attempts, deadline_s=100.0)
            first = await call.complete(ASK)
            with pytest.raises(ModelFailure) as caught:
                await call.complete(ASK[1:])
            return first, caught.value.outcome, str(caught.value), call.spent

        live = await play(ScriptedBackend(*script), FakeClock())
        charged = log.charged()
        clock, silent = FakeClock(), ScriptedBackend()
        replayed = await play(silent, clock)

        assert replayed == live
        assert silent.requests == []
        assert clock.slept == []
        assert log.charged() == charged

    run(test())


def test_an_attempt_that_a_crash_interrupted_stays_charged_and_is_made_again() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        backend = ScriptedBackend(None)
        hanging = attempts_of(backend, log, clock=LoopClock())
        call = asyncio.create_task(call_of(hanging).complete(ASK))
        await backend.reached.wait()
        await hanging.close()  # the daemon dies
        with pytest.raises(asyncio.CancelledError):
            await call
        log.orphan()
        lost = Amount.of(log.charged())
        attempts = attempts_of(ScriptedBackend("again"), log)
        completion = await call_of(attempts).complete(ASK)

        assert completion.text == "again"
        assert [(row.ordinal, row.serial, row.state) for row in rows(attempts)] == [
            (0, 0, AttemptState.ORPHANED),
            (0, 1, AttemptState.SETTLED),
        ]
        assert lost.attempts == 1
        assert attempts.budget.state().spent == lost + Amount(1, 120, 140)

    run(test())


def test_another_request_under_a_known_key_is_an_error_that_names_both_hashes() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        first = attempts_of(ScriptedBackend("x"), log)
        await call_of(first).complete(ASK)
        (row,) = rows(first)
        backend = ScriptedBackend("never sent")
        with pytest.raises(JournalError) as caught:
            await call_of(attempts_of(backend, log)).complete(ASK, {"top_p": 0.1})

        text = str(caught.value)
        assert row.request_hash.hex() in text
        assert len({word for word in text.replace(",", " ").split() if len(word) == 64}) == 2
        assert backend.requests == []

    run(test())


def test_a_reply_that_cannot_be_read_is_an_error_of_the_journal() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        first = attempts_of(ScriptedBackend("x"), log)
        await call_of(first).complete(ASK)
        (row,) = rows(first)
        for reply in (b"", b"{", b"[]", b'{"text": "x"}', b'{"retry": 1}'):
            log.post(replace(row, reply=reply))
            with pytest.raises(JournalError, match=r"attempt \(3, 1, 0, 0\)"):
                await call_of(attempts_of(ScriptedBackend(), log)).complete(ASK)

    run(test())


def test_replies_asked_for_at_once_have_ordinals_in_the_order_of_asking() -> None:
    async def test() -> None:
        backend = ScriptedBackend("zero", SERVER_ERROR, "one", "two")
        attempts = attempts_of(backend)
        call = call_of(attempts, deadline_s=100.0)
        asked = (call.complete([Message("user", str(n))]) for n in range(3))
        replies = await asyncio.gather(*asked)

        assert [reply.text for reply in replies] == ["zero", "one", "two"]
        assert [row.outcome for row in rows(attempts)] == ["ok", "server-error", "ok", "ok"]
        assert [each.messages[0].content for each in backend.requests] == ["0", "1", "1", "2"]

    run(test())


def test_a_caller_that_gives_up_leaves_the_attempt_to_be_journalled() -> None:
    async def test() -> None:
        class Slow(ScriptedBackend):
            gate = asyncio.Event()

            async def send(self, request: Any) -> Completion:
                self.reached.set()
                await self.gate.wait()
                return await super().send(request)

        backend = Slow("late")
        attempts = attempts_of(backend, clock=LoopClock())
        call = asyncio.create_task(call_of(attempts).complete(ASK))
        await backend.reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        backend.gate.set()
        await asyncio.gather(*attempts.under_way)
        (row,) = rows(attempts)
        await attempts.close()

        assert (row.state, row.outcome) == (AttemptState.SETTLED, "ok")
        assert backend.closed == 1

    run(test())


def test_a_journal_that_cannot_be_written_sends_nothing_and_keeps_the_reservation() -> None:
    async def test() -> None:
        class Full(MemoryAttemptLog):
            async def write(self, attempt: Attempt) -> None:
                raise StoreError("the disk is full")

        backend = ScriptedBackend("never sent")
        attempts = attempts_of(backend, Full())
        with pytest.raises(StoreError):
            await call_of(attempts).complete(ASK)

        assert backend.requests == []
        assert attempts.budget.state().held == Amount()
        assert attempts.budget.state().spent.attempts == 1

    run(test())


def test_a_request_whose_time_ran_out_in_the_journal_is_not_sent() -> None:
    async def test() -> None:
        clock = FakeClock()

        class Slow(MemoryAttemptLog):
            async def write(self, attempt: Attempt) -> None:
                await super().write(attempt)
                clock.now_s += 11.0

        backend = ScriptedBackend("never sent")
        attempts = attempts_of(backend, Slow(), clock=clock)
        with pytest.raises(ModelFailure, match="nothing was sent"):
            await call_of(attempts, deadline_s=10.0).complete(ASK)

        assert backend.requests == []
        assert attempts.budget.state().spent == Amount(1, 0, 0)

    run(test())


# --- Operators without a model ------------------------------------------------------------------


def plain_call(attempts: Attempts, iteration: int = 1) -> Call:
    return attempts.open("edit", request(iteration), needs_model=False)


def test_a_call_of_an_operator_without_a_model_is_one_attempt() -> None:
    async def test() -> None:
        attempts = attempts_of(ScriptedBackend(), limits=BudgetLimits(attempts_max=2))
        for iteration, outcome in ((1, "ok"), (2, "raised")):
            call = plain_call(attempts, iteration)
            await call.begin()
            call.end(outcome)
            assert call.spent == Spent(1, Usage())
        with pytest.raises(BudgetSpent):
            await plain_call(attempts, 3).begin()

        assert [(row.state, row.outcome) for n in (1, 2) for row in rows(attempts, n)] == [
            (AttemptState.SETTLED, "ok"),
            (AttemptState.SETTLED, "raised"),
        ]
        assert rows(attempts, 3) == []

    run(test())


def test_a_plain_attempt_that_is_known_is_not_charged_again_an_interrupted_one_is() -> None:
    async def test() -> None:
        log = MemoryAttemptLog()
        first = attempts_of(ScriptedBackend(), log)
        done, broken = plain_call(first, 1), plain_call(first, 2)
        await done.begin()
        done.end("ok")
        await broken.begin()
        log.orphan()
        second = attempts_of(ScriptedBackend(), log)
        for iteration in (1, 2):
            call = plain_call(second, iteration)
            await call.begin()
            call.end("ok")

        assert second.budget.state().spent.attempts == 3
        assert [row.serial for row in rows(second, 2)] == [0, 1]

    run(test())


def test_an_operator_registered_without_a_model_gets_none() -> None:
    async def test() -> None:
        backend = ScriptedBackend("never sent")
        with pytest.raises(ModelFailure, match="without a model"):
            await plain_call(attempts_of(backend)).complete(ASK)

        assert backend.requests == []

    run(test())


# --- The journal --------------------------------------------------------------------------------


def test_attempts_survive_in_the_journal_of_a_node(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "journal.sqlite"
        with Journal(path) as journal:
            hanging = ScriptedBackend(rate_limited(), "kept", None)
            first = attempts_of(
                hanging,
                JournalAttemptLog(journal),
                clock=LoopClock(),
                retries=RetryPolicy(first_s=0.001),
            )
            await call_of(first, 1).complete(ASK)
            plain = plain_call(first, 3)
            await plain.begin()
            plain.end("ok")
            lost = asyncio.create_task(call_of(first, 2).complete(ASK))
            await hanging.reached.wait()
            await first.close()
            with pytest.raises(asyncio.CancelledError):
                await lost
        with Journal(path) as journal:
            log = JournalAttemptLog(journal)
            backend = ScriptedBackend("again")
            second = attempts_of(backend, log)
            before = second.budget.state().spent
            kept = await call_of(second, 1).complete(ASK)
            again = await call_of(second, 2).complete(ASK)
            await plain_call(second, 3).begin()
            charged = Amount.of(log.charged())

            assert journal.orphaned == 1
            assert (kept.text, again.text) == ("kept", "again")
            assert len(backend.requests) == 1
            assert before.attempts == 4
            assert charged == second.budget.state().spent == before + Amount(1, 120, 140)

    run(test())


def test_the_loops_clock_follows_the_system() -> None:
    async def test() -> None:
        clock: Any = LoopClock()
        before: Callable[[], float] = clock.monotonic_s
        start = before()
        await clock.sleep(0.0)

        assert clock.monotonic_s() >= start
        assert abs(clock.wall_ms() - time.time() * 1_000) < 60_000

    run(test())
