from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.plugin import Program
from deid.plugin.slots import bounds
from deid.plugin.toy import ToyGrammar
from deid.search.streams import Stream
from deid_markov.edits import EDITS, INSERT_MAX, delete, insert, line, mutate, rewrite, splice
from deid_markov.model import fit

GRAMMAR = ToyGrammar()
ADD, MUL, FLIP, HOLD = range(4)
CYCLE = Program((5,), ((ADD, 0, 1), (MUL, 1, 2), (FLIP, 2, 0)) * 3)
SHARP = fit(GRAMMAR, [CYCLE], order=4, smoothing=0, temperature=10)
BLUNT = fit(GRAMMAR, [CYCLE], order=4, smoothing=20_000, temperature=10)

row = st.tuples(*(st.integers(*bounds(slot)) for slot in GRAMMAR.line))
program_of = st.builds(
    lambda start, lines: Program((start,), tuple(lines)),
    st.integers(0, 96),
    st.lists(row, min_size=1, max_size=16),
)
stream_of = st.builds(lambda seed: Stream(seed, "node", "edits"), st.integers(0, 2**64 - 1))


def streams(count: int = 200) -> list[Stream]:
    return [Stream(seed, "node", "edits") for seed in range(count)]


@pytest.mark.parametrize("kind", EDITS)
@given(program=program_of, stream=stream_of)
@settings(max_examples=40)
def test_every_edit_stays_in_the_grammar(kind: str, program: Program, stream: Stream) -> None:
    assert GRAMMAR.write(mutate(BLUNT, program, EDITS[kind], stream))


@given(a=program_of, b=program_of, stream=stream_of)
@settings(max_examples=40)
def test_every_splice_stays_in_the_grammar(a: Program, b: Program, stream: Stream) -> None:
    assert GRAMMAR.write(splice(BLUNT, a, b, stream))


def test_rewriting_keeps_a_beginning() -> None:
    parent = Program((0,), tuple((HOLD, 0, n) for n in range(10)))

    for stream in streams():
        child = rewrite(SHARP, parent, stream)
        kept = sum(row[0] == HOLD for row in child.lines)
        assert child.head == parent.head
        assert child.lines[:kept] == parent.lines[:kept]
        assert kept < 10


def test_a_line_changes_at_most_one_line() -> None:
    for stream in streams():
        child = line(BLUNT, CYCLE, stream)
        pairs = zip(child.lines, CYCLE.lines, strict=True)
        assert sum(new != old for new, old in pairs) <= 1


def test_a_line_drawn_anew_leads_on_to_the_one_below() -> None:
    # In the sharp model only MUL leads from ADD to FLIP.
    parent = Program((5,), ((ADD, 0, 1), (HOLD, 0, 0), (FLIP, 2, 0)))

    middles = {line(SHARP, parent, stream).lines[1] for stream in streams()}

    assert (MUL, 1, 2) in middles


def test_insertion_adds_lines_in_context() -> None:
    for stream in streams():
        child = insert(SHARP, CYCLE, stream)
        assert 1 <= len(child.lines) - len(CYCLE.lines) <= INSERT_MAX
        assert child.lines[0][0] == ADD


def test_a_full_program_stays_full_on_insertion() -> None:
    full = Program((0,), ((ADD, 0, 1),) * GRAMMAR.lines_max)

    assert {len(insert(BLUNT, full, stream).lines) for stream in streams()} == {16}


def test_deletion_takes_one_line_but_leaves_the_last() -> None:
    one = Program((0,), ((ADD, 0, 1),))

    assert {len(delete(BLUNT, CYCLE, stream).lines) for stream in streams()} == {8}
    assert {len(delete(BLUNT, one, stream).lines) for stream in streams()} == {1}


def test_a_splice_prefers_seams_that_the_examples_have() -> None:
    known = {(ADD, MUL), (MUL, FLIP), (FLIP, ADD)}
    a = Program((1,), ((ADD, 0, 40),) * 4)
    b = Program((2,), ((ADD, 0, 30), (MUL, 0, 30), (FLIP, 0, 30), (HOLD, 0, 30)))
    seams = []
    for stream in streams(400):
        child = splice(SHARP, a, b, stream)
        cut = next((n for n, row in enumerate(child.lines) if row[2] != 40), None)
        if cut:
            seams.append((child.lines[cut - 1][0], child.lines[cut][0]))

    share = sum(seam in known for seam in seams) / len(seams)

    assert share > 0.6  # 8 of 11; blind joining would give 1 of 4


def test_a_splice_takes_its_head_from_either_parent() -> None:
    a, b = Program((1,), CYCLE.lines), Program((2,), CYCLE.lines)

    assert {splice(SHARP, a, b, stream).head for stream in streams()} == {(1,), (2,)}
