"""``deictl`` as a program, against real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from control.fake import EVERY_REPLY
from control.served import Served, serving

from deid.control.protocol import to_json

VERBS = {
    "status": ["status"],
    "peers": ["peers"],
    "archive": ["archive"],
    "merged archive": ["archive", "--merged"],
    "champions": ["champions"],
    "show": ["show", "0001"],
    "operators": ["operators"],
}


def deictl(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deid.cli.deictl", *args],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_RUNTIME_DIR": str(root),
        },
    )


@pytest.mark.parametrize("kind", VERBS)
def test_every_verb_prints_json_of_the_stable_form(root: Path, kind: str) -> None:
    with serving(root):
        done = deictl(root, *VERBS[kind], "--json")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == to_json(EVERY_REPLY[kind]()) + "\n"


def test_tables_go_to_stdout_and_nothing_to_stderr(root: Path) -> None:
    with serving(root):
        done = deictl(root, "archive")

    assert (done.returncode, done.stderr) == (0, "")
    assert "archive of alpha, round 3" in done.stdout
    assert "\x1b" not in done.stdout


def test_options_stand_before_or_after_the_verb(root: Path) -> None:
    with serving(root) as served:
        place = str(served.state_dir)
        before = deictl(root, "--json", "--state-dir", place, "--timeout", "5", "status")
        after = deictl(root, "status", "--json", "--state-dir", place, "--timeout", "5")
        later_wins = deictl(root, "--state-dir", "/gone", "status", "--state-dir", place, "--json")

    assert before.returncode == after.returncode == later_wins.returncode == 0
    assert before.stdout == after.stdout == later_wins.stdout
    assert json.loads(before.stdout)["kind"] == "status"


def test_pause_start_and_stop_are_acknowledged(root: Path) -> None:
    with serving(root):
        said = [deictl(root, verb).stdout for verb in ("pause", "start", "stop")]

    assert said == ["alpha: paused\n", "alpha: running\n", "alpha: stopping\n"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_without_a_daemon_the_code_is_3_in_both_forms(root: Path, form: tuple[str, ...]) -> None:
    done = deictl(root, "status", *form)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("deictl: no daemon runs for this user\n  hint: ")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_hash_that_nothing_has_is_5_in_both_forms(root: Path, form: tuple[str, ...]) -> None:
    with serving(root):
        done = deictl(root, "show", "ffff", *form)

    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "deictl: no program has a hash that begins with ffff\n"


def test_a_wrong_verb_a_wrong_value_and_no_hash_are_2(root: Path) -> None:
    for args in (["statsu"], ["status", "--timeout", "x"], ["status", "--timeout", "0"], ["show"]):
        assert deictl(root, *args).returncode == 2


def test_several_daemons_are_listed_and_one_is_named(root: Path) -> None:
    with serving(root, "alpha") as first, serving(root, "beta"):
        unnamed = deictl(root, "status")
        named = deictl(root, "status", "--state-dir", str(first.state_dir))

    assert unnamed.returncode == 3
    assert "2 daemons run for this user: alpha (" in unnamed.stderr
    assert named.returncode == 0


def stopped(served: Served) -> None:
    """Makes the served files look like those of a process that was killed."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for path in (served.state_dir / "control.json", *served.state_dir.parent.rglob("*.node.json")):
        path.write_text(json.dumps({**json.loads(path.read_text()), "pid": child.pid}))


def test_a_killed_daemon_is_told_from_one_that_never_ran(root: Path) -> None:
    with serving(root) as served:
        stopped(served)
        done = deictl(root, "status", "--state-dir", str(served.state_dir))

    assert done.returncode == 3
    assert "ended without cleaning up" in done.stderr
