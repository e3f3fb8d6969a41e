"""The warriors that ship with deid: our own, in families by strategy.

Header lines of a file say what it is: ``;name`` (the file's stem), ``;author``, ``;family``,
``;cores`` (the core sizes it is written for) and ``;strategy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

__all__ = ["FAMILIES", "SeedWarrior", "seed_warriors"]

FAMILIES = ("imps", "bombers", "scanners", "papers", "clears", "mixed")


@dataclass(frozen=True, slots=True)
class SeedWarrior:
    """One shipped warrior.

    family: one of :data:`FAMILIES`. core_sizes: the cores that it is written for.
    """

    name: str
    family: str
    core_sizes: tuple[int, ...]
    strategy: str
    source: str


@cache
def seed_warriors() -> Mapping[str, SeedWarrior]:
    """All shipped warriors by name, in the order of families, then names."""
    found = [
        _read(entry.name.removesuffix(".red"), entry.read_text(encoding="utf-8"))
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".red")
    ]
    found.sort(key=lambda warrior: (FAMILIES.index(warrior.family), warrior.name))
    return MappingProxyType({warrior.name: warrior for warrior in found})


def _read(name: str, source: str) -> SeedWarrior:
    """The header lines of a shipped file; :class:`ValueError` names what one lacks."""
    header: dict[str, list[str]] = {}
    for line in source.splitlines():
        if line.startswith(";"):
            key, _, value = line[1:].partition(" ")
            header.setdefault(key, []).append(value.strip())
    if header.get("name") != [name] or header.get("family", [""])[0] not in FAMILIES:
        raise ValueError(f"warrior {name}.red: its ;name or ;family line is missing or wrong")
    sizes = tuple(int(size) for size in header["cores"][0].split())
    return SeedWarrior(name, header["family"][0], sizes, " ".join(header["strategy"]), source)
