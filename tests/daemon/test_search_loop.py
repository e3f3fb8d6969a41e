"""The search loop: what is folded is durable, what is durable is served, and nothing stops it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from daemon.loops import (
    SETTINGS,
    Acting,
    FullDisk,
    Jittered,
    Rig,
    draft,
    peer,
    shared,
    straight,
    until,
)
from daemon.support import run

from deid.daemon import search_loop
from deid.daemon.breaker import BreakerPolicy
from deid.daemon.budget import BudgetLimits
from deid.daemon.evaluator import Evaluator, Priority
from deid.errors import LocalError, PluginError
from deid.plugin import Completion, Message, ModelRequest, Proposal, Request, Usage
from deid.plugin.toy import ToyDomain, ToyOperator
from deid.search.calls import Call
from deid.search.engine import Engine
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.records import INPUTS, Arrived, Decided, Placed, Proposed, RoundClosed
from deid.search.streams import Stream
from deid.store import AttemptState

# --- The journal hash ---------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_the_order_in_which_work_ends_does_not_change_the_journal(
    tmp_path: Path, threads: int
) -> None:
    stream = Stream(threads, "test", "turns")
    finished: list[int] = []

    class Late(ToyOperator):
        async def propose(self, request: Request) -> Proposal:
            for _ in range(stream.below(20)):
                await asyncio.sleep(0)
            finished.append(request.iteration)
            return await super().propose(request)

    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        late = await straight(
            tmp_path / "late",
            operators={"toy": Late},
            evaluator_of=lambda domain: Jittered(domain, threads),
        )

        assert finished != sorted(finished)
        assert late.final == plain.final  # type: ignore[attr-defined]

    run(test())


@pytest.mark.parametrize("records", [1, 8, 30, 60, 61, 62, 75, 110])
def test_a_search_that_is_killed_and_started_again_ends_as_if_it_had_not_been(
    tmp_path: Path, records: int
) -> None:
    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        killed = tmp_path / "killed"
        async with Rig(killed) as rig:
            rig.start()
            await until(lambda: len(rig.told) >= records)
        async with Rig(killed) as rig:
            await rig.finish()

            assert (rig.hash, rig.contents(), rig.engine.state_digest()) == plain.final  # type: ignore[attr-defined]

    run(test())


def test_every_step_of_a_search_may_be_its_last_one(tmp_path: Path) -> None:
    """Killed after every commit of a short search, it still comes to the same end."""

    async def test() -> None:
        settings = replace(SETTINGS, rounds=2, iterations=3, n_init=1)
        plain = await straight(tmp_path / "plain", settings=settings)
        lives = 0
        while True:
            async with Rig(tmp_path / "killed", settings=settings) as rig:
                rig.start()
                head = rig.journal.head().seq
                await until(lambda: rig.journal.head().seq > head or rig.loop.finished.is_set())  # noqa: B023
                lives += 1
                if rig.loop.finished.is_set():
                    await rig.finish()
                    assert rig.engine.state_digest() == plain.final[2]  # type: ignore[attr-defined]
                    assert (rig.hash, rig.contents()) == plain.final[:2]  # type: ignore[attr-defined]
                    break
        assert lives > 5

    run(test())


class Echo:
    """A model: its reply follows from the prompt; ``paid`` lists what was asked."""

    def __init__(self) -> None:
        self.paid: list[str] = []
        self.stop_at = -1
        self.stopped = asyncio.Event()

    async def send(self, request: ModelRequest) -> Completion:
        prompt = request.messages[-1].content
        if len(self.paid) == self.stop_at:
            self.stopped.set()
            await asyncio.Event().wait()
        self.paid.append(prompt)
        return Completion(f"start {len(prompt)}\nalways add {prompt[-1]}\n", "m", Usage(9, 9))

    async def close(self) -> None:
        return


class Asking:
    """An operator whose candidate is the model's reply."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def propose(self, request: Request) -> Proposal:
        text = f"{request.kind.value} {request.round} {request.seed}"
        reply = await self._context.complete(request, [Message("user", text)])
        return Proposal((reply.text,), model=reply.model)


