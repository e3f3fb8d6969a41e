"""Matches against pMARS: its figures in the data folder, its generator, placements and P-space.

Results given here as pMARS's were printed by pMARS 0.9.2 for these very programs and options.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from mars.data import instruction, matches, shown
from mars.test_differential import random_program

from deid_mars import Core, Program, series
from deid_mars.bench import Pmars, Workload
from deid_mars.matches import advance, placements, scatter, spread

# The rows that a default run plays: every tenth pair and every sixth group, all seven sets.
PAIRS_STEP, GROUPS_STEP = 10, 6


def program(*lines: str, pin: int | None = None) -> Program:
    return Program([instruction(line) for line in lines], 0, pin)


def assert_as_recorded(data: Path, name: str, step: int) -> int:
    """Play every step-th row of results/NAME; how many there were."""
    played = list(matches(data, name))[::step]
    for match in played:
        assert shown(match.play()) == match.expected, (match.names, match.options)
    return len(played)


def test_a_sample_of_pairs_ends_as_in_pmars(corewar_data: Path) -> None:
    assert assert_as_recorded(corewar_data, "pairs.csv", PAIRS_STEP) == 58


def test_a_sample_of_groups_ends_as_in_pmars(corewar_data: Path) -> None:
    assert assert_as_recorded(corewar_data, "multis.csv", GROUPS_STEP) == 7


@pytest.mark.slow
def test_all_pairs_end_as_in_pmars(corewar_data: Path) -> None:
    assert assert_as_recorded(corewar_data, "pairs.csv", 1) == 580


@pytest.mark.slow
def test_all_groups_end_as_in_pmars(corewar_data: Path) -> None:
    assert assert_as_recorded(corewar_data, "multis.csv", 1) == 40


# ---- placement -----------------------------------------------------------------------------------


def test_the_generator_is_the_minimal_standard() -> None:
    """Park and Miller (1988) give the 10,000th number after 1."""
    state = 1
    for _ in range(10_000):
        state = advance(state)

    assert state == 1043618065


def test_a_seed_places_the_second_warrior_and_the_generator_goes_on_from_there() -> None:
    """-F 693 at distance 100: 593 draws 693, then 16807 * 593 = 9966551 draws 4774."""
    pair = [program("NOP.F $0, $0")] * 2

    assert placements(Core(), pair, 2, 100, 693).tolist() == [[0, 693], [0, 4774]]


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("spare", [0, 1, 7, 200])
def test_warriors_keep_their_distance_however_dense_the_core(n: int, spare: int) -> None:
    size = n * 10 + spare
    state = 4711
    for _ in range(50):
        found, state = scatter(size, n, 10, state)
        shared, state = spread(size, n, 10, state)
        for positions in (found, shared):
            if positions is not None:
                gaps = np.diff([*sorted(positions), size])
                assert positions[0] == 0 and gaps.min() >= 10


def test_first_movers_take_turns() -> None:
    match = series(Core(), [program("NOP.F $0, $0")] * 3, 5, distance=100)

    assert match.first.tolist() == [0, 1, 2, 0, 1]


WALKERS = [
    program(f"ADD.AB #{k}, $3", "MOV.I $2, @2", "JMP.B $58, $0", f"DAT.F $0, ${k}")
    for k in (3, 5, 7, 11, 13)
]


@pytest.mark.parametrize(
    ("distance", "table"),
    [
        (11, [[2, 0, 0, 0, 0, 18], [11, 0, 0, 0, 0, 9], [6, 0, 0, 0, 0, 14], [0, 0, 0, 0, 0, 20],
              [1, 0, 0, 0, 0, 19]]),
        (12, [[2, 0, 0, 0, 0, 18], [7, 0, 0, 0, 0, 13], [8, 0, 0, 0, 0, 12], [3, 0, 0, 0, 0, 17],
              [0, 0, 0, 0, 0, 20]]),
    ],
)  # fmt: skip
def test_crowded_cores_are_filled_as_by_pmars(distance: int, table: list[list[int]]) -> None:
    """15 and 19 of these 20 placements are pMARS's second way of placing warriors."""
    assert series(Core(60, 500, 4), WALKERS, 20, distance=distance).table.tolist() == table


# ---- P-space -------------------------------------------------------------------------------------

