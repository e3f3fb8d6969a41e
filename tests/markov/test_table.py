from __future__ import annotations

from collections import Counter
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.plugin import Choice, Number
from deid.search.streams import Stream
from deid_markov.table import SlotTable, temper

LETTERS = Choice("letter", ("a", "b", "c", "d"))
NUMBER = Number("n", -50, 50)


def drawn(table: SlotTable, context: tuple[int, ...], times: int = 4_000) -> Counter[int]:
    stream = Stream(7, "node", "table")
    return Counter(table.draw(context, stream) for _ in range(times))


def test_without_smoothing_only_what_was_seen_is_drawn_as_often_as_it_was_seen() -> None:
    seen = [((0,), 1)] * 3 + [((0,), 2)] + [((1,), 3)] * 5

    counts = drawn(SlotTable(LETTERS, seen, smoothing=0, temperature=10), (0,))

    assert set(counts) == {1, 2}
    assert counts[1] / 4_000 == pytest.approx(3 / 4, abs=0.03)


def test_an_unseen_context_falls_back_to_a_shorter_one() -> None:
    seen = [((0, 5), 1)] * 4 + [((2, 5), 3)] * 4

    table = SlotTable(LETTERS, seen, smoothing=0, temperature=10)

    assert set(drawn(table, (0, 9), 200)) == {1}
    assert set(drawn(table, (9, 9), 500)) == {1, 3}


def test_smoothing_is_that_of_witten_and_bell() -> None:
    # In context (0,): n = 6 of t = 2 kinds. Overall: n = 8, t = 3. Below: 1/4 each.
    seen = [((0,), 0)] * 4 + [((0,), 1)] * 2 + [((1,), 2)] * 2
    stay, shorter = 6 / 8, 8 / 11

    def chance(own: float, overall: float) -> float:
        return stay * own + (1 - stay) * (shorter * overall + (1 - shorter) / 4)

    expected = {
        0: chance(4 / 6, 4 / 8),
        1: chance(2 / 6, 2 / 8),
        2: chance(0, 2 / 8),
        3: chance(0, 0),
    }
    counts = drawn(SlotTable(LETTERS, seen, smoothing=1000, temperature=10), (0,), 20_000)

    for value, share in expected.items():
        assert counts[value] / 20_000 == pytest.approx(share, abs=0.012)


def test_more_smoothing_forgets_more() -> None:
    seen = [((0,), 0)] * 10

    def share(smoothing: int) -> float:
        return drawn(SlotTable(LETTERS, seen, smoothing, 10), (0,))[0] / 4_000

    assert share(0) == 1
    assert share(1_000) > share(20_000) > share(100_000)


def test_temperature_sharpens_and_flattens() -> None:
    seen = [((), 0)] * 8 + [((), 1)] * 2

    def share(tenths: int) -> float:
        return drawn(SlotTable(LETTERS, seen, 0, tenths), ())[0] / 4_000

    assert share(5) == pytest.approx(64 / 68, abs=0.03)  # squared counts
    assert share(10) == pytest.approx(8 / 10, abs=0.03)
    assert share(20) == pytest.approx(8**0.5 / (8**0.5 + 2**0.5), abs=0.03)  # their roots


def test_smoothed_numbers_lie_near_learned_ones_or_anywhere_in_the_slot() -> None:
    table = SlotTable(NUMBER, [((), 40)], smoothing=100_000, temperature=10)

    counts = drawn(table, ())

    assert all(-50 <= value <= 50 for value in counts)
    assert len(counts) > 90
    assert sum(n for value, n in counts.items() if 0 < abs(value - 40) <= 8) > 1_500


def test_a_table_that_saw_nothing_draws_from_the_slot() -> None:
    assert set(drawn(SlotTable(LETTERS, [], 1000, 10), (1, 2))) == {0, 1, 2, 3}


def test_it_knows_what_it_saw() -> None:
    table = SlotTable(LETTERS, [((0, 5), 1), ((2, 5), 3)], 1000, 10)

    assert table.knows((0,), 1)
    assert table.knows((), 3)
    assert not table.knows((0,), 3)
    assert not table.knows((7,), 1)
    assert not table.knows((0, 5, 1), 1)


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(1, 100))
def test_a_tempered_weight_is_the_floor_of_the_real_power(a: int, b: int, tenths: int) -> None:
    count, most = sorted((a, b))
    getcontext().prec = 120
    exact = (Decimal(count) / Decimal(most)) ** (Decimal(10) / Decimal(tenths)) * 2**32

    weight = temper(count, most, tenths)

    if exact >= 1:
        assert abs(weight - int(exact.quantize(Decimal("1e-60")))) <= (
            exact % 1 > Decimal("1") - Decimal("1e-50")
        )
    else:
        assert weight == 1