@pytest.mark.parametrize("stop_at", [0, 5, 11, 17])
def test_with_a_model_a_killed_search_resumes_to_the_same_journal_and_pays_nothing_twice(
    tmp_path: Path, stop_at: int
) -> None:
    async def test() -> None:
        settings = replace(SETTINGS, in_flight=1, rounds=2)
        model: Any = {"operators": {"toy": Asking}, "settings": settings}
        whole, first, second = Echo(), Echo(), Echo()
        plain = await straight(tmp_path / "plain", backend=whole, **model)
        first.stop_at = stop_at
        async with Rig(tmp_path / "killed", backend=first, **model) as rig:
            rig.start()
            await first.stopped.wait()
        async with Rig(tmp_path / "killed", backend=second, **model) as rig:
            await rig.finish()
            states = [attempt.state for attempt in rig.journal.attempts()]

            assert (rig.hash, rig.contents()) == plain.final[:2]  # type: ignore[attr-defined]
        assert first.paid + second.paid == whole.paid
        assert AttemptState.RESERVED not in states
        assert len(states) == len(whole.paid) + 1  # the one that was under way

    run(test())


def test_with_a_model_the_journal_keeps_the_order_in_which_replies_came(tmp_path: Path) -> None:
    class Backwards(Echo):
        """Three requests come before the last of them is answered first."""

        waiting: list[asyncio.Event]

        async def send(self, request: ModelRequest) -> Completion:
            gate = asyncio.Event()
            self.waiting.append(gate)
            if len(self.waiting) == 3:
                self.waiting.pop().set()
            asyncio.get_running_loop().call_later(0.01, gate.set)
            await gate.wait()
            return await super().send(request)

    async def test() -> None:
        backend = Backwards()
        backend.waiting = []
        async with Rig(tmp_path / "a", operators={"toy": Asking}, backend=backend) as rig:
            await rig.finish()
            order = [record.iteration for record in rig.inputs(Proposed)]
            digest = rig.engine.state_digest()
        async with Rig(tmp_path / "a", operators={"toy": Asking}, backend=Echo()) as again:
            assert order[0] == 2
            assert again.engine.state_digest() == digest

    run(test())


def test_with_a_model_an_answer_does_not_wait_for_the_evaluation_of_an_earlier_one(
    tmp_path: Path,
) -> None:
    held: list[bytes] = []
    gate: asyncio.Future[None]

    class Holding(Evaluator):
        """Keeps back the first evaluation of a candidate until the gate opens."""

        def submit(
            self, genome: Genome, context: Context, priority: Priority = Priority.ROUND
        ) -> asyncio.Future[Evaluation]:
            inner = super().submit(genome, context, priority)
            if genome in seeds or (held and held != [genome.content_hash]):
                return inner
            held.append(genome.content_hash)

            async def later() -> Evaluation:
                await asyncio.shield(gate)
                return await inner

            return asyncio.ensure_future(later())

    seeds = set(ToyDomain(trials=2).opponents())

    async def test() -> None:
        nonlocal gate
        gate = asyncio.get_running_loop().create_future()
        model: Any = {"operators": {"toy": Asking}, "backend": Echo()}
        async with Rig(
            tmp_path / "a", evaluator_of=lambda domain: Holding(domain, 1), **model
        ) as rig:
            rig.start()
            await until(lambda: len(rig.inputs(Proposed)) >= 4)
            texts = [each.candidates[0].genome for each in rig.inputs(Proposed)]

            assert held
            assert held[0] not in {genome.content_hash for genome in texts}
            gate.set_result(None)
            await rig.finish()

    run(test())


# --- What is durable when -----------------------------------------------------------------------


