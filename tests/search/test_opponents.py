from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search.driver import arrival

from deid.search.genome import Genome
from deid.search.opponents import QUEUED_PER_ORIGIN_MAX, ForeignQueue, choose_pool
from deid.search.records import Arrival


def programs(*texts: str) -> list[Genome]:
    return [Genome(text, text.encode(), 1) for text in texts]


def pool(initial: str, own: str, received: str, size_max: int) -> str:
    """The pool of one-letter programs; ``own`` and ``received`` run from old to new."""
    return "".join(
        genome.source
        for genome in choose_pool(programs(*initial), programs(*own), programs(*received), size_max)
    )


@pytest.mark.parametrize(
    ("initial", "own", "received", "size_max", "expected"),
    [
        ("ab", "", "", 9, "ab"),
        ("ab", "cd", "xy", 9, "abdycx"),  # newest own, newest received, and so on
        ("ab", "cd", "xy", 4, "abdy"),  # the cap leaves out the oldest
        ("ab", "cd", "xy", 3, "abd"),
        ("ab", "cd", "xy", 1, "a"),  # initial opponents go first
        ("ab", "cd", "xy", 0, ""),
        ("", "cde", "x", 9, "exdc"),  # one side runs out, the other goes on
        ("", "c", "xyz", 9, "czyx"),
        ("ab", "ca", "cb", 9, "abc"),  # a program stands in the pool once
        ("aab", "", "", 2, "ab"),  # and what it repeats takes no place
        ("", "", "", 9, ""),
    ],
)
def test_the_pool_by_examples(
    initial: str, own: str, received: str, size_max: int, expected: str
) -> None:
    assert pool(initial, own, received, size_max) == expected


letters = st.text("abcdefgh", max_size=8)


@given(letters, letters, letters, st.integers(0, 10))
def test_a_pool_is_distinct_capped_and_led_by_the_initial_opponents(
    initial: str, own: str, received: str, size_max: int
) -> None:
    chosen = pool(initial, own, received, size_max)
    first = "".join(dict.fromkeys(initial))

    assert len(chosen) == len(set(chosen)) == min(size_max, len({*initial, *own, *received}))
    assert chosen[: len(first)] == first[:size_max]


# --- The queue ----------------------------------------------------------------------------------


def item(text: str, peer: int, number: int = 0, *, champion: bool = True, seq: int = 1) -> Arrival:
    return arrival(programs(text)[0], peer, number, champion=champion, seq=seq)


def served(queue: ForeignQueue, count_max: int = 100) -> list[str]:
    return [item.genome.source for item in queue.take(count_max)]


def queue_of(*items: Arrival) -> ForeignQueue:
    queue = ForeignQueue()
    queue.put(items)
    return queue


def test_origins_are_served_in_turn() -> None:
    items = [item(f"{peer}{k}", peer, 9 - k) for peer in (1, 2, 3) for k in range(4 - peer)]

    assert served(queue_of(*items)) == ["10", "20", "30", "11", "21", "12"]


def test_within_an_origin_champions_go_first_then_newer_rounds() -> None:
    queue = queue_of(
        item("old elite", 1, 3, champion=False),
        item("old champion", 1, 3),
        item("new elite", 1, 8, champion=False),
        item("new champion", 1, 8),
    )

    assert served(queue) == ["new champion", "old champion", "new elite", "old elite"]


def test_the_turn_goes_on_where_it_ended() -> None:
    queue = queue_of(*(item(f"{peer}{k}", peer, 9 - k) for peer in (1, 2, 3) for k in range(2)))

    assert served(queue, 2) == ["10", "20"]
    assert served(queue, 2) == ["30", "11"]
    assert served(queue, 2) == ["21", "31"]


def test_no_origin_starves_when_fewer_are_served_than_there_are() -> None:
    queue = ForeignQueue()
    taken: list[str] = []
    for number in range(9):
        queue.put(item(f"{peer}", peer, number, seq=number) for peer in range(6))
        taken += served(queue, 2)

    assert [taken.count(str(peer)) for peer in range(6)] == [3] * 6


def test_more_is_never_taken_than_asked_for_and_the_rest_stays() -> None:
    queue = queue_of(*(item(f"{k}", 1, k) for k in range(5)))

    assert served(queue, 0) == []
    assert len(served(queue, 3)) == 3
    assert len(queue) == 2
    assert len(served(queue)) == 2
    assert served(queue) == []


@given(
    st.lists(
        st.builds(
            item,
            st.sampled_from("abcdef"),
            st.integers(1, 3),
            st.integers(0, 2),
            champion=st.booleans(),
            seq=st.integers(1, 9),
        ),
        max_size=12,
        unique_by=lambda arrived: arrived.name,
    ),
    st.randoms(use_true_random=False),
    st.integers(0, 12),
)
def test_service_does_not_depend_on_the_order_within_a_snapshot(
    items: list[Arrival], rng: Random, count_max: int
) -> None:
    one, other = queue_of(*items), queue_of(*rng.sample(items, len(items)))

    assert one.take(count_max) == other.take(count_max)
    assert list(one) == list(other)
    assert one.plain() == other.plain()


def test_a_flooders_surplus_is_its_own_oldest() -> None:
    flood = [item(f"{k}", 1, k, champion=False, seq=k) for k in range(QUEUED_PER_ORIGIN_MAX + 3)]
    queue = queue_of(*flood, item("other", 2))

    assert len(queue) == QUEUED_PER_ORIGIN_MAX + 1
    assert {"0", "1", "2"}.isdisjoint(served(queue, 1_000))


def test_a_quarantined_origin_is_not_served_now_or_later() -> None:
    queue = queue_of(item("a", 1), item("b", 2))
    queue.quarantine(bytes([1]) * 32)
    queue.put([item("c", 1), item("d", 2)])

    assert queue.is_void(bytes([1]) * 32)
    assert not queue.is_void(bytes([2]) * 32)
    assert sorted(served(queue)) == ["b", "d"]


def test_a_quarantine_of_an_unknown_origin_holds_for_when_it_comes() -> None:
    queue = ForeignQueue()
    queue.quarantine(bytes([1]) * 32)
    queue.put([item("a", 1)])

    assert len(queue) == 0


def test_what_decides_the_next_service_shows_in_the_plain_form() -> None:
    one, other = queue_of(item("a", 1), item("b", 2)), queue_of(item("a", 1), item("b", 2))
    one.take(1)
    one.put([item("a", 1)])

    assert list(one) == list(other)
    assert one.plain() != other.plain(), "their next turns differ"
