"""The domain's laws: parse, render and decode; evaluation; the task hash; the pool."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deid_mars
from deid.errors import CandidateError
from deid.plugin import Domain, Parallelism
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid_corewar import domain as domain_module
from deid_corewar.domain import CorewarDomain
from deid_corewar.placement import drq_positions
from deid_corewar.redcode import parse_listing

STANDARD = CorewarDomain({})
TINY = CorewarDomain({"settings": "tiny", "axes": ["spawned", "covered", "opcodes", "length"]})
DOMAINS = {"94": STANDARD, "tiny": TINY}
SEEDS = tuple(range(900, 926))


def tiny_context(opponents: int = 5) -> Context:
    return TINY.context(TINY.corpora()["all"][:opponents], SEEDS)


def warrior(name: str, domain: CorewarDomain = TINY) -> Genome:
    found = [g for g in domain.corpora()["all"] if f";name {name}\n" in g.source]
    assert len(found) == 1
    return found[0]


def test_it_is_a_domain_whose_battles_run_in_threads() -> None:
    assert isinstance(STANDARD, Domain)
    assert STANDARD.parallelism is Parallelism.THREADS
    assert (STANDARD.trials, STANDARD.opponents_max, TINY.opponents_max) == (20, 39, 19)
    assert STANDARD.grid.cells == 36
    assert TINY.grid.cells == 6**4


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_render_and_decode_give_the_same_genome_back(name: str) -> None:
    domain = DOMAINS[name]
    for genome in domain.corpora()["all"]:
        decoded = domain.decode(genome.code)

        assert domain.parse(domain.render(genome)) == genome == decoded
        assert domain.render(decoded) == domain.render(genome) == decoded.source
        assert (decoded.size, decoded.content_hash) == (genome.size, genome.content_hash)


def test_names_labels_and_comments_do_not_count() -> None:
    one = STANDARD.parse(";name a\nthere EQU 1\nhere MOV here, there ; on\n")
    other = STANDARD.parse("MOV.I $0, $8001\nEND\n")

    assert one == other
    assert one.content_hash == other.content_hash
    assert one != STANDARD.parse("MOV.I $0, $2\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MOV 0, 1\nMVO 0, 1\n", "line 2, column"),
        ("", "at least one instruction"),
        ("NOP 0\n" * 101, "100"),
        ("MOV 0, 1\nLDP 0, 1\n", "instruction 1: LDP and STP are not part of this game"),
        ("STP.AB #1, #2\n", "instruction 0: LDP and STP"),
        ("Here is your warrior: good luck!\n", "line 1, column"),
    ],
)
def test_a_text_that_is_no_warrior_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(CandidateError, match=message):
        STANDARD.parse(text)


@settings(max_examples=200)
@given(
    st.text(max_size=200) | st.text("MOVDATSPLJ.ABFXI#$@<>{}*,0123456789 \n;&()+-", max_size=200)
)
def test_any_text_is_a_warrior_or_refused(text: str) -> None:
    try:
        genome = TINY.parse(text)
    except CandidateError:
        return
    assert TINY.parse(TINY.render(genome)) == genome


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"garbage",
        b";assert CORESIZE==800\nORG 0\nMOV.I $0, $1",
        b";assert CORESIZE==800\nORG 0\nMOV.I $0, $01\n",
        b";assert CORESIZE==800\nORG 1\nMOV.I $0, $1\n",
        b";assert CORESIZE==800\nORG 0\nMOV.I $0, $800\n",
        b";assert CORESIZE==8000\nORG 0\nMOV.I $0, $1\n",
        b";assert CORESIZE==800\nORG 0\nLDP.AB #0, $1\n",
        b";assert CORESIZE==800\nORG 0\n" + 21 * b"NOP.F $0, $0\n",
        b";assert CORESIZE==800\nORG 0\nMOV.I $0, $\xff\n",
    ],
)
def test_code_that_is_not_canonical_for_this_core_is_refused(code: bytes) -> None:
    with pytest.raises(CandidateError):
        TINY.decode(code)


def test_an_evaluation_is_the_sum_of_its_battles() -> None:
    """Against the simulator called here battle by battle, with the points added up by hand."""
    context = tiny_context(2)
    candidate = warrior("broom")

    evaluation = TINY.evaluate(candidate, context, 0, len(SEEDS))

    programs = []
    for genome in (candidate, *context.opponents):
        listing = parse_listing(genome.code)
        rows = [(i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b) for i in listing.instructions]
        programs.append(deid_mars.Program(rows, listing.start))
    core = deid_mars.Core(800, 8_000, 800)
    points = spawned = covered = 0
    for number, seed in enumerate(SEEDS):
        positions, first = drq_positions([len(p) for p in programs], 800, 20, [seed], number)
        results = deid_mars.melee(core, programs, positions, first)
        ends = [min(int(death) - 1, 8_000) for death in results.death[0]]
        start = 0
        for end in sorted(set(ends)):
            alive = sum(end <= other for other in ends)
            points += (end - start) * 2**20 // alive if end <= ends[0] else 0
            start = end
        spawned += int(results.spawned[0, 0])
        covered += int(results.covered[0, 0])
    assert evaluation == Evaluation(points, (spawned, covered, 4 * 26, 9 * 26), 26)


@settings(max_examples=30)
@given(st.lists(st.integers(1, len(SEEDS) - 1), unique=True, max_size=6), st.data())
def test_evaluations_add_up_over_any_split_into_ranges(
    cuts: list[int], data: st.DataObject
) -> None:
    context = tiny_context()
    genome = data.draw(st.sampled_from(TINY.corpora()["all"]))
    ends = [0, *sorted(cuts), len(SEEDS)]

    parts = [TINY.evaluate(genome, context, first, end - first) for first, end in pairwise(ends)]

    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total == TINY.evaluate(genome, context, 0, len(SEEDS))


def test_two_threads_give_the_same_integers_as_one() -> None:
    context = tiny_context()
    work = [(genome, first) for genome in TINY.corpora()["all"] for first in range(0, 26, 13)]

    alone = [TINY.evaluate(genome, context, first, 13) for genome, first in work]
    fresh = CorewarDomain({"settings": "tiny", "axes": ["spawned", "covered", "opcodes", "length"]})
    with ThreadPoolExecutor(2) as threads:
        together = list(
            threads.map(lambda item: fresh.evaluate(item[0], context, item[1], 13), work)
        )

    assert together == alone


def test_an_imp_among_its_clones_has_parity() -> None:
    imp = warrior("imp", STANDARD)
    context = STANDARD.context([imp, imp], range(5))

    evaluation = STANDARD.evaluate(imp, context, 0, 5)

    assert evaluation.measures == (0, 5 * 8_000)
    assert context.fitness(evaluation) == pytest.approx(1, abs=1e-6)
    assert context.points_max == 80_000 * 2**20


def test_a_whole_core_of_opponents_can_be_fought() -> None:
    pool = list(islice(TINY.corpora()["all"], TINY.opponents_max))
    context = TINY.context(pool, SEEDS[:2])

    assert TINY.evaluate(pool[0], context, 0, 2).trials == 2
    with pytest.raises(ValueError, match="at most 19 opponents fit, got 20"):
        TINY.context([*pool, pool[0]], SEEDS)


@pytest.mark.parametrize("seeds", [(), (-1,), (2**64,)])
def test_a_context_needs_seeds_of_64_bits(seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one seed"):
        TINY.context([], seeds)


@pytest.mark.parametrize(("first", "count"), [(-1, 2), (0, 0), (0, 27), (26, 1)])
def test_battles_outside_the_context_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match="not among 0 to 25"):
        TINY.evaluate(warrior("imp"), tiny_context(), first, count)


def test_a_context_of_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="another task"):
        STANDARD.evaluate(warrior("imp", STANDARD), TINY.reference(), 0, 1)


def test_only_the_pools_used_last_are_kept_ready() -> None:
    domain = CorewarDomain({"settings": "tiny"})
    genome = domain.opponents()[0]
    for seed in range(3 * domain_module.POOLS_MAX):
        domain.evaluate(genome, domain.context([genome], [seed]), 0, 1)

    assert len(domain._pools) == domain_module.POOLS_MAX


def test_the_task_hash_covers_rules_and_yardsticks_but_not_the_effort() -> None:
    base = CorewarDomain({}).task_hash
    same = [
        {"battles": 3},
        {"opponents": ["broom", "spray"]},
        {"settings": "94nop"},
        {"axes": ["spawned", "covered"]},
        {"cycles_max": 80_000},
    ]
    other = [
        {"settings": "tiny"},
        {"cycles_max": 40_000},
        {"processes_max": 64},
        {"axes": ["covered", "spawned"]},
        {"axes": ["opcodes", "length"]},
    ]

    assert {CorewarDomain(table).task_hash for table in same} == {base}
    assert len({base, *(CorewarDomain(table).task_hash for table in other)}) == 1 + len(other)


def test_the_reference_context_can_be_fought_in() -> None:
    for domain in DOMAINS.values():
        context = domain.reference()
        genome = domain.opponents()[0]

        assert context.task_hash == domain.task_hash
        assert context.trials == 10
        assert domain.evaluate(genome, context, 0, 10).points > 0


def test_corpora_hold_every_family_and_all_of_them_together() -> None:
    for domain in DOMAINS.values():
        corpora = dict(domain.corpora())
        everything = corpora.pop("all")

        assert list(corpora) == ["imps", "bombers", "scanners", "papers", "clears", "mixed"]
        assert everything == tuple(g for family in corpora.values() for g in family)
        assert all(1 <= genome.size <= domain.core.length_max for genome in everything)


def test_the_search_starts_from_an_imp() -> None:
    assert STANDARD.opponents() == (STANDARD.parse("MOV.I $0, $1"),)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_the_brief_states_the_sizes_and_its_example_is_a_warrior_that_lives(name: str) -> None:
    domain = DOMAINS[name]
    core = domain.core
    example = domain.parse(domain.brief[domain.brief.index(";redcode-94") :])
    context = domain.context([], [1])

    assert f"{core.core_size} cells" in domain.brief
    assert f"{core.length_max} instructions, {core.processes_max} processes" in domain.brief
    assert domain.evaluate(example, context, 0, 1).points == context.points_max
