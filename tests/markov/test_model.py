from __future__ import annotations

from collections import Counter

import pytest

from deid.plugin import Program
from deid.plugin.toy import ToyGrammar
from deid.search.streams import Stream
from deid_markov.model import ProgramModel, fit

GRAMMAR = ToyGrammar()
ADD, MUL, FLIP, HOLD = range(4)
ALWAYS, ODD, EVEN = range(3)


def model_of(*programs: Program, order: int = 4, smoothing: int = 0) -> ProgramModel:
    return fit(GRAMMAR, programs, order=order, smoothing=smoothing, temperature=10)


def samples(model: ProgramModel, count: int = 300) -> list[Program]:
    return [model.draw_program(Stream(seed, "node", "model")) for seed in range(count)]


CYCLE = Program((5,), ((ADD, ALWAYS, 1), (MUL, ODD, 2), (FLIP, EVEN, 0)) * 3)


def test_an_opcode_follows_the_opcodes_that_it_followed_in_the_examples() -> None:
    programs = samples(model_of(CYCLE))

    following = {(a[0], b[0]) for p in programs for a, b in zip(p.lines, p.lines[1:], strict=False)}
    assert following == {(ADD, MUL), (MUL, FLIP), (FLIP, ADD)}
    assert {p.lines[0][0] for p in programs} == {ADD}


def test_the_other_slots_follow_their_opcode() -> None:
    lines = {line for p in samples(model_of(CYCLE)) for line in p.lines}

    assert lines == set(CYCLE.lines)


def test_a_model_of_order_one_forgets_the_line_above_and_the_opcode() -> None:
    programs = samples(model_of(CYCLE, order=1))

    following = {(a[0], b[0]) for p in programs for a, b in zip(p.lines, p.lines[1:], strict=False)}
    lines = {line for p in programs for line in p.lines}
    assert len(following) == 9
    assert len(lines) == 27


def test_a_longer_order_tells_apart_what_a_shorter_one_confuses() -> None:
    # After ADD, HOLD comes only where MUL stood two lines above.
    program = Program(
        (0,),
        tuple((op, ALWAYS, 1) for op in (MUL, ADD, HOLD, FLIP, ADD, ADD, FLIP, ADD, ADD)),
    )

    def confused(order: int) -> int:
        return sum(
            (a[0], b[0], c[0]) == (FLIP, ADD, HOLD)
            for p in samples(model_of(program, order=order))
            for a, b, c in zip(p.lines, p.lines[1:], p.lines[2:], strict=False)
        )

    assert confused(2) > 10
    assert confused(3) == 0


def test_lengths_are_those_of_the_examples() -> None:
    examples = [Program((0,), CYCLE.lines[:size]) for size in (4, 4, 4, 4, 4, 9, 9, 9, 9, 9) * 4]

    sizes = Counter(len(program.lines) for program in samples(model_of(*examples), 1_000))

    # One example with the chance 1/mean after each line is added: 40 of 41 keep to the lengths.
    assert sizes[4] / 1_000 == pytest.approx(0.5, abs=0.06)
    assert sizes[9] / 1_000 == pytest.approx(0.5, abs=0.06)


def test_no_sample_leaves_the_grammars_lengths() -> None:
    full = Program((0,), ((ADD, ALWAYS, 1),) * GRAMMAR.lines_max)

    sizes = {len(program.lines) for program in samples(model_of(full))}

    assert max(sizes) == GRAMMAR.lines_max
    assert min(sizes) >= GRAMMAR.lines_min


def test_heads_are_learned() -> None:
    model = model_of(Program((5,), CYCLE.lines), Program((60,), CYCLE.lines))

    assert {program.head for program in samples(model)} == {(5,), (60,)}


def test_a_head_goes_with_the_opcodes_that_the_program_opens_with() -> None:
    other = Program((60,), ((FLIP, ALWAYS, 0), (MUL, ODD, 2), (ADD, ALWAYS, 1)))

    pairs = {(p.head[0], p.lines[0][0]) for p in samples(model_of(CYCLE, other))}

    assert pairs == {(5, ADD), (60, FLIP)}


def test_a_tail_continues_what_stands_above_it() -> None:
    model = model_of(CYCLE)

    tails = [model.draw_tail(CYCLE.lines[:2], Stream(seed, "node", "tail")) for seed in range(100)]

    assert all(tail[:2] == CYCLE.lines[:2] and tail[2][0] == FLIP for tail in tails)


def test_the_order_of_the_examples_plays_no_part() -> None:
    other = Program((60,), ((HOLD, ALWAYS, 0), (ADD, ODD, 3)))

    assert samples(model_of(CYCLE, other)) == samples(model_of(other, CYCLE))


def test_it_knows_which_opcodes_follow_each_other() -> None:
    model = model_of(CYCLE)

    assert model.follows(CYCLE.lines[:1], MUL)
    assert not model.follows(CYCLE.lines[:1], FLIP)
    assert model.follows((), ADD)
    assert not model.follows((), MUL)


def test_smoothing_reaches_every_word() -> None:
    lines = [line for p in samples(model_of(CYCLE, smoothing=3000), 600) for line in p.lines]

    assert {line[0] for line in lines} == {ADD, MUL, FLIP, HOLD}
    assert {line[1] for line in lines} == {ALWAYS, ODD, EVEN}
    assert len({line[2] for line in lines}) > 30
