"""How the programs end: one clear line and the documented code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deid.cli import exits
from deid.errors import (
    CandidateError,
    ConfigError,
    ControlError,
    DeidError,
    NoPeerError,
    NothingMatchedError,
    NotPermittedError,
    NotRunningError,
    StoreError,
)


def end(
    error: BaseException, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str]:
    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["prog"])
    with pytest.raises(SystemExit) as caught:
        exits.run_program(command, "prog")
    assert isinstance(caught.value.code, int)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("x"), 1),
        (CandidateError("x"), 1),
        (ControlError("x"), 1),
        (NotRunningError("x"), 3),
        (NotPermittedError("x"), 4),
        (NothingMatchedError("x"), 5),
        (NoPeerError("x"), 69),
        (ConfigError("x"), 78),
        (KeyboardInterrupt(), 130),
        (click.UsageError("x"), 2),
    ],
)
def test_every_error_has_its_documented_code(
    error: BaseException,
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert end(error, capsys, monkeypatch)[0] == code
    assert code in exits.EXIT_CODES


def test_an_error_is_one_line_and_its_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = DeidError("it is broken", hint="mend it")

    assert end(error, capsys, monkeypatch)[1] == "prog: it is broken\n  hint: mend it\n"


PROGRAM = """
import sys, click
from deid.cli.exits import run_program
@click.command()
def command():
    {body}
run_program(command, "prog")
"""


def run(body: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    process = run('[click.echo("x" * 100_000) for _ in range(100)]')
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    noise = process.stderr.read()
    process.stderr.close()

    assert process.wait(10) == 141
    assert noise == b""


def test_ctrl_c_ends_the_program_with_130_and_no_traceback() -> None:
    process = run('click.echo("ready"); __import__("signal").pause()')
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, noise = process.communicate(timeout=10)

    assert process.returncode == 130
    assert noise == b"prog: interrupted\n"
