"""A circuit breaker: what keeps failing is left alone for a while, then tried once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Breaker", "BreakerPolicy", "BreakerState"]


class BreakerState(Enum):
    """Closed: calls pass. Open: they are refused. Half-open: one trial is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens, and for how long.

    failures_max: failures in a row that open it.
    open_s, open_max_s: seconds it stays open at first, and at most; doubled after a failed trial.
    """

    failures_max: int = 5
    open_s: float = 1.0
    open_max_s: float = 300.0


class Breaker:
    """Counts failures in a row; ``now`` is an argument, in seconds of any one clock."""

    __slots__ = ("_failures", "_opened", "_policy", "_trial", "_until")

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._failures = 0
        self._opened = 0  # times in a row that it opened
        self._until: float | None = None
        self._trial = False

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    @property
    def state(self) -> BreakerState:
        """As the last call left it; an open one whose time is over stays open until asked."""
        if self._until is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._trial else BreakerState.OPEN

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be tried; 0 when it may be now."""
        if self._until is None:
            return 0.0
        if self._trial:
            return self._policy.open_s  # the trial's end decides; ask again then
        return max(0.0, self._until - now)

    def admit(self, now: float) -> bool:
        """Whether a call may pass; the first one after the open time is the trial."""
        if self._until is None:
            return True
        if self._trial or now < self._until:
            return False
        self._trial = True
        return True

    def succeeded(self) -> None:
        """A call came back well: closed, and all is forgotten."""
        self._failures = self._opened = 0
        self._until = None
        self._trial = False

    def failed(self, now: float) -> None:
        """A call failed."""
        self._failures += 1
        if self._trial or self._failures >= self._policy.failures_max:
            if self._until is not None and not self._trial:
                return  # a call from before it opened; it is open already
            open_s = min(
                self._policy.open_s * 2.0 ** min(self._opened, 30), self._policy.open_max_s
            )
            self._until = now + open_s
            self._opened += 1
            self._trial = False

    def gave_up(self) -> None:
        """The trial ended without a result (its caller went away); the next call is the trial."""
        self._trial = False
