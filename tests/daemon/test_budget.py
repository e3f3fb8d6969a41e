"""Budgets in integers: what is not reserved is not sent."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.daemon.budget import ZERO, Amount, Budget, BudgetLimits, BudgetSpent, Price
from deid.errors import ConfigError
from deid.store.values import Charged


@pytest.mark.parametrize(
    ("limits", "amount", "key"),
    [
        (BudgetLimits(attempts_max=2), Amount(attempts=1), "attempts_max"),
        (BudgetLimits(tokens_max=200), Amount(tokens=100), "tokens_max"),
        (BudgetLimits(usd_max=50), Amount(micro_usd=25), "usd_max"),
    ],
)
def test_each_limit_admits_what_fits_and_names_itself_beyond(
    limits: BudgetLimits, amount: Amount, key: str
) -> None:
    budget = Budget(limits)
    budget.reserve(amount)
    budget.reserve(amount)
    with pytest.raises(BudgetSpent) as caught:
        budget.reserve(amount)

    assert caught.value.limit == key
    assert caught.value.used == caught.value.most
    assert key in str(caught.value)
    assert budget.state().held == amount + amount


def test_settling_gives_back_what_was_not_used() -> None:
    budget = Budget(BudgetLimits(tokens_max=100))
    budget.reserve(Amount(1, 100))
    with pytest.raises(BudgetSpent):
        budget.reserve(Amount(1, 1))
    budget.settle(Amount(1, 100), Amount(1, 30))
    budget.reserve(Amount(1, 70))

    assert budget.state().spent == Amount(1, 30)
    assert budget.state().held == Amount(1, 70)
    assert budget.state().used_percent == 100


def test_what_earlier_daemons_spent_counts() -> None:
    spent = Amount.of(Charged(9, (40, 50, 7, 3), 1_000))
    budget = Budget(BudgetLimits(attempts_max=10, tokens_max=100), spent)

    assert spent == Amount(9, 90, 1_000)
    assert budget.state().used_percent == 90
    with pytest.raises(BudgetSpent, match="tokens_max is 100, 90 are used or held, 11"):
        budget.reserve(Amount(1, 11))


def test_an_outer_budget_holds_too_and_a_refusal_holds_nothing_anywhere() -> None:
    node = Budget(BudgetLimits(attempts_max=3))
    one = Budget(BudgetLimits(attempts_max=2), outer=node)
    two = Budget(BudgetLimits(attempts_max=2), outer=node)
    call = Amount(attempts=1)
    for budget in (one, one, two):
        budget.reserve(call)
    with pytest.raises(BudgetSpent):
        two.reserve(call)  # the node's
    with pytest.raises(BudgetSpent):
        one.reserve(call)  # its own

    assert [each.state().held.attempts for each in (node, one, two)] == [3, 2, 1]
    one.settle(call, ZERO)
    assert [each.state().held.attempts for each in (node, one, two)] == [2, 1, 1]


def test_without_limits_everything_fits() -> None:
    budget = Budget(BudgetLimits())
    budget.reserve(Amount(10**9, 10**15, 10**15))

    assert budget.state().used_percent == 0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_cost_is_exact_and_rounded_up(a: int, b: int, price_in: int, price_out: int) -> None:
    exact = Fraction(a * price_in + b * price_out, 10**6)
    cost = Price(price_in, price_out).micro_usd(a, b)

    assert 0 <= cost - exact < 1


@pytest.mark.parametrize(
    ("usd", "micro"),
    [(0, 0), (3, 3_000_000), (0.15, 150_000), ("0.0375", 37_500), (Decimal("1e-7"), 1)],
)
def test_prices_are_read_exactly(usd: object, micro: int) -> None:
    assert Price.of_usd(usd, 0) == Price(micro, 0)
    assert Price.of_usd(0, usd) == Price(0, micro)


@pytest.mark.parametrize("usd", [-1, float("nan"), float("inf"), "free", None, True, [1]])
def test_what_is_no_price_is_a_configuration_error(usd: object) -> None:
    with pytest.raises(ConfigError, match="output must be USD per million tokens"):
        Price.of_usd(1, usd)
