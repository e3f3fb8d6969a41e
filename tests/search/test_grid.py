from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.search.evaluation import Evaluation
from deid.search.grid import Axis, Grid

SPAWNED = Axis("spawned", "processes", (1, 10, 100, 1000, 10000))
COVERED = Axis("covered", "addresses", (10, 100, 500, 1000, 4000))
GRID = Grid((SPAWNED, COVERED))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (1, 1), (2, 1), (9, 1), (10, 2), (99, 2), (100, 3), (9999, 4), (10000, 5), (10**9, 5)],
)
def test_a_value_on_an_edge_belongs_to_the_bin_above(value: int, expected: int) -> None:
    assert SPAWNED.bin(value, 1) == expected


@pytest.mark.parametrize(
    ("total", "expected"),
    [(0, 0), (19, 0), (20, 1), (21, 1), (199, 1), (200, 2), (1999, 2), (2000, 3)],
)
def test_a_mean_is_compared_as_a_sum_against_edge_times_trials(total: int, expected: int) -> None:
    assert SPAWNED.bin(total, 20) == expected


def test_a_mean_that_no_float_can_hold_falls_on_the_right_side_of_an_edge() -> None:
    below, at = 3 * 10**16 - 1, 3 * 10**16  # three trials, mean 10**16 (− 1/3)
    axis = Axis("huge", "units", (10**16,))

    assert [axis.bin(below, 3), axis.bin(at, 3)] == [0, 1]
    assert below / 3 == at / 3, "the floats cannot tell them apart"


@given(st.integers(0, 10**6), st.integers(1, 1000))
def test_the_bin_counts_the_edges_at_or_below_the_mean(total: int, trials: int) -> None:
    mean = Fraction(total, trials)

    assert COVERED.bin(total, trials) == sum(edge <= mean for edge in COVERED.edges)


def test_there_is_one_bin_more_than_edges() -> None:
    assert SPAWNED.bins == 6
    assert GRID.cells == 36


def test_labels_name_a_bins_bounds() -> None:
    assert [SPAWNED.label(k) for k in (0, 1, 5)] == ["0–1", "1–10", "10000–∞"]


@pytest.mark.parametrize("edges", [(), (1, 1), (2, 1)])
def test_edges_must_ascend(edges: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="edges must ascend"):
        Axis("wrong", "units", edges)


def test_a_grid_needs_an_axis() -> None:
    with pytest.raises(ValueError, match="at least one axis"):
        Grid(())


def test_cells_are_numbered_with_the_last_axis_fastest() -> None:
    assert GRID.cell(Evaluation(0, (0, 0), 1)) == 0
    assert GRID.cell(Evaluation(0, (0, 10), 1)) == 1
    assert GRID.cell(Evaluation(0, (1, 0), 1)) == 6
    assert GRID.cell(Evaluation(0, (10**5, 10**5), 1)) == 35


@given(st.integers(0, 35))
def test_number_is_the_inverse_of_bins(cell: int) -> None:
    assert GRID.number(GRID.bins(cell)) == cell


@pytest.mark.parametrize("cell", [-1, 36])
def test_a_cell_outside_the_grid_has_no_bins(cell: int) -> None:
    with pytest.raises(ValueError, match=r"cell must be in \[0, 36\)"):
        GRID.bins(cell)


def test_a_bin_outside_its_axis_has_no_cell() -> None:
    with pytest.raises(ValueError, match=r"'covered' has bins 0\.\.5, got 6"):
        GRID.number((0, 6))


@pytest.mark.parametrize("measures", [(), (1,), (1, 2, 3)])
def test_a_wrong_number_of_measures_has_no_cell(measures: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="zip"):
        GRID.cell(Evaluation(0, measures, 1))