WRITER = ("STP.AB #5, #1", "JMP.B $0, $0")
READER = ("LDP.AB #1, $3", "SEQ.AB #5, $2", "DAT.F $0, $0", "JMP.B $0, $0")


@pytest.mark.parametrize(
    ("pins", "wins"),
    [((None, None), (6, 0, 0)), ((7, 7), (0, 0, 6)), ((7, 8), (6, 0, 0)), ((0, None), (0, 0, 6)),
     ((None, 0), (6, 0, 0)), ((1, None), (6, 0, 0))],
)  # fmt: skip
def test_pspace_is_shared_by_pin_as_in_pmars(
    pins: tuple[int | None, int | None], wins: tuple[int, int, int]
) -> None:
    """The reader lives if it sees what the writer wrote; PIN 0 also reaches those without a PIN."""
    pair = [program(*WRITER, pin=pins[0]), program(*READER, pin=pins[1])]

    assert series(Core(60, 500, 4), pair, 6, distance=5, seed=20).wins == wins


def test_pspace_lives_from_round_to_round() -> None:
    """Cell 0 is 59 before the first round, then 2 after each tie; on 2 this warrior gives up."""
    waiting = program("LDP.AB #0, $3", "SNE.AB #2, $2", "DAT.F $0, $0", "JMP.B $0, $0")

    match = series(Core(60, 500, 4), [waiting, program("JMP.B $0, $0")], 4, distance=5, seed=20)

    # A tie; then it dies, finds the 0 of its death, and ties again.
    assert match.survived[:, 0].tolist() == [True, False, True, False]
    assert match.wins == (0, 2, 2)


# ---- the rest ------------------------------------------------------------------------------------


def test_threads_do_not_change_a_match(corewar_data: Path) -> None:
    for match in list(matches(corewar_data, "pairs.csv"))[::100]:
        one, two = match.play(rounds=20), match.play(rounds=20, threads=2)
        for name in ("death", "spawned", "covered", "executed"):
            assert (getattr(one.results, name) == getattr(two.results, name)).all()


def test_a_match_of_no_rounds_is_empty() -> None:
    match = series(Core(), [program("NOP.F $0, $0")] * 2, 0, distance=100)

    assert match.wins == (0, 0, 0) and match.results.death.shape == (0, 2)


def test_wins_are_of_two() -> None:
    match = series(Core(), [program("NOP.F $0, $0")] * 3, 1, distance=100)

    with pytest.raises(ValueError, match="wins are of two warriors, not 3; see table"):
        _ = match.wins


@pytest.mark.parametrize(
    ("n", "distance", "seed", "message"),
    [
        (2, 0, None, "distance must be 1 to 4000, not 0"),
        (2, 4001, None, "distance must be 1 to 4000, not 4001"),
        (2, 100, 99, "seed, the second warrior's first position, must be 100 to"),
        (3, 100, 200, "a seed sets the second of two warriors; with 3 leave it out"),
    ],
)
def test_matches_that_pmars_would_refuse_are_refused(
    n: int, distance: int, seed: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        series(Core(), [program("NOP.F $0, $0")] * n, 1, distance=distance, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_random_matches_end_as_in_the_pmars_on_this_machine(seed: int, tmp_path: Path) -> None:
    """P-space, PINs, dense cores and small limits. Long cycles: see `bury` on the last turn."""
    found = shutil.which("pmars")
    if found is None:
        pytest.skip("no pmars on the PATH")
    rng = np.random.default_rng(seed)
    for _ in range(25):
        n = int(rng.choice([2, 2, 3, 4, 5, 8, 12]))
        distance = int(rng.integers(5, 12))
        size = n * distance + int(rng.choice([0, 1, 5, 60, 500]))
        core = Core(size, 1000, int(rng.choice([1, 2, 3, 8])), int(rng.integers(1, 11)))
        drawn = [random_program(rng, size, distance) for _ in range(n)]
        workload = Workload("random", core, distance, (tuple(drawn),))
        printed = Pmars(workload, found, tmp_path).match(drawn, 20).splitlines()
        rows = [line.split(":")[1].split() for line in printed if "Results" in line]

        match = series(core, drawn, 20, distance=distance)

        expected = [match.wins] if n == 2 else match.table.tolist()
        assert [[int(word) for word in row] for row in rows] == [list(row) for row in expected]
