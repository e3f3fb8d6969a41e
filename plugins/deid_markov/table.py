"""Counts of one slot's values in contexts of falling length, and exact draws from them.

Back-off: at a context seen n times with t different values the draw stays there with probability
n / (n + t·s) and goes to the next shorter context otherwise, s being the smoothing. With s = 1
this is interpolation after Witten and Bell (1991), method C, made a draw. Counts and chances are
integers, so the same stream gives the same value on every machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TypeAlias

from deid.plugin import Choice, Slot
from deid.plugin.slots import nearby, spread
from deid.search.streams import Stream

__all__ = ["SlotTable", "temper"]

Words: TypeAlias = tuple[int, ...]

STEP_MAX = 8  # how far smoothing moves a learned number
_WEIGHT_BITS = 32  # of the largest weight under a temperature


@dataclass(frozen=True, slots=True)
class _Entry:
    """Values seen in one context, ascending, and their running weights.

    count: times that the context was seen.
    """

    values: tuple[int, ...]
    running: tuple[int, ...]
    count: int

    def draw(self, stream: Stream) -> int:
        return self.values[bisect_right(self.running, stream.below(self.running[-1]))]


class SlotTable:
    """What a slot holds after each context; it never gives a value outside the slot.

    seen: (context, value) pairs, the most telling word of a context first, all equally long.
    smoothing: s in thousandths. temperature: in tenths; 10 draws as the counts are.
    """

    __slots__ = ("_levels", "_slot", "_smoothing")

    def __init__(
        self, slot: Slot, seen: Iterable[tuple[Words, int]], smoothing: int, temperature: int
    ) -> None:
        self._slot = slot
        self._smoothing = smoothing
        counts: list[dict[Words, Counter[int]]] = []
        for context, value in seen:
            for length in range(len(context) + 1):
                if length == len(counts):
                    counts.append({})
                counts[length].setdefault(context[:length], Counter())[value] += 1
        self._levels = [
            {context: _entry(counter, temperature) for context, counter in level.items()}
            for level in counts
        ]

    def draw(self, context: Words, stream: Stream) -> int:
        """A value after ``context``, from the longest part of it that was seen, or shorter."""
        for length in range(len(self._levels) - 1, -1, -1):
            entry = self._levels[length].get(context[:length])
            if entry is None:
                continue
            stay = entry.count * 1000
            if stream.below(stay + len(entry.values) * self._smoothing) < stay:
                return entry.draw(stream)
        return self._unlearned(stream)

    def knows(self, context: Words, value: int) -> bool:
        """Whether ``value`` was seen after ``context``, which may be shorter than a full one."""
        if len(context) >= len(self._levels):
            return False
        entry = self._levels[len(context)].get(context)
        return entry is not None and value in entry.values

    def _unlearned(self, stream: Stream) -> int:
        """Smoothing over the slot: any word; half of the numbers lie near a learned one."""
        if self._levels and not isinstance(self._slot, Choice) and stream.chance(1, 2):
            return nearby(self._slot, self._levels[0][()].draw(stream), STEP_MAX, stream)
        return spread(self._slot, stream)


@lru_cache(maxsize=4096)
def temper(count: int, most: int, tenths: int) -> int:
    """floor(2**32 · (count / most) ** (10 / tenths)), at least 1, in integers only."""
    scaled = ((1 << _WEIGHT_BITS * tenths) * count**10) // most**10
    low, high = 0, 1 << _WEIGHT_BITS  # the root lies in [low, high]
    while low < high:
        middle = (low + high + 1) // 2
        if middle**tenths <= scaled:
            low = middle
        else:
            high = middle - 1
    return max(1, low)


def _entry(counter: Counter[int], temperature: int) -> _Entry:
    values = tuple(sorted(counter))
    if temperature == 10:
        weights = [counter[value] for value in values]
    else:
        most = max(counter.values())
        weights = [temper(counter[value], most, temperature) for value in values]
    return _Entry(values, tuple(accumulate(weights)), counter.total())
