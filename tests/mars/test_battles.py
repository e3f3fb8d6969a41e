"""Melees and traces: deaths, endings, statistics, and what is refused."""

import numpy as np
import pytest
from mars.data import instruction

from deid_mars import Core, Ending, Program, melee, trace

CORE = Core(size=100, cycles_max=50, processes_max=8)


def program(*lines: str, start: int = 0) -> Program:
    return Program([instruction(line) for line in lines], start)


IMP = program("MOV.I $0, $1")
LOOP = program("JMP.B $0, $0")
MORTAL = program("DAT.F $0, $0")


def lives(turns: int) -> Program:
    """Executes that many instructions, the last of which kills it."""
    return program(*["NOP.F $0, $0"] * (turns - 1), "DAT.F $0, $0")


# ---- deaths and endings --------------------------------------------------------------------------


def test_a_death_is_dated_by_its_cycle_counted_from_one() -> None:
    results = melee(CORE, [lives(1), lives(3), LOOP], [[0, 10, 20]], [0])

    assert results.death.tolist() == [[1, 3, 51]]
    assert results.executed.tolist() == [[1, 3, 50]]


def test_those_behind_a_death_still_move_in_its_cycle() -> None:
    """Warrior 0 dies in cycle 2, when 1 and 2 have yet to move; 2 then dies in that cycle too."""
    results = melee(CORE, [lives(2), LOOP, lives(2)], [[0, 10, 20]], [0])

    assert results.death.tolist() == [[2, 51, 2]]
    assert results.executed.tolist() == [[2, 50, 2]]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_deaths_in_one_cycle_do_not_depend_on_who_moves_first(first: int) -> None:
    results = melee(CORE, [lives(4), lives(4), lives(4)], [[0, 10, 20]], [first])

    assert results.death.tolist() == [[4, 4, 4]]


def test_a_sole_survivor_goes_on_to_the_last_cycle_or_its_death() -> None:
    results = melee(CORE, [lives(2), lives(7)], [[0, 10], [10, 20]], [0, 1])

    assert results.death.tolist() == [[2, 7], [2, 7]]
    assert results.executed.tolist() == [[2, 7], [2, 7]]


def test_with_one_survivor_the_battle_can_end_in_mid_cycle() -> None:
    """Warrior 0 dies in cycle 2; 1 has moved in it only if it moved first."""
    results = melee(CORE, [lives(2), lives(7)], [[0, 10]] * 2, [0, 1], ending=Ending.ONE_SURVIVOR)

    assert results.death.tolist() == [[2, 51], [2, 51]]
    assert results.executed.tolist() == [[2, 1], [2, 2]]


def test_two_deaths_in_one_cycle_leave_one_survivor_only_under_that_ending() -> None:
    both = melee(CORE, [lives(3), lives(3)], [[0, 10]], [0])
    one = melee(CORE, [lives(3), lives(3)], [[0, 10]], [0], ending=Ending.ONE_SURVIVOR)

    assert both.death.tolist() == [[3, 3]]
    assert one.death.tolist() == [[3, 51]]


def test_a_battle_of_one_runs_to_its_death_under_both_endings() -> None:
    for ending in Ending:
        results = melee(CORE, [lives(5)], [[0]], [0], ending=ending)
        assert results.death.tolist() == [[5]]


def test_a_battle_ends_with_the_candidate_s_death() -> None:
    results = melee(CORE, [lives(3), LOOP, lives(9)], [[0, 10, 20]], [0], ending=Ending.CANDIDATE)

    assert results.death.tolist() == [[3, 51, 51]]
    assert results.executed.tolist() == [[3, 2, 2]]


def test_a_death_in_the_last_cycle_is_one() -> None:
    results = melee(Core(110, 50, 8), [lives(50), lives(51)], [[0, 50]], [0])

    assert results.death.tolist() == [[50, 51]]
    assert results.executed.tolist() == [[50, 50]]


# ---- statistics ----------------------------------------------------------------------------------


def test_spawned_counts_increases_up_to_the_limit() -> None:
    """SPL 0 doubles each round of its queue, from 1 to 8 processes: 7 more, then none."""
    forker = program("SPL.B $0, $0", "JMP.B $99, $0")

    assert melee(CORE, [forker], [[0]], [0]).spawned.tolist() == [[7]]


