"""Sets of sequence numbers, against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.wire.seqset import SEQ_MAX, SeqSet

numbers = st.sets(st.integers(1, 60))


@given(numbers)
def test_a_set_holds_exactly_its_numbers(seqs: set[int]) -> None:
    made = SeqSet.of(seqs)

    assert {seq for seq in range(63) if seq in made} == seqs
    assert len(made) == len(seqs)
    assert made.last == max(seqs, default=0)
    assert list(made) == sorted(seqs)
    assert list(made.descending()) == sorted(seqs, reverse=True)


@given(numbers, numbers)
def test_intersection_and_difference_are_those_of_sets(one: set[int], two: set[int]) -> None:
    assert SeqSet.of(one).within(SeqSet.of(two)) == SeqSet.of(one & two)
    assert SeqSet.of(one).minus(SeqSet.of(two)) == SeqSet.of(one - two)


@given(numbers)
def test_gaps_and_back_is_identity(seqs: set[int]) -> None:
    made = SeqSet.of(seqs)

    assert SeqSet.from_gaps(made.to_gaps()) == made


@given(st.lists(st.integers(0, 9), max_size=20).filter(lambda flat: len(flat) % 2 == 0))
def test_any_gaps_are_the_one_form_of_a_set(flat: list[int]) -> None:
    made = SeqSet.from_gaps(flat)

    assert made.to_gaps() == flat
    assert SeqSet.of(made.descending()) == made


def test_a_number_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        SeqSet.from_gaps([SEQ_MAX, 0])


def test_a_hostile_range_is_never_spelt_out() -> None:
    huge = SeqSet.from_gaps([0, SEQ_MAX - 1])

    assert len(huge) == SEQ_MAX
    assert next(huge.descending()) == SEQ_MAX
    assert 1 << 52 in huge


def test_newest_keeps_the_last_ranges() -> None:
    made = SeqSet(((1, 2), (4, 5), (9, 9)))

    assert made.newest(2) == SeqSet(((4, 5), (9, 9)))
    assert made.newest(3) is made
