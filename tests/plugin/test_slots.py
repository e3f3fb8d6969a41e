from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.errors import ConfigError
from deid.plugin import Choice, Kind, Number, Program, Request, Slot
from deid.plugin.slots import (
    bounds,
    corpus_of,
    magnitude,
    nearby,
    parents_of,
    spread,
    unseen_text,
    wrap,
)
from deid.plugin.toy import ToyDomain, example_of
from deid.search.streams import Stream

numbers = st.builds(
    lambda low, size: Number("n", low, low + size), st.integers(-9000, 9000), st.integers(0, 9000)
)
slots = st.one_of(numbers, st.integers(1, 9).map(lambda n: Choice("c", tuple("abcdefghi"[:n]))))
streams = st.builds(lambda seed: Stream(seed, "node", "slots"), st.integers(0, 2**64 - 1))


@given(slots, streams)
def test_a_spread_value_stays_in_its_slot(slot: Slot, stream: Stream) -> None:
    low, high = bounds(slot)

    assert low <= spread(slot, stream) <= high


@given(slots, streams, st.integers(1, 50), st.data())
def test_a_nearby_value_is_another_one_at_most_a_step_away(
    slot: Slot, stream: Stream, step_max: int, data: st.DataObject
) -> None:
    low, high = bounds(slot)
    size = high - low + 1
    value = data.draw(st.integers(low, high))

    near = nearby(slot, value, step_max, stream)

    assert low <= near <= high
    assert min((near - value) % size, (value - near) % size) <= step_max
    assert near != value or size == 1


def test_wrapping_goes_round() -> None:
    slot = Number("n", -3, 4)

    assert [wrap(slot, value) for value in (-4, -3, 4, 5, 13)] == [4, -3, 4, -3, -3]


@pytest.mark.parametrize("most", [1, 2, 3, 7, 8, 100])
def test_a_magnitude_reaches_every_value_and_favours_small_ones(most: int) -> None:
    stream = Stream(1, "node", "magnitude")

    seen = Counter(magnitude(stream, most) for _ in range(5_000))

    assert set(seen) == set(range(1, most + 1))
    assert seen[1] >= max(seen[value] for value in range(2, most + 1)) if most > 3 else True


def test_half_of_the_numbers_of_a_wide_slot_are_small() -> None:
    slot = Number("n", -4000, 3999)
    stream = Stream(1, "node", "spread")

    small = sum(abs(spread(slot, stream)) <= 16 for _ in range(4_000))

    assert 600 < small < 1400  # half uniform (0.4 % small), half log-uniform (about 4/12 to 5/12)


def test_parents_must_be_as_many_as_the_kind_takes() -> None:
    domain = ToyDomain()
    parent = example_of(domain, domain.opponents()[0])
    request = Request(Kind.CROSS, (parent,), (), (), 1, 0, 0, 1.0)

    with pytest.raises(ValueError, match="cross takes 2 parents, got 1"):
        parents_of(request, domain)


def test_a_program_of_the_same_meaning_counts_as_seen() -> None:
    domain = ToyDomain()
    known = domain.parse("start 1\nalways flip 0\n")
    same = Program((1,), ((2, 0, 30),))  # flip ignores its number

    assert unseen_text(domain, same, {known.code}) is None
    assert unseen_text(domain, same, set()) == "start 1\nalways flip 30\n"


def test_all_is_every_family_and_an_unknown_one_lists_them() -> None:
    domain = ToyDomain()

    assert len(corpus_of(domain, "all", "test")) == sum(map(len, domain.corpora().values()))
    with pytest.raises(ConfigError) as caught:
        corpus_of(domain, "climber", "operator 'x'")
    assert "operator 'x': unknown corpus 'climber'; domain 'toy' has: all, climbers" in str(
        caught.value
    )
    assert "did you mean 'climbers'?" in str(caught.value)
