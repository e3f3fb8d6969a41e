from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.search.streams import WORD_RANGE, Stream

GOLDEN = (  # words of the stream (1, "alpha", "call", 2, 3)
    "0439386b7c52b45d",
    "5bff571ecf494f96",
    "8baa9c8ef2e037c3",
)


def slow_words(seed: int, node: str, purpose: str, number: int, iteration: int) -> Iterator[int]:
    """The stream by its definition, for small values: MessagePack written out, no buffering."""

    def text(value: str) -> bytes:
        return bytes([0xA0 + len(value)]) + value.encode()

    name = bytes([0x95, seed]) + text(node) + text(purpose) + bytes([number, iteration])
    key = blake2b(name).digest()
    for position in count():
        block = blake2b((position // 8).to_bytes(8, "little"), key=key).digest()
        start = position % 8 * 8
        yield sum(block[start + k] << 8 * k for k in range(8))


class Words(Stream):
    """A stream whose words a test chooses."""

    def __init__(self, *words: int) -> None:
        super().__init__(0, "", "")
        self._words = list(words)

    def word(self) -> int:
        return self._words.pop(0)


def words(stream: Stream, number: int = 20) -> list[int]:
    return [stream.word() for _ in range(number)]


@given(
    st.integers(0, 127),
    st.text("abc", max_size=9),
    st.text("xyz", max_size=9),
    st.integers(0, 127),
    st.integers(0, 127),
)
def test_words_are_keyed_blake2b_of_a_counter(
    seed: int, node: str, purpose: str, number: int, iteration: int
) -> None:
    name = (seed, node, purpose, number, iteration)

    assert words(Stream(*name)) == list(islice(slow_words(*name), 20))


def test_words_never_change() -> None:
    assert tuple(f"{word:016x}" for word in words(Stream(1, "alpha", "call", 2, 3), 3)) == GOLDEN


def test_words_do_not_depend_on_the_hash_seed() -> None:
    script = "from deid.search.streams import Stream as S; s = S(1, 'alpha', 'call', 2, 3)\n"
    script += "print(*(f'{s.word():016x}' for _ in range(3)))"
    path = os.pathsep.join(filter(None, sys.path))
    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[0]
        for seed in ("0", "1")
    }

    assert said == {GOLDEN[0]}


@pytest.mark.parametrize(
    "other",
    [
        (2, "alpha", "call", 2, 3),
        (1, "alphb", "call", 2, 3),
        (1, "alpha", "calm", 2, 3),
        (1, "alpha", "call", 3, 3),
        (1, "alpha", "call", 2, 4),
        (1, "alphac", "all", 2, 3),  # the same letters, cut elsewhere
    ],
)
def test_every_part_of_a_name_makes_another_stream(other: tuple[int, str, str, int, int]) -> None:
    assert not set(words(Stream(*other))) & set(words(Stream(1, "alpha", "call", 2, 3)))


def test_reading_one_stream_moves_no_other() -> None:
    undisturbed = words(Stream(1, "alpha", "call"))
    one, other = Stream(1, "alpha", "call"), Stream(1, "alpha", "battles")
    mixed = []
    for _ in range(20):
        words(other, 3)
        mixed.append(one.word())

    assert mixed == undisturbed


def test_words_that_would_favour_small_numbers_are_rejected() -> None:
    # 2**64 = 3 * 6148914691236517205 + 1: the last word alone has no partner
    assert Words(WORD_RANGE - 1, 5).below(3) == 2
    assert Words(WORD_RANGE - 2, 5).below(3) == (WORD_RANGE - 2) % 3


@given(st.integers(1, WORD_RANGE))
def test_every_number_below_the_bound_has_as_many_words_as_any_other(bound: int) -> None:
    accepted = WORD_RANGE // bound * bound  # words 0 … accepted − 1, a whole number of laps
    last = Words(accepted - 1, 0).below(bound)

    assert last == bound - 1
    if accepted < WORD_RANGE:
        assert Words(accepted, 0).below(bound) == 0, "the first word past the laps was taken"


@pytest.mark.parametrize("bound", [0, -1, WORD_RANGE + 1])
def test_a_bound_outside_the_words_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match="bound must be in"):
        Stream(0, "", "").below(bound)


def test_a_chance_is_exact_at_its_ends() -> None:
    stream = Stream(3, "alpha", "chance")

    assert not any(stream.chance(0, 10) for _ in range(100))
    assert all(stream.chance(10, 10) for _ in range(100))
    assert [Words(k).chance(3, 10) for k in range(10)] == [True] * 3 + [False] * 7


def test_a_choice_takes_every_option_and_none_from_nothing() -> None:
    assert [Words(k).choice("abc") for k in range(6)] == list("abcabc")
    with pytest.raises(ValueError, match="bound"):
        Stream(0, "", "").choice([])


def test_weights_share_the_words_in_proportion() -> None:
    drawn = Counter(Words(k).weighted((2, 0, 3)) for k in range(5))

    assert drawn == {0: 2, 2: 3}


def test_weights_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="bound"):
        Stream(0, "", "").weighted((0, 0))
