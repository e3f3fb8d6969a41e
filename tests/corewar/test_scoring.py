"""Points: the vectorised sum against slow readings of the definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deid_corewar.scoring import POINTS_CYCLE, melee_points

CYCLES = 60
DEATHS = arrays.arrays(
    np.int64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.integers(1, CYCLES + 1)
)


def slow_points(deaths: list[int], candidate: int, cycles_max: int) -> int:
    """The definition, cycle by cycle: runs of a constant number alive, each divided once."""
    total = run = alive = 0
    for cycle in range(1, min(deaths[candidate] - 1, cycles_max) + 1):
        now = sum(cycle < death for death in deaths)
        if now != alive:
            total += run * POINTS_CYCLE // alive if run else 0
            run, alive = 0, now
        run += 1
    return total + (run * POINTS_CYCLE // alive if run else 0)


def drq_fitness(deaths: list[int], candidate: int, cycles_max: int) -> Fraction:
    """Σ over cycles t of (N / T) · A_i(t) / Σ_j A_j(t), exactly."""
    shares = [
        Fraction(1, sum(cycle < death for death in deaths))
        for cycle in range(1, cycles_max + 1)
        if cycle < deaths[candidate]
    ]
    return sum(shares, Fraction(0)) * len(deaths) / cycles_max


@given(DEATHS)
def test_points_follow_the_definition_cycle_by_cycle(death: np.ndarray) -> None:
    points = melee_points(death, CYCLES)

    for row, values in zip(death.tolist(), points.tolist(), strict=True):
        assert values == [slow_points(row, c, CYCLES) for c in range(len(row))]


@given(DEATHS)
def test_fitness_is_that_of_digital_red_queen_up_to_a_truncation_below_n_squared(
    death: np.ndarray,
) -> None:
    points = melee_points(death, CYCLES)

    n = death.shape[1]
    unit = Fraction(n, CYCLES * POINTS_CYCLE)
    for row, values in zip(death.tolist(), points.tolist(), strict=True):
        for candidate, value in enumerate(values):
            lost = drq_fitness(row, candidate, CYCLES) - value * unit
            assert 0 <= lost < n * unit
            if n <= 2:
                assert lost == 0


@given(DEATHS)
def test_deaths_at_or_after_one_s_own_change_none_of_its_points(death: np.ndarray) -> None:
    others_live = np.where(death >= death[:, :1], CYCLES + 1, death)
    others_live[:, 0] = death[:, 0]

    whole, short = melee_points(death, CYCLES), melee_points(others_live, CYCLES)
    assert short[:, 0].tolist() == whole[:, 0].tolist()


def test_all_points_go_to_those_who_live_and_none_are_made() -> None:
    death = np.array([[CYCLES + 1, CYCLES + 1, 11], [1, 1, 1], [CYCLES + 1, 1, 1]])

    points = melee_points(death, CYCLES)

    third = 10 * POINTS_CYCLE // 3
    rest = 50 * POINTS_CYCLE // 2
    assert points.tolist() == [
        [third + rest, third + rest, third],
        [0, 0, 0],
        [CYCLES * POINTS_CYCLE, 0, 0],
    ]


def test_the_longest_battles_do_not_overflow() -> None:
    cycles_max = 2**31 - 2
    death = np.full((1, 2), cycles_max + 1, dtype=np.int64)

    assert melee_points(death, cycles_max).tolist() == [[cycles_max * POINTS_CYCLE // 2] * 2]
