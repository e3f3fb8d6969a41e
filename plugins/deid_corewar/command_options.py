"""What the commands on Redcode files share: options that size the core, and reading files.

Each command sizes the core by ``--settings SET``, of which single values may be overridden. Bad
Redcode ends in one line on stderr and exit code 1, impossible options in exit code 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from deid.errors import ConfigError
from deid_corewar.redcode import AssemblyError, Standard, Warrior, assemble
from deid_corewar.settings import SETTINGS, CoreSettings, default_pspace_size, settings_of

__all__ = ["core_of", "core_options", "load", "read", "threads_option"]

FILE_BYTES_MAX = 1 << 20
"""More of a file is not read: no warrior is that long, but a device file never ends."""

Command = TypeVar("Command", bound=Callable[..., Any])

SIZES = (
    ("--core-size", "core_size", "Addresses of the core."),
    ("--cycles", "cycles_max", "Cycles until a tie."),
    ("--processes", "processes_max", "Processes of a warrior."),
    ("--length", "length_max", "Instructions of a warrior."),
    ("--distance", "distance", "Least distance of warriors, in addresses."),
    ("--pspace-size", "pspace_size", "Cells of P-space; a sixteenth of the core unless given."),
)


def core_options(command: Command) -> Command:
    """The options that size the core and choose the rules of the language."""
    for flag, name, text in reversed(SIZES):
        command = click.option(flag, name, type=int, default=None, help=text)(command)
    command = click.option(
        "--standard",
        type=click.Choice(["94", "88"]),
        default="94",
        show_default=True,
        help="Rules of the language: ICWS'94 or ICWS'88.",
    )(command)
    return click.option(
        "--settings",
        "settings_name",
        type=click.Choice(list(SETTINGS)),
        default="94",
        show_default=True,
        help="Sizes of a published hill.",
    )(command)


def threads_option(command: Command) -> Command:
    """The option that says how many battles are fought side by side."""
    return click.option(
        "--threads", type=click.IntRange(1, 1024), default=None, help="All cores if left out."
    )(command)


def core_of(name: str, sizes: dict[str, int | None]) -> CoreSettings:
    """The sizes of a set with what the command line overrides."""
    given = {key: value for key, value in sizes.items() if value is not None}
    if "core_size" in given and "pspace_size" not in given and given["core_size"] > 0:
        given["pspace_size"] = default_pspace_size(given["core_size"])
    try:
        return replace(settings_of(name), **given)
    except ConfigError as error:
        raise click.UsageError(error.message) from None


def load(file: str, core: CoreSettings, standard: Standard) -> Warrior:
    """The warrior of a file, or the end of the command with one line and exit code 1."""
    try:
        return assemble(read(file), core, standard=standard)
    except AssemblyError as error:
        raise click.ClickException(f"{file}: {error}") from None


def read(file: str) -> str:
    """The text of a file, `-` being standard input; published warriors are often latin-1."""
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(FILE_BYTES_MAX)
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
