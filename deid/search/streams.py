"""Named random streams: chance is an argument, and its name says where it was used.

A stream is BLAKE2b in counter mode over its name, so any two streams are independent, creating
one never advances another, and the numbers are the same on every platform and in every release
of every library.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

from deid.search.canonical import encode

T = TypeVar("T")

_BLOCK_BYTES = 64
_WORD_BYTES = 8
WORD_RANGE = 1 << 64  # words are uniform on [0, 2**64)


class Stream:
    """Uniform integers of the stream called (seed, node, purpose, round, iteration)."""

    __slots__ = ("_block", "_counter", "_key", "_offset")

    def __init__(
        self, seed: int, node: str, purpose: str, round_number: int = 0, iteration: int = 0
    ) -> None:
        name = encode([seed, node, purpose, round_number, iteration])
        self._key = blake2b(name, digest_size=_BLOCK_BYTES).digest()
        self._counter = 0
        self._block = b""
        self._offset = 0

    def word(self) -> int:
        """The next 64 random bits, in [0, 2**64)."""
        if self._offset == len(self._block):
            counter = self._counter.to_bytes(_WORD_BYTES, "little")
            self._block = blake2b(counter, key=self._key, digest_size=_BLOCK_BYTES).digest()
            self._counter += 1
            self._offset = 0
        start = self._offset
        self._offset = start + _WORD_BYTES
        return int.from_bytes(self._block[start : self._offset], "little")

    def below(self, bound: int) -> int:
        """Uniform on [0, bound), without bias; ``bound`` in [1, 2**64]."""
        if not 1 <= bound <= WORD_RANGE:
            raise ValueError(f"bound must be in [1, 2**64], got {bound}")
        limit = WORD_RANGE - WORD_RANGE % bound
        word = self.word()
        while word >= limit:  # rejected with probability < 1/2
            word = self.word()
        return word % bound

    def chance(self, numerator: int, denominator: int) -> bool:
        """True with probability numerator / denominator, exactly."""
        return self.below(denominator) < numerator

    def choice(self, options: Sequence[T]) -> T:
        """One of ``options``, uniformly; :class:`ValueError` when there is none."""
        return options[self.below(len(options))]

    def weighted(self, weights: Sequence[int]) -> int:
        """An index, with probability proportional to its non-negative integer weight."""
        point = self.below(sum(weights))
        for index, weight in enumerate(weights):
            if point < weight:
                return index
            point -= weight
        raise AssertionError("unreachable: the point lies below the weights' sum")