def test_records_are_told_only_once_they_are_in_the_journal(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            before = rig.journal.head().seq
            rig.on_record = lambda record: ahead.append(
                rig.journal.head().seq - before - len(rig.told)
            )
            ahead: list[int] = []
            await rig.finish()
            rows = [stored.row.record() for stored in rig.journal.rows(before)]

            assert min(ahead) >= 0
            assert rig.told == rows

    run(test())


def test_a_call_is_made_only_once_all_that_it_saw_is_in_the_journal(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            seen: list[tuple[int, int]] = []
            ask = rig.asker.ask

            async def spied(call: Call) -> Proposed:
                kinds = [stored.row.kind for stored in rig.journal.rows()]
                seen.append((call.seen, sum(kind in INPUTS for kind in kinds)))
                return await ask(call)

            rig.asker.ask = spied  # type: ignore[method-assign]
            await rig.finish()

            assert len(seen) == 3 * SETTINGS.calls
            assert all(wanted <= durable for wanted, durable in seen)

    run(test())


def test_items_leave_once_journal_and_mark_have_them(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            missing: list[object] = []

            def check(names: Any) -> None:
                mark = rig.keeper.identity.mark()
                assert mark is not None
                missing.extend(name for name in names if rig.journal.item(name) is None)
                missing.extend(name for name in names if name.seq > mark.seq)

            rig.exchange.on_committed = check
            await rig.finish()

            assert missing == []
            assert len(rig.exchange.left) == len(rig.contents()) > 3

    run(test())


def test_a_stop_between_the_commit_of_a_gather_and_its_release_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        async with Rig(tmp_path / "a") as rig:
            reached = asyncio.Event()

            async def hang(signed: object) -> None:
                reached.set()
                await asyncio.Event().wait()

            rig.keeper.published = hang  # type: ignore[method-assign, assignment]
            rig.start()
            await reached.wait()
            assert rig.contents()
            assert rig.exchange.left == []
        async with Rig(tmp_path / "a") as rig:
            held = [signed.item.content_hash for signed in rig.exchange.node.items()]
            assert held == rig.contents()
            await rig.finish()

            assert (rig.hash, rig.contents(), rig.engine.state_digest()) == plain.final  # type: ignore[attr-defined]

    run(test())


def test_while_the_disk_is_full_nothing_is_told_and_afterwards_the_search_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        disk = FullDisk(monkeypatch)
        async with Rig(tmp_path / "a") as rig:
            rig.on_record = lambda record: setattr(disk, "full", len(rig.told) == 40 or disk.full)
            search = rig.start()
            await until(lambda: disk.refusals > 2)
            told, head = len(rig.told), rig.journal.head()
            state = rig.journal.state.value
            await until(lambda: disk.refusals > 5)

            assert state == "degraded"
            assert not search.done()
            assert (len(rig.told), rig.journal.head()) == (told, head)
            rig.on_record = lambda record: None
            disk.full = False
            await rig.finish()
            assert (rig.hash, rig.contents(), rig.engine.state_digest()) == plain.final  # type: ignore[attr-defined]

    run(test())


# --- Plugins that fail --------------------------------------------------------------------------


def test_an_operator_that_always_fails_costs_its_calls_and_the_search_ends(tmp_path: Path) -> None:
    def fail(request: Request) -> Proposal:
        raise ZeroDivisionError("on purpose")

    async def test() -> None:
        async with Rig(tmp_path / "a", operators={"toy": lambda _: Acting(fail)}) as rig:
            turns = 0
            search = asyncio.create_task(rig.finish())
            while not search.done():
                turns += 1
                await asyncio.sleep(0)
            await search
            answers = rig.inputs(Proposed)

            assert turns > 100  # the loop was free all the while
            assert {answer.outcome for answer in answers} == {"raised"}
            assert len(answers) == 3 * SETTINGS.calls
            assert rig.loop.done

    run(test())


def test_a_domain_that_raises_in_evaluate_ends_the_search_by_its_name(tmp_path: Path) -> None:
    class Broken(ToyDomain):
        def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
            raise ZeroDivisionError("on purpose")

    async def test() -> None:
        async with Rig(tmp_path / "a", domain=Broken(trials=2)) as rig:
            with pytest.raises(PluginError, match=r"'toy'.*evaluate raised ZeroDivisionError"):
                await rig.finish()

    run(test())


def test_a_domain_that_raises_in_parse_costs_the_candidate(tmp_path: Path) -> None:
    class Broken(ToyDomain):
        def parse(self, text: str) -> Genome:
            if "crash" in text:
                raise RecursionError("too deep")
            return super().parse(text)

    async def test() -> None:
        operators = {"toy": lambda _: Acting(lambda request: Proposal(("crash",)))}
        async with Rig(tmp_path / "a", domain=Broken(trials=2), operators=operators) as rig:
            await rig.finish()
            faults = {each.candidates[0].fault for each in rig.inputs(Proposed)}

            assert faults == {"plugin 'toy': parse raised RecursionError: too deep"}

    run(test())


def test_a_bug_in_the_daemon_itself_ends_the_search_instead_of_hanging_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:

            async def broken(call: Call) -> Proposed:
                raise KeyError("a bug")

            rig.asker.ask = broken  # type: ignore[method-assign]
            with pytest.raises(KeyError, match="a bug"):
                await rig.finish()

    run(test())


# --- Budget and pause ---------------------------------------------------------------------------


def test_a_spent_budget_ends_the_search_and_a_raised_one_goes_on_to_the_same_journal(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        async with Rig(tmp_path / "a", limits=BudgetLimits(attempts_max=15)) as rig:
            search = rig.start()
            await rig.finish()
            assert rig.loop.budget_spent is not None
            assert rig.loop.budget_spent.limit == "attempts_max"
            assert not search.done()  # it serves on
            assert len(rig.inputs(Proposed)) == 15
        async with Rig(tmp_path / "a") as rig:
            await rig.finish()

            assert (rig.hash, rig.contents(), rig.engine.state_digest()) == plain.final  # type: ignore[attr-defined]

    run(test())


def test_what_calls_in_flight_hold_of_a_budget_does_not_end_the_search(tmp_path: Path) -> None:
    """Two worst cases do not fit, one does, and what is really used fits many times over."""

    async def test() -> None:
        settings = replace(SETTINGS, rounds=1)
        limits = BudgetLimits(tokens_max=2_000)  # a worst case: 1,024 of output and the prompt
        async with Rig(
            tmp_path / "a",
            settings=settings,
            operators={"toy": Asking},
            backend=Echo(),
            limits=limits,
        ) as rig:
            await rig.finish()

            assert rig.loop.budget_spent is None
            assert rig.loop.done

    run(test())


def test_a_pause_finishes_what_is_under_way_and_asks_for_nothing_more(tmp_path: Path) -> None:
    async def test() -> None:
        plain = await straight(tmp_path / "plain")
        gate, begun = asyncio.Event(), [0]

        class Gated(ToyOperator):
            async def propose(self, request: Request) -> Proposal:
                begun[0] += 1
                if begun[0] > 6:
                    await gate.wait()
                return await super().propose(request)

        async with Rig(tmp_path / "a", operators={"toy": Gated}) as rig:
            rig.start()
            await until(lambda: begun[0] == 9)  # three wait in the operator
            rig.loop.pause()
            gate.set()
            await until(lambda: len(rig.inputs(Proposed)) == 9)
            for _ in range(200):
                await asyncio.sleep(0)

            assert rig.loop.paused
            assert begun[0] == len(rig.inputs(Proposed)) == 9
            rig.loop.resume()
            await rig.finish()
            assert (rig.hash, rig.contents(), rig.engine.state_digest()) == plain.final  # type: ignore[attr-defined]

    run(test())


def test_a_search_that_starts_paused_asks_for_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a", paused=True) as rig:
            rig.start()
            await until(lambda: rig.engine.phase.value == "searching")
            for _ in range(200):
                await asyncio.sleep(0)
            assert rig.inputs(Proposed) == []
            rig.loop.resume()
            await rig.finish()

    run(test())


def test_a_pause_holds_a_call_that_waited_for_its_operators_breaker(tmp_path: Path) -> None:
    asked: list[int] = []

    def fail(request: Request) -> Proposal:
        asked.append(request.iteration)
        raise ZeroDivisionError("on purpose")

    async def test() -> None:
        async with Rig(
            tmp_path / "a",
            settings=replace(SETTINGS, in_flight=1, rounds=1),
            operators={"toy": lambda _: Acting(fail)},
            breaker=BreakerPolicy(failures_max=1, open_s=0.05, open_max_s=0.05),
        ) as rig:
            port, waiting = rig.arms["toy"].port, asyncio.Event()
            ready = rig.asker.ready

            async def spied(call: Call) -> None:
                if call.iteration == 1:  # the breaker is open by then
                    waiting.set()
                await ready(call)

            rig.asker.ready = spied  # type: ignore[method-assign]
            rig.start()
            await waiting.wait()
            rig.loop.pause()
            await port.available()
            for _ in range(50):
                await asyncio.sleep(0)

            assert port.counters().calls == 1
            assert asked == [0]

    run(test())


# --- Settings that change -----------------------------------------------------------------------


def test_after_an_operator_was_renamed_the_round_is_closed_and_the_next_uses_the_new_one(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            rig.start()
            await until(lambda: len(rig.inputs(Proposed)) >= 2)
        renamed = replace(SETTINGS, operators=(("other", 1),))
        async with Rig(tmp_path / "a", settings=renamed, operators={"other": ToyOperator}) as rig:
            await rig.finish()
            answers = rig.inputs(Proposed)
            gone = [each for each in answers if each.operator == "toy" and each.outcome != "ok"]
            last = {each.operator for each in answers if each.round == 2}

            assert gone
            assert {each.outcome for each in gone} == {"refused"}
            assert {each.attempts for each in gone} == {0}
            assert "'toy' is not configured any more" in gone[0].note
            assert last == {"other"}
            assert rig.loop.done

    run(test())


@pytest.mark.parametrize(("rounds", "in_flight"), [(5, 3), (3, 1), (4, 8)])
def test_rounds_and_calls_in_flight_may_change_between_two_starts(
    tmp_path: Path, rounds: int, in_flight: int
) -> None:
    async def test() -> None:
        await straight(tmp_path / "a")
        changed = replace(SETTINGS, rounds=rounds, in_flight=in_flight)
        async with Rig(tmp_path / "a", settings=changed) as rig:
            await rig.finish()
            closed = [r for r in rig.journal.rows() if r.row.kind == RoundClosed.kind]

            assert len(closed) == max(rounds, 3)
            digest = rig.engine.state_digest()
        async with Rig(tmp_path / "a", settings=changed) as rig:
            assert rig.engine.state_digest() == digest

    run(test())


def test_fewer_rounds_end_the_search_after_the_running_one(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            rig.start()
            await until(lambda: rig.engine.round == 1)
        async with Rig(tmp_path / "a", settings=replace(SETTINGS, rounds=1)) as rig:
            await rig.finish()

            assert rig.engine.round == 1
            assert rig.loop.done

    run(test())


# --- The round's end ----------------------------------------------------------------------------


def test_a_share_that_breaks_a_bound_is_left_out_and_the_search_goes_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:

            def refuse(drafts: Any) -> None:
                if any(each.champion for each in drafts):
                    raise LocalError("too long")

            rig.exchange.on_publish = refuse
            await rig.finish()
            items = [signed.item for signed in rig.exchange.node.items()]

            assert rig.loop.done
            assert items
            assert not any(item.champion for item in items)

    run(test())


def test_nothing_is_published_while_the_epoch_is_to_be_renewed(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            published: list[object] = []
            rig.exchange.on_publish = published.extend
            before = rig.journal.head().seq
            rig.keeper.behind()
            search = asyncio.create_task(rig.loop.run())
            await until(lambda: rig.engine.gather is not None)
            await until(lambda: len(rig.told) == rig.journal.head().seq - before)
            assert rig.engine.gather is not None
            assert published == []
            search.cancel()
            await asyncio.gather(search, return_exceptions=True)
            old = rig.exchange.node.epoch
            await rig.finish()
            epochs = {signed.item.epoch for signed in rig.exchange.node.items()}

            assert epochs == {rig.exchange.node.epoch}
            assert old not in epochs

    run(test())


def test_received_items_enter_once_and_a_quarantined_origin_no_more(tmp_path: Path) -> None:
    async def test() -> None:
        domain = ToyDomain(trials=2)
        family = domain.corpora()["swingers"]
        honest, liar = peer("honest", domain), peer("liar", domain)
        async with Rig(tmp_path / "a", domain=domain) as rig:
            rig.exchange.receive(shared(honest, draft(domain, family[0])))
            rig.exchange.receive(shared(honest, draft(domain, family[0])))  # under another name
            rig.exchange.receive(shared(liar, draft(domain, family[1])))
            signed = liar.items()[0]
            rig.loop.quarantine(signed.item.origin)
            await rig.finish()
            rows = [stored.row for stored in rig.journal.rows()]
            warmed = {row.body for row in rows if row.kind == Placed.kind}
            arrived = [item for each in rig.inputs(Arrived) for item in each.items]

            assert len(rig.inputs(Decided)) == 1
            assert len(arrived) == 2
            assert any(family[0].content_hash in body for body in warmed)
            assert not any(family[1].content_hash in body for body in warmed)

    run(test())


def test_after_its_last_round_it_still_takes_decisions(tmp_path: Path) -> None:
    async def test() -> None:
        async with Rig(tmp_path / "a") as rig:
            await rig.finish()
            rig.loop.quarantine(b"x" * 32)
            await until(lambda: len(rig.inputs(Decided)) == 1)
        async with Rig(tmp_path / "a") as rig:
            assert rig.tally.quarantined == {b"x" * 32}

    run(test())


def test_code_of_a_peer_that_is_no_program_or_breaks_the_domain_is_left_out(
    tmp_path: Path,
) -> None:
    class Brittle(ToyDomain):
        def decode(self, code: bytes) -> Genome:
            if code == b"\x02":
                raise IndexError("a domain's bug")
            return super().decode(code)

    async def test() -> None:
        domain = Brittle(trials=2)
        other = peer("other", domain)
        good = draft(domain, domain.corpora()["swingers"][0])
        bad = [replace(good, code=code) for code in (b"\x01", b"\x02")]
        async with Rig(tmp_path / "a", domain=domain) as rig:
            rig.exchange.receive(shared(other, good, *bad))
            await rig.finish()
            arrived = [item for each in rig.inputs(Arrived) for item in each.items]

            assert [item.genome.code for item in arrived] == [good.code]

    run(test())


def test_more_awaited_evaluations_than_the_evaluator_queues_are_submitted_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_loop, "AHEAD_MAX", 2)

    async def test() -> None:
        domain = ToyDomain(trials=2)
        other = peer("other", domain)
        programs = [g for family in domain.corpora().values() for g in family]
        async with Rig(
            tmp_path / "a",
            domain=domain,
            settings=replace(SETTINGS, foreign_max=100, rounds=2),
            evaluator_of=lambda d: Evaluator(d, 1, queue_max=6),
        ) as rig:
            rig.exchange.receive(shared(other, *(draft(domain, each) for each in programs)))
            await rig.finish()

            assert rig.loop.done

    run(test())


def test_stopping_awaits_every_task_that_it_started(tmp_path: Path) -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def hang(request: Request) -> Proposal:
        begun.append(request.iteration)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(request.iteration)
        raise AssertionError("unreachable")

    async def test() -> None:
        async with Rig(tmp_path / "a", operators={"toy": lambda _: Acting(hang)}) as rig:
            rig.start()
            await until(lambda: len(begun) == 3)
            await rig.kill()

            assert sorted(ended) == [0, 1, 2]
            assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("call-")]

    run(test())


def test_an_engine_that_folds_the_journal_is_where_the_loop_was(tmp_path: Path) -> None:
    async def test() -> None:
        rig = await straight(tmp_path / "a")
        async with Rig(tmp_path / "a") as again:
            assert isinstance(again.engine, Engine)
            assert again.engine.state_digest() == rig.final[2]  # type: ignore[attr-defined]
            assert again.tally.handed == rig.tally.handed
            assert again.tally.placed == rig.tally.placed

    run(test())
