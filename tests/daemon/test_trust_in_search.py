"""What received items may do in a search, honest or not."""

from __future__ import annotations

from typing import TypeVar

import pytest
from daemon.measure_liars import cost
from daemon.swarm import DOMAIN, Copycat, Honest, Liar, merged, run_swarm

from deid.search.records import (
    WARM_UP,
    Arrived,
    Evaluated,
    Placed,
    RoundOpened,
    Row,
)
from deid.search.settings import Use

R = TypeVar("R")

FOREIGN_MAX = 3
SEEDS = {genome.content_hash for genome in DOMAIN.opponents()}


def records(node: Honest, kind: type[R]) -> list[R]:
    return [each for each in node.records if isinstance(each, kind)]


def arrivals(node: Honest) -> dict[bytes, bytes]:
    """Content -> origin of whatever the search was given."""
    return {
        item.genome.content_hash: item.name[0]
        for arrived in records(node, Arrived)
        for item in arrived.items
    }


@pytest.fixture(scope="module")
def swarm() -> list[Honest]:
    return run_swarm(3, 1, seed=4, checks=1, foreign_max=FOREIGN_MAX)


def test_pools_and_archives_use_only_what_was_evaluated_here(swarm: list[Honest]) -> None:
    for node in swarm:
        opened = {each.context_hash: each for each in records(node, RoundOpened)}
        evaluated = {(each.content_hash, each.context_hash) for each in records(node, Evaluated)}
        rounds = {each.round: each.context_hash for each in opened.values()}
        used = {(content, each.context_hash) for each in opened.values() for content in each.pool}
        used |= {(each.content_hash, rounds[each.round]) for each in records(node, Placed)}

        assert used <= evaluated


def test_at_most_foreign_max_new_elites_enter_a_round(swarm: list[Honest]) -> None:
    for node in swarm:
        came, known = arrivals(node), set(SEEDS)
        by_round: dict[int, set[bytes]] = {}
        for each in records(node, Placed):
            if each.iteration == WARM_UP and each.content_hash in came:
                by_round.setdefault(each.round, set()).add(each.content_hash)
        assert by_round, "received elites warm rounds up"
        for number in sorted(by_round):
            fresh = by_round[number] - known
            known |= fresh

            assert len(fresh) <= FOREIGN_MAX


def test_a_received_elite_is_evaluated_once_in_a_round(swarm: list[Honest]) -> None:
    for node in swarm:
        pairs = [(each.content_hash, each.context_hash) for each in records(node, Evaluated)]
        foreign = [pair for pair in pairs if pair[0] in arrivals(node)]

        assert len(foreign) == len(set(foreign))


def test_items_of_a_liar_do_nothing_from_the_next_round_on(swarm: list[Honest]) -> None:
    for node in swarm:
        (liar, found_in), *others = node.liars.items()
        assert not others
        theirs = {content for content, origin in arrivals(node).items() if origin == liar}
        for opened in records(node, RoundOpened):
            if opened.round > found_in:
                assert not theirs & set(opened.pool)
        for placed in records(node, Placed):
            if placed.iteration == WARM_UP and placed.round > found_in:
                assert placed.content_hash not in theirs


def test_items_of_a_liar_are_held_all_the_same(swarm: list[Honest]) -> None:
    for node in swarm:
        liar = next(iter(node.liars))

        assert sum(1 for each in node.held if each.item.origin == liar) == 5 * 6


def test_all_nodes_show_the_same_archive_without_a_lie(swarm: list[Honest]) -> None:
    shown = [merged(each.item for each in node.held) for node in swarm]

    assert shown[0].archive == shown[1].archive == shown[2].archive
    honest = {node.key for node in swarm}
    assert {item.origin for item in shown[0].items.values()} <= honest
    assert len(shown[0].void) > 0


def test_a_run_with_liars_replays_from_its_records(swarm: list[Honest]) -> None:
    again = run_swarm(3, 1, seed=4, checks=1, foreign_max=FOREIGN_MAX)

    for one, two in zip(swarm, again, strict=True):
        assert [Row.of(each) for each in one.records] == [Row.of(each) for each in two.records]


@pytest.mark.parametrize("liar", [Liar, Copycat])
def test_thirty_per_cent_of_liars_cost_at_most_a_tenth(liar: type[Liar]) -> None:
    losses = []
    for seed in (1, 2):
        figures = cost(seed, liar, controls=False)
        assert figures.believed > 3 * figures.alone  # they lie enough to matter
        assert figures.shown == 0
        losses.append(figures.loss(figures.one_check))

    assert sum(losses) / len(losses) <= 0.10


def joiner(backfill: Use, late: Use = "use", lag_max: int = 1) -> list[set[bytes]]:
    """What the rounds of a node take in that meets another's whole log in its first round, and
    a fresh elite of a third: by round."""
    old = Liar("old", 1, count=4)
    log = [signed for _ in range(3) for signed in old.round(())]
    fresh = Liar("fresh", 1, count=2)
    changes: dict[str, object] = {"backfill": backfill, "late": late, "lag_max": lag_max}
    node = Honest("node", 1, 0, {**changes, "foreign_max": 4, "rounds": 5, "iterations": 4})
    for signed in log:
        node.receive(signed, backfill=True)
    for signed in fresh.round(()):
        node.receive(signed)
    while not node.done:
        node.round()
    came = arrivals(node)
    taken: list[set[bytes]] = [set() for _ in range(5)]
    seen: set[bytes] = set()
    for each in records(node, Placed):
        if each.content_hash in came and each.content_hash not in seen:
            seen.add(each.content_hash)
            taken[each.round].add(came[each.content_hash])
            taken[each.round] |= {each.content_hash}
    node_keys = {old.key: b"old", fresh.key: b"fresh"}
    return [{node_keys.get(name, name) for name in names} for names in taken]


def origins(taken: list[set[bytes]]) -> list[set[bytes]]:
    return [names & {b"old", b"fresh"} for names in taken]


def contents(taken: list[set[bytes]]) -> list[int]:
    return [len(names - {b"old", b"fresh"}) for names in taken]


def test_backfill_is_used_in_turn_last_or_not_at_all() -> None:
    used, last, skipped = joiner("use"), joiner("last"), joiner("skip")

    assert contents(used) == [0, 4, 4, 4, 2]
    assert origins(used)[1] == {b"old", b"fresh"}
    assert contents(last) == [0, 4, 4, 4, 2]  # two fresh ones, and what room they leave
    assert contents(skipped) == [0, 2, 0, 0, 0]
    assert origins(skipped)[1] == {b"fresh"}


def test_late_elites_go_last_or_not_at_all() -> None:
    """Of the old log's rounds 0, 1, 2 the first lags by two."""
    last, skipped = joiner("use", "last"), joiner("use", "skip")

    assert sum(contents(last)) == 14
    assert sum(contents(skipped)) == 10


def test_the_report_of_a_gather_tells_fresh_late_and_backfill(swarm: list[Honest]) -> None:
    for node in swarm:
        for snapshot in node.snapshots:
            report = snapshot.report
            assert report.fresh + report.late == len(snapshot.arrivals)
            assert report.fresh == sum(
                1 for each in snapshot.arrivals if each.lag == 0 and not each.backfill
            )
