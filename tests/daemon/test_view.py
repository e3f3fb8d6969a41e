"""What a control client is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from daemon.loops import draft, peer, shared, until
from daemon.nodes import config, running, short_root
from daemon.support import run

from deid.control.protocol import decode_reply, encode_reply, to_json
from deid.control.views import ItemName, RunState, Scope
from deid.daemon.daemon import Daemon
from deid.daemon.exchange import elite_key
from deid.daemon.view import View, find_in
from deid.errors import ControlError, NothingMatchedError
from deid.plugin import Proposal, Request
from deid.plugin.toy import ToyOperator
from deid.search.genome import Genome
from deid.search.records import Candidate, Evaluated, Placed, Proposed, RoundClosed
from deid.wire.own import Draft


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with short_root(monkeypatch) as path:
        yield path


def from_peer(daemon: Daemon, *drafts: Draft, name: str = "beta") -> None:
    for signed in shared(peer(name, daemon.domain), *drafts):
        daemon.collective.node.restore(signed.raw)


def program(daemon: Daemon, number: int = 0) -> Genome:
    """A program that a search from these seeds has not met."""
    return daemon.domain.corpora()["swingers"][number]


def test_the_status_counts_what_the_journal_holds(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            status = await View(daemon).status()
            rows = [stored.row for stored in daemon.journal.rows()]
            own = [item for item in daemon.journal.items() if item.own]

            assert (status.node, status.key) == ("alpha", daemon.identity.public)
            assert (status.state, status.round, status.rounds) == (RunState.DONE, 1, 2)
            assert status.calls_done == status.calls == 11
            assert status.evaluations == sum(row.kind == Evaluated.kind for row in rows)
            assert (status.journal_rows, status.journal_hash) == (
                len(rows),
                daemon.journal.head().chain,
            )
            assert (status.items_own, status.items_received) == (len(own), 0)
            assert (status.peers_known, status.in_step, status.degraded) == (0, True, ())
            assert status.budget[0].used == 22

    run(test())


def test_the_rounds_archive_is_that_of_the_last_placements(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            view = await View(daemon).archive(False)
            records = [stored.row.record() for stored in daemon.journal.rows()]
            best: dict[int, Placed] = {}
            for record in records:
                if isinstance(record, Placed) and record.round == 1 and record.outcome != "kept":
                    best[record.cell] = record
            closed = [record for record in records if isinstance(record, RoundClosed)][-1]

            assert (view.scope, view.node, view.round) == (Scope.ROUND, "alpha", 1)
            assert {row.cell: row.content_hash for row in view.rows} == {
                cell: placed.content_hash for cell, placed in best.items()
            }
            assert sum(row.points for row in view.rows) == closed.points
            assert view.metrics.occupied == closed.occupied
            grid = daemon.domain.grid
            assert all(grid.number(row.bins) == row.cell for row in view.rows)

    run(test())


def test_the_merged_archive_names_nothing_local_and_shows_true_texts(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            liar = draft(daemon.domain, program(daemon), source=program(daemon, 1).source)
            from_peer(daemon, liar)
            view = await View(daemon).archive(True)

            assert (view.scope, view.node, view.round) == (Scope.MERGED, None, None)
            assert view.items == len(daemon.collective.node.items())
            for row in view.rows:
                genome = daemon.domain.parse(row.source)
                assert genome.content_hash == row.content_hash
                assert row.fitness == pytest.approx(
                    row.points
                    * view.contenders
                    / (row.trials * daemon.domain.reference().points_max)
                )
            assert "beta" in {row.node for row in view.rows}

    run(test())


def test_the_champions_are_those_whose_claims_hold_best_first(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            true = draft(daemon.domain, program(daemon), source="start nowhere")
            false = draft(daemon.domain, program(daemon, 1))
            false = replace(false, claim=replace(false.claim, points=false.claim.points + 1))
            from_peer(daemon, true, false)
            rows = (await View(daemon).champions()).champions
            held = [s.item for s in daemon.collective.node.items() if s.item.champion]
            held = [item for item in held if item.code != false.code]

            assert [row.content_hash for row in rows] == [
                item.content_hash for item in sorted(held, key=elite_key)
            ]
            assert all(daemon.domain.parse(row.source) for row in rows)

    run(test())


def test_show_finds_a_program_by_the_beginning_of_its_hash(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            view = View(daemon)
            item = daemon.collective.node.items()[0].item
            shown = await view.show(item.content_hash.hex()[:12].upper())
            seed = daemon.domain.opponents()[0]

            assert shown.content_hash == item.content_hash
            assert daemon.domain.parse(shown.listing).code == item.code
            assert [_plain(row.name) for row in shown.provenance] == [tuple(item.name)]
            assert shown.operator == "toy"
            assert {row.outcome for row in shown.placements} <= {"new", "improved", "kept"}
            assert shown.placements
            warm = await view.show(seed.content_hash.hex())
            assert (warm.operator, warm.provenance) == ("", ())
            assert warm.placements[0].iteration is None

    run(test())


@pytest.mark.parametrize(
    ("prefix", "error", "reason"),
    [
        ("", ControlError, "1 to 64 hex digits"),
        ("xyz", ControlError, "1 to 64 hex digits"),
        ("0" * 65, ControlError, "1 to 64 hex digits"),
        ("0" * 64, NothingMatchedError, "no program here"),
    ],
)
def test_show_says_what_is_wrong_with_a_hash(
    root: Path, prefix: str, error: type[Exception], reason: str
) -> None:
    async def test() -> None:
        async with running(config(root, rounds=1)) as (daemon, _):
            with pytest.raises(error, match=reason):
                await View(daemon).show(prefix)

    run(test())


def test_show_asks_for_more_digits_where_several_programs_match(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            records = [stored.row.record() for stored in daemon.journal.rows()]
            names = sorted({r.content_hash.hex() for r in records if isinstance(r, Placed)})
            twice = next(a[0] for a, b in pairwise(names) if a[0] == b[0])
            with pytest.raises(ControlError, match=r"begins \d+ hashes"):
                await View(daemon).show(twice)

    run(test())


def test_bytes_that_are_no_program_do_not_hide_the_programs(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, rounds=1)) as (daemon, _):
            await daemon.loop.finished.wait()
            junk = replace(draft(daemon.domain, program(daemon)), code=b"\x01")
            from_peer(daemon, junk)
            name = next(
                s.item.content_hash.hex()
                for s in daemon.collective.node.items()
                if s.item.node == "beta"
            )
            view = View(daemon)
            with pytest.raises(NothingMatchedError):
                await view.show(name)
            own = daemon.identity.public
            shown = [s.item for s in daemon.collective.node.items() if s.item.origin == own]

            assert (await view.show(shown[0].content_hash.hex())).node == "alpha"
            assert (await view.archive(True)).rows
            assert b"\x01" not in {row.content_hash for row in (await view.champions()).champions}

    run(test())


def test_the_operators_are_told_with_their_calls_and_cells(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            (row,) = (await View(daemon).operators()).operators
            records = [stored.row.record() for stored in daemon.journal.rows()]
            placed = [
                r
                for r in records
                if isinstance(r, Placed) and r.iteration >= 0 and r.outcome != "kept"
            ]

            assert (row.name, row.kind, row.isolation, row.weight) == ("toy", "toy", "inline", 1)
            assert row.calls == row.succeeded == row.attempts == 22
            assert row.placed == len(placed)
            assert (row.breaker, row.failures) == ("closed", ())

    run(test())


def test_start_pause_and_stop_say_whether_they_changed_anything(root: Path) -> None:
    async def test() -> None:
        async with running(config(root, rounds=0)) as (daemon, search):
            view = View(daemon)
            pause, again = await view.pause(), await view.pause()
            assert (pause.verb, pause.state, pause.changed) == ("pause", RunState.PAUSED, True)
            assert (again.state, again.changed) == (RunState.PAUSED, False)
            start = await view.start()
            assert (start.verb, start.state, start.changed) == ("start", RunState.RUNNING, True)
            stop, again = await view.stop(), await view.stop()
            assert (stop.state, stop.changed) == (RunState.STOPPING, True)
            assert not again.changed
            await until(search.done)

    run(test())


def test_a_budget_that_is_spent_shows_in_the_state(root: Path) -> None:
    async def test() -> None:
        settings = config(root, more="[budget]\nattempts_max = 3\n")
        async with running(settings) as (daemon, _):
            await daemon.loop.finished.wait()
            status = await View(daemon).status()

            assert status.state is RunState.BUDGET_SPENT
            assert (status.budget[0].used, status.budget[0].most) == (3, 3)
            assert status.calls_done == 3

    run(test())


class Loud(ToyOperator):
    """Speaks in several lines, and fails in several."""

    async def propose(self, request: Request) -> Proposal:
        if request.iteration % 2:
            raise ZeroDivisionError("on\npurpose\x1b[2J" + "é" * 3_000)
        proposal = await super().propose(request)
        return replace(proposal, model="a\nmodel\x1b" + "é" * 150)


def test_whatever_an_operator_says_every_view_fits_the_control_channel(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid.plugin.toy.ToyOperator", Loud)

    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            view = View(daemon)
            await daemon.loop.finished.wait()
            monkeypatch.setattr(daemon, "degraded", lambda: ("two\nlines",) * 1_000)
            replies = [await view.status(), await view.operators(), await view.champions()]
            replies += [await view.archive(False), await view.archive(True)]
            (row,) = (await view.operators()).operators

            assert "ZeroDivisionError: on purpose" in row.last_failure
            assert all(decode_reply(encode_reply(1, each))[1] == each for each in replies)

    run(test())


def test_every_view_can_be_written_as_json(root: Path) -> None:
    async def test() -> None:
        async with running(config(root)) as (daemon, _):
            await daemon.loop.finished.wait()
            view = View(daemon)
            replies = [await view.status(), await view.peers(), await view.champions()]
            replies += [await view.archive(False), await view.archive(True)]
            replies += [await view.operators()]

            assert all(to_json(reply).startswith("{") for reply in replies)

    run(test())


def test_a_search_of_the_journal_keeps_the_first_text_and_all_placements() -> None:
    genome = Genome("first", b"code", 1)
    name = genome.content_hash
    first = _proposed(0, genome)
    again = _proposed(1, Genome("again", b"code", 1))
    placed = [Placed(number, 0, name, 1, 5, "new") for number in (0, 1)]
    other = Placed(0, 1, b"\xff" * 32, 1, 5, "new")
    found = find_in([first, placed[0], other, again, placed[1]], name.hex()[:8])

    assert {key: each.source for key, each in found.genomes.items()} == {name: "first"}
    assert found.proposals == {name: first}
    assert found.placements == {name: placed}


def _plain(name: ItemName) -> tuple[bytes, int, int]:
    return (name.origin, name.epoch, name.seq)


def _proposed(iteration: int, genome: Genome) -> Proposed:
    candidates = (Candidate(genome.source, genome),)
    return Proposed(0, iteration, 1, "new", (), "toy", "ok", "", candidates)
