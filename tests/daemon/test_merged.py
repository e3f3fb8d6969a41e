"""The merged archive depends on the held items alone, and no lie gets into it."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from daemon.loops import draft, peer, shared
from daemon.support import run

from deid.daemon.exchange import elite_key
from deid.daemon.merged import ClaimChecker, Merged
from deid.errors import PluginError
from deid.plugin.toy import ToyDomain
from deid.search.archive import Archive, Elite
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.wire.item import Item

TOY = ToyDomain(trials=2)
PROGRAMS = [genome for family in TOY.corpora().values() for genome in family]


class Counting:
    """An evaluation of the domain that counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, genome: Genome, context: Context) -> Evaluation:
        self.asked.append(genome.content_hash)
        return TOY.evaluate(genome, context, 0, context.trials)


def items_of(node: str, *programs: Genome, **changes: object) -> list[Item]:
    core = peer(node, TOY)
    return [shared(core, draft(TOY, each, **changes))[0].item for each in programs]


def merge(items: list[Item], evaluate: Counting | None = None) -> Merged:
    return run(ClaimChecker(TOY, evaluate or Counting()).merge(items))


def test_every_order_of_the_items_gives_the_same_archive() -> None:
    lie = items_of("liar", PROGRAMS[3], claim=replace(_earned(PROGRAMS[0]), points=9_000_000))
    items = [*items_of("beta", *PROGRAMS[:2]), *items_of("gamma", PROGRAMS[0]), *lie]
    merged = [merge(list(order)) for order in permutations(items)]

    assert len({each.archive.digest() for each in merged}) == 1
    assert len({tuple(sorted(each.items.items(), key=lambda kv: kv[0])) for each in merged}) == 1
    assert all(each.void == merged[0].void for each in merged)


def test_it_is_the_archive_of_a_slow_reference() -> None:
    items = [*items_of("beta", *PROGRAMS[:12]), *items_of("gamma", *PROGRAMS[6:])]
    best: dict[int, Item] = {}
    for item in items:
        cell = TOY.grid.cell(item.claim)
        if cell not in best or elite_key(item) < elite_key(best[cell]):
            best[cell] = item
    merged = merge(items)

    assert merged.items == best
    assert merged.void == ()
    assert len(merged.archive) == len(best) > 3


def test_of_two_items_with_one_program_that_of_the_smaller_name_holds_the_cell() -> None:
    items = [*items_of("beta", PROGRAMS[0]), *items_of("gamma", PROGRAMS[0])]
    (held,) = merge(items).items.values()

    assert held == min(items, key=lambda item: item.origin)


def test_a_false_claim_is_void_and_the_next_best_that_holds_takes_the_cell() -> None:
    earned = _earned(PROGRAMS[0])
    (honest,) = items_of("beta", PROGRAMS[0])
    lies = items_of("liar", *PROGRAMS[1:3], claim=replace(earned, points=earned.points + 5))
    merged = merge([*lies, honest])

    assert list(merged.items.values()) == [honest]
    assert set(merged.void) == set(lies)
    assert [elite.points for elite in merged.archive] == [earned.points]


def test_a_claim_of_another_cell_is_a_lie_though_its_points_are_right() -> None:
    earned = _earned(PROGRAMS[0])
    moved = replace(earned, measures=(earned.measures[0] + 200, earned.measures[1]))
    (lie,) = items_of("liar", PROGRAMS[0], claim=moved)

    assert merge([lie]) == Merged(Archive(TOY.grid, TOY.reference().context_hash), {}, (lie,))


def test_bytes_that_are_no_program_are_void() -> None:
    (junk,) = items_of("liar", PROGRAMS[0], code=b"\x01")

    assert merge([junk]).void == (junk,)


def test_a_claim_under_which_an_honest_better_one_stands_is_not_run_at_all() -> None:
    evaluate = Counting()
    better, worse = sorted(_pair_in_one_cell(), key=elite_key)
    merged = merge([worse, better], evaluate)

    assert evaluate.asked == [better.content_hash]
    assert list(merged.items.values()) == [better]


def test_each_program_is_run_once_however_often_one_looks_and_forgotten_when_it_is_gone() -> None:
    async def test() -> None:
        evaluate = Counting()
        checker = ClaimChecker(TOY, evaluate)
        first, second = items_of("beta", *PROGRAMS[:2])
        await checker.merge([first, second])
        await checker.merge([first, second])
        assert await checker.holds(first)
        assert sorted(evaluate.asked) == sorted([first.content_hash, second.content_hash])
        await checker.merge([second])
        await checker.merge([first, second])

        assert evaluate.asked.count(first.content_hash) == 2
        assert evaluate.asked.count(second.content_hash) == 1

    run(test())


def test_an_evaluation_that_fails_is_no_proof_of_a_lie() -> None:
    async def broken(genome: Genome, context: Context) -> Evaluation:
        raise PluginError("toy", "evaluate raised")

    (item,) = items_of("beta", PROGRAMS[0])
    with pytest.raises(PluginError):
        run(ClaimChecker(TOY, broken).merge([item]))


def test_an_elite_of_the_archive_bears_the_name_of_its_item() -> None:
    (item,) = items_of("beta", PROGRAMS[0])
    cell = TOY.grid.cell(item.claim)

    assert list(merge([item]).archive) == [
        Elite(item.content_hash, cell, item.claim.points, (item.origin, item.epoch, item.seq))
    ]


def _earned(genome: Genome) -> Evaluation:
    context = TOY.reference()
    return TOY.evaluate(genome, context, 0, context.trials)


def _pair_in_one_cell() -> list[Item]:
    by_cell: dict[int, Genome] = {}
    for genome in PROGRAMS:
        other = by_cell.setdefault(TOY.grid.cell(_earned(genome)), genome)
        if other != genome:
            return items_of("beta", other, genome)
    raise AssertionError("the toy domain's examples share no cell")
