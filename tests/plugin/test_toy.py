from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import CandidateError, ConfigError
from deid.plugin import Domain, Grammar, Kind, ModelFailure, Operator, Program, Request, toy
from deid.plugin.host import PluginHost
from deid.plugin.slots import bounds
from deid.plugin.toy import (
    POINTS_MAX,
    STRENGTH_MAX,
    ToyContext,
    ToyDomain,
    ToyOperator,
    example_of,
    run,
)

DOMAIN = ToyDomain()


def values(slots: tuple[object, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(*bounds(slot)) for slot in slots))  # type: ignore[arg-type]


programs = st.builds(
    lambda head, lines: Program(head, tuple(lines)),
    values(DOMAIN.grammar.head),
    st.lists(values(DOMAIN.grammar.line), min_size=1, max_size=16),
)


def code(text: str) -> bytes:
    return DOMAIN.parse(text).code


def test_the_toy_keeps_the_protocols() -> None:
    assert isinstance(DOMAIN, Domain)
    assert isinstance(DOMAIN.grammar, Grammar)
    assert isinstance(ToyOperator(ToyContext(DOMAIN)), Operator)


@given(programs)
def test_whatever_the_grammar_writes_parses_and_reads_back(program: Program) -> None:
    genome = DOMAIN.parse(DOMAIN.grammar.write(program))

    again = DOMAIN.parse(DOMAIN.grammar.write(DOMAIN.grammar.read(genome)))
    assert again == genome
    assert DOMAIN.decode(genome.code) == genome
    assert DOMAIN.parse(DOMAIN.render(genome)) == genome
    assert genome.size == len(program.lines)


@given(programs, st.integers(0, 2**64 - 1))
def test_templates_and_writer_agree(program: Program, seed: int) -> None:
    grammar = DOMAIN.grammar
    words = [
        dict(zip(("op", "when", "by"), (toy.OPS[a], toy.WHEN[b], c), strict=True))
        for a, b, c in program.lines
    ]

    rows = [grammar.head_template.format(start=program.head[0])]
    rows += [grammar.line_template.format(**word) for word in words]
    assert grammar.write(program) == "\n".join(rows) + "\n"


def test_a_run_worked_by_hand() -> None:
    # Seed 0 gives the targets 0 … 7 and no offset; three laps of +1 from 0 reach 1, 2, 3.
    assert run(code("start 0\nalways add 1"), 0) == (1 + 4, 4, 3)
    # 1 is odd: doubled to 2; even values are left alone in the other laps.
    assert run(code("start 1\nodd mul 2"), 0) == (1 + 2, 2, 1)
    # 5 and -5 = 92 on the circle of 97 lie 10 apart.
    assert run(code("start 5\nalways flip 0"), 0) == (1 + 1, 2, 30)
    # Only even values move: 2 becomes 5, which is odd and stays.
    assert run(code("start 2\neven add 3\nalways hold 0"), 0) == (1 + 2, 2, 3)


@given(programs, st.integers(1, 9))
def test_evaluation_is_additive(program: Program, cut: int) -> None:
    genome = DOMAIN.parse(DOMAIN.grammar.write(program))
    context = DOMAIN.reference()

    whole = DOMAIN.evaluate(genome, context, 0, 10)
    parts = DOMAIN.evaluate(genome, context, 0, cut) + DOMAIN.evaluate(
        genome, context, cut, 10 - cut
    )
    assert parts == whole
    assert 0 <= DOMAIN.grid.cell(whole) < DOMAIN.grid.cells


