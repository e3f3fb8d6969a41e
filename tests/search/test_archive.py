from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.search.archive import NOBODY, Archive, Elite, Outcome
from deid.search.evaluation import Evaluation
from deid.search.grid import Axis, Grid
from deid.search.streams import Stream

GRID = Grid((Axis("a", "units", (1, 10, 100)), Axis("b", "units", (5,))))  # 8 cells
HERE = b"here" * 8

names = st.tuples(
    st.sampled_from([b"", b"a", b"b"]), st.integers(0, 2) | st.just(2**127), st.integers(0, 2)
)
elites = st.builds(
    Elite,
    content_hash=st.sampled_from([bytes([k]) * 32 for k in range(4)]),
    cell=st.integers(0, GRID.cells - 1),
    points=st.integers(0, 3),
    name=names,
)
archives = st.lists(elites, max_size=12).map(lambda held: Archive(GRID, HERE, held))


def elite(cell: int = 0, points: int = 1, content: int = 1, name: int = 0) -> Elite:
    return Elite(bytes([content]), cell, points, (b"origin", 1, name))


# --- The order ----------------------------------------------------------------------------------


def test_more_points_are_better_whatever_the_names() -> None:
    assert elite(points=2, content=9).better_than(elite(points=1, content=1))
    assert not elite(points=1, content=1).better_than(elite(points=2, content=9))


def test_of_equal_points_the_smaller_hash_is_better() -> None:
    assert elite(content=1, name=9).better_than(elite(content=2, name=1))
    assert not elite(content=2, name=1).better_than(elite(content=1, name=9))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((b"a", 9, 9), (b"b", 1, 1)),
        ((b"a", 1, 9), (b"a", 2, 1)),
        ((b"a", 1, 1), (b"a", 1, 2)),
        (NOBODY, (b"a", 0, 0)),
    ],
)
def test_of_the_same_program_the_smaller_name_is_better(
    better: tuple[bytes, int, int], worse: tuple[bytes, int, int]
) -> None:
    one, other = Elite(b"x", 0, 1, better), Elite(b"x", 0, 1, worse)

    assert one.better_than(other)
    assert not other.better_than(one)


@given(elites, elites, elites)
def test_the_order_is_total(a: Elite, b: Elite, c: Elite) -> None:
    same = (a.points, a.content_hash, a.name) == (b.points, b.content_hash, b.name)

    assert a.better_than(b) + b.better_than(a) + same == 1
    assert not (a.better_than(b) and b.better_than(c)) or a.better_than(c)


# --- Placing and merging ------------------------------------------------------------------------


def test_placing_tells_what_it_did() -> None:
    archive = Archive(GRID, HERE)

    assert archive.place(elite(points=2)) is Outcome.NEW
    assert archive.place(elite(points=3)) is Outcome.IMPROVED
    assert archive.place(elite(points=2)) is Outcome.KEPT
    assert archive.place(elite(points=3)) is Outcome.KEPT, "an elite does not replace itself"
    assert archive.at(0) == elite(points=3)
    assert archive.at(1) is None


@pytest.mark.parametrize("cell", [-1, 8])
def test_a_cell_outside_the_grid_is_refused_and_nothing_changes(cell: int) -> None:
    archive = Archive(GRID, HERE, [elite()])
    before = archive.digest()

    with pytest.raises(ValueError, match=r"cell must be in \[0, 8\)"):
        archive.place(elite(cell=cell))
    assert archive.digest() == before


@given(st.lists(elites, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(held: list[Elite], rng: Random) -> None:
    shuffled = rng.sample(held, len(held))

    assert Archive(GRID, HERE, held) == Archive(GRID, HERE, shuffled)


@given(st.lists(elites, max_size=10))
def test_each_cell_holds_the_best_that_came_for_it(held: list[Elite]) -> None:
    expected: dict[int, Elite] = {}
    for each in sorted(held, key=lambda e: (-e.points, e.content_hash, e.name)):
        expected.setdefault(each.cell, each)

    assert list(Archive(GRID, HERE, held)) == [expected[cell] for cell in sorted(expected)]


@given(archives, archives)
def test_merging_is_commutative(a: Archive, b: Archive) -> None:
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).digest() == b.merge(a).digest()


@given(archives, archives, archives)
def test_merging_is_associative(a: Archive, b: Archive, c: Archive) -> None:
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(archives, archives)
def test_merging_is_idempotent_and_changes_neither_side(a: Archive, b: Archive) -> None:
    before = (a.digest(), b.digest())

    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)
    assert (a.digest(), b.digest()) == before


