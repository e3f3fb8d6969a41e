"""The canonical listing and its strict inverse, load files, and the simulator's numbering."""

from __future__ import annotations

import pytest

import deid_mars
from deid_corewar.redcode import (
    AssemblyError,
    Instruction,
    Listing,
    Mode,
    Modifier,
    Opcode,
    Warrior,
    assemble,
    listing,
    load_file,
    parse_listing,
)
from deid_corewar.redcode.isa import MODE_SIGNS
from deid_corewar.settings import SETTINGS

CANONICAL = b";assert CORESIZE==8000\nORG 1\nDAT.F #0, $7999\nMOV.I $0, }1\n"


def test_numbers_of_opcodes_modifiers_and_modes_are_the_simulators() -> None:
    assert tuple(opcode.name for opcode in Opcode) == deid_mars.OPCODES
    assert tuple(modifier.name for modifier in Modifier) == deid_mars.MODIFIERS
    assert tuple(MODE_SIGNS) == deid_mars.MODES
    assert [member.value for member in (*Opcode, *Modifier, *Mode)] == [
        *range(19),
        *range(7),
        *range(8),
    ]


def test_the_listing_has_one_fixed_form() -> None:
    warrior = assemble("; x\n dat -1\nstart mov 0, }1\n end start", SETTINGS["94"])

    assert listing(warrior) == CANONICAL


def test_names_comments_labels_and_spelling_do_not_count_but_core_and_start_do() -> None:
    text = ";name {0}\nfirst{1} dat 1\n  mov first{1} , 2 ; {0}\n end {2}"
    settings = SETTINGS["94"]

    one = listing(assemble(text.format("a", "b", 0), settings))
    assert one == listing(assemble(text.format("c", "_d", 0).upper(), settings))
    assert one != listing(assemble(text.format("a", "b", 1), settings))
    assert one != listing(assemble(text.format("a", "b", 0), SETTINGS["tiny"]))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        CANONICAL[:-1],
        CANONICAL + b"\n",
        CANONICAL.replace(b"8000", b"08000"),
        CANONICAL.replace(b"8000", b"7999"),
        CANONICAL.replace(b"ORG 1", b"ORG 2"),
        CANONICAL.replace(b"ORG 1", b"ORG +1"),
        CANONICAL.replace(b"ORG 1\n", b""),
        CANONICAL.replace(b"$0", b"$00"),
        CANONICAL.replace(b"$0", b"0"),
        CANONICAL.replace(b"MOV.I", b"MOV.C"),
        CANONICAL.replace(b"MOV.I", b"mov.i"),
        CANONICAL.replace(b", }", b",}"),
        CANONICAL.replace(b"\n", b"\r\n"),
        b"\xff" * 50,
        b"x" * (1 << 20),
    ],
)
def test_anything_but_a_canonical_listing_is_refused(text: bytes) -> None:
    assert listing(parse_listing(CANONICAL)) == CANONICAL
    with pytest.raises(AssemblyError):
        parse_listing(text)


def test_every_instruction_survives_the_listing() -> None:
    instructions = tuple(
        Instruction(opcode, modifier, a_mode, 7, b_mode, 79)
        for opcode in Opcode
        for modifier in Modifier
        for a_mode in Mode
        for b_mode in Mode
    )
    program = Listing(80, len(instructions) - 1, instructions)

    assert parse_listing(listing(program)) == program


def test_a_load_file_cannot_be_broken_by_its_remarks() -> None:
    instructions = (Instruction(12, 4, 0, 0, 1, 7999), Instruction(0, 6, 1, 0, 1, 4000))
    warrior = Warrior("a\\\n;redcode", "b\r\\", ";x\n end \\ \n\x00", instructions, 1, 5, (), 8000)

    text = load_file(warrior)
    again = assemble(text, SETTINGS["94"])
    assert (again.instructions, again.start, again.pin) == (instructions, 1, 5)
    assert "START   MOV.I  $0,     $4000" in text
    assert "DAT.F  #0,     $-1" in text
