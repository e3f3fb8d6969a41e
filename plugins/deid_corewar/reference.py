"""The fixed yardsticks of a task: descriptor edges, and the context of the reference claims.

``reference.toml`` holds one for each geometry of the core that a search may use.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from deid.errors import ConfigError
from deid.search.grid import Axis
from deid_corewar.settings import CoreSettings

__all__ = ["AXIS_UNITS", "Reference", "reference_of", "references"]

AXIS_UNITS = MappingProxyType(
    {
        "spawned": "processes",
        "covered": "cells",
        "opcodes": "opcodes",
        "length": "instructions",
    }
)
"""The axes that a search may choose, and what each is counted in."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What all nodes that search one geometry of the core compare themselves by.

    pool: names of shipped warriors, in order. seeds: one 64-bit number for each battle.
    edges: of each axis in :data:`AXIS_UNITS`.
    """

    name: str
    core_size: int
    length_max: int
    distance: int
    pool: tuple[str, ...]
    seeds: tuple[int, ...]
    edges: Mapping[str, tuple[int, ...]]

    def axis(self, name: str) -> Axis:
        """The axis called ``name``, cut for this core."""
        return Axis(name, AXIS_UNITS[name], self.edges[name])


def reference_of(settings: CoreSettings) -> Reference:
    """The reference for the geometry of ``settings``; :class:`ConfigError` if there is none."""
    geometry = (settings.core_size, settings.length_max, settings.distance)
    for reference in references():
        if geometry == (reference.core_size, reference.length_max, reference.distance):
            return reference
    known = "; ".join(
        f"{r.core_size}, {r.length_max}, {r.distance} ({r.name})" for r in references()
    )
    raise ConfigError(
        f"[domain] core_size, length_max, distance: a search needs a geometry with a reference "
        f"context: {known}; got {geometry[0]}, {geometry[1]}, {geometry[2]}",
        hint='leave the three out and set settings = "94" or settings = "tiny"',
    )


@cache
def references() -> tuple[Reference, ...]:
    """All of ``reference.toml``."""
    text = (files("deid_corewar") / "reference.toml").read_text(encoding="utf-8")
    return tuple(_read(name, table) for name, table in tomllib.loads(text).items())


def _read(name: str, table: dict[str, object]) -> Reference:
    match table:
        case {
            "core_size": int(core_size),
            "length_max": int(length_max),
            "distance": int(distance),
            "pool": list(pool),
            "seeds": list(seeds),
            "edges": dict(edges),
        } if set(edges) == set(AXIS_UNITS):
            return Reference(
                name,
                core_size,
                length_max,
                distance,
                tuple(str(warrior) for warrior in pool),
                tuple(int(str(seed), 16) for seed in seeds),
                MappingProxyType({axis: tuple(values) for axis, values in edges.items()}),
            )
    raise ValueError(f"reference.toml: table {name!r} lacks a key or has one of a wrong type")
