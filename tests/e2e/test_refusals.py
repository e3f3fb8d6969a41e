"""What cannot work ends at once, with one clear line and the documented exit code."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from e2e.swarm import DEICTL, DEID, MakeNode, Node, finished, until

pytestmark = pytest.mark.e2e


def refusal(done: subprocess.CompletedProcess[bytes], program: str = "deid") -> str:
    """The one line of an error; a hint may follow it."""
    lines = done.stderr.decode().splitlines()
    errors = [line for line in lines if line.startswith(f"{program}: ")]
    assert len(errors) == 1, lines
    rest = lines[lines.index(errors[0]) + 1 :]
    assert all(line.startswith("  ") for line in rest), lines
    assert "Traceback" not in done.stderr.decode()
    return errors[0]


def run_config(node: Node, text: str | None = None) -> subprocess.CompletedProcess[bytes]:
    node.write_config()
    if text is not None:
        config = node.config_file.read_text()
        node.config_file.write_text(config + text)
    return finished([*DEID, "run", "--config", str(node.config_file)], node.base)


def test_an_unknown_key_is_named(node: MakeNode) -> None:
    done = run_config(node("alpha"), '[log]\nlevle = "info"\n')

    assert done.returncode == 78
    assert "levle" in refusal(done)


def test_an_unknown_operator_is_named_with_those_there_are(node: MakeNode) -> None:
    done = run_config(node("alpha", operator='operator = "markow"'))

    assert done.returncode == 78
    assert "'markow'" in refusal(done)
    assert "markov" in done.stderr.decode()


def test_bad_redcode_says_the_line(base: Path) -> None:
    file = base / "bad.red"
    file.write_text("MOV 0, 1\nFROB 1, 2\n")

    done = finished([*DEID, "assemble", str(file)], base)

    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{file}: line 2")
    assert "FROB" in lines[0]


def test_a_second_daemon_on_one_state_directory_names_the_first(node: MakeNode) -> None:
    alpha = node("alpha", rounds=0)
    alpha.start()
    until(lambda: alpha.status() is not None, "alpha answers")

    done = finished([*DEID, "run", "--config", str(alpha.config_file)], alpha.base)

    assert done.returncode == 1
    assert alpha.process is not None
    assert str(alpha.process.pid) in refusal(done)


def test_a_taken_port_is_named(node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_config(node("alpha", port=port))

    assert done.returncode == 78
    assert str(port) in refusal(done)


def test_no_daemon_is_said_to_be_none(base: Path) -> None:
    done = finished([*DEICTL, "--state-dir", str(base), "status"], base)

    assert done.returncode == 3
    assert str(base) in refusal(done, "deictl")


def test_wrong_usage_is_click_s_own_code(base: Path) -> None:
    assert finished([*DEID, "run"], base).returncode == 2
