"""Operators in real child processes: whatever one does, it costs its call and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from daemon.bad_operators import GOOD_TEXT
from daemon.support import BAD, MODULES, FakeModelCall, host, operator, request, run
from structlog.testing import capture_logs

from deid.daemon.breaker import BreakerPolicy
from deid.daemon.budget import BudgetSpent
from deid.daemon.operators import (
    ISOLATIONS,
    InlineOperator,
    ProcessOperator,
    ProcessOptions,
    make_operator,
)
from deid.daemon.proposals import TEXT_BYTES_MAX
from deid.errors import ConfigError, OperatorFailure, PluginError
from deid.plugin import ModelFailure, Proposal

NO_BREAKER = BreakerPolicy(failures_max=1_000)


async def fails(port: Any, outcome: str, **changes: Any) -> OperatorFailure:
    """Makes the bad call; it fails with ``outcome``."""
    with pytest.raises(OperatorFailure) as caught:
        await port.propose(request(BAD, **changes))
    assert caught.value.outcome == outcome, caught.value
    return caught.value


async def answers(port: Any) -> None:
    """Makes a good call, which is answered."""
    assert (await port.propose(request())).candidates == (GOOD_TEXT,)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def address_space_of(pid: int) -> int:
    """The limit of a process, in bytes."""
    limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in limits if line.startswith("Max address space"))
    return int(line.split()[3])


def sockets_of(pid: int) -> int:
    """How many sockets a process holds."""
    targets = [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()]
    return sum(target.startswith("socket:") for target in targets)


async def gone(pid: int) -> None:
    """Returns once a process, no child of ours, is gone."""
    if alive(pid):
        fd = os.pidfd_open(pid)
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_reader(fd, lambda: ended.done() or ended.set_result(None))
        try:
            await asyncio.wait_for(ended, 5)
        finally:
            loop.remove_reader(fd)
            os.close(fd)
    assert not alive(pid)


# --- What a bad operator costs ------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    ("how", "outcome", "says"),
    [
        ("raises", "raised", "ZeroDivisionError: on purpose"),
        ("exits", "raised", "SystemExit: 3"),
        ("returns-rubbish", "garbage", "expected a Proposal, got int"),
        ("returns-numbers", "garbage", "candidate 0: expected text, got int"),
        ("returns-half-a-character", "garbage", "no valid text"),
        ("returns-huge", "garbage", f"at most {TEXT_BYTES_MAX}"),
        ("hangs", "timed-out", "no answer in 0.05 s"),
    ],
)
def test_a_bad_answer_costs_its_call_alone(
    isolation: str, how: str, outcome: str, says: str
) -> None:
    async def test() -> None:
        port = operator(how, isolation=isolation)
        await port.start()
        pid = port.counters().pid
        bad = fails(port, outcome, deadline_s=0.05 if how == "hangs" else 10.0)
        failure, *_ = await asyncio.gather(bad, answers(port), answers(port))
        await answers(port)
        counters = port.counters()
        await port.close()

        assert says in str(failure)
        assert counters.pid == pid
        assert (counters.calls, counters.succeeded, counters.candidates) == (4, 3, 3)
        assert counters.failures == ((outcome, 1),)
        assert counters.in_flight == 0

    run(test())


@pytest.mark.parametrize(
    ("how", "outcome", "says"),
    [
        ("exits-hard", "crashed", "ended with status 4"),
        ("crashes", "crashed", "was killed by SIGSEGV"),
        ("blocks", "timed-out", "no answer in 0.05 s"),
        ("clings", "timed-out", "no answer in 0.05 s"),
        ("raises-unheard", "timed-out", "no answer in 0.05 s"),
        ("leaks", "crashed", "out of memory"),
        ("closes-descriptors", "crashed", "its process"),
        ("garbles-the-channel", "garbage", "over the 8388608 allowed"),
    ],
)
def test_an_operator_that_ruins_its_process_gets_a_new_one(
    how: str, outcome: str, says: str
) -> None:
    async def test() -> None:
        port = operator(how, memory_max_mb=256, cancel_grace_s=0.05)
        await port.start()
        pid = port.counters().pid
        quick = outcome == "timed-out"
        failure = await fails(port, outcome, deadline_s=0.05 if quick else 10.0)
        await answers(port)
        counters = port.counters()
        await port.close()

        assert says in str(failure)
        assert not alive(pid)
        assert counters.pid != pid
        assert counters.restarts == 1
        assert counters.failures == ((outcome, 1),)
        assert counters.cpu_s > 0
        assert not alive(counters.pid)

    run(test())


def test_a_crash_fails_every_call_in_flight_on_that_process_and_no_later_one() -> None:
    async def test() -> None:
        port = operator("hangs", breaker=NO_BREAKER)
        await port.start()
        calls = [asyncio.create_task(port.propose(request(BAD))) for _ in range(3)]
        await answers(port)  # so the child has read the three before it
        os.kill(port.counters().pid, signal.SIGKILL)
        results = await asyncio.gather(*calls, return_exceptions=True)
        await answers(port)
        await port.close()

        assert [getattr(result, "outcome", result) for result in results] == ["crashed"] * 3
        assert "was killed by SIGKILL" in str(results[0])

    run(test())


@pytest.mark.parametrize("how", ["forks-and-dies", "forks-and-blocks"])
def test_what_a_child_forked_is_killed_with_it(how: str, tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "pid"
        port = operator(how, path=str(path), cancel_grace_s=0.05)
        await port.start()
        blocks = how == "forks-and-blocks"
        await fails(port, "timed-out" if blocks else "crashed", deadline_s=1.0 if blocks else 10.0)
        await answers(port)
        await port.close()

        await gone(int(path.read_text(encoding="ascii")))

    run(test())


def test_what_an_operator_prints_reaches_the_log_and_not_the_channel() -> None:
    async def test() -> None:
        with capture_logs() as logs:
            port = operator("prints")
            await port.start()
            proposal = await port.propose(request(BAD))
            await port.close()

        assert proposal.candidates == (GOOD_TEXT,)
        lines = [entry["line"] for entry in logs if entry["event"] == "operator.stderr"]
        assert sorted(lines) == ["from a child", "from descriptor 1", "from python"]

    run(test())


def test_a_flood_of_output_neither_stops_the_operator_nor_fills_the_log() -> None:
    async def test() -> None:
        with capture_logs() as logs:
            port = operator("floods")
            await port.start()
            proposal = await port.propose(request(BAD))
            await port.close()

        assert proposal.candidates == (GOOD_TEXT,)
        lines = [entry["line"] for entry in logs if entry["event"] == "operator.stderr"]
        assert len(lines) == 201
        assert "more than 200 lines" in lines[-1]

    run(test())


def test_surplus_candidates_are_dropped_and_counted() -> None:
    async def test() -> None:
        port = operator("returns-many")
        proposal = await port.propose(request(BAD, candidates_max=3))
        counters = port.counters()
        await port.close()

        assert proposal.candidates == (GOOD_TEXT,) * 3
        assert (counters.candidates, counters.surplus) == (3, 9_997)

    run(test())


def test_a_child_sees_no_key_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        port = operator("shows-environment", environment={"EXTRA": "1"})
        proposal = await port.propose(request(BAD))
        await port.close()

        (shown,) = proposal.candidates
        assert "sk-secret" not in shown
        assert "EXTRA=1" in shown.splitlines()

    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    run(test())


def test_a_child_is_niced_and_bounded_and_leads_a_session_of_its_own() -> None:
    async def test() -> None:
        port = operator("raises", niceness=3, memory_max_mb=700)
        await port.start()
        pid = port.counters().pid
        niceness = os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)
        session, group = os.getsid(pid), os.getpgid(pid)
        address_space, sockets = address_space_of(pid), sockets_of(pid)
        await port.close()

        assert niceness == 3
        assert (session, group) == (pid, pid)
        assert address_space == 700 << 20
        assert sockets == 3  # the channel, and the pair by which its event loop wakes itself

    run(test())


# --- Starting, stopping, waiting ----------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_wrong_setting_is_a_configuration_error_at_start(isolation: str) -> None:
    async def test() -> None:
        port = operator("no-such-way", isolation=isolation)
        with pytest.raises(ConfigError) as caught:
            await port.start()
        await port.close()

        assert caught.value.message == "operator 'bad': how is unknown: 'no_such_way'".replace(
            "_", "-"
        )
        assert caught.value.hint == "read the code"

    run(test())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("cannot-be-built", "cannot be built: RuntimeError: no such luck"),
        ("dies-when-built", "its process ended with status 6 before it was ready"),
        ("hangs-when-built", "its process was killed by SIGKILL before it was ready"),
    ],
)
def test_an_operator_that_cannot_be_built_is_named(how: str, says: str) -> None:
    async def test() -> None:
        port = operator(how, start_timeout_s=0.3 if how.startswith("hangs") else 60.0)
        with pytest.raises(PluginError) as caught:
            await port.start()
        await port.close()

        assert str(caught.value).startswith(f"plugin 'bad': {says}")

    run(test())


def test_a_module_that_is_not_there_is_named() -> None:
    async def test() -> None:
        port = operator("raises", modules=("no_such_module",))
        with pytest.raises(PluginError, match=r"cannot be imported.*no_such_module"):
            await port.start()
        await port.close()

    run(test())


def test_unknown_names_are_refused_before_any_process_starts() -> None:
    for change in ({"kind": "unknown"}, {"domain_name": "unknown"}, {"isolation": "unknown"}):
        arguments: dict[str, Any] = {
            "kind": "bad",
            "settings": {},
            "domain_name": "toy",
            "domain_settings": {},
            "node": "alpha",
            "seed": 1,
        }

        with pytest.raises(ConfigError, match="unknown"):
            make_operator(host(), **{**arguments, **change})


def test_a_setting_that_is_no_plain_value_is_a_configuration_error() -> None:
    async def test() -> None:
        port = make_operator(host(), "bad", {"how": object()}, "toy", {}, "alpha", 1)
        with pytest.raises(ConfigError, match="no plain value"):
            await port.start()

    run(test())


def test_calls_beside_a_first_one_share_its_start() -> None:
    async def test() -> None:
        port = operator("raises")
        await asyncio.gather(*(answers(port) for _ in range(4)))
        counters = port.counters()
        await port.close()

        assert (counters.succeeded, counters.restarts) == (4, 0)

    run(test())


def test_a_call_whose_caller_goes_away_is_cancelled_in_the_child() -> None:
    async def test() -> None:
        port = operator("hangs")
        await port.start()
        pid = port.counters().pid
        call = asyncio.create_task(port.propose(request(BAD)))
        await answers(port)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await answers(port)
        counters = port.counters()
        await port.close()

        assert counters.pid == pid
        assert counters.failures == ()

    run(test())


def test_closing_fails_what_is_in_flight_and_leaves_no_process() -> None:
    async def test() -> None:
        port = operator("hangs")
        await port.start()
        pid = port.counters().pid
        call = asyncio.create_task(fails(port, "crashed"))
        await answers(port)
        await port.close()
        await call
        with pytest.raises(OperatorFailure, match="closed"):
            await port.propose(request())
        await port.close()

        assert not alive(pid)

    run(test())


def test_more_calls_than_allowed_are_refused() -> None:
    async def test() -> None:
        port = operator("hangs", calls_max=2)
        await port.start()
        calls = [asyncio.create_task(fails(port, "crashed")) for _ in range(2)]
        failure = await asyncio.create_task(fails(port, "refused"))
        await port.close()
        await asyncio.gather(*calls)

        assert "2 calls are in flight already" in str(failure)

    run(test())


def test_a_child_dies_with_its_daemon(tmp_path: Path) -> None:
    async def test() -> None:
        path = tmp_path / "pid"
        daemon = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import asyncio, pathlib, sys, threading\n"
            f"sys.path[:0] = {sys.path!r}\n"
            "from daemon.support import operator\n"
            "async def main():\n"
            "    port = operator('raises')\n"
            "    await port.start()\n"
            f"    pathlib.Path({str(path)!r}).write_text(str(port.counters().pid))\n"
            "    print('ready', flush=True)\n"
            "    threading.Event().wait()\n"
            "asyncio.run(main())\n",
            stdout=asyncio.subprocess.PIPE,
        )
        assert daemon.stdout is not None
        assert await daemon.stdout.readline() == b"ready\n"
        pid = int(path.read_text(encoding="ascii"))
        assert alive(pid)
        daemon.kill()
        await daemon.communicate()

        await gone(pid)

    run(test())


# --- Back-off and breaker -----------------------------------------------------------------------


def test_repeated_failures_open_the_breaker_and_a_good_trial_closes_it() -> None:
    async def test() -> None:
        port = operator("raises", breaker=BreakerPolicy(failures_max=3, open_s=0.3))
        for _ in range(3):
            await fails(port, "raised")
        refused = await fails(port, "refused")
        opened = port.counters()
        await port.available()
        await answers(port)
        closed = port.counters()
        await port.close()

        assert "failed 3 times in a row" in str(refused)
        assert "ZeroDivisionError" in str(refused)
        assert (opened.breaker, opened.failures_in_row) == ("open", 3)
        assert 0 < opened.retry_in_s <= 0.3
        assert opened.failures == (("raised", 3), ("refused", 1))
        assert (closed.breaker, closed.failures_in_row, closed.retry_in_s) == ("closed", 0, 0)

    run(test())


def test_restarts_after_crashes_in_a_row_are_spaced_ever_wider() -> None:
    async def test() -> None:
        port = operator("exits-hard", breaker=NO_BREAKER, restart_s=0.2)
        began = []
        for _ in range(3):
            await fails(port, "crashed")
            began.append(time.monotonic())
        refused = await fails(port, "refused", deadline_s=0.01)
        await port.close()

        assert began[2] - began[1] >= 0.2
        assert "its process is started again in" in str(refused)

    run(test())


def test_an_operator_that_cannot_be_built_any_more_costs_its_calls_only() -> None:
    async def test() -> None:
        port = operator("cannot-be-built", breaker=NO_BREAKER)
        failure = await fails(port, "crashed")
        await port.close()

        assert "no such luck" in str(failure)

    run(test())


# --- The model behind an operator ---------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_operator_reaches_the_model_of_its_own_call(isolation: str) -> None:
    async def test() -> None:
        port = operator("asks-the-model", kind="bad-asker", isolation=isolation)
        one, two = FakeModelCall(), FakeModelCall()
        proposals = await asyncio.gather(
            port.propose(request(BAD), one), port.propose(request(BAD), two)
        )
        await port.close()

        assert proposals == [Proposal(("echo hello",), model="fake-1")] * 2
        for model in (one, two):
            ((messages, options),) = model.asked
            assert [(each.role, each.content) for each in messages] == [("user", "hello")]
            assert options == {"top_p": 0.5}
            assert model.begun == 1

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_tasks_of_an_operator_belong_to_its_call(isolation: str) -> None:
    async def test() -> None:
        port = operator("asks-the-model-in-tasks", kind="bad-asker", isolation=isolation)
        model = FakeModelCall()
        proposal = await port.propose(request(BAD), model)
        await port.close()

        assert proposal.candidates == ("echo 0", "echo 1", "echo 2")
        assert [messages[0].content for messages, _ in model.asked] == ["0", "1", "2"]

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize(
    ("said", "outcome"),
    [("rate-limited", "rate-limited"), ("ok", "raised"), ("no word of ours", "raised")],
)
def test_a_failure_of_the_model_is_the_outcome_of_a_call_that_lets_it_through(
    isolation: str, said: str, outcome: str
) -> None:
    async def test() -> None:
        port = operator("asks-the-model", kind="bad-asker", isolation=isolation)
        model = FakeModelCall(ModelFailure(said, "as scripted", retry=False))
        with pytest.raises(OperatorFailure, match="as scripted") as caught:
            await port.propose(request(BAD), model)
        await port.close()

        assert caught.value.outcome == outcome

    run(test())


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_no_operator_can_swallow_a_spent_budget(isolation: str) -> None:
    async def test() -> None:
        port = operator("swallows-failures", kind="bad-asker", isolation=isolation)
        spent = BudgetSpent("attempts_max", 10, 10, 1)
        with pytest.raises(BudgetSpent) as caught:
            await port.propose(request(BAD), FakeModelCall(spent))
        counters = port.counters()
        await port.close()

        assert caught.value is spent
        assert (counters.failures, counters.failures_in_row) == ((), 0)

    run(test())


def test_an_operator_without_a_model_is_told_so() -> None:
    async def test() -> None:
        port = operator("asks-the-model")
        failure = await fails(port, "refused")
        await port.close()

        assert "no model is configured" in str(failure)

    run(test())


# --- The two isolations agree -------------------------------------------------------------------


def test_both_isolations_give_the_same_proposals() -> None:
    async def test() -> None:
        options = ProcessOptions(modules=MODULES)
        ports = [
            make_operator(host(), "toy", {}, "toy", {}, "alpha", 1, isolation, options=options)
            for isolation in ISOLATIONS
        ]
        sides = []
        for port in ports:
            calls = (port.propose(request(n, seed=n)) for n in range(20))
            sides.append(await asyncio.gather(*calls))
            await port.close()

        assert isinstance(ports[0], ProcessOperator)
        assert isinstance(ports[1], InlineOperator)
        assert sides[0] == sides[1]
        assert len({proposal.candidates for proposal in sides[0]}) > 15

    run(test())
