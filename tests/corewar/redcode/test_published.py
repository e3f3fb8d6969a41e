"""The assembler beside pMARS, over the published warriors."""

from __future__ import annotations

import time
from typing import Any

import pytest

from deid_corewar.redcode import (
    AssemblyError,
    Standard,
    assemble,
    disassemble,
    listing,
    load_file,
    parse_listing,
)
from deid_corewar.settings import SETTINGS

SAMPLE_STEP = 8


def differences(warriors: list[Any]) -> list[str]:
    """The warriors whose code or start is not pMARS's."""
    found = []
    for warrior in warriors:
        mine = assemble(warrior.text, SETTINGS[warrior.group])
        code = [disassemble(instruction) for instruction in mine.instructions]
        if (mine.start, code) != (warrior.start, warrior.code):
            found.append(warrior.name)
    return found


def test_every_published_warrior_assembles_to_the_code_of_pmars(published: Any) -> None:
    assert len(published) == 1187

    assert differences(published) == []


@pytest.mark.slow
def test_a_thousand_typical_warriors_assemble_in_a_second_of_cpu(published: Any) -> None:
    typical = [w for w in published if w.group in ("icws88", "94nop")]

    began = time.process_time()
    for warrior in typical:
        assemble(warrior.text, SETTINGS[warrior.group])

    # Three times the figure of an idle machine leaves room for a busy one.
    assert (time.process_time() - began) / len(typical) * 1000 < 3.0


def test_a_listing_reassembles_and_parses_to_the_same_program(published: Any) -> None:
    for warrior in published[::SAMPLE_STEP]:
        settings = SETTINGS[warrior.group]
        mine = assemble(warrior.text, settings)
        code = listing(mine)

        again = assemble(code.decode("ascii"), settings)
        parsed = parse_listing(code)
        assert (again.instructions, again.start) == (mine.instructions, mine.start)
        assert (parsed.instructions, parsed.start) == (mine.instructions, mine.start)
        assert parsed.core_size == settings.core_size
        assert listing(again) == listing(parsed) == code
        assert again.warnings == ()


def test_a_load_file_assembles_to_the_same_code_start_and_pin(published: Any) -> None:
    for warrior in published[::SAMPLE_STEP]:
        settings = SETTINGS[warrior.group]
        mine = assemble(warrior.text, settings)

        again = assemble(load_file(mine), settings)
        assert (again.instructions, again.start, again.pin) == (
            mine.instructions,
            mine.start,
            mine.pin,
        )
        assert again.name == mine.name


def test_warriors_without_modifiers_mean_the_same_under_both_standards(published: Any) -> None:
    """Where ICWS'88 accepts a text, it is the same program under ICWS'94."""
    accepted = 0
    for warrior in published[::SAMPLE_STEP]:
        settings = SETTINGS[warrior.group]
        if warrior.group != "icws88":
            continue
        try:
            old = assemble(warrior.text, settings, standard=Standard.ICWS88)
        except AssemblyError:  # the set has '94 texts too
            continue
        accepted += 1
        assert old.instructions == assemble(warrior.text, settings).instructions
    assert accepted > 10
