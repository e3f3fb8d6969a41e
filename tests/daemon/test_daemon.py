"""Whole daemons: what they keep over restarts, and what they give each other."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from daemon.loops import FullDisk, draft, peer, shared, until
from daemon.nodes import (
    HANGS,
    Hanging,
    config,
    journal_hash,
    running,
    short_root,
    toy_host,
    whole,
)
from daemon.support import run

from deid.control.client import ControlClient
from deid.control.protocol import to_json
from deid.control.views import RunState
from deid.daemon.daemon import Daemon
from deid.daemon.exchange import cell_of_claims
from deid.daemon.view import View
from deid.errors import ConfigError, JournalError, PluginError, StoreError
from deid.search.evaluation import Evaluation
from deid.search.records import Arrived, Proposed
from deid.search.streams import Stream
from deid.wire.config import NodeConfig
from deid.wire.events import ItemReceived, OwnLogBehind
from deid.wire.item import Item, SignedItem
from deid.wire.keys import KeyPair
from deid.wire.node import Node


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_root(monkeypatch) as path:
        yield path


def items(daemon: Daemon) -> list[Item]:
    return [signed.item for signed in daemon.collective.node.items()]


async def merged(daemon: Daemon) -> str:
    return to_json(await View(daemon).archive(True))


# --- One node -----------------------------------------------------------------------------------


def test_a_lone_daemon_runs_its_rounds_and_then_serves(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, search):
            await daemon.loop.finished.wait()

            assert daemon.state is RunState.DONE
            assert not search.done()
            assert items(daemon)
            assert daemon.degraded() == ()
        assert daemon.state is RunState.STOPPING

    run(test())


def test_a_daemon_that_leaves_when_done_leaves_by_itself(root: Path) -> None:
    async def test() -> None:
        async with running(config(root), until_done=True, linger_s=9.0) as (daemon, search):
            await search

            assert daemon.loop.done
            assert daemon.uptime_s() < 9.0  # nobody to wait for

    run(test())


def test_a_daemon_whose_seeds_answer_nothing_leaves_after_its_linger(root: Path) -> None:
    async def test() -> None:
        settings = config(root, seeds=["tcp://127.0.0.1:9"])
        async with running(settings, until_done=True, linger_s=0.3) as (daemon, search):
            await daemon.loop.finished.wait()
            done_s = daemon.uptime_s()
            await search

            assert 0.25 < daemon.uptime_s() - done_s < 5

    run(test())


def test_the_same_seed_gives_the_same_journal_whoever_asks_meanwhile(root: Path) -> None:
    async def test() -> None:
        first, second = config(root / "a"), config(root / "b")
        await whole(first)
        async with running(second) as (daemon, _):
            while not daemon.loop.finished.is_set():
                await View(daemon).status()
                await merged(daemon)
                await View(daemon).champions()
                await asyncio.sleep(0)

        assert journal_hash(first) == journal_hash(second)

    run(test())


def test_a_daemon_that_ends_in_the_middle_of_a_round_goes_on_as_if_it_had_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        plain, cut = config(root / "a", operator=HANGS), config(root / "b", operator=HANGS)
        async with running(cut) as (daemon, _):
            await until(lambda: _answers(daemon) == 5)
        monkeypatch.setattr(Hanging, "calls_max", None)
        await whole(cut)
        await whole(plain)

        assert journal_hash(cut) == journal_hash(plain)

    run(test())


def _answers(daemon: Daemon) -> int:
    return sum(stored.row.kind == Proposed.kind for stored in daemon.journal.rows())


def test_a_pause_outlives_a_restart(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            assert await daemon.set_paused(True)
            assert not await daemon.set_paused(True)
        async with running(config(root)) as (daemon, _):
            assert daemon.state is RunState.PAUSED
            assert await daemon.set_paused(False)
            await daemon.loop.finished.wait()
        async with running(config(root)) as (daemon, _):
            assert daemon.state is RunState.DONE

    run(test())


def test_a_state_directory_belongs_to_one_daemon_at_a_time(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)):
            with pytest.raises(StoreError, match="is in use by a daemon with pid"):
                await Daemon(config(root), toy_host()).open()

    run(test())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"seed": 5}, "holds a run of node 'alpha' with seed 0"),
        ({"more": "[domain]\nopponents_max = 2\n"}, "describes task .* but .* belongs to task"),
    ],
)
def test_another_seed_or_task_in_a_used_state_directory_is_a_wrong_configuration(
    root: Path, changed: dict[str, object], reason: str
) -> None:
    async def test() -> None:
        await whole(config(root, rounds=1))
        with pytest.raises(ConfigError, match=reason) as caught:
            await Daemon(config(root, rounds=1, **changed), toy_host()).open()  # type: ignore[arg-type]
        assert caught.value.exit_code == 78
        await whole(config(root, rounds=1))  # nothing was harmed

    run(test())


def test_another_name_in_a_used_state_directory_is_a_wrong_configuration(root: Path) -> None:
    async def test() -> None:
        await whole(config(root, "alpha", rounds=1))
        (root / "alpha").rename(root / "beta")
        with pytest.raises(ConfigError, match="holds a run of node 'alpha'"):
            await Daemon(config(root, "beta", rounds=1), toy_host()).open()

    run(test())


def test_other_search_effort_in_a_used_state_directory_is_told_before_anything_runs(
    root: Path,
) -> None:
    async def test() -> None:
        await whole(config(root, rounds=1))
        with pytest.raises(JournalError, match=r"other \[domain\] settings"):
            more = "[domain]\ntrials = 9\n"
            await Daemon(config(root, rounds=1, more=more), toy_host()).open()

    run(test())


@pytest.mark.parametrize(("before", "after", "closed"), [(1, 3, 3), (3, 1, 3)])
def test_more_rounds_go_on_and_fewer_change_nothing_that_was_done(
    root: Path, before: int, after: int, closed: int
) -> None:
    async def test() -> None:
        await whole(config(root, rounds=before))
        daemon = await whole(config(root, rounds=after))

        assert daemon.loop.engine.round == closed - 1
        assert daemon.state is RunState.STOPPING

    run(test())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"operator": "tyo"}, "unknown operator 'tyo'"),
        ({"more": "[domain]\ntrails = 1\n"}, "trails"),
        ({"more": "[budget]\nusd_max = 1\n"}, "usd_max"),
    ],
)
def test_a_daemon_that_cannot_start_gives_everything_back(
    root: Path, wrong: dict[str, str], error: str
) -> None:
    async def test() -> None:
        with pytest.raises(ConfigError, match=error):
            await Daemon(config(root, **wrong), toy_host()).open()  # type: ignore[arg-type]
        await whole(config(root))

    run(test())


def test_an_address_in_use_is_a_wrong_configuration(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha")) as (alpha, _):
            taken = config(root, "beta")
            taken = replace(taken, net=replace(taken.net, listen=alpha.address))
            with pytest.raises(ConfigError, match="cannot listen"):
                await Daemon(taken, toy_host()).open()

    run(test())


def test_a_plugin_that_breaks_in_the_search_ends_the_daemon_by_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> Evaluation:
        raise ZeroDivisionError("on purpose")

    async def test() -> None:
        async with running(config(root)) as (daemon, search):
            monkeypatch.setattr(type(daemon.domain), "evaluate", broken)
            with pytest.raises(PluginError, match="'toy'"):
                await search

    run(test())


def test_a_full_disk_degrades_the_daemon_which_answers_and_goes_on_afterwards(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        await whole(config(root / "a"))
        disk = FullDisk(monkeypatch)
        async with running(config(root / "b")) as (daemon, search):
            disk.full = True
            await until(lambda: disk.refusals > 1)
            status = await View(daemon).status()

            assert "journal degraded" in status.degraded[0]
            assert "disk is full" in status.degraded[0]
            assert not search.done()
            disk.full = False
            await daemon.loop.finished.wait()
            assert daemon.degraded() == ()
        assert journal_hash(config(root / "a")) == journal_hash(config(root / "b"))

    run(test())


def test_the_control_socket_answers_while_an_operator_hangs_and_stops_the_daemon(
    root: Path,
) -> None:
    async def test() -> None:
        async with running(config(root, operator=HANGS)) as (daemon, search):
            await until(lambda: _answers(daemon) == 5)
            state_dir = daemon.config.node.state_dir

            def ask() -> str:
                with ControlClient.find(state_dir) as client:
                    state = client.status().state
                    client.stop()
                    return state.value

            assert await asyncio.to_thread(ask) == "running"
            await asyncio.wait_for(search, 5)

    run(test())


# --- Several nodes ------------------------------------------------------------------------------


def test_daemons_that_hold_the_same_items_show_the_same_merged_archive(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            seeds = [alpha.address]
            async with running(config(root, "beta", seeds=seeds, seed=2)) as (beta, _):
                await _settled(alpha, beta)
                nodes = {item.node for item in items(alpha)}

                assert nodes == {"alpha", "beta"}
                assert items(alpha) == items(beta)
                assert await merged(alpha) == await merged(beta)
                (row,) = (await View(alpha).peers()).peers
                assert (row.name, row.in_step, row.missing) == ("beta", True, 0)

    run(test())


def test_a_late_joiner_gets_everything_and_a_leaver_comes_back_with_all_it_had(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            await alpha.loop.finished.wait()
            settings = config(root, "beta", seeds=[alpha.address], seed=2)
            async with running(settings, until_done=True, linger_s=10) as (beta, search):
                await search
                held = items(beta)
            again = Daemon(settings, toy_host())
            await again.open()
            try:
                assert items(again) == held
                assert len(held) == len(items(alpha)) > 2
                assert again.state is RunState.DONE
            finally:
                await again.close()

    run(test())


def test_a_node_that_lost_its_state_begins_a_new_epoch_and_gets_its_own_items_back(
    root: Path,
) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            settings = config(root, "beta", seeds=[alpha.address], seed=2)
            async with running(settings) as (beta, _):
                await _settled(alpha, beta)
                key = beta.identity.public
                before = {item.name for item in items(beta) if item.origin == key}
            shutil.rmtree(settings.node.state_dir)
            async with running(settings) as (beta, _):
                await _settled(alpha, beta)
                own = {item.name for item in items(beta) if item.origin == key}

                assert beta.identity.public == key
                assert before < own
                assert len({epoch for _, epoch, _ in own}) == 2
                assert items(alpha) == items(beta)
                assert await merged(alpha) == await merged(beta)
            async with running(settings) as (again, _):  # the new epoch is a normal one
                assert {item.name for item in items(again) if item.origin == key} == own

    run(test())


def test_own_items_of_a_lost_life_reach_the_search_after_a_kill_too(root: Path) -> None:
    """They wait in the journal like any other arrival until a gather takes them."""

    async def test() -> None:
        settings = config(root, operator=HANGS)
        async with running(settings) as (daemon, _):
            await until(lambda: _answers(daemon) == 5)
            mine = _signed_by(daemon, 0)
            assert daemon.collective.node.restore(mine.raw) == mine  # as if a peer had sent it
            daemon._events([ItemReceived(mine, 0, True)])
        async with running(config(root, operator=HANGS)) as (daemon, _):
            assert len(daemon.collective.mailbox) == 1

    run(test())


def _signed_by(daemon: Daemon, number: int) -> SignedItem:
    """An item of ``daemon``'s key in an epoch of an earlier life."""
    domain = daemon.domain
    earlier = Node(
        NodeConfig(name="alpha", address="tcp://127.0.0.1:1", seeds=()),
        KeyPair.from_seed(daemon.identity.seed),
        domain.task_hash,
        cell_of_claims(domain.grid, domain.reference()),
        Stream(1, "old", "n"),
        epoch=9 << 64,
    )
    (signed,) = shared(earlier, draft(domain, domain.corpora()["swingers"][number]))
    return signed


