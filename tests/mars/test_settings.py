"""Cores and programs: what is accepted, and what is refused with which sentence."""

import pickle

import numpy as np
import pytest

from deid_mars import MODES, MODIFIERS, OPCODES, Core, Program

IMP = [[0, 6, 1, 0, 1, 1]]


def test_the_numbering_is_the_one_shared_with_the_assembler() -> None:
    numbers = [OPCODES.index(name) for name in ("MOV", "DAT", "SEQ", "NOP", "STP")]

    assert numbers == [0, 12, 14, 16, 18]
    assert MODIFIERS == ("A", "B", "AB", "BA", "F", "X", "I")
    assert "".join(MODES) == "#$@<>*{}"


@pytest.mark.parametrize(
    ("size", "pspace"), [(8000, 500), (55440, 3465), (800, 50), (80, 5), (8192, 512), (17, 17),
                         (35, 5), (1, 1)]
)  # fmt: skip
def test_pspace_is_pmars_share_of_the_core(size: int, pspace: int) -> None:
    """size // i for the largest i of 16 to 1 that divides it."""
    assert Core(size=size).pspace_size == pspace


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"size": 0}, "core size must be 1 to 65536, not 0"),
        ({"size": 65537}, "core size must be 1 to 65536, not 65537"),
        ({"cycles_max": 0}, "cycles_max must be 1 to 2147483646, not 0"),
        ({"processes_max": 0}, "processes_max must be 1 to 67108864, not 0"),
        ({"pspace_size": 0}, "pspace_size must be 1 to 8000, not 0"),
        ({"pspace_size": 8001}, "pspace_size must be 1 to 8000, not 8001"),
    ],
)
def test_a_core_of_impossible_size_is_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Core(**sizes)


@pytest.mark.parametrize(
    ("code", "start", "message"),
    [
        (np.zeros((0, 6), int), 0, "the program is empty"),
        (np.zeros((2, 5), int), 0, r"shape \(length, 6\), not int64 of shape \(2, 5\)"),
        (np.zeros((1, 6)), 0, r"not float64 of shape \(1, 6\)"),
        ([[19, 0, 0, 0, 0, 0]], 0, "instruction 0: opcode must be 0 to 18, not 19"),
        ([[0, 7, 0, 0, 0, 0]], 0, "instruction 0: modifier must be 0 to 6, not 7"),
        ([[0, 0, 8, 0, 0, 0]], 0, "instruction 0: A-mode must be 0 to 7, not 8"),
        ([IMP[0], [0, 0, 0, -1, 0, 0]], 0, "instruction 1: A-number must be 0 to 65535, not -1"),
        ([[0, 0, 0, 0, 0, 65536]], 0, "instruction 0: B-number must be 0 to 65535, not 65536"),
        (IMP, 1, "start must be an offset inside the program, 0 to 0, not 1"),
        (IMP, -1, "start must be an offset inside the program, 0 to 0, not -1"),
    ],
)
def test_a_program_that_is_none_is_refused(code: object, start: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Program(code, start)  # type: ignore[arg-type]


def test_a_program_cannot_be_changed() -> None:
    rows = np.array(IMP)
    program = Program(rows)
    rows[0, 0] = 12

    assert program.code[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        program.code[0, 0] = 12
    with pytest.raises(AttributeError):
        program.start = 1  # type: ignore[misc]


def test_programs_are_equal_by_code_start_and_pin() -> None:
    two = [*IMP, *IMP]

    assert Program(two) == Program(np.array(two)) and len({Program(two), Program(two)}) == 1
    assert Program(two) != Program(two, start=1)
    assert Program(two) != Program(two, pin=0)


def test_a_program_survives_pickling() -> None:
    program = Program([*IMP, *IMP], start=1, pin=7)

    copy = pickle.loads(pickle.dumps(program))

    assert copy == program and (copy.cells == program.cells).all()
