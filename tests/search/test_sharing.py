from __future__ import annotations

from dataclasses import dataclass, replace

from deid.search.archive import Archive, Elite
from deid.search.calls import SEED, Share
from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.sharing import choose_shares

GRID = Grid((Axis("size", "units", (1, 2, 3, 4)),))  # 5 cells: sizes 0 to 4


@dataclass
class Found:
    """An elite of the round: its cell and points there, its size and points as claimed."""

    name: str
    cell: int
    points: int
    claimed_size: int
    claimed_points: int
    fresh: bool = True


def shares(*found: Found, published: tuple[Elite, ...] = (), improving_max: int = 9) -> list[str]:
    """Names of what is shared, the champion in capitals."""
    genomes = {each.name: Genome(each.name, each.name.encode(), 1) for each in found}
    hashes = {name: genome.content_hash for name, genome in genomes.items()}
    fresh = [each for each in found if each.fresh]
    chosen = choose_shares(
        Archive(GRID, b"round", [Elite(hashes[f.name], f.cell, f.points) for f in found]),
        {hashes[f.name]: genomes[f.name] for f in fresh},
        dict.fromkeys(hashes.values(), SEED),
        {hashes[f.name]: Evaluation(f.claimed_points, (f.claimed_size,), 1) for f in fresh},
        Archive(GRID, b"reference", published),
        improving_max,
    )
    return [s.genome.source.upper() if s.champion else s.genome.source for s in chosen]


def held(cell: int, points: int) -> Elite:
    return Elite(b"published before", cell, points)


def test_the_champion_is_the_best_of_the_round_not_of_the_claims() -> None:
    a, b = Found("a", 0, 90, 0, 1), Found("b", 1, 80, 0, 99)

    assert shares(a, b, improving_max=0) == ["A"]


def test_seeds_and_foreign_elites_are_never_shared() -> None:
    foreign, own = Found("f", 0, 90, 0, 90, fresh=False), Found("a", 1, 10, 1, 10)

    assert shares(foreign, own) == ["A"]
    assert shares(foreign) == []


def test_the_champion_is_shared_though_it_improves_nothing() -> None:
    assert shares(Found("a", 0, 90, 2, 5), published=(held(2, 9),)) == ["A"]


def test_an_elite_improves_when_its_reference_cell_was_empty_or_worse() -> None:
    champion = Found("a", 0, 90, 0, 50)
    empty, better = Found("b", 1, 10, 1, 5), Found("c", 2, 10, 2, 6)
    equal, worse = Found("d", 3, 10, 3, 7), Found("e", 4, 10, 4, 8)
    published = (held(2, 5), Elite(bytes(16), 3, 7), held(4, 9))

    assert shares(champion, empty, better, equal, worse, published=published) == ["A", "b", "c"]


def test_of_a_rounds_elites_in_one_reference_cell_the_best_claim_improves() -> None:
    champion = Found("a", 0, 90, 0, 50)

    assert shares(champion, Found("b", 1, 10, 3, 5), Found("c", 2, 80, 3, 6)) == ["A", "c"]


def test_the_champion_may_be_what_keeps_another_from_improving() -> None:
    assert shares(Found("a", 0, 90, 3, 7), Found("b", 1, 10, 3, 6)) == ["A"]
    assert shares(Found("a", 0, 90, 3, 6), Found("b", 1, 10, 3, 7)) == ["A", "b"]


def test_empty_cells_go_first_then_more_points() -> None:
    champion = Found("a", 0, 90, 0, 99)
    b, c = Found("b", 1, 10, 1, 50), Found("c", 2, 10, 2, 20)
    d, e = Found("d", 3, 10, 3, 30), Found("e", 4, 10, 4, 40)
    published = (held(1, 1), held(4, 1))

    assert shares(champion, b, c, d, e, published=published) == ["A", "d", "c", "b", "e"]
    assert shares(champion, b, c, d, e, published=published, improving_max=3) == [
        "A",
        "d",
        "c",
        "b",
    ]


def test_of_equal_claims_the_smaller_hash_goes_first() -> None:
    names = sorted("bcde", key=lambda name: Genome(name, name.encode(), 1).content_hash)
    found = [Found(name, cell, 10, cell, 50) for cell, name in enumerate("bcde", 1)]

    assert shares(Found("a", 0, 90, 0, 99), *found)[1:] == names


def test_a_share_carries_its_claim_and_its_provenance() -> None:
    genome, claim = Genome("a", b"a", 1), Evaluation(5, (3,), 1)
    origin = replace(SEED, node="alpha", own=True)
    name = genome.content_hash
    archive = Archive(GRID, b"round", [Elite(name, 0, 9)])
    empty = Archive(GRID, b"reference")

    (share,) = choose_shares(archive, {name: genome}, {name: origin}, {name: claim}, empty, 3)

    assert share == Share(genome, origin, True, claim)


def test_what_was_published_is_not_changed_by_choosing() -> None:
    published = Archive(GRID, b"reference", [held(1, 5)])
    genome = Genome("a", b"a", 1)
    name = genome.content_hash
    archive = Archive(GRID, b"round", [Elite(name, 0, 9)])
    choose_shares(
        archive, {name: genome}, {name: SEED}, {name: Evaluation(9, (1,), 1)}, published, 3
    )

    assert list(published) == [held(1, 5)]