def test_archives_of_other_contexts_or_grids_do_not_merge() -> None:
    with pytest.raises(ValueError, match="re-score"):
        Archive(GRID, HERE).merge(Archive(GRID, b"there"))
    with pytest.raises(ValueError, match="re-score"):
        Archive(GRID, HERE).merge(Archive(Grid(GRID.axes[:1]), HERE))


# --- What it says -------------------------------------------------------------------------------


@given(archives)
def test_no_elite_is_better_than_the_best(archive: Archive) -> None:
    best = archive.best()

    assert (best is None) == (len(archive) == 0)
    assert best is None or best in archive
    assert best is None or not any(each.better_than(best) for each in archive)


@given(archives, archives)
def test_digests_are_equal_exactly_when_archives_are(a: Archive, b: Archive) -> None:
    assert (a.digest() == b.digest()) == (a == b)


def test_the_digest_covers_the_context() -> None:
    assert Archive(GRID, HERE).digest() != Archive(GRID, b"there").digest()
    assert Archive(GRID, HERE) != Archive(GRID, b"there")


def test_the_digest_never_changes() -> None:
    held = [Elite(b"x" * 32, 3, 7, (b"k" * 32, 2**100, 5)), Elite(b"y" * 32, 0, 9)]

    assert Archive(GRID, HERE, held).digest().hex() == (
        "81d0e3847c4274deb4ba424895b4d6fbdedd52525df044b7dd103432d984f289"
    )


def test_an_archive_is_no_key_and_equals_nothing_else() -> None:
    assert Archive(GRID, HERE) != [1]
    with pytest.raises(TypeError, match="unhashable"):
        hash(Archive(GRID, HERE))


# --- Sampling -----------------------------------------------------------------------------------


def test_a_sample_is_uniform_over_the_occupied_cells() -> None:
    archive = Archive(
        GRID, HERE, [elite(cell, points) for cell, points in ((0, 1), (3, 900), (7, 2))]
    )
    stream = Stream(1, "alpha", "sampling")
    drawn = Counter(archive.sample(stream).cell for _ in range(3_000))

    # 3,000 draws of three: a standard deviation of 26; 5 of them
    assert set(drawn) == {0, 3, 7}
    assert all(abs(times - 1_000) < 130 for times in drawn.values())


def test_an_empty_archive_has_no_sample() -> None:
    with pytest.raises(ValueError, match="bound"):
        Archive(GRID, HERE).sample(Stream(1, "alpha", "sampling"))


# --- Against pyribs -----------------------------------------------------------------------------


def test_away_from_edges_it_agrees_with_pyribs() -> None:
    ribs = pytest.importorskip("ribs.archives", reason="pyribs is not installed (pip install ribs)")
    even = Grid((Axis("a", "units", (20, 40, 60, 80)), Axis("b", "units", (25, 50, 75))))
    theirs = ribs.GridArchive(
        solution_dim=1, dims=(5, 4), ranges=[(0, 100), (0, 100)], qd_score_offset=0
    )
    ours = Archive(even, HERE)
    rng = Random(1)
    points = rng.sample(range(10_000), 500)  # no ties: theirs keeps the first of equals
    for number, score in enumerate(points):
        a, b = (rng.choice([v for v in range(100) if v % 5]) for _ in range(2))
        cell = even.cell(Evaluation(score, (a, b), 1))
        outcome = ours.place(Elite(number.to_bytes(4, "big"), cell, score))
        status = theirs.add_single([number], score, [a, b])["status"]

        assert int(status) == {Outcome.KEPT: 0, Outcome.IMPROVED: 1, Outcome.NEW: 2}[outcome]
    held = {
        int(index): (int(objective), int(solution[0]))
        for index, objective, solution in zip(
            *theirs.data(["index", "objective", "solution"], return_type="tuple"), strict=True
        )
    }

    assert held == {e.cell: (e.points, int.from_bytes(e.content_hash, "big")) for e in ours}
    assert theirs.stats.coverage == len(ours) / even.cells
    assert theirs.stats.qd_score == sum(e.points for e in ours)
