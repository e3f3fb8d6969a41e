"""Redcode construct by construct; expected code is what pMARS 0.9.2 lists, or the '94 draft's."""

from __future__ import annotations

import pytest

from deid_corewar.redcode import AssemblyError, Standard, assemble, disassemble
from deid_corewar.settings import SETTINGS, CoreSettings

STANDARD = SETTINGS["94"]


def code(text: str, settings: CoreSettings = STANDARD) -> list[str]:
    return [disassemble(instruction) for instruction in assemble(text, settings).instructions]


def b_numbers(text: str) -> list[int]:
    """The B-numbers, signed as pMARS prints them."""
    found = [instruction.b for instruction in assemble(text, STANDARD).instructions]
    return [b - 8000 if b > 4000 else b for b in found]


def value(expression: str, before: str = "") -> int:
    return b_numbers(f"{before}\n dat 0, {expression}")[0]


# --- Defaults and operands ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opcodes", "operands", "modifier"),
    [
        ("DAT NOP", "#1, #2", "F"),
        ("DAT NOP", "$1, @2", "F"),
        ("MOV SEQ SNE CMP", "#1, #2", "AB"),
        ("MOV SEQ SNE CMP", "#1, $2", "AB"),
        ("MOV SEQ SNE CMP", "$1, #2", "B"),
        ("MOV SEQ SNE CMP", "<1, {2", "I"),
        ("ADD SUB MUL DIV MOD", "#1, #2", "AB"),
        ("ADD SUB MUL DIV MOD", "*1, #2", "B"),
        ("ADD SUB MUL DIV MOD", ">1, }2", "F"),
        ("SLT LDP STP", "#1, $2", "AB"),
        ("SLT LDP STP", "$1, #2", "B"),
        ("SLT LDP STP", "$1, $2", "B"),
        ("JMP JMZ JMN DJN SPL", "#1, #2", "B"),
        ("JMP JMZ JMN DJN SPL", "$1, <2", "B"),
    ],
)
def test_default_modifiers_are_those_of_the_standard(
    opcodes: str, operands: str, modifier: str
) -> None:
    for opcode in opcodes.split():
        assert code(f"{opcode} {operands}") == [f"{opcode}.{modifier} {operands}"]


def test_every_mode_and_modifier_is_read_in_any_case_and_spacing() -> None:
    text = (
        "mov.i $1,@2\nMOV .ab <1,>2\nMoV. Ba *1, { 2\nmov.f }1,#2\nmov.x 1,2\nmov.a 1,2\nmov.b 1,2"
    )

    assert code(text) == [
        "MOV.I $1, @2",
        "MOV.AB <1, >2",
        "MOV.BA *1, {2",
        "MOV.F }1, #2",
        "MOV.X $1, $2",
        "MOV.A $1, $2",
        "MOV.B $1, $2",
    ]


def test_one_operand_is_the_b_of_dat_and_the_a_of_spl_jmp_and_nop() -> None:
    assert code("dat 5\ndat <5\nspl #2\njmp }3\nnop >4") == [
        "DAT.F #0, $5",
        "DAT.F #0, <5",
        "SPL.B #2, $0",
        "JMP.B }3, $0",
        "NOP.F >4, $0",
    ]


@pytest.mark.parametrize(
    "opcode",
    ["MOV", "ADD", "SUB", "MUL", "DIV", "MOD", "JMZ", "JMN", "DJN", "CMP", "SLT", "SEQ", "SNE"],
)
def test_other_opcodes_need_two_operands(opcode: str) -> None:
    with pytest.raises(AssemblyError, match=f"{opcode} takes two operands"):
        code(f"{opcode} 1")


def test_numbers_are_reduced_modulo_the_core_size() -> None:
    assert code("dat -1, 8001\ndat 800, -801", SETTINGS["tiny"]) == [
        "DAT.F $799, $1",
        "DAT.F $0, $799",
    ]


# --- Labels, start, PIN ---------------------------------------------------------------------


def test_a_label_is_worth_its_distance_with_or_without_colon_and_alone_on_lines() -> None:
    text = "a1 mov a1, c1\nb1:\nc1 : jmp a1\n d1 e1: dat b1, e1\n"

    assert code(text) == ["MOV.I $0, $1", "JMP.B $7999, $0", "DAT.F $7999, $0"]


