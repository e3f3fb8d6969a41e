"""The grammar's laws: writing is total, reading undoes it, what is outside is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.plugin import Choice, Grammar, Program, Slot
from deid_corewar.domain import CorewarDomain
from deid_corewar.grammar import RedcodeGrammar, signed
from deid_corewar.settings import settings_of

DOMAINS = {name: CorewarDomain({"settings": name}) for name in ("94", "tiny")}


def values(slot: Slot) -> st.SearchStrategy[int]:
    if isinstance(slot, Choice):
        return st.integers(0, len(slot.values) - 1)
    return st.integers(slot.low, slot.high)


def programs(grammar: Grammar) -> st.SearchStrategy[Program]:
    line = st.tuples(*map(values, grammar.line))
    lines = st.lists(line, min_size=grammar.lines_min, max_size=grammar.lines_max).map(tuple)
    return st.builds(Program, st.tuples(*map(values, grammar.head)), lines)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(DOMAINS)))
def test_every_program_is_written_as_text_that_reads_back(data: st.DataObject, name: str) -> None:
    domain = DOMAINS[name]
    program = data.draw(programs(domain.grammar))

    read = domain.grammar.read(domain.parse(domain.grammar.write(program)))

    assert read.lines == program.lines
    assert read.head == (program.head[0] % len(program.lines),)


def test_text_is_the_templates_filled_in() -> None:
    grammar = RedcodeGrammar(settings_of("94"))
    program = Program(
        (4,), ((0, 6, 1, 0, 1, 1), (11, 1, 0, -3_999, 7, 4_000), (12, 4, 3, 5, 4, -1))
    )

    assert grammar.write(program) == ("ORG 1\nMOV.I $0, $1\nSPL.B #-3999, }4000\nDAT.F <5, >-1\n")
    assert (
        grammar.line_template.format(opcode="MOV", modifier="I", a_mode="$", a=0, b_mode="$", b=1)
        == "MOV.I $0, $1"
    )
    assert grammar.head_template.format(start=1) == "ORG 1"


def test_all_of_icws94_but_p_space_can_be_written() -> None:
    opcode, modifier, a_mode, a, b_mode, b = RedcodeGrammar(settings_of("94")).line

    words = "DAT MOV ADD SUB MUL DIV MOD JMP JMZ JMN DJN CMP SEQ SNE SLT SPL NOP"
    assert isinstance(opcode, Choice) and set(opcode.values) == set(words.split(" "))
    assert isinstance(modifier, Choice) and set(modifier.values) == {*"ABFXI", "AB", "BA"}
    assert isinstance(a_mode, Choice)
    assert set(a_mode.values) == set("#$@<>*{}")
    assert (a, b_mode) != (b, a_mode)
    assert (signed(4_000, 8_000), signed(4_001, 8_000), signed(0, 8_000)) == (4_000, -3_999, 0)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (Program((0,), ()), "1 to 100 lines, got 0"),
        (Program((0,), ((0, 0, 0, 0, 0, 0),) * 101), "got 101"),
        (Program((100,), ((0, 0, 0, 0, 0, 0),)), r"head: start must be in \[0, 99\], got 100"),
        (Program((0,), ((17, 0, 0, 0, 0, 0),)), r"line 1: opcode must be in \[0, 16\], got 17"),
        (Program((0,), ((0, 0, 0, -4_000, 0, 0),)), r"line 1: a must be in \[-3999, 4000\]"),
        (Program((0,), ((0, 0, 0, 0, 0),)), "line 1: expected 6 values, got 5"),
        (Program((), ((0, 0, 0, 0, 0, 0),)), "head: expected 1 values, got 0"),
    ],
)
def test_a_value_outside_its_slot_is_refused(program: Program, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RedcodeGrammar(settings_of("94")).write(program)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_every_shipped_warrior_passes_through_the_grammar_unchanged(name: str) -> None:
    domain = DOMAINS[name]

    for genome in domain.corpora()["all"]:
        assert domain.parse(domain.grammar.write(domain.grammar.read(genome))) == genome