def test_an_own_log_that_is_behind_gets_a_new_epoch_and_the_search_goes_on(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, rounds=4)) as (daemon, _):
            await until(lambda: daemon.loop.engine.round >= 1)
            old = daemon.collective.node.epoch
            daemon._events([OwnLogBehind(old, 99)])
            await until(lambda: daemon.collective.node.epoch != old)
            await daemon.loop.finished.wait()
            held = items(daemon)

            assert {item.epoch for item in held} == {daemon.collective.node.epoch}
            assert {item.round for item in held} > {0}
        again = Daemon(config(root, rounds=4), toy_host())
        await again.open()
        assert items(again) == held
        await again.close()

    run(test())


def test_two_daemons_with_one_key_say_so(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            twin = config(root, "beta", seeds=[alpha.address], seed=2)
            twin = replace(twin, node=replace(twin.node, key_file=alpha.config.node.key_file))
            async with running(twin) as (beta, _):
                await until(lambda: bool(alpha.degraded()) or bool(beta.degraded()))
                said = [*alpha.degraded(), *beta.degraded()]

                assert "another daemon runs with this node's key" in said

    run(test())


def test_a_false_claim_is_void_on_the_node_that_looks_and_its_origin_quarantined_once(
    root: Path,
) -> None:
    async def test() -> None:
        settings = config(root, rounds=1)
        async with running(settings) as (daemon, _):
            await daemon.loop.finished.wait()
            domain, liar = daemon.domain, peer("liar", daemon.domain)
            honest = draft(domain, domain.corpora()["swingers"][0])
            reference = domain.reference()
            most = Evaluation(
                reference.points_max * reference.trials, honest.claim.measures, reference.trials
            )
            (lie,) = shared(liar, draft(domain, domain.corpora()["swingers"][0], claim=most))
            daemon.collective.node.restore(lie.raw)
            daemon._events([ItemReceived(lie, 0, False)])
            before = await merged(daemon)
            await until(lambda: _decisions(daemon) == 1)

            assert lie.item.content_hash.hex() not in before
            assert lie.item in items(daemon)  # stored and forwarded all the same
            assert await merged(daemon) == before
        async with running(settings) as (daemon, _):
            assert await merged(daemon) == before
            daemon.loop.quarantine(b"y" * 32)  # decided after whatever else was to be
            await until(lambda: b"y" * 32 in daemon.tally.quarantined)
            assert daemon.tally.quarantined == {lie.item.origin, b"y" * 32}
            assert _decisions(daemon) == 2

    run(test())


def _decisions(daemon: Daemon) -> int:
    return sum(stored.row.kind == "decision" for stored in daemon.journal.rows())


def test_an_arrival_enters_the_search_of_a_running_node(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            await alpha.loop.finished.wait()
            settings = config(root, "beta", seeds=[alpha.address], seed=2, rounds=0)
            async with running(settings) as (beta, _):
                await until(lambda: _arrived(beta) > 0)
                await beta.set_paused(True)

                assert beta.arrivals == len(items(alpha)) - _own(beta, alpha)

    run(test())


def test_what_a_gather_took_is_not_taken_again_after_a_restart(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, "alpha", seed=1)) as (alpha, _):
            await alpha.loop.finished.wait()
            settings = config(root, "beta", seeds=[alpha.address], seed=2, rounds=0)
            async with running(settings) as (beta, _):
                await until(lambda: _arrived(beta) > 0)
                await beta.set_paused(True)
        again = Daemon(settings, toy_host())
        await again.open()
        taken = again.tally.handed.copy()
        waiting = {each.signed.item.content_hash for each in again.collective.take(0).arrivals}
        received = {item.content_hash for item in items(again) if item.node == "alpha"}
        await again.close()

        assert taken & received
        assert not waiting & taken
        assert received <= waiting | taken

    run(test())


def _arrived(daemon: Daemon) -> int:
    rows = (stored.row for stored in daemon.journal.rows())
    found = [row.input() for row in rows if row.kind == Arrived.kind]
    return sum(len(each.items) for each in found if isinstance(each, Arrived))


def _own(daemon: Daemon, held_by: Daemon) -> int:
    return sum(item.origin == daemon.identity.public for item in items(held_by))


async def _settled(*daemons: Daemon) -> None:
    """All rounds are run, and all hold the same."""

    def same() -> bool:
        held = {tuple(item.name for item in items(daemon)) for daemon in daemons}
        return len(held) == 1 and all(daemon.collective.settled() for daemon in daemons)

    for daemon in daemons:
        await daemon.loop.finished.wait()
    await until(same)
