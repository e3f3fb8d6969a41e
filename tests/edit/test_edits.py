from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.plugin import Choice, Program, Slot
from deid.plugin.slots import bounds
from deid.plugin.toy import ToyGrammar
from deid.search.streams import Stream
from deid_edit.edits import BLOCK_MAX, EDITS, Bench, cross, edit, random_program

GRAMMAR = ToyGrammar()
NAMED = {name: function for name, _, function in EDITS}
DONOR = (1, 2, -17)

line = st.tuples(*(st.integers(*bounds(slot)) for slot in GRAMMAR.line))
program_of = st.builds(
    lambda start, lines: Program((start,), tuple(lines)),
    st.integers(0, 96),
    st.lists(line, min_size=1, max_size=16),
)
stream_of = st.builds(lambda seed: Stream(seed, "node", "edits"), st.integers(0, 2**64 - 1))


def bench(*donors: tuple[int, ...], step_max: int = 5) -> Bench:
    return Bench(GRAMMAR, donors, step_max)


def numbered(size: int) -> Program:
    """A program whose lines tell their place by their number."""
    return Program((9,), tuple((0, 0, n) for n in range(size)))


def results(name: str, program: Program, *donors: tuple[int, ...]) -> list[Program]:
    """What the edit called ``name`` makes of ``program`` under many seeds."""
    found = [
        NAMED[name](program, bench(*donors), Stream(seed, "node", name)) for seed in range(300)
    ]
    return [result for result in found if result is not None]


def changed(a: Program, b: Program) -> list[tuple[int, int]]:
    return [
        (row, position)
        for row, (x, y) in enumerate(zip(a.lines, b.lines, strict=True))
        for position in range(len(x))
        if x[position] != y[position]
    ]


@pytest.mark.parametrize("name", NAMED)
@given(program=program_of, stream=stream_of, donors=st.lists(line, max_size=3))
@settings(max_examples=40)
def test_every_edit_stays_in_the_grammar(
    name: str, program: Program, stream: Stream, donors: list[tuple[int, ...]]
) -> None:
    result = NAMED[name](program, bench(*donors), stream)

    if result is not None:
        assert GRAMMAR.write(result)


@given(a=program_of, b=program_of, stream=stream_of, points=st.sampled_from([1, 2]))
@settings(max_examples=40)
def test_every_crossing_stays_in_the_grammar(
    a: Program, b: Program, stream: Stream, points: int
) -> None:
    child = cross(a, b, points, GRAMMAR, stream)

    assert GRAMMAR.write(child)
    assert set(child.lines) <= set(a.lines) | set(b.lines)
    assert child.head in (a.head, b.head)


def test_a_word_changes_in_one_slot_of_words_to_any_other_word() -> None:
    program = numbered(3)

    found = results("word", program)

    assert all(len(changed(program, result)) == 1 for result in found)
    places = {place for result in found for place in changed(program, result)}
    assert places == {(row, position) for row in range(3) for position in (0, 1)}
    assert {result.lines[0][0] for result in found} == {0, 1, 2, 3}


def test_a_step_changes_one_number_by_at_most_the_setting() -> None:
    program = numbered(2)

    found = results("step", program)

    differences = {
        result.lines[row][2] - program.lines[row][2]
        for result in found
        for row, _ in changed(program, result)
    }
    assert differences == {-5, -4, -3, -2, -1, 1, 2, 3, 4, 5}


def test_tuning_copies_a_number_of_the_program_or_of_a_donor_or_misses_it_by_one() -> None:
    program = Program((0,), ((0, 0, 5), (0, 0, 40)))

    values = {line[2] for result in results("tune", program, DONOR) for line in result.lines}

    assert values == {4, 5, 6, 39, 40, 41, -16, -17, -18}


def test_scaling_doubles_halves_and_negates() -> None:
    program = Program((0,), ((0, 0, 10),))

    values = Counter(result.lines[0][2] for result in results("scale", program))

    assert {20, 5, -10} == {value for value, count in values.items() if count > 40}


def test_insertion_adds_one_line_anywhere_sometimes_a_donors() -> None:
    program = numbered(4)

    found = results("insert", program, DONOR)

    assert {len(result.lines) for result in found} == {5}
    for result in found:
        rest = list(result.lines)
        new = next(n for n in range(5) if rest[:n] + rest[n + 1 :] == list(program.lines))
        assert 0 <= new <= 4
    share = sum(DONOR in result.lines for result in found)
    assert 100 < share < 200


