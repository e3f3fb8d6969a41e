"""Runs a click command as a program: one clear line for an error, and the documented exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import click

from deid.errors import DeidError

__all__ = ["EPILOG", "EXIT_CODES", "run_program", "version_option"]

EXIT_CODES: Final = {
    0: "ok",
    1: "failed (a program that does not parse, too)",
    2: "wrong usage",
    3: "the daemon is not running, or does not answer",
    4: "not permitted",
    5: "nothing matched",
    69: "no peer answered",
    78: "wrong configuration",
    130: "interrupted (Ctrl-C)",
    141: "whatever read the output went away",
}
EPILOG: Final = "\b\nExit codes:\n" + "\n".join(
    f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items()
)
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count
BROKEN_PIPE: Final = 141  # 128 + SIGPIPE


def run_program(command: click.Command, name: str) -> NoReturn:
    """Runs ``command`` with the process's arguments and ends the process."""
    sys.exit(_run(command, name))


def version_option(program: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--version`` of ``program``, looked up when it is asked for."""

    def show(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            from deid import __version__

            click.echo(f"{program} {__version__}")
            context.exit()

    return click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )


def _run(command: click.Command, name: str) -> int:
    """Like ``command.main``, which has exit codes and a blank line of its own for some ends."""
    try:
        with command.make_context(name, sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except (click.Abort, KeyboardInterrupt):
        click.echo(f"{name}: interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DeidError as error:
        click.echo(f"{name}: {error}", err=True)
        return error.exit_code
    return 0


def _silence_stdout() -> None:
    """Nothing more can be written there, and the interpreter would try when it ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
