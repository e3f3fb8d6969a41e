"""``deid demo`` as a person runs it, small."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.swarm import DEID, WITHIN_S, environment, finished, running_pids, until

from deid.control.places import node_of
from deid.errors import DeidError

pytestmark = pytest.mark.e2e

SMALL = ("demo", "--nodes", "2", "--set", "settings=tiny", "--set", "battles=2")


@contextmanager
def running_demo(base: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo whose two daemons run and would for long; they are found by their folder."""
    out = base / "out"
    command = [*DEID, *SMALL, "--rounds", "1000", "--out", str(out)]
    process = subprocess.Popen(
        command, env=environment(base), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        until(lambda: all(daemon_pid(out, name) for name in ("alpha", "bravo")), "both run")
        yield process
    finally:
        process.kill()
        process.communicate()


def daemon_pid(out: Path, name: str) -> int | None:
    try:
        return node_of(out / "nodes" / name).pid
    except DeidError:
        return None


def all_gone(out: Path) -> bool:
    return not list(running_pids(str(out)))


def test_a_small_demo_leaves_its_files_and_says_that_all_nodes_agree(base: Path) -> None:
    out = base / "out"
    command = [*DEID, *SMALL, "--rounds", "2", "--iterations", "8", "--out", str(out)]

    stale = out / "champions" / "of-a-former-demo.red"
    stale.parent.mkdir(parents=True)
    stale.touch()
    (out / ".deid-demo").touch()

    done = finished(command, base)

    assert done.returncode == 0, done.stderr.decode()
    assert not stale.exists()
    text = done.stdout.decode()
    assert "byte for byte the same" in text
    view = json.loads((out / "archive.json").read_bytes())
    assert view["scope"] == "merged"
    assert f"{view['metrics']['coverage']:.1%}" in text
    champions = sorted((out / "champions").iterdir())
    assert 1 <= len(champions) <= 4
    assembled = finished([*DEID, "assemble", "--settings", "tiny", str(champions[0])], base)
    assert assembled.returncode == 0, assembled.stderr.decode()
    assert champions[0].read_text().startswith(";name ")
    assert sorted(p.name for p in (out / "config").iterdir()) == ["alpha.toml", "bravo.toml"]
    checked = finished([*DEID, "config", "check", "--config", str(out / "config/alpha.toml")], base)
    assert checked.returncode == 0, checked.stderr.decode()
    assert all_gone(out)
    pytest.importorskip("matplotlib", reason="no matplotlib, no picture")
    picture = (out / "heatmap.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", picture[16:24])
    assert width > 800
    assert height > 600


def test_a_demo_leaves_a_folder_alone_that_none_wrote(base: Path) -> None:
    letter = base / "letter.txt"
    letter.write_text("dear")

    done = finished([*DEID, *SMALL, "--out", str(base)], base)

    assert done.returncode == 1
    assert "no demo wrote" in done.stderr.decode()
    assert [p.name for p in base.iterdir()] == ["letter.txt"]


def test_an_unknown_operator_ends_a_demo_before_it_writes(base: Path) -> None:
    done = finished([*DEID, "demo", "--operators", "nonsense", "--out", str(base / "out")], base)

    assert done.returncode == 78
    assert "nonsense" in done.stderr.decode()
    assert not (base / "out").exists()


def test_a_daemon_that_dies_is_named_and_ends_the_demo(base: Path) -> None:
    with running_demo(base) as demo:
        pid = daemon_pid(base / "out", "bravo")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        _, errors = demo.communicate(timeout=WITHIN_S)

    assert demo.returncode == 1
    assert f"the daemon bravo (pid {pid}) was killed by signal 9" in errors.decode()
    assert "search.opened" in errors.decode()  # of its log
    assert all_gone(base / "out")


def test_ctrl_c_ends_all_daemons_in_order(base: Path) -> None:
    with running_demo(base) as demo:
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=WITHIN_S)

    assert demo.returncode == 130
    assert "interrupted" in errors.decode()
    assert all_gone(base / "out")
    for name in ("alpha", "bravo"):
        assert "daemon.stopped" in (base / "out" / "logs" / f"{name}.log").read_text()


def test_no_daemon_outlives_a_demo_that_is_killed(base: Path) -> None:
    with running_demo(base) as demo:
        demo.send_signal(signal.SIGKILL)
        demo.communicate(timeout=WITHIN_S)

        until(lambda: all_gone(base / "out"), "the daemons have ended")
