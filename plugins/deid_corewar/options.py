"""The ``[domain]`` table of a Core War search, read strictly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import deid_mars
from deid.errors import ConfigError
from deid.plugin import Settings
from deid_corewar.placement import slots_max
from deid_corewar.reference import AXIS_UNITS
from deid_corewar.settings import CoreSettings, default_pspace_size, settings_of
from deid_corewar.warriors import seed_warriors

__all__ = ["DomainOptions", "read_options", "source_of"]

BATTLES_DEFAULT = 20
BATTLES_MAX = 10_000  # an evaluation is a few seconds of one processor at most
RING_MAX = 1 << 26  # warriors times processes that the simulator can hold
SIZE_KEYS = ("core_size", "cycles_max", "processes_max", "length_max", "distance")
KEYS = ("settings", *SIZE_KEYS, "battles", "opponents", "axes")


@dataclass(frozen=True, slots=True)
class DomainOptions:
    """What the table says.

    battles: trials of one evaluation. opponents: names of shipped warriors, or paths of ``.red``
    files. axes: names of the measures that cut the grid, at least one.
    """

    core: CoreSettings
    battles: int = BATTLES_DEFAULT
    opponents: tuple[str, ...] = ("imp",)
    axes: tuple[str, ...] = ("spawned", "covered")

    def mars(self) -> deid_mars.Core:
        """The simulator's core; :class:`ConfigError` for more processes than it can hold."""
        core = self.core
        processes_max = RING_MAX // slots_max(core.core_size, core.length_max, core.distance)
        if core.processes_max > processes_max:
            raise ConfigError(
                f"[domain] processes_max: at most {processes_max} for a full core of warriors, "
                f"got {core.processes_max}"
            )
        return deid_mars.Core(core.core_size, core.cycles_max, core.processes_max)


def read_options(table: Settings) -> DomainOptions:
    """The table's options; :class:`ConfigError` names a key that is unknown or wrong."""
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"[domain] {key}: unknown key", hint=_nearest(key, KEYS))
    options = DomainOptions(_core(table))
    if "battles" in table:
        options = replace(options, battles=_whole(table, "battles", 1, BATTLES_MAX))
    if "opponents" in table:
        options = replace(options, opponents=_words(table, "opponents"))
    if "axes" in table:
        axes = _words(table, "axes")
        for axis in axes:
            if axis not in AXIS_UNITS:
                raise ConfigError(
                    f"[domain] axes: expected some of {', '.join(AXIS_UNITS)}; got {axis!r}",
                    hint=_nearest(axis, AXIS_UNITS),
                )
        options = replace(options, axes=axes)
    return options


def source_of(opponent: str, core: CoreSettings) -> str:
    """Redcode of a shipped warrior for ``core``, or of the file that the entry is the path of."""
    if opponent.endswith(".red") or "/" in opponent:
        try:
            return Path(opponent).read_text(encoding="latin-1")
        except OSError as error:
            raise ConfigError(f"[domain] opponents: {opponent}: {error.strerror}") from None
    warrior = seed_warriors().get(opponent)
    if warrior is None:
        raise ConfigError(
            f"[domain] opponents: expected a shipped warrior or the path of a .red file, "
            f"got {opponent!r}",
            hint=_nearest(opponent, seed_warriors()),
        )
    if core.core_size not in warrior.core_sizes:
        raise ConfigError(
            f"[domain] opponents: {opponent!r} is written for a core of "
            f"{' or '.join(map(str, warrior.core_sizes))}, not of {core.core_size}"
        )
    return warrior.source


def _core(table: Settings) -> CoreSettings:
    name = table.get("settings", "94")
    if not isinstance(name, str):
        raise ConfigError(f"[domain] settings: expected a name such as '94', got {name!r}")
    core = settings_of(name)
    sizes = {key: _whole(table, key, 1) for key in SIZE_KEYS if key in table}
    size = sizes.get("core_size", core.core_size)
    return replace(core, **sizes, pspace_size=default_pspace_size(size))


def _whole(table: Settings, key: str, low: int, high: int | None = None) -> int:
    value = table[key]
    wanted = f"a whole number from {low} up" if high is None else f"{low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"[domain] {key}: expected {wanted}, got {value!r}")
    if value < low or (high is not None and value > high):
        raise ConfigError(f"[domain] {key}: expected {wanted}, got {value}")
    return value


def _words(table: Settings, key: str) -> tuple[str, ...]:
    """One word or a list of different words."""
    value = table[key]
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise ConfigError(f"[domain] {key}: expected a name or a list of names, got {value!r}")
    if not words or len(set(words)) < len(words):
        raise ConfigError(f"[domain] {key}: expected different names, at least one, got {value!r}")
    return tuple(words)


def _nearest(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
