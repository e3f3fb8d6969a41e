"""The named sets, against the options that pMARS was run with, and what no core may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deid.errors import ConfigError
from deid_corewar.settings import SETTINGS, CoreSettings, default_pspace_size, settings_of


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("icws88 94nop pspace 94 88", CoreSettings(8000, 80000, 8000, 100, 100, 500)),
        ("tiny", CoreSettings(800, 8000, 800, 20, 20, 50)),
        ("nano", CoreSettings(80, 800, 80, 5, 5, 5)),
        ("lp", CoreSettings(8000, 80000, 8, 200, 200, 500)),
        ("94x", CoreSettings(55440, 500000, 10000, 200, 200, 3465)),
    ],
)
def test_sets_have_the_sizes_of_their_hills(names: str, expected: CoreSettings) -> None:
    for name in names.split():
        assert settings_of(name) == expected
    assert len(SETTINGS) == 9


@pytest.mark.parametrize(
    ("core", "cells"), [(8192, 512), (100, 10), (7919, 7919), (55440, 3465), (17, 17)]
)
def test_pspace_is_what_pmars_gives_without_an_option(core: int, cells: int) -> None:
    assert default_pspace_size(core) == cells


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"core_size": 0}, "core_size: expected 1 to 65536, got 0"),
        ({"core_size": 70_000}, "core_size: expected 1 to 65536, got 70000"),
        ({"cycles_max": 0}, "cycles_max: expected 1 to"),
        ({"processes_max": -1}, "processes_max: expected 1 to"),
        ({"length_max": 0}, "length_max: expected 1 to 8000, got 0"),
        ({"distance": 99}, "distance: expected 100 to 4000, got 99"),
        ({"core_size": 150}, "distance: expected .* the core is too small"),
        ({"pspace_size": 0}, "pspace_size: expected 1 to 8000, got 0"),
        ({"core_size": 1.5}, "core_size: expected a whole number, got 1.5"),
        ({"cycles_max": True}, "cycles_max: expected a whole number, got True"),
    ],
)
def test_impossible_sizes_are_refused_by_name(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SETTINGS["94"], **change)


def test_an_unknown_set_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"94nop, icws88, .*; got '95'"):
        settings_of("95")
