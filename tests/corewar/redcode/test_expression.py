"""Expressions, with the values that pMARS 0.9.2 prints for them."""

from __future__ import annotations

import pytest

from deid_corewar.redcode import AssemblyError, assemble
from deid_corewar.settings import SETTINGS


def value(expression: str) -> int:
    b = assemble(f"dat 0, {expression}", SETTINGS["94"]).instructions[0].b
    return b - 8000 if b > 4000 else b


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1+2*3", 7),
        ("10-3-2", 5),
        ("100/5/2", 10),
        ("7-2*3%4", 5),
        ("2*3+4*5-6/2", 23),
        ("-2*3", -6),
        ("2*-3", -6),
        ("-5%3", -2),
        ("(0-7)/2", -3),
        ("7/(0-2)", -3),
        ("7%(0-3)", 1),
        ("!0+5", 6),
        ("!5==0", 1),
        ("-!0", -1),
        ("!!7", 1),
        ("--3", 3),
        ("1-+1", 0),
        ("1==1+1", 0),
        ("5==1<2", 1),
        ("1<2<3", 1),
        ("3>2>1", 0),
        ("5>=5", 1),
        ("5=>5", 1),
        ("5=<4", 0),
        ("5!=4", 1),
        ("1||0&&0", 1),
        ("2&&3", 1),
        ("1||1+1", 1),
        ("((((1))))", 1),
        ("010", 10),
        ("9999999999", -1),
        ("2147483647*2", -706),
        ("65536*65536", -704),
        ("0-2147483647-2", -3649),
    ],
)
def test_values_are_those_of_pmars(expression: str, expected: int) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("10-2*3+1", 3),  # 10-(2*3+1)
        ("10-2*3<1", 0),  # (10-2*3)<1
        ("1-1*0-1<1", 1 - 1),  # 1-((1*0-1)<1)
        ("10-2*3-1*2-3", 10 - (6 - (2 - 3))),
        ("0<1-1*1<1", 1),  # 0<((1-1*1)<1)
    ],
)
def test_behind_a_tighter_operator_values_are_pmars_own(expression: str, expected: int) -> None:
    assert value(expression) == expected


def test_registers_hold_what_was_assigned_from_operand_to_operand_in_any_case() -> None:
    text = "dat (a=5)+a, A\n dat a=2*3+1, a\n dat 1+a=2*3+1, b\n dat 0&&(c=4), c\n dat (d=e=3)*e+d"

    found = [(i.a, i.b) for i in assemble(text, SETTINGS["94"]).instructions]
    assert found == [(10, 5), (7, 7), (8, 0), (0, 4), (0, 12)]


def test_a_label_of_one_letter_is_a_label() -> None:
    assert value("0") == 0
    assert [i.b for i in assemble("a dat 1\n dat a", SETTINGS["94"]).instructions] == [1, 7999]


@pytest.mark.parametrize(
    ("expression", "column", "message"),
    [
        ("7/0", 9, "divisor other than 0"),
        ("7%(1-1)", 9, "divisor other than 0"),
        ("2 *", 11, "a number, a label or '\\('.* the end of the line"),
        ("(1", 10, r"an operator or '\)', got the end"),
        ("1)", 9, r"an operator, a comma .* got '\)'"),
        ("()", 9, r"got '\)'"),
        ("3 4", 10, "an operator, a comma or the end of the expression, got '4'"),
        ("1=1", 9, "got '='"),
        ("1|1", 9, "got '\\|'"),
        ("nowhere", 8, "got unknown 'nowhere'"),
        ("coresize", 8, "did you mean 'CORESIZE'"),
        ("0x10", 9, "got 'x10'"),
        ("9999999999999999999", 8, r"within ±\(2\^63 - 1\)"),
        ("9" * 3000, 8, r"within ±\(2\^63 - 1\)"),
        ("4294967296*4294967296", 18, r"within ±\(2\^63 - 1\)"),
        ("(" * 40 + "1" + ")" * 40, 8 + 32, "at most 32"),
        ("a=" * 40 + "1", 8 + 64, "at most 32"),
    ],
)
def test_errors_say_where_and_what(expression: str, column: int, message: str) -> None:
    with pytest.raises(AssemblyError, match=message) as caught:
        value(expression)
    assert (caught.value.line, caught.value.column) == (1, column)