def test_deletion_takes_one_line_but_never_the_last() -> None:
    assert {len(result.lines) for result in results("delete", numbered(4))} == {3}
    assert results("delete", numbered(1)) == []


def test_duplication_repeats_a_line_where_it_stands() -> None:
    found = results("duplicate", numbered(3))

    assert {tuple(line[2] for line in result.lines) for result in found} == {
        (0, 0, 1, 2),
        (0, 1, 1, 2),
        (0, 1, 2, 2),
    }


def test_a_full_program_cannot_grow() -> None:
    full = numbered(GRAMMAR.lines_max)

    for name in ("insert", "duplicate", "copy"):
        assert results(name, full) == []


def test_swapping_exchanges_two_lines() -> None:
    found = results("swap", numbered(3))

    assert {tuple(line[2] for line in result.lines) for result in found} == {
        (1, 0, 2),
        (2, 1, 0),
        (0, 2, 1),
    }
    assert results("swap", numbered(1)) == []


def test_moving_keeps_all_lines_and_the_moved_run_together() -> None:
    program = numbered(10)

    orders = [tuple(line[2] for line in result.lines) for result in results("move", program)]

    assert all(sorted(order) == list(range(10)) for order in orders)
    cuts = [sum(b != a + 1 for a, b in pairwise(order)) for order in orders]
    assert max(cuts) <= 3  # three places where a run was taken out and put in
    assert len(set(orders)) > 50


def test_copying_repeats_a_run_elsewhere() -> None:
    found = results("copy", numbered(8))

    sizes = {len(result.lines) - 8 for result in found}
    assert sizes == set(range(1, BLOCK_MAX + 1))
    assert all({line[2] for line in result.lines} == set(range(8)) for result in found)


def test_the_head_changes_and_the_lines_stay() -> None:
    program = numbered(2)

    found = results("head", program)

    assert all(result.lines == program.lines for result in found)
    assert len({result.head for result in found}) > 20


def test_an_edit_that_cannot_apply_gives_way_to_another() -> None:
    class Rigid(ToyGrammar):
        head: tuple[Slot, ...] = ()
        line: tuple[Slot, ...] = (Choice("only", ("one",)),)
        lines_min = lines_max = 1

    rigid = Bench(Rigid(), (), 5)
    program = Program((), ((0,),))

    assert edit(program, rigid, Stream(1, "node", "rigid")) == ("", program)


def test_all_edits_are_used_by_weight() -> None:
    names = Counter(
        edit(numbered(5), bench(), Stream(seed, "node", "mix"))[0] for seed in range(3_000)
    )

    total = sum(weight for _, weight, _ in EDITS)
    for name, weight, _ in EDITS:
        assert abs(names[name] / 3_000 - weight / total) < 0.03


def test_one_point_crossing_joins_a_beginning_and_an_end() -> None:
    a, b = numbered(6), Program((50,), tuple((1, 0, 20 + n) for n in range(6)))

    for seed in range(200):
        child = cross(a, b, 1, GRAMMAR, Stream(seed, "node", "one"))
        of_a = [line for line in child.lines if line[0] == 0]
        of_b = [line for line in child.lines if line[0] == 1]
        assert child.lines == (*of_a, *of_b)
        assert tuple(of_a) == a.lines[: len(of_a)]
        assert tuple(of_b) == b.lines[len(b.lines) - len(of_b) :]


def test_two_point_crossing_puts_a_run_of_one_into_the_other() -> None:
    a, b = numbered(6), Program((50,), tuple((1, 0, 20 + n) for n in range(6)))

    for seed in range(200):
        child = cross(a, b, 2, GRAMMAR, Stream(seed, "node", "two"))
        inside = [n for n, line in enumerate(child.lines) if line[0] == 1]
        assert inside == list(range(inside[0], inside[-1] + 1))
        assert child.lines[: inside[0]] == a.lines[: inside[0]]
        tail = child.lines[inside[-1] + 1 :]
        assert tail == a.lines[len(a.lines) - len(tail) :]


def test_random_programs_have_every_length_up_to_the_setting() -> None:
    sizes = Counter(
        len(random_program(GRAMMAR, 6, Stream(seed, "node", "new")).lines) for seed in range(600)
    )

    assert set(sizes) == {1, 2, 3, 4, 5, 6}
    assert min(sizes.values()) > 60


def test_random_programs_are_never_longer_than_the_grammar_allows() -> None:
    sizes = {
        len(random_program(GRAMMAR, 999, Stream(seed, "node", "new")).lines) for seed in range(300)
    }

    assert max(sizes) == GRAMMAR.lines_max
