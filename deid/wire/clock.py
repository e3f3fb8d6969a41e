"""A clock that never runs backwards, whatever the one outside does."""

from __future__ import annotations


class Clock:
    """Inside time follows outside time; where that is set back, it goes on from where it was."""

    __slots__ = ("_last_ms", "_offset_ms")

    def __init__(self) -> None:
        self._offset_ms = 0
        self._last_ms = 0

    def inside(self, outside_ms: int) -> int:
        now_ms = outside_ms + self._offset_ms
        if now_ms < self._last_ms:
            self._offset_ms += self._last_ms - now_ms
            now_ms = self._last_ms
        self._last_ms = now_ms
        return now_ms

    def outside(self, inside_ms: int) -> int:
        """When the clock outside will show it, by its last reading."""
        return inside_ms - self._offset_ms
