"""One seed, one journal: whatever the hash seed, the threads, the compiler, crashes and seeds."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from e2e.swarm import MakeNode, Node, environment, until

from deid.cli.fleet import free_ports

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
ALONE = ("--until-done", "--linger", "0")


def run_alone(node: MakeNode, base: Path, folder: str, **options: object) -> Node:
    """The same run in a folder of its own, to its end."""
    place = base / folder
    place.mkdir()
    made = node("alpha", base=place, **options)
    assert made.run(*ALONE) == 0, made.log()
    return made


@pytest.fixture
def native_kernel(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the simulator compiled for this very processor."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to build the native kernel with")
    pytest.importorskip("Cython", reason="no Cython to build the native kernel with")
    source, built = tmp_path / "source", tmp_path / "built"
    (source / "ext").mkdir(parents=True)
    shutil.copy(ROOT / "setup.py", source)
    shutil.copytree(
        ROOT / "ext" / "deid_mars",
        source / "ext" / "deid_mars",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(built),
         "--build-temp", str(tmp_path / "temp")],
        cwd=source,
        env={**os.environ, "DEID_MARS_CFLAGS": "-march=native -g0"},
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for module in (source / "ext" / "deid_mars").glob("*.py"):
        shutil.copy(module, built / "deid_mars")
    return built


def test_the_journal_hash_knows_neither_hash_seed_nor_threads_nor_compiler(
    base: Path, node: MakeNode, native_kernel: Path
) -> None:
    path = os.pathsep.join([str(native_kernel), os.environ.get("PYTHONPATH", "")])
    native = {"PYTHONPATH": path, "PYTHONHASHSEED": "2"}
    where = "import deid_mars._mars as m; print(m.__file__)"
    loaded = subprocess.check_output(
        [sys.executable, "-c", where], env=environment(base, native), text=True
    )

    one = run_alone(node, base, "one", environ={"PYTHONHASHSEED": "0"})
    two = run_alone(node, base, "two", environ={"PYTHONHASHSEED": "1"}, threads=2)
    three = run_alone(node, base, "three", environ=native)

    assert loaded.startswith(str(native_kernel))
    assert one.head().seq > 100
    assert one.head() == two.head() == three.head()


def test_kill_9_at_random_points_changes_no_byte_of_the_journal(base: Path, node: MakeNode) -> None:
    whole = run_alone(node, base, "whole").head()
    chance = random.Random(20_261)
    points = sorted(chance.sample(range(2, whole.seq - 5), 3))
    place = base / "killed"
    place.mkdir()
    killed = node("alpha", base=place)

    for point in points:
        killed.start(*ALONE)
        until(partial(killed.has_row, point), f"row {point} is durable")
        killed.kill()
    assert killed.run(*ALONE) == 0

    assert killed.head() == whole


def test_seeds_that_answer_nothing_change_nothing(base: Path, node: MakeNode) -> None:
    alone = run_alone(node, base, "alone")
    (closed,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as mute:  # it listens and never says a word
        seeded = run_alone(node, base, "seeded", seeds=[closed, mute.getsockname()[1]])

    assert seeded.head() == alone.head()


def test_a_node_whose_seeds_are_silent_leaves_when_its_linger_is_over(node: MakeNode) -> None:
    (closed,) = free_ports(1)
    lonely = node("alpha", seeds=[closed], rounds=1)

    assert lonely.run("--until-done", "--linger", "0.5") == 0
    assert "daemon.stopped" in lonely.log()
