from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from math import log2
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin.kit import (
    DOMAINS,
    PARENTS,
    Create,
    answers,
    ask,
    domain_called,
    leads,
    operator_of,
    pool_of,
    programs,
    request_of,
    run_python,
)

import deid_edit
import deid_markov
from deid.errors import ConfigError
from deid.plugin import Domain, Kind, Operator
from deid.plugin.host import PluginHost
from deid.plugin.toy import ToyContext, ToyDomain
from deid.search.genome import Genome
from deid_markov import create

FAMILIES = {
    "toy": ("climbers", "growers", "swingers"),
    "corewar": ("imps", "bombers", "scanners", "papers", "clears"),
}


@cache
def trained(name: str, edit: str) -> Operator:
    return operator_of(create, domain_called(name), edit=edit)


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> Domain:
    return domain_called(str(request.param))


@pytest.mark.parametrize("name", DOMAINS)
@pytest.mark.parametrize("kind", list(Kind))
@given(seed=st.integers(0, 2**64 - 1), data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_candidate_is_valid_and_unlike_its_parents_and_the_examples(
    name: str, kind: Kind, seed: int, data: st.DataObject
) -> None:
    domain = domain_called(name)
    pool = pool_of(domain)
    parents = [data.draw(st.sampled_from(pool)) for _ in range(PARENTS[kind])]
    edit = data.draw(st.sampled_from(["rewrite", "line", "insert", "mix"]))

    operator = trained(name, edit)
    proposal = ask(operator, request_of(kind, seed, parents))

    assert len(proposal.candidates) == 1
    child = domain.parse(proposal.candidates[0])
    assert child not in pool
    assert domain.grammar.lines_min <= child.size <= domain.grammar.lines_max


@pytest.mark.parametrize("edit", ["rewrite", "line", "insert", "mix"])
def test_children_of_children_stay_valid(domain: Domain, edit: str) -> None:
    operator = operator_of(create, domain, edit=edit)
    parent = pool_of(domain)[0]

    for seed in range(100):
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
        "from plugin.kit import *\nfrom deid_markov import create\n"
        "domain = domain_called('toy')\n"
        "for settings in ({}, {'corpus': 'growers', 'temperature': 1.7, 'smoothing': 3.3}):\n"
        "    operator = operator_of(create, domain, **settings)\n"
        "    for kind in Kind: print(answers(operator, domain, kind, range(40)))"
    )

    assert run_python(code, 0) == run_python(code, 12345)


def test_no_float_and_no_foreign_chance_is_in_the_code() -> None:
    folder = Path(deid_markov.__file__).parent
    for path in sorted(folder.glob("*.py")):
        if path.name == "operator.py":
            continue  # its settings are decimal numbers; the reader turns them into integers
        for node in ast.walk(ast.parse(path.read_text())):
            assert not isinstance(node, ast.Div), path
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not (isinstance(node, ast.Name) and node.id in {"hash", "float"}), path
            assert not (isinstance(node, ast.Import) and node.names[0].name in {"random", "math"})


def test_most_candidates_differ_from_each_other(domain: Domain) -> None:
    for kind in Kind:
        texts = answers(operator_of(create, domain), domain, kind, range(100))
        assert len({domain.parse(text) for text in texts}) >= 85


def divergence(p: Counter[int], q: Counter[int]) -> float:
    """Jensen–Shannon divergence in bits (Lin 1991) of two histograms."""

    def excess(own: Counter[int], other: Counter[int]) -> float:
        total = 0.0
        for word, count in own.items():
            share = count / own.total()
            total += share * log2(2 * share / (share + other[word] / other.total()))
        return total

    return (excess(p, q) + excess(q, p)) / 2


def test_divergence_is_that_of_the_definition() -> None:
    assert divergence(Counter({1: 3}), Counter({2: 5})) == 1
    assert divergence(Counter({1: 3, 2: 1}), Counter({1: 6, 2: 2})) == 0


def test_priors_differ_more_between_corpora_than_between_seeds(domain: Domain) -> None:
    families = FAMILIES[domain.name]

    def histogram(family: str, seed: int) -> Counter[int]:
        operator = operator_of(create, domain, seed, corpus=family)
        return leads(domain, answers(operator, domain, Kind.NEW, range(120)))

    first = {family: histogram(family, 1) for family in families}
    second = {family: histogram(family, 2) for family in families}

    alike = [divergence(first[family], second[family]) for family in families]
    apart = [divergence(first[a], first[b]) for a, b in combinations(families, 2)]
    assert min(apart) > 2 * max(alike)


