"""The sizes that a Core War battle is played with, and the named sets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deid.errors import ConfigError

__all__ = ["SETTINGS", "CoreSettings", "default_pspace_size", "settings_of"]

CORE_SIZE_MAX = 65_536
"""Addresses: the simulator's cells hold two 16-bit numbers."""

CYCLES_MAX = (1 << 31) - 2
"""The simulator's times are 32-bit numbers."""

PROCESSES_MAX = 1 << 26
"""Of all warriors together: the simulator's queue."""


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Sizes of one battle; every one is a count (of addresses, cycles, processes, cells).

    Raises `ConfigError` for a size that no battle can be played with.
    """

    core_size: int
    cycles_max: int
    processes_max: int
    length_max: int
    distance: int
    pspace_size: int

    def __post_init__(self) -> None:
        bounds = (
            ("core_size", self.core_size, 1, CORE_SIZE_MAX),
            ("cycles_max", self.cycles_max, 1, CYCLES_MAX),
            ("processes_max", self.processes_max, 1, PROCESSES_MAX),
            ("length_max", self.length_max, 1, self.core_size),
            ("distance", self.distance, self.length_max, self.core_size // 2),
            ("pspace_size", self.pspace_size, 1, self.core_size),
        )
        for name, value, low, high in bounds:
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigError(f"{name}: expected a whole number, got {value!r}")
            if not low <= value <= high:
                raise ConfigError(f"{name}: expected {_range(name, low, high)}, got {value}")


def default_pspace_size(core_size: int) -> int:
    """Cells of P-space that pMARS gives a core: core / k, k the largest divisor up to 16."""
    return core_size // next(k for k in range(16, 0, -1) if core_size % k == 0)


def settings_of(name: str) -> CoreSettings:
    """The settings of a set; raises `ConfigError` with the known names."""
    try:
        return SETTINGS[name]
    except KeyError:
        known = ", ".join(SETTINGS)
        raise ConfigError(f"settings: expected one of {known}; got {name!r}") from None


def _range(name: str, low: int, high: int) -> str:
    if low > high:
        return f"{low} to {high}, which no {name} satisfies: the core is too small"
    return f"{low} to {high}"


def _sizes(core: int, cycles: int, processes: int, length: int, distance: int) -> CoreSettings:
    return CoreSettings(core, cycles, processes, length, distance, default_pspace_size(core))


_STANDARD = _sizes(8_000, 80_000, 8_000, 100, 100)

SETTINGS: Mapping[str, CoreSettings] = MappingProxyType(
    {
        "94nop": _STANDARD,
        "icws88": _STANDARD,
        "pspace": _STANDARD,
        "tiny": _sizes(800, 8_000, 800, 20, 20),
        "nano": _sizes(80, 800, 80, 5, 5),
        "lp": _sizes(8_000, 80_000, 8, 200, 200),
        "94x": _sizes(55_440, 500_000, 10_000, 200, 200),
        "94": _STANDARD,
        "88": _STANDARD,
    }
)
"""Sets of published hills, by the names of their warrior collections; `94` and `88` are short."""
