from __future__ import annotations

import pytest

from deid.search.archive import Archive, Elite
from deid.search.evaluation import Context
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.metrics import Metrics, measure

GRID = Grid((Axis("a", "units", (1, 2, 3)), Axis("b", "units", (1,))))  # 8 cells
POOL = tuple(Genome("", bytes([k]), 1) for k in range(3))  # N = 4
CONTEXT = Context(bytes(32), POOL, (1, 2), 1000)  # 2,000 points are everything


def archive_of(*points: int) -> Archive:
    elites = [Elite(bytes([cell]), cell, p) for cell, p in enumerate(points)]
    return Archive(GRID, CONTEXT.context_hash, elites)


def test_the_figures_are_those_computed_by_hand() -> None:
    # fitness = points * 4 / 2000: 1, 2, 0.5; sum / N / cells = 3.5 / 4 / 8
    assert measure(archive_of(500, 1000, 250), CONTEXT) == Metrics(3, 0.375, 3.5, 0.109375, 2.0)


def test_a_full_archive_of_perfect_elites_has_norm_qd_and_coverage_one() -> None:
    figures = measure(archive_of(*[2000] * 8), CONTEXT)

    assert (figures.coverage, figures.norm_qd, figures.qd_score) == (1.0, 1.0, 32.0)


def test_an_empty_archive_has_no_score() -> None:
    assert measure(archive_of(), CONTEXT) == Metrics(0, 0.0, 0.0, 0.0, 0.0)


def test_the_sum_is_exact_whatever_the_order_of_its_terms() -> None:
    # 8 terms of 1/10 each: a running sum of floats gives 0.7999999999999999
    context = Context(bytes(32), (), (1,), 10)
    elites = [Elite(bytes([cell]), cell, 1) for cell in range(8)]

    assert measure(Archive(GRID, context.context_hash, elites), context).qd_score == 0.8
    assert sum([0.1] * 8) != 0.8


def test_an_archive_of_another_context_is_not_measured() -> None:
    archive = Archive(GRID, b"another", [])

    with pytest.raises(ValueError, match="another context"):
        measure(archive, CONTEXT)
