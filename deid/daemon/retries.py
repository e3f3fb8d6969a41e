"""When a failed attempt is made again, and the time that passes meanwhile."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from deid.plugin.contracts import ModelFailure
from deid.search.streams import Stream

__all__ = ["Clock", "LoopClock", "RetryPolicy"]


class Clock(Protocol):
    """Time, as an argument."""

    def monotonic_s(self) -> float:
        """Seconds that never go back."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970, for the journal's times."""

    async def sleep(self, seconds: float) -> None:
        """Waits."""


class LoopClock:
    """The running loop's time; wall time from the system."""

    def monotonic_s(self) -> float:
        """See :class:`Clock`."""
        return asyncio.get_running_loop().time()

    def wall_ms(self) -> int:
        """See :class:`Clock`."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is made again.

    attempts_max: attempts of one ``complete``. first_s, most_s: pause before the second, doubled
    up to the most, each shortened by up to half at random; a provider's Retry-After is the least.
    """

    attempts_max: int = 4
    first_s: float = 1.0
    most_s: float = 30.0

    def pause_s(self, tries: int, failure: ModelFailure, stream: Stream) -> float:
        """Seconds after attempt ``tries`` (1, 2, …) failed."""
        longest = min(self.first_s * 2.0 ** min(tries - 1, 30), self.most_s)
        jittered = longest * (0.5 + stream.below(1 << 20) / (1 << 21))
        return max(jittered, failure.retry_after_s or 0.0)
