from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.plugin.toy import ToyDomain
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome

ONE, TWO = Genome("one", b"1", 1), Genome("two", b"2", 1)
CONTEXT = Context(bytes(32), (ONE, TWO), (5, 6), 1 << 20)

sums = st.builds(
    Evaluation,
    st.integers(0, 2**50),
    st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)),
    st.integers(1, 100),
)


@given(sums, sums, sums)
def test_adding_is_commutative_and_associative(a: Evaluation, b: Evaluation, c: Evaluation) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@given(st.integers(1, 7))
def test_disjoint_trials_add_up_to_the_whole(first_part: int) -> None:
    domain = ToyDomain(trials=8)
    genome = domain.corpora()["growers"][5]
    context = domain.context(domain.opponents(), range(8))

    whole = domain.evaluate(genome, context, 0, 8)
    head = domain.evaluate(genome, context, 0, first_part)
    tail = domain.evaluate(genome, context, first_part, 8 - first_part)

    assert head + tail == whole


def test_evaluations_of_other_grids_do_not_add() -> None:
    with pytest.raises(ValueError, match="of 1 and 2 measures"):
        Evaluation(1, (1,), 1) + Evaluation(1, (1, 2), 1)


def test_the_context_hash_is_blake2b_over_task_pool_seeds_and_points() -> None:
    names = b"\x92" + b"".join(b"\xc4\x20" + g.content_hash for g in (ONE, TWO))
    packed = b"\x94" + b"\xc4\x20" + bytes(32) + names + b"\x92\x05\x06" + b"\xce\x00\x10\x00\x00"

    assert CONTEXT.context_hash == blake2b(packed, digest_size=32).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"task_hash": bytes(31) + b"\1"},
        {"opponents": (TWO, ONE)},
        {"opponents": (ONE,)},
        {"opponents": (ONE, Genome("two", b"3", 1))},
        {"seeds": (6, 5)},
        {"seeds": (5,)},
        {"points_max": 1 << 19},
    ],
)
def test_whatever_an_evaluation_depends_on_changes_the_context_hash(
    change: dict[str, object],
) -> None:
    assert replace(CONTEXT, **change).context_hash != CONTEXT.context_hash  # type: ignore[arg-type]


def test_the_texts_of_opponents_do_not_change_the_context_hash() -> None:
    renamed = (Genome("; another comment", b"1", 9), TWO)

    assert replace(CONTEXT, opponents=renamed).context_hash == CONTEXT.context_hash


def test_a_candidate_meets_the_pool_and_counts_itself() -> None:
    assert CONTEXT.contenders == 3
    assert CONTEXT.trials == 2


def test_an_equal_share_of_the_points_is_parity() -> None:
    third_of_two_trials = Evaluation(2 * (3 << 18) // 3, (0, 0), 2)
    context = replace(CONTEXT, points_max=3 << 18)

    assert context.fitness(third_of_two_trials) == 1.0
    assert context.normalised(third_of_two_trials) == 1 / 3


def test_all_points_are_a_fitness_of_n_and_no_points_none() -> None:
    assert CONTEXT.fitness(Evaluation(2 << 20, (0, 0), 2)) == 3.0
    assert CONTEXT.normalised(Evaluation(2 << 20, (0, 0), 2)) == 1.0
    assert CONTEXT.fitness(Evaluation(0, (0, 0), 2)) == 0.0
