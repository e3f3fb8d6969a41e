"""What a child process does first: plugins, and how it says that it cannot be built."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from deid.daemon import child_setup
from deid.daemon.child_setup import load_plugins, refusal
from deid.daemon.frames import Refused
from deid.errors import ConfigError, PluginError
from deid.plugin import host

TOY = EntryPoint("toy", "deid.plugin.toy", "deid")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points that this process seems to have."""
    points: list[EntryPoint] = []
    for module in (child_setup, host):
        monkeypatch.setattr(module, "entry_points", lambda group: points)
    return points


def test_modules_that_no_entry_point_names_are_registered(installed: list[EntryPoint]) -> None:
    assert load_plugins(("deid.plugin.toy",), ()).domain("toy").name == "toy"


def test_a_module_that_is_installed_as_well_is_loaded_once(installed: list[EntryPoint]) -> None:
    installed.append(TOY)

    assert [name for name, _ in load_plugins(("deid.plugin.toy",), ()).plugins] == ["toy"]


def test_a_disabled_entry_point_does_not_hide_a_module(installed: list[EntryPoint]) -> None:
    installed.append(TOY)
    loaded = load_plugins(("deid.plugin.toy",), ("toy",))

    assert [name for name, _ in loaded.plugins] == ["deid.plugin.toy"]


def test_a_module_that_cannot_be_imported_is_named(installed: list[EntryPoint]) -> None:
    with pytest.raises(PluginError, match=r"plugin 'no\.such': cannot be imported"):
        load_plugins(("no.such",), ())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigError("key is wrong", hint="try 3"), Refused(True, "key is wrong", "try 3")),
        (PluginError("x", "is broken"), Refused(False, "is broken", "")),
        (ValueError("a\n b"), Refused(False, "cannot be built: ValueError: a b", "")),
        (SystemExit(3), Refused(False, "cannot be built: SystemExit: 3", "")),
    ],
)
def test_the_reason_keeps_its_kind_and_its_words(error: BaseException, expected: Refused) -> None:
    assert refusal(error) == expected


def test_a_long_reason_is_cut() -> None:
    assert len(refusal(ValueError("x" * 10_000)).message) < 600