def test_labels_are_case_sensitive_and_opcodes_are_not() -> None:
    assert b_numbers("Lab dat 0\nlab DAT Lab\n dat lab") == [0, -1, -1]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("dat 0\nx dat 0\n end x", 1),
        ("org x\n dat 0\nx dat 0\n end", 1),
        ("org x\n dat 0\nx dat 0\n end 0", 1),
        ("org 0\n dat 0\nx dat 0\n end x", 1),
        ("org x\n org 0\n dat 0\nx dat 0", 0),
        ("dat 0\n dat 0", 0),
        ("org 8001\n dat 0\n dat 0", 1),
    ],
)
def test_org_and_end_set_the_start(text: str, start: int) -> None:
    assert assemble(text, STANDARD).start == start


def test_a_start_outside_the_program_is_refused() -> None:
    with pytest.raises(AssemblyError, match=r"among the 1 instructions \(0 to 0\), got 5"):
        code("org 5\ndat 0")


def test_what_follows_end_is_not_read() -> None:
    assert code("dat 1\n end\n )( garbage") == ["DAT.F #0, $1"]


def test_end_may_carry_the_label_behind_the_last_instruction() -> None:
    assert b_numbers(" dat last\nlast end") == [1]


def test_pin_is_read_and_absent_otherwise() -> None:
    assert assemble("pin 1123\n dat 0", STANDARD).pin == 1123
    assert assemble("dat 0", STANDARD).pin is None


def test_predefined_names_are_those_of_the_settings() -> None:
    names = (
        "CORESIZE MAXPROCESSES MAXCYCLES MAXLENGTH MINDISTANCE PSPACESIZE ROUNDS WARRIORS VERSION"
    )
    text = "".join(f" dat {name}%1000, {name}/1000\n" for name in names.split())

    found = assemble(text, SETTINGS["94x"]).instructions
    assert [i.b * 1000 + i.a for i in found] == [55440, 10000, 500000, 200, 200, 3465, 1, 1, 92]


def test_curline_counts_instructions() -> None:
    assert b_numbers("; one\n dat CURLINE\n\n dat CURLINE") == [0, 1]


# --- EQU ------------------------------------------------------------------------------------


def test_equ_is_text_without_parentheses() -> None:
    assert value("x*2", "x equ 1+y\ny equ 3") == 7


def test_equ_may_stand_below_its_use_in_an_operand() -> None:
    assert b_numbers(" dat x\nx equ 5") == [5]


def test_equ_may_hold_modes_commas_parts_of_expressions_opcodes() -> None:
    text = "p equ #1\nq equ <1,2\nr equ (1\ns equ +\nt equ mov\n"

    assert code(text + "dat p, 2\ndat q\ndat r+1), 2 s 3\n t 1, 2") == [
        "DAT.F #1, $2",
        "DAT.F <1, $2",
        "DAT.F $2, $5",
        "MOV.I $1, $2",
    ]


def test_equ_of_several_lines_stands_for_several_instructions() -> None:
    text = "two equ mov 1, lab\n equ add #1, lab\nlab two\n two\n dat lab"

    assert code(text) == [
        "MOV.I $1, $0",
        "ADD.AB #1, $7999",
        "MOV.I $1, $7998",
        "ADD.AB #1, $7997",
        "DAT.F #0, $7996",
    ]


def test_equ_may_hold_a_whole_for_loop() -> None:
    assert code("gap equ for 3\n equ dat 0, 0\n equ rof\n gap\n jmp 1") == [
        *["DAT.F $0, $0"] * 3,
        "JMP.B $1, $0",
    ]


def test_equ_may_name_an_equ_of_several_lines() -> None:
    assert code("x equ dat 1\n equ dat 2\ny equ x\n y\n y") == [
        "DAT.F #0, $1",
        "DAT.F #0, $2",
        "DAT.F #0, $1",
        "DAT.F #0, $2",
    ]


def test_several_names_may_share_an_equ() -> None:
    assert code("x y equ 5\n dat x, y") == ["DAT.F $5, $5"]


# --- FOR ------------------------------------------------------------------------------------


def test_for_repeats_with_a_counter_in_expressions_and_in_names() -> None:
    text = "i for 3\n dat i, lab&i\nlab&i mov i, 0\n rof\n dat lab01, lab03"

    assert code(text) == [
        "DAT.F $1, $1",
        "MOV.I $1, $0",
        "DAT.F $2, $1",
        "MOV.I $2, $0",
        "DAT.F $3, $1",
        "MOV.I $3, $0",
        "DAT.F $7995, $7999",
    ]


def test_for_nests_and_inner_counts_may_use_outer_counters() -> None:
    text = "i for 2\nj for i\nx&i&j dat i*10+j, CURLINE\n rof\n rof\n dat x0201"

    assert code(text) == ["DAT.F $11, $0", "DAT.F $21, $1", "DAT.F $22, $2", "DAT.F #0, $7998"]