def test_samples_resemble_their_own_corpus_most(domain: Domain) -> None:
    families = FAMILIES[domain.name]
    learnt = {f: leads(domain, map(domain.render, domain.corpora()[f])) for f in families}

    for family in families:
        operator = operator_of(create, domain, corpus=family)
        own = leads(domain, answers(operator, domain, Kind.NEW, range(100)))
        assert min(families, key=lambda other: divergence(own, learnt[other])) == family


def test_what_it_learned_makes_better_warriors_than_chance() -> None:
    domain = domain_called("corewar")
    reference = domain.reference()
    context = domain.context(reference.opponents, reference.seeds[:2])

    def points(create: Create, **settings: object) -> int:
        texts = answers(operator_of(create, domain, 0, **settings), domain, Kind.NEW, range(60))
        genomes = map(domain.parse, texts)
        return sum(domain.evaluate(genome, context, 0, 2).points for genome in genomes)

    learned, drawn = points(deid_markov.create), points(deid_edit.create, new="random")
    assert learned > 3 * drawn  # measured over 120: mean fitness 0.44 against 0.03


def test_without_smoothing_all_words_of_new_programs_are_the_corpus_own() -> None:
    domain = domain_called("toy")
    operator = operator_of(create, domain, corpus="swingers", smoothing=0)

    texts = answers(operator, domain, Kind.NEW, range(100))

    learnt = set(leads(domain, map(domain.render, domain.corpora()["swingers"])))
    own = leads(domain, texts)
    strange = sum(count for word, count in own.items() if word not in learnt)
    assert strange <= 0.02 * own.total()  # a program that only repeats examples is nudged


def test_edit_kinds_change_what_they_say() -> None:
    domain = domain_called("toy")
    parent = max(pool_of(domain), key=lambda genome: genome.size)
    before = domain.grammar.read(parent)

    def children(edit: str) -> list[int]:
        operator = operator_of(create, domain, edit=edit)
        asked = [request_of(Kind.MUTATE, seed, [parent]) for seed in range(100)]
        return [
            len(program.lines)
            for program in programs(domain, [ask(operator, r).candidates[0] for r in asked])
        ]

    assert set(children("line")) == {len(before.lines)}
    assert min(children("insert")) > len(before.lines)
    assert len(set(children("rewrite"))) > 5
    assert len(set(children("mix"))) > 5


def test_all_is_the_union_of_the_families() -> None:
    domain = domain_called("toy")
    everything = leads(domain, answers(operator_of(create, domain), domain, Kind.NEW, range(200)))

    assert set(everything) >= {0, 1, 2}  # climbers add, growers multiply, swingers flip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"corpus": "climber"}, "unknown corpus 'climber'; domain 'toy' has: all, climbers, growe"),
        ({"corpsu": "climbers"}, "unknown setting 'corpsu'.*did you mean 'corpus'"),
        ({"order": 0}, r"order must be an integer in \[1, 8\]"),
        ({"smoothing": -1}, r"smoothing must be a number in \[0, 100\]"),
        ({"temperature": 0.01}, r"temperature must be a number in \[0.1, 10\]"),
        ({"edit": "rewrte"}, "edit must be one of rewrite, line, insert, mix.*mean 'rewrite'"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)operator 'markov': {message}"):
        create(table, ToyContext(ToyDomain()))


def test_a_domain_without_examples_is_refused() -> None:
    class Bare(ToyDomain):
        def corpora(self) -> Mapping[str, tuple[Genome, ...]]:
            return {}

    with pytest.raises(ConfigError, match="domain 'toy' has no examples in corpus 'all'"):
        create({}, ToyContext(Bare()))


@pytest.mark.parametrize("table", [{"temperature": 0.1}, {"temperature": 10}, {"order": 8}])
def test_extreme_settings_work(table: dict[str, object], domain: Domain) -> None:
    operator = create(table, ToyContext(domain))

    assert len(answers(operator, domain, Kind.NEW, range(20))) == 20


def test_the_host_takes_it_with_its_variants() -> None:
    host = PluginHost([])
    host.register(deid_markov, "markov")

    assert host.parse_operator("markov:bombers") == ("markov", {"corpus": "bombers"})
    assert not host.operator("markov").needs_model