def test_spawned_counts_again_what_died_between() -> None:
    """SPL 1 twice in a loop: the second process dies at once, and is replaced."""
    rows = program("SPL.B $2, $0", "JMP.B $99, $0", "DAT.F $0, $0")
    results = melee(Core(100, 9, 8), [rows], [[0]], [0])

    # Turns: SPL JMP DAT SPL JMP DAT SPL JMP DAT
    assert results.spawned.tolist() == [[3]]
    assert results.executed.tolist() == [[9]]


def test_covered_counts_addresses_queued_and_the_start_only_when_queued_again() -> None:
    core = Core(100, 3, 8)

    assert melee(core, [LOOP], [[0]], [0]).covered.tolist() == [[1]]
    assert melee(core, [IMP], [[0]], [0]).covered.tolist() == [[3]]
    assert melee(core, [lives(3)], [[0]], [0]).covered.tolist() == [[2]]
    assert melee(core, [MORTAL], [[0]], [0]).covered.tolist() == [[0]]


def test_covered_wraps_around_the_core() -> None:
    assert melee(Core(7, 20, 1), [IMP], [[3]], [0]).covered.tolist() == [[7]]


# ---- laws ----------------------------------------------------------------------------------------


def random_melee(battles: int) -> tuple[Core, list[Program], np.ndarray, np.ndarray]:
    """Five warriors that move, split and write."""
    rng = np.random.default_rng(3)
    programs = [
        program("SPL.B $0, $0", f"MOV.I $2, >{step}", "JMP.B $99, $0", "DAT.F $0, $5")
        for step in (3, 7, 11)
    ] + [IMP, program("ADD.AB #13, $3", "MOV.I $2, @2", "JMP.B $98, $0", "DAT.F $0, $9")]
    positions = np.array([0, 20, 40, 60, 80]) + rng.integers(0, 10, (battles, 5))
    return Core(100, 2000, 50), programs, positions, rng.integers(0, 5, battles)


@pytest.mark.parametrize("ending", Ending)
def test_rotating_all_positions_changes_nothing(ending: Ending) -> None:
    core, programs, positions, first = random_melee(20)

    for turn in (1, 37, 99):
        here = melee(core, programs, positions, first, ending=ending)
        there = melee(core, programs, (positions + turn) % core.size, first, ending=ending)
        for name in ("death", "spawned", "covered", "executed"):
            assert (getattr(here, name) == getattr(there, name)).all()


def test_renaming_the_warriors_permutes_the_results() -> None:
    core, programs, positions, first = random_melee(20)

    here = melee(core, programs, positions, first)
    there = melee(
        core, programs[2:] + programs[:2], np.roll(positions, -2, axis=1), (first - 2) % 5
    )

    assert (np.roll(here.death, -2, axis=1) == there.death).all()
    assert (np.roll(here.covered, -2, axis=1) == there.covered).all()


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_results_do_not_depend_on_the_number_of_threads(threads: int) -> None:
    core, programs, positions, first = random_melee(60)

    one = melee(core, programs, positions, first)
    many = melee(core, programs, positions, first, threads=threads)

    for name in ("death", "spawned", "covered", "executed"):
        assert (getattr(one, name) == getattr(many, name)).all()


def test_a_battle_leaves_nothing_behind_for_the_next() -> None:
    """P-space, core and queues: the second of two equal battles ends as the first."""
    memory = program(
        "LDP.AB #1, $3", "ADD.AB #1, $2", "STP.B $1, #1", "SEQ.AB #1, $99", "JMP.B $96, $0"
    )
    results = melee(CORE, [memory, IMP], [[0, 50]] * 3, [0, 0, 0])

    for name in ("death", "spawned", "covered", "executed"):
        rows = getattr(results, name)
        assert (rows == rows[0]).all()


def test_results_cannot_be_changed() -> None:
    results = melee(CORE, [IMP], [[0]], [0])

    with pytest.raises(ValueError, match="read-only"):
        results.death[0, 0] = 1