def test_for_zero_is_a_comment_of_any_text() -> None:
    assert code("for 0\n garbage & here (((( '\n for 3\n rof\n more\n rof x y\n dat 1") == [
        "DAT.F #0, $1"
    ]


def test_only_the_last_label_before_for_is_its_counter() -> None:
    assert code("lab\ni for 2\n dat lab, i\n rof") == ["DAT.F $0, $1", "DAT.F $7999, $2"]


def test_a_counter_has_two_digits_and_joins_the_number_before_it() -> None:
    assert code("z for 2\n spl #-666z, 999z\n rof") == ["SPL.B #5399, $3901", "SPL.B #5398, $3902"]


def test_a_counter_leaves_modifiers_alone() -> None:
    assert code("i for 2\n mov.i i, i\n rof") == ["MOV.I $1, $1", "MOV.I $2, $2"]


def test_for_counts_may_use_the_labels_above_and_curline() -> None:
    assert len(code("dat 1\nlab dat 2\n dat 3\n for lab+4\n dat 9\n rof")) == 3 + 2
    assert len(code("dat 1\n for MAXLENGTH-CURLINE\n dat 0\n rof")) == 100


def test_end_inside_for_ends_the_program() -> None:
    assert code("for 2\n dat 1\n end\n rof\n dat 2") == ["DAT.F #0, $1"]


# --- The file -------------------------------------------------------------------------------


def test_the_program_stands_between_the_first_and_the_second_redcode_line() -> None:
    text = "mail header\n dat 9\n;redcode-94\n dat 1\n ;REDCODE\n dat 2"

    assert code(text) == ["DAT.F #0, $1"]


def test_remarks_are_read() -> None:
    text = ";redcode\n;name old\n;name  The Imp \n;author A. Dewdney\n;strategy one\n;strategy two"

    warrior = assemble(text + "\ndat 0", STANDARD)
    assert (warrior.name, warrior.author, warrior.strategy) == (
        "The Imp",
        "A. Dewdney",
        "one\ntwo",
    )


def test_a_backslash_joins_lines() -> None:
    assert code("dat 1 \\\n , 2\nx equ 1 \\\r\n +2\n dat x") == ["DAT.F $1, $2", "DAT.F #0, $3"]


def test_a_failing_assert_refuses_and_a_missing_or_senseless_one_warns() -> None:
    with pytest.raises(AssemblyError, match="CORESIZE==800"):
        code(";assert CORESIZE==800\ndat 0")
    assert assemble(";assert CORESIZE==8000 && 1\ndat 0", STANDARD).warnings == ()
    assert "missing" in assemble("dat 0", STANDARD).warnings[0]
    assert "ignored" in assemble(";assert nowhere > 1\ndat 0", STANDARD).warnings[0]


def test_longer_programs_than_the_settings_allow_are_refused_where_they_exceed() -> None:
    assert len(code("dat 0\n" * 5, SETTINGS["nano"])) == 5
    with pytest.raises(AssemblyError, match="at most 5 instructions") as caught:
        code("dat 0\n" * 6, SETTINGS["nano"])
    assert (caught.value.line, caught.value.column) == (6, 1)


# --- ICWS'88 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["mov #1, 2", "dat 1\n", "dat #1, <2", "jmp @1, #2", "spl 1", "slt #1, #2", "djn <1, #2"],
)
def test_icws88_takes_its_own_instructions(text: str) -> None:
    if text.startswith("dat 1"):
        with pytest.raises(AssemblyError, match="a mode of # <"):
            assemble(text, STANDARD, standard=Standard.ICWS88)
    else:
        assemble(text, STANDARD, standard=Standard.ICWS88)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mov.i 1, 2", "no modifier"),
        ("seq 1, 2", "ICWS'88 opcode"),
        ("nop 1", "ICWS'88 opcode"),
        ("mul 1, 2", "ICWS'88 opcode"),
        ("ldp 1, 2", "ICWS'88 opcode"),
        ("mov 1, #2", r"a mode of \$ @ < for the B-operand of MOV"),
        ("mov >1, 2", r"a mode of # \$ @ < for the A-operand of MOV"),
        ("spl #1", "A-operand of SPL"),
        ("org 0\ndat #1", "no ORG"),
        ("pin 1\ndat #1", "no PIN"),
    ],
)
def test_icws88_refuses_what_came_later(text: str, message: str) -> None:
    code(text)
    with pytest.raises(AssemblyError, match=message):
        assemble(text, STANDARD, standard=Standard.ICWS88)
