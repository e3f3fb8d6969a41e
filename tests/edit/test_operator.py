from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin.kit import (
    DOMAINS,
    PARENTS,
    answers,
    ask,
    domain_called,
    operator_of,
    pool_of,
    programs,
    request_of,
    run_python,
)

import deid_edit
from deid.errors import ConfigError
from deid.plugin import Choice, Domain, Kind, Number, Slot
from deid.plugin.host import PluginHost
from deid.plugin.toy import ToyContext, ToyDomain, ToyGrammar
from deid.search.genome import Genome
from deid_edit import create

SEEDS = st.integers(0, 2**64 - 1)


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> Domain:
    return domain_called(str(request.param))


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("kind", list(Kind))
@given(seed=SEEDS, data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_candidate_is_valid_and_unlike_its_parents(
    name: str, kind: Kind, seed: int, data: st.DataObject
) -> None:
    domain = domain_called(name)
    some = st.sampled_from(pool_of(domain))
    parents = [data.draw(some) for _ in range(PARENTS[kind])]
    inspirations = data.draw(st.lists(some, max_size=2))

    operator = operator_of(create, domain)
    proposal = ask(operator, request_of(kind, seed, parents, inspirations))

    assert len(proposal.candidates) == 1
    child = domain.parse(proposal.candidates[0])
    assert child not in parents
    assert domain.grammar.lines_min <= child.size <= domain.grammar.lines_max


def test_children_of_children_stay_valid(domain: Domain) -> None:
    operator = operator_of(create, domain, again=0.9, edits_max=30)
    parent = pool_of(domain)[0]

    for seed in range(150):
        (text,) = ask(operator, request_of(Kind.MUTATE, seed, [parent])).candidates
        child = domain.parse(text)
        assert child != parent
        parent = child


@pytest.mark.parametrize("kind", list(Kind))
def test_a_proposal_depends_on_request_settings_node_and_seed_alone(kind: Kind) -> None:
    domain = domain_called("toy")
    first = answers(operator_of(create, domain), domain, kind, range(30))

    assert answers(operator_of(create, domain), domain, kind, range(30)) == first
    assert answers(operator_of(create, domain, seed=1), domain, kind, range(30)) != first
    other_node = create({}, ToyContext(domain, "beta"))
    assert answers(other_node, domain, kind, range(30)) != first


def test_calls_do_not_depend_on_those_before_them() -> None:
    domain = domain_called("toy")
    operator = operator_of(create, domain)
    forwards = [answers(operator, domain, Kind.MUTATE, [seed]) for seed in range(20)]

    backwards = [answers(operator, domain, Kind.MUTATE, [seed]) for seed in reversed(range(20))]

    assert backwards[::-1] == forwards


def test_the_hash_seed_of_the_interpreter_plays_no_part() -> None:
    code = (
        "from plugin.kit import *\nfrom deid_edit import create\n"
        "domain = domain_called('toy')\noperator = operator_of(create, domain)\n"
        "for kind in Kind: print(answers(operator, domain, kind, range(40)))"
    )

    assert run_python(code, 0) == run_python(code, 12345)


def test_most_candidates_differ_from_each_other(domain: Domain) -> None:
    for kind in Kind:
        texts = answers(operator_of(create, domain), domain, kind, range(100))
        assert len({domain.parse(text) for text in texts}) >= 90


def test_the_chance_of_another_edit_sets_how_far_children_go() -> None:
    domain = domain_called("toy")

    def distance(again: float) -> float:
        operator = operator_of(create, domain, again=again)
        parent = max(pool_of(domain), key=lambda genome: genome.size)
        before = set(domain.grammar.read(parent).lines)
        texts = [
            ask(operator, request_of(Kind.MUTATE, seed, [parent])).candidates[0]
            for seed in range(200)
        ]
        return sum(len(set(p.lines) - before) for p in programs(domain, texts)) / 200

    assert distance(0.9) > 2 * distance(0.0)


def test_children_of_a_crossing_have_lines_of_both_parents() -> None:
    domain = domain_called("toy")
    a = domain.parse("start 1\n" + "always add 7\n" * 5)
    b = domain.parse("start 2\n" + "odd mul 9\n" * 5)
    operator = operator_of(create, domain, again=0.0, crossover="two")

    texts = [
        ask(operator, request_of(Kind.CROSS, seed, [a, b])).candidates[0] for seed in range(50)
    ]

    both = sum("always add 7" in text and "odd mul 9" in text for text in texts)
    assert both >= 45  # a run as long as a parent replaces all of it
    assert {text.splitlines()[0] for text in texts} == {"start 1", "start 2"}


def test_new_random_programs_know_nothing_of_the_examples() -> None:
    domain = domain_called("toy")

    texts = answers(operator_of(create, domain, new="random"), domain, Kind.NEW, range(200))

    words = Counter(line[0] for program in programs(domain, texts) for line in program.lines)
    assert set(words) == {0, 1, 2, 3}
    assert max(words.values()) < 1.3 * min(words.values())


def test_new_programs_from_examples_keep_to_their_family() -> None:
    domain = domain_called("toy")
    operator = operator_of(create, domain, new="example", corpus="climbers", new_edits=2)

    texts = answers(operator, domain, Kind.NEW, range(200))

    known = set(domain.corpora()["climbers"])
    words = Counter(line[0] for program in programs(domain, texts) for line in program.lines)
    assert words[0] > 0.8 * sum(words.values())  # climbers only add
    assert not known & {domain.parse(text) for text in texts}


def test_a_domain_without_examples_gets_random_programs() -> None:
    class Bare(ToyDomain):
        def corpora(self) -> Mapping[str, tuple[Genome, ...]]:
            return {}

    bare = Bare()

    assert ask(operator_of(create, bare), request_of(Kind.NEW, 1)).candidates
    with pytest.raises(ConfigError, match="needs examples; domain 'toy' has none"):
        operator_of(create, bare, new="example")


def test_a_grammar_with_one_program_gets_none_and_is_told_why() -> None:
    class OneProgram(ToyGrammar):
        head: tuple[Slot, ...] = (Number("start", 0, 0),)
        line: tuple[Slot, ...] = (
            Choice("op", ("add",)),
            Choice("when", ("always",)),
            Number("by", 1, 1),
        )
        lines_max = 1

    class OneDomain(ToyDomain):
        def __init__(self) -> None:
            super().__init__()
            self.grammar = OneProgram()

    domain = OneDomain()
    only = domain.parse("start 0\nalways add 1")

    proposal = ask(operator_of(create, domain), request_of(Kind.MUTATE, 1, [only]))

    assert proposal.candidates == ()
    assert "no program unlike its parents" in proposal.note


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"agian": 0.5}, "unknown setting 'agian'.*did you mean 'again'"),
        ({"again": 1.0}, r"again must be a number in \[0, 0.95\]"),
        ({"edits_max": 0}, r"edits_max must be an integer in \[1, 1000\]"),
        ({"new": "exmaple"}, "new must be one of random, example, mix.*did you mean 'example'"),
        ({"crossover": 2}, "crossover must be a text, got 2"),
        ({"corpus": "climber"}, "unknown corpus 'climber'.*climbers, growers, swingers"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)operator 'edit': {message}"):
        create(table, ToyContext(ToyDomain()))


def test_a_wrong_number_of_parents_is_a_bug_of_the_caller() -> None:
    operator = operator_of(create, domain_called("toy"))

    with pytest.raises(ValueError, match="mutate takes 1 parents, got 0"):
        ask(operator, request_of(Kind.MUTATE, 1))


def test_the_host_takes_it_with_its_variants() -> None:
    host = PluginHost([])
    host.register(deid_edit, "edit")

    assert host.parse_operator("edit:example") == ("edit", {"new": "example"})
    assert not host.operator("edit").needs_model