def test_no_battles_give_empty_results() -> None:
    results = melee(CORE, [IMP, LOOP], np.zeros((0, 2), int), [])

    assert results.death.shape == (0, 2)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programs", "positions", "first", "message"),
    [
        ([], [[]], [0], "the number of warriors must be 1 to 100, not 0"),
        ([IMP, lives(5)], [[12, 10]], [0],
         "battle 0: warrior 1, 5 instructions at 10, overlaps warrior 0 at 12"),
        ([IMP, lives(5)], [[50, 0], [0, 96]], [0, 0],
         "battle 1: warrior 1, 5 instructions at 96, overlaps warrior 0 at 0"),
        ([IMP, IMP], [[7, 7]], [0], "overlaps"),
        ([IMP], [[100]], [0], "positions must be 0 to 99, not 100"),
        ([IMP], [[-1]], [0], "positions must be 0 to 99, not -1"),
        ([IMP], [[0]], [1], "first must be 0 to 0, not 1"),
        ([IMP], [[0]], [0, 0], r"first must be an integer array of shape \(1,\)"),
        ([IMP], [0], [0], r"positions must be an integer array of shape \(battles, 1\)"),
        ([IMP], [[0.5]], [0], "not float64 of shape"),
        ([lives(101)], [[0]], [0], "warrior 0 has 101 instructions, but the core 100 cells"),
        ([program("MOV.I $0, $100")], [[0]], [0], "warrior 0 holds the number 100; in a core of"),
    ],
)  # fmt: skip
def test_battles_that_cannot_be_are_refused(
    programs: list[Program], positions: list[list[int]], first: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        melee(CORE, programs, positions, first)


def test_too_many_threads_and_too_large_queues_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be 1 to 1024, not 0"):
        melee(CORE, [IMP], [[0]], [0], threads=0)
    with pytest.raises(ValueError, match="2 warriors with 50000000 processes each are too many"):
        melee(Core(processes_max=50_000_000), [IMP, IMP], [[0, 50]], [0])


# ---- traces --------------------------------------------------------------------------------------


def test_a_trace_tells_every_turn() -> None:
    dwarf = program("ADD.AB #4, $3", "MOV.I $2, @2", "JMP.B $98, $0", "DAT.F $0, $0")

    seen = trace(Core(100, 4, 8), [dwarf, lives(2)], [10, 50], 1)

    assert seen.complete
    assert seen.cycle.tolist() == [1, 1, 2, 2, 3, 4]
    assert seen.warrior.tolist() == [1, 0, 1, 0, 0, 0]
    assert seen.address.tolist() == [50, 10, 51, 11, 12, 10]
    assert seen.written.tolist() == [
        [-1, -1, -1], [13, -1, -1], [-1, -1, -1], [17, -1, -1], [-1, -1, -1], [13, -1, -1],
    ]  # fmt: skip
    assert seen.queued.tolist() == [[51, -1], [11, -1], [-1, -1], [12, -1], [10, -1], [11, -1]]
    assert seen.instruction[1].tolist() == [1, 2, 0, 1]
    assert seen.processes == ((11,), ())
    assert seen.core[17].tolist() == [12, 4, 1, 0, 1, 4]


def test_a_trace_notes_pointers_before_the_target() -> None:
    seen = trace(Core(100, 1, 8), [program("MOV.I <5, }6", "SPL.B $2, $0")], [0])

    assert seen.written.tolist() == [[5, 6, 6]]


def test_a_trace_of_spl_notes_both_processes_in_order() -> None:
    seen = trace(Core(100, 1, 8), [program("SPL.B $2, $0")], [5])

    assert seen.queued.tolist() == [[6, 7]]


def test_a_trace_is_a_window_of_bounded_size_on_the_whole_battle() -> None:
    core, programs, positions, first = random_melee(1)
    whole = trace(core, programs, positions[0], int(first[0]))
    window = trace(core, programs, positions[0], int(first[0]), skip=1000, turns_max=500)

    assert whole.complete and not window.complete
    for name in ("cycle", "warrior", "address", "instruction", "written", "queued"):
        assert (getattr(whole, name)[1000:1500] == getattr(window, name)).all()
    assert whole.results.executed.sum() == len(whole.cycle)
    assert (whole.core == window.core).all()


def test_a_traced_battle_ends_as_in_a_melee() -> None:
    core, programs, positions, first = random_melee(10)
    results = melee(core, programs, positions, first)

    for i in range(10):
        seen = trace(core, programs, positions[i], int(first[i]), turns_max=10)
        for name in ("death", "spawned", "covered", "executed"):
            assert (getattr(seen.results, name)[0] == getattr(results, name)[i]).all()
