"""Strict reading of a settings table, for the factories of plugins.

::

    table = SettingsTable(settings, "operator 'edit'")
    steps_max = table.integer("steps_max", default=16, low=1, high=1_000)
    table.finish()  # whatever was not asked for is an unknown key
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from deid.errors import ConfigError
from deid.plugin.contracts import Settings

__all__ = ["SettingsTable", "nearest"]


def nearest(wanted: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like ``wanted``, if one does."""
    matches = get_close_matches(wanted, sorted(known), n=1, cutoff=0.5)
    return matches[0] if matches else None


class SettingsTable:
    """One table of the configuration; every reader raises :class:`ConfigError`.

    where: what the table belongs to, as messages name it (``operator 'edit'``).
    """

    __slots__ = ("_asked", "_settings", "_where")

    def __init__(self, settings: Settings, where: str) -> None:
        self._settings = settings
        self._where = where
        self._asked: list[str] = []

    def integer(self, key: str, *, default: int, low: int, high: int) -> int:
        """An integer in [low, high]."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, f"an integer in [{low}, {high}]", value)
        if not low <= value <= high:
            raise self._wrong(key, f"an integer in [{low}, {high}]", value)
        return value

    def thousandths(self, key: str, *, default: float, low: float, high: float) -> int:
        """A number in [low, high] as an integer count of thousandths.

        Integers decide chances exactly on every machine; a thousandth is fine enough to set one.
        """
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(key, f"a number in [{low:g}, {high:g}]", value)
        if not low <= value <= high:  # false for NaN too
            raise self._wrong(key, f"a number in [{low:g}, {high:g}]", value)
        return round(value * 1000)

    def text(self, key: str, *, default: str) -> str:
        """Any text but the empty one."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "a text", value)
        return value

    def word(self, key: str, *, default: str, known: Collection[str]) -> str:
        """One of the ``known`` words."""
        value = self.text(key, default=default)
        if value not in known:
            match = nearest(value, known)
            raise ConfigError(
                f"{self._where}: {key} must be one of {', '.join(known)}, got {value!r}",
                hint=None if match is None else f"did you mean {match!r}?",
            )
        return value

    def finish(self) -> None:
        """Refuses every key that no reader asked for."""
        for key in self._settings:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked)) or "none"
                match = nearest(key, self._asked)
                raise ConfigError(
                    f"{self._where}: unknown setting {key!r}; known: {known}",
                    hint=None if match is None else f"did you mean {match!r}?",
                )

    def _take(self, key: str, default: object) -> object:
        self._asked.append(key)
        return self._settings.get(key, default)

    def _wrong(self, key: str, expected: str, got: object) -> ConfigError:
        return ConfigError(f"{self._where}: {key} must be {expected}, got {got!r:.80}")
