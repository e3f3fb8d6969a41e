"""``docs/cli.md`` shows the help of the programs and their exit codes as they are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from deid.cli.deictl import deictl
from deid.cli.deid import deid
from deid.cli.exits import EXIT_CODES
from deid.cli.lazy import LazyCommand
from deid.plugin.host import PluginHost

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
PROGRAMS: dict[str, click.Command] = {"deid": deid, "deictl": deictl}


def helps() -> dict[str, str]:
    """The help text that the page shows for each command line."""
    return dict(re.findall(r"```text\n\$ (.*?) --help\n(.*?)```", PAGE, re.DOTALL))


def commands(program: str, command: click.Command, path: tuple[str, ...] = ()) -> list[str]:
    """Command lines of a program, plugins' and lazy ones left out."""
    if isinstance(command, LazyCommand):
        return []
    found = [" ".join((program, *path))]
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            found += commands(program, each, (*path, name))
    return found


def expected() -> list[str]:
    return [line for name, command in PROGRAMS.items() for line in commands(name, command)]


def test_the_page_shows_every_command() -> None:
    assert sorted(helps()) == sorted(expected())


@pytest.mark.parametrize("line", expected())
def test_the_help_on_the_page_is_the_programs_own(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid.cli.lazy.PluginGroup._host", lambda *_: PluginHost(()))
    program, *path = line.split()
    done = CliRunner().invoke(
        PROGRAMS[program], [*path, "--help"], prog_name=program, terminal_width=100
    )

    assert done.exit_code == 0
    assert helps()[line] == done.output


def test_the_page_lists_the_exit_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)

    assert [(int(code), meaning) for code, meaning in rows] == list(EXIT_CODES.items())