def test_a_clone_among_clones_has_parity_and_a_larger_pool_leaves_less() -> None:
    genome = DOMAIN.opponents()[0]
    pools = [DOMAIN.context((genome,) * n, (1, 2, 3)) for n in range(4)]

    results = [DOMAIN.evaluate(genome, pool, 0, 3) for pool in pools]

    assert [result.points for result in results] == [POINTS_MAX // n * 3 for n in (1, 2, 3, 4)]
    assert [round(p.fitness(r), 3) for p, r in zip(pools, results, strict=True)] == [1.0] * 4
    assert len({pool.context_hash for pool in pools}) == 4


def test_without_opponents_strength_alone_counts() -> None:
    alone = ToyDomain(opponents_max=0)
    genome = alone.parse("start 0\nalways add 1")

    result = alone.evaluate(genome, alone.context((), (0,)), 0, 1)

    assert alone.opponents() == ()
    assert result.points == POINTS_MAX * 5 // STRENGTH_MAX
    assert alone.task_hash != DOMAIN.task_hash


def test_search_effort_is_not_part_of_the_task() -> None:
    assert ToyDomain(trials=9).task_hash == DOMAIN.task_hash


def test_a_pool_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1 opponents, got 2"):
        ToyDomain(opponents_max=1).context(DOMAIN.opponents()[:2], (1,))


@pytest.mark.parametrize(("first", "count"), [(-1, 1), (0, 0), (9, 2)])
def test_trials_outside_the_context_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="leave the context's 10"):
        DOMAIN.evaluate(DOMAIN.opponents()[0], DOMAIN.reference(), first, count)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the program is empty"),
        ("always add 1", "line 1: expected 'start V'"),
        ("start 97\nalways add 1", r"line 1: expected a value in \[0, 96\], got 97"),
        ("start 1", "expected 1 to 16 statements after 'start', got 0"),
        ("start 1\n" + "always add 1\n" * 17, "got 17"),
        ("start 1\n\n# note\nalways add", "line 4: expected 'WHEN OP BY'"),
        ("start 1\nnever add 1", "line 2: expected always, odd, even, got 'never'"),
        ("start 1\nodd sub 1", "line 2: expected add, mul, flip, hold, got 'sub'"),
        ("start 1\nodd add x", "line 2: expected an integer, got 'x'"),
        ("start 1\nodd add ٣", "line 2: expected an integer"),
        ("start 1\nodd add 49", r"line 2: expected a value in \[-48, 48\], got 49"),
        ("x" * 5_000, "longer than 4096"),
    ],
)
def test_a_text_that_is_no_program_says_why(text: str, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        DOMAIN.parse(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x61\x00\x00\x30",
        b"\x01\x04\x00\x30",
        b"\x01\x00\x00\x61",
        b"\x01\x02\x00\x31",
    ],
)
def test_bytes_that_are_no_canonical_code_are_refused(data: bytes) -> None:
    with pytest.raises(CandidateError):
        DOMAIN.decode(data)


@pytest.mark.parametrize(
    "program",
    [
        Program((0,), ()),
        Program((97,), ((0, 0, 0),)),
        Program((0,), ((4, 0, 0),)),
        Program((0,), ((0, 0, 49),)),
        Program((0,), ((0, 0),)),
        Program((0,), ((0, 0, 0),) * 17),
    ],
)
def test_a_value_outside_its_slot_cannot_be_written(program: Program) -> None:
    with pytest.raises(ValueError, match=r"must be in|expected|has 1 to 16"):
        DOMAIN.grammar.write(program)


def test_settings_are_strict() -> None:
    host = PluginHost([])
    host.register(toy, "toy")

    assert host.domain("toy").create({"trials": 2, "opponents_max": 0}).opponents_max == 0
    with pytest.raises(ConfigError, match="domain 'toy': unknown setting 'trails'"):
        host.domain("toy").create({"trails": 2})
    with pytest.raises(ConfigError, match="operator 'toy': unknown setting 'x'"):
        host.operator("toy").create({"x": 2}, ToyContext(DOMAIN))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_toy_operator_makes_programs_and_depends_on_the_request_alone(kind: Kind) -> None:
    pool = [example_of(DOMAIN, genome) for genome in DOMAIN.opponents()]
    parents = tuple(pool[: {Kind.NEW: 0, Kind.MUTATE: 1, Kind.CROSS: 2}[kind]])

    def texts(node: str) -> list[str]:
        operator = ToyOperator(ToyContext(DOMAIN, node))
        requests = [Request(kind, parents, (), (), seed, 0, 0, 1.0) for seed in range(20)]
        return [asyncio.run(operator.propose(request)).candidates[0] for request in requests]

    first = texts("alpha")

    assert texts("alpha") == first
    assert texts("beta") != first
    assert all(DOMAIN.parse(text).size >= 1 for text in first)


def test_a_toy_context_has_no_model() -> None:
    request = Request(Kind.NEW, (), (), (), 1, 0, 0, 1.0)

    with pytest.raises(ModelFailure, match="no model"):
        asyncio.run(ToyContext(DOMAIN).complete(request, ()))
