from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from search.driver import settings_of

from deid.search.archive import Archive, Elite
from deid.search.calls import SEED, Call, CallKind, Shown
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.issuing import FAULT_CHARS_MAX, FAULTS_MAX, Feedback, make_call
from deid.search.settings import PARTS

GRID = Grid((Axis("size", "units", tuple(range(1, 10))),))  # 10 cells


def filled(*cells: int) -> tuple[Archive, dict[int, Shown]]:
    genomes = {cell: Genome(f"in {cell}", bytes([cell]), 1) for cell in cells}
    archive = Archive(GRID, b"here", [Elite(g.content_hash, c, c) for c, g in genomes.items()])
    return archive, {c: Shown(g, 1.0, (1.0,), SEED) for c, g in genomes.items()}


def calls(cells: tuple[int, ...], count: int = 400, **changed: object) -> Iterator[Call]:
    settings = settings_of(**{"n_init": 0, "new_parts": 0, "cross_parts": 0, **changed})
    archive, shown = filled(*cells)
    for iteration in range(count):
        yield make_call(settings, 2, iteration, 50, archive, shown, Feedback())


def sources(shown: tuple[Shown, ...]) -> list[str]:
    return [each.genome.source for each in shown]


def test_the_initial_calls_ask_for_something_new() -> None:
    kinds = [call.kind for call in calls((1, 2), 20, n_init=8)]

    assert kinds == [CallKind.NEW] * 8 + [CallKind.MUTATE] * 12


@pytest.mark.parametrize(
    ("changed", "kind", "parents"),
    [
        ({"new_parts": PARTS}, CallKind.NEW, 0),
        ({"cross_parts": PARTS}, CallKind.CROSS, 2),
        ({}, CallKind.MUTATE, 1),
    ],
)
def test_a_certain_kind_is_always_asked_for_with_its_parents(
    changed: dict[str, int], kind: CallKind, parents: int
) -> None:
    asked = list(calls((1, 2, 3), **changed))

    assert {call.kind for call in asked} == {kind}
    assert {len(call.parents) for call in asked} == {parents}


def test_kinds_come_in_the_proportions_of_the_settings() -> None:
    asked = Counter(c.kind for c in calls((1, 2), 2_000, new_parts=100_000, cross_parts=300_000))

    # standard deviations of 13, 20 and 22; 5 of them
    assert abs(asked[CallKind.NEW] - 200) < 70
    assert abs(asked[CallKind.CROSS] - 600) < 100
    assert abs(asked[CallKind.MUTATE] - 1_200) < 110


def test_an_empty_archive_has_no_parents_to_mutate() -> None:
    assert {call.kind for call in calls((), 20)} == {CallKind.NEW}


def test_one_elite_alone_is_mutated_not_crossed() -> None:
    assert {call.kind for call in calls((4,), 20, cross_parts=PARTS)} == {CallKind.MUTATE}


def test_parents_are_drawn_uniformly_from_the_occupied_cells() -> None:
    drawn = Counter(sources(call.parents)[0] for call in calls((0, 5, 9), 3_000))

    assert set(drawn) == {"in 0", "in 5", "in 9"}
    assert all(abs(times - 1_000) < 130 for times in drawn.values())  # 5 standard deviations


def test_no_cell_is_shown_twice_in_a_call() -> None:
    for call in calls((1, 2, 3, 4), 100, cross_parts=PARTS, inspirations_max=3):
        named = sources(call.parents) + sources(call.inspirations)

        assert len(call.parents) == 2
        assert len(call.inspirations) == 2, "four cells less two parents"
        assert len(set(named)) == 4


def test_operators_are_asked_by_weight() -> None:
    weights = (("edit", 1), ("idle", 0), ("llm", 3))
    asked = Counter(call.operator for call in calls((1,), 2_000, operators=weights))

    assert set(asked) == {"edit", "llm"}
    assert abs(asked["edit"] - 500) < 100


def test_every_call_has_a_seed_of_its_own_that_no_other_node_has() -> None:
    mine = {call.seed for call in calls((1, 2))}
    theirs = {call.seed for call in calls((1, 2), node="beta")}

    assert len(mine) == len(theirs) == 400
    assert not mine & theirs


def test_a_call_depends_on_its_place_alone() -> None:
    archive, shown = filled(1, 2, 3)
    settings = settings_of()

    def call(iteration: int) -> Call:
        return make_call(settings, 2, iteration, 50, archive, shown, Feedback())

    forwards = [call(iteration) for iteration in range(9)]
    backwards = [call(iteration) for iteration in reversed(range(9))]
    assert forwards == backwards[::-1]


def test_a_call_names_its_round_what_it_saw_and_how_many_candidates_are_taken() -> None:
    call = next(calls((1,), candidates_max=3))

    assert (call.round, call.iteration, call.seen, call.candidates_max) == (2, 0, 50, 3)
    assert call.key == (2, 0)
    assert call.parent_hashes == tuple(parent.genome.content_hash for parent in call.parents)


def test_an_operator_is_shown_its_last_faults_cut_to_size() -> None:
    feedback = Feedback()
    for number in range(FAULTS_MAX + 2):
        feedback.note("edit", f"{number}" * 2 * FAULT_CHARS_MAX)
    feedback.note("llm", "other")
    archive, shown = filled(1)
    call = make_call(settings_of(), 0, 0, 1, archive, shown, feedback)

    assert call.feedback == tuple(f"{number}" * FAULT_CHARS_MAX for number in (2, 3, 4))
    assert feedback.of("llm") == ("other",)
    assert feedback.of("idle") == ()
