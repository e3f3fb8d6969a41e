"""Budgets that cannot be overrun: what is not reserved is not sent.

All figures are integers: attempts, tokens, and money in 10⁻⁶ USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation

from deid.errors import ConfigError, DeidError
from deid.store.values import Charged

__all__ = ["ZERO", "Amount", "Budget", "BudgetLimits", "BudgetSpent", "BudgetState", "Price"]

_MILLION = 1_000_000


class BudgetSpent(DeidError):
    """A reservation would exceed a limit; nothing was sent.

    limit: the key under ``[budget]``; most: its value; used: spent and held; asked: the
    reservation that was refused.
    """

    def __init__(self, limit: str, most: int, used: int, asked: int) -> None:
        super().__init__(
            f"budget spent: {limit} is {most:,}, {used:,} are used or held, {asked:,} were asked",
            hint=f"raise {limit} under [budget]; the node goes on serving its peers",
        )
        self.limit = limit
        self.most = most
        self.used = used
        self.asked = asked


@dataclass(frozen=True, slots=True)
class Price:
    """10⁻⁶ USD per million tokens, of input and of output (reasoning counts as output)."""

    input_micro_usd: int
    output_micro_usd: int

    @classmethod
    def of_usd(cls, input_usd: object, output_usd: object) -> Price:
        """From USD per million tokens as a configuration writes them; :class:`ConfigError`."""
        return cls(_micro(input_usd, "input"), _micro(output_usd, "output"))

    def micro_usd(self, input_tokens: int, output_tokens: int) -> int:
        """Cost, rounded up."""
        cost = input_tokens * self.input_micro_usd + output_tokens * self.output_micro_usd
        return -(-cost // _MILLION)


@dataclass(frozen=True, slots=True)
class Amount:
    """What attempts use. tokens: input and output together."""

    attempts: int = 0
    tokens: int = 0
    micro_usd: int = 0

    @classmethod
    def of(cls, charged: Charged) -> Amount:
        """What a journal says was spent."""
        return cls(charged.attempts, charged.usage[0] + charged.usage[1], charged.micro_usd)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.attempts + other.attempts,
            self.tokens + other.tokens,
            self.micro_usd + other.micro_usd,
        )

    def __sub__(self, other: Amount) -> Amount:
        return Amount(
            self.attempts - other.attempts,
            self.tokens - other.tokens,
            self.micro_usd - other.micro_usd,
        )


ZERO = Amount()


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The most that may be spent; None: no limit. usd_max: in 10⁻⁶ USD."""

    attempts_max: int | None = None
    tokens_max: int | None = None
    usd_max: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget at one moment. held: worst case of what is under way.

    used_percent: of the limit that is nearest its end; 0 where there is none.
    """

    limits: BudgetLimits
    spent: Amount
    held: Amount
    used_percent: int


class Budget:
    """Limits, and what was taken of them.

    spent: by earlier daemons of this run, from the journal. outer: a budget that holds as well
    (the node's, around an operator's).
    """

    def __init__(
        self, limits: BudgetLimits, spent: Amount = ZERO, outer: Budget | None = None
    ) -> None:
        self._limits = limits
        self._spent = spent
        self._held = ZERO
        self._outer = outer

    def reserve(self, amount: Amount) -> None:
        """Holds ``amount`` here and in every outer budget; :class:`BudgetSpent` holds nothing."""
        budget: Budget | None = self
        while budget is not None:
            budget._check(amount)
            budget = budget._outer
        self._move(held=amount)

    def settle(self, reserved: Amount, actual: Amount) -> None:
        """Replaces a reservation by what it came to (itself where that is unknown)."""
        self._move(held=ZERO - reserved, spent=actual)

    def state(self) -> BudgetState:
        """The figures of this moment."""
        used = self._spent + self._held
        shares = [100 * value // most for _, most, value in self._lines(used) if most]
        return BudgetState(self._limits, self._spent, self._held, max(shares, default=0))

    def _move(self, *, held: Amount, spent: Amount = ZERO) -> None:
        budget: Budget | None = self
        while budget is not None:
            budget._held += held
            budget._spent += spent
            budget = budget._outer

    def _check(self, amount: Amount) -> None:
        used = self._spent + self._held
        lines = zip(self._lines(used), self._lines(amount), strict=True)
        for (limit, most, value), (_, _, asked) in lines:
            if value + asked > most:
                raise BudgetSpent(limit, most, value, asked)

    def _lines(self, amount: Amount) -> list[tuple[str, int, int]]:
        """(key, limit, value) of every limit there is."""
        limits = self._limits
        lines = (
            ("attempts_max", limits.attempts_max, amount.attempts),
            ("tokens_max", limits.tokens_max, amount.tokens),
            ("usd_max", limits.usd_max, amount.micro_usd),
        )
        return [(key, most, value) for key, most, value in lines if most is not None]


def _micro(usd: object, which: str) -> int:
    wrong = ConfigError(f"price: {which} must be USD per million tokens, >= 0, got {usd!r:.80}")
    if isinstance(usd, bool) or not isinstance(usd, (int, float, str, Decimal)):
        raise wrong
    try:
        value = Decimal(str(usd))
    except InvalidOperation:
        raise wrong from None
    if not value.is_finite() or value < 0:
        raise wrong
    return int((value * _MILLION).to_integral_value(ROUND_CEILING))
