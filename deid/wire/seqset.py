"""Sets of sequence numbers as sorted ranges: what an origin keeps alive, what a node holds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SEQ_MAX = (1 << 53) - 1  # exact in every language's numbers; 285 years at a million a second


@dataclass(frozen=True, slots=True)
class SeqSet:
    """An immutable set of integers in [1, SEQ_MAX].

    ranges: (first, last), both inside, ascending, with at least one number missing between two
    neighbours; so equal sets have equal ranges.
    """

    ranges: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def of(seqs: Iterable[int]) -> SeqSet:
        """The set of ``seqs``, in any order, repeats allowed."""
        found: list[tuple[int, int]] = []
        for seq in sorted(seqs):
            if found and seq <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(found[-1][1], seq))
            else:
                found.append((seq, seq))
        return SeqSet(tuple(found))

    def __contains__(self, seq: int) -> bool:
        at = bisect_right(self.ranges, (seq, SEQ_MAX + 1)) - 1
        return at >= 0 and seq <= self.ranges[at][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __iter__(self) -> Iterator[int]:
        """The numbers, ascending; lazy, as is :meth:`descending`."""
        for first, last in self.ranges:
            yield from range(first, last + 1)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    @property
    def last(self) -> int:
        """The largest number; 0 of an empty set."""
        return self.ranges[-1][1] if self.ranges else 0

    def within(self, other: SeqSet) -> SeqSet:
        """The numbers in both sets."""
        found: list[tuple[int, int]] = []
        mine, theirs = iter(self.ranges), iter(other.ranges)
        one, two = next(mine, None), next(theirs, None)
        while one is not None and two is not None:
            first, last = max(one[0], two[0]), min(one[1], two[1])
            if first <= last:
                found.append((first, last))
            if one[1] < two[1]:
                one = next(mine, None)
            else:
                two = next(theirs, None)
        return SeqSet(tuple(found))

    def minus(self, other: SeqSet) -> SeqSet:
        """The numbers of this set that are not in ``other``."""
        gaps: list[tuple[int, int]] = []
        expected = 1
        for first, last in other.ranges:
            if first > expected:
                gaps.append((expected, first - 1))
            expected = last + 1
        if expected <= SEQ_MAX:
            gaps.append((expected, SEQ_MAX))
        return self.within(SeqSet(tuple(gaps)))

    def descending(self) -> Iterator[int]:
        """The numbers from the largest down; lazy, as a hostile set may have 2**53 of them."""
        for first, last in reversed(self.ranges):
            yield from range(last, first - 1, -1)

    def newest(self, ranges_max: int) -> SeqSet:
        """The part that the last ``ranges_max`` ranges hold."""
        return self if len(self.ranges) <= ranges_max else SeqSet(self.ranges[-ranges_max:])

    def to_gaps(self) -> list[int]:
        """The form on the wire: for each range the numbers skipped before it (two fewer than the
        distance to its predecessor; from 1 for the first), then one less than its length."""
        flat: list[int] = []
        expected = 1
        for first, last in self.ranges:
            flat += (first - expected, last - first)
            expected = last + 2
        return flat

    @staticmethod
    def from_gaps(flat: list[int]) -> SeqSet:
        """Inverse of :meth:`to_gaps`; ``flat`` holds non-negative integers, an even number of them.

        :class:`ValueError` where a number exceeds SEQ_MAX.
        """
        ranges: list[tuple[int, int]] = []
        expected = 1
        for at in range(0, len(flat), 2):
            first = expected + flat[at]
            last = first + flat[at + 1]
            if last > SEQ_MAX:
                raise ValueError(f"sequence number {last} exceeds {SEQ_MAX}")
            ranges.append((first, last))
            expected = last + 2
        return SeqSet(tuple(ranges))
