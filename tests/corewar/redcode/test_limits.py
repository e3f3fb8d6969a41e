"""Hostile texts: each ends in `AssemblyError`, after a bounded number of steps."""

from __future__ import annotations

import contextlib
import pickle
import tracemalloc

import pytest

from deid.errors import CandidateError
from deid_corewar.redcode import AssemblyError, assemble
from deid_corewar.redcode.errors import STEPS_MAX, TEXT_MAX, Budget
from deid_corewar.redcode.expansion import expand
from deid_corewar.redcode.lexer import source_lines
from deid_corewar.redcode.symbols import Symbols
from deid_corewar.settings import SETTINGS

STANDARD = SETTINGS["94"]

DOUBLING = "".join(f"x{n} equ x{n - 1} x{n - 1}\n" for n in range(1, 30))

HOSTILE = {
    "a loop of nothing": ("for 1000000000\nrof\n dat 0", "without an end in sight"),
    "loops in loops": ("for 999\n" * 9 + "; x\n" + "rof\n" * 9, "without an end in sight"),
    "deep loops": ("for 1\n" * 500 + "rof\n" * 500, "nested at most 32"),
    "assertions in a loop": ("for 99999\n;assert 1+1\nrof", "without an end in sight"),
    "senseless assertions": ("for 99999\n;assert nowhere\nrof", "without an end in sight"),
    "doubling texts": ("x0 equ\n" + DOUBLING + "dat x29", "without an end in sight"),
    "doubling lines": (
        "x0 equ\n equ\n"
        + "".join(f"x{n} equ x{n - 1}\n equ x{n - 1}\n" for n in range(1, 30))
        + "x29",
        "without an end in sight",
    ),
    "a text that is itself": ("x equ x\n dat x", "contains itself"),
    "a line that is itself": ("x equ x\n x", "nested at most 32"),
    "two texts of each other": ("x equ y\ny equ x\n dat y", "contains itself"),
    "parentheses": ("dat " + "(" * 2000 + "1" + ")" * 2000, "at most 32"),
    "a long number": ("dat " + "9" * 4000, "2\\^63"),
    "a long line": ("dat " + "1+" * 3000 + "1", "a line of at most 4096"),
    "a long joined line": ("\\\n" * 9000, "a line of at most 4096"),
    "a long text": (" " * (TEXT_MAX + 1), f"at most {TEXT_MAX} characters"),
    "nothing": ("", "at least one instruction"),
    "a foreign digit": ("dat ²", "got '²'"),
    "a foreign letter": ("ß mov 1, 2", "a label or an opcode, got 'ß'"),
    "open loops": ("for 2\n" * 9000, "a ROF that closes"),
    "a start beyond": ("org 999999999999999999\n dat 0", "a start among"),
}

LONG_NAME = "a" * 4000

HUNGRY = {
    "long labels joined": f"i for 99999\n{LONG_NAME}&i\nrof\n dat 0",
    "long EQU names joined": f"i for 99999\n{LONG_NAME}&i equ 1\nrof\n dat 0",
    "labels": "".join(f"l{n}\n" for n in range(37_000)) + " dat 0",
    "EQU texts": "".join(f"e{n} equ {n}\n" for n in range(16_000)) + " dat 0",
    "an EQU of many lines": "x equ dat 0\n" + " equ dat 0\n" * 20_000 + "x\n" * 200,
    "empty lines": "\n" * TEXT_MAX,
}
MEMORY_MAX = 80_000_000
"""Bytes: most of it are 256 Ki empty lines, each of them an object."""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_end_in_a_clear_error(name: str) -> None:
    text, message = HOSTILE[name]

    with pytest.raises(AssemblyError, match=message):
        assemble(text, STANDARD)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_more_steps_than_are_allowed(name: str) -> None:
    budget = Budget()
    with contextlib.suppress(AssemblyError):
        expand(source_lines(HOSTILE[name][0]), 100, Symbols(STANDARD, budget))

    # One more token list is the most that is handled after the last step.
    assert budget.left >= -4096
    assert STEPS_MAX <= 200_000


@pytest.mark.parametrize("name", HUNGRY)
def test_no_text_takes_more_memory_than_is_allowed(name: str) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(AssemblyError):
            assemble(HUNGRY[name], STANDARD)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(HUNGRY[name]) <= TEXT_MAX
    assert peak < MEMORY_MAX


def test_long_sign_chains_are_no_recursion() -> None:
    assert assemble("dat " + "-" * 4000 + "1", STANDARD).instructions[0].b == 1


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("xch 1, 2", 1, 5, "an opcode after the label 'xch', got '1'"),
        ("lab mvo 1, 2", 1, 9, "after the label 'mvo', got '1'; did you mean 'MOV'"),
        ("dat 0\n mov.z 1, 2", 2, 6, r"a modifier \(A, B, AB, BA, F, X, I\), got 'z'"),
        ("mov 1, 2, 3", 1, 9, "got ','"),
        ("mov 1,", 1, 7, "got the end of the line"),
        ("mov", 1, 4, "expected two operands after MOV"),
        ("dat ; nothing", 1, 4, "expected an operand after DAT"),
        ("dat 1, 2 \\\n + nowhere", 2, 4, "unknown 'nowhere'"),
        ("step equ 4\n dat stop", 2, 6, "did you mean 'step'"),
        ("x equ 3+\n dat 0, x*2", 2, 10, "with EQU and FOR replaced: '0 , 3 \\+ \\* 2'"),
        ("lab dat 0\nlab dat 1", 2, 1, "a new name, got 'lab', which is a label of line 1"),
        ("x equ 1\nx equ 2", 2, 1, "which is an EQU of line 1"),
        ("i for 2\nlab dat i\nrof", 2, 1, "inside FOR, join the counter: 'lab&i'"),
        ("CORESIZE dat 1", 1, 1, "a predefined name"),
        (" equ 1", 1, 2, "a name before EQU"),
        ("rof", 1, 1, "an open FOR before ROF"),
        ("i for 2\ni dat 1\nrof", 2, 1, "the counter of this FOR"),
        ("i for 2\nx&j dat 1\nrof", 2, 1, r"got 'j' \(counters here: i\)"),
        ("for later\nrof\nlater dat 0", 1, 5, "unknown 'later'"),
        ("pin -1\n dat 0", 1, 5, "a PIN from 0"),
        (";assert CORESIZE == 9\n dat 0", 1, 9, "to hold in this core"),
    ],
)
def test_errors_name_place_expectation_and_finding(
    text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(AssemblyError, match=message) as caught:
        assemble(text, STANDARD)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_error_is_a_candidate_error_that_survives_pickling() -> None:
    error = AssemblyError(3, 14, "expected a, got b")

    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, CandidateError)
    assert (copy.line, copy.column, copy.message) == (3, 14, "expected a, got b")
    assert str(copy) == "line 3, column 14: expected a, got b"
