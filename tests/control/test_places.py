"""Where the control socket is, who may look, and what a killed daemon leaves."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from deid.control.places import (
    Place,
    Running,
    find_node,
    node_of,
    running_nodes,
    runtime_directory,
)
from deid.errors import ConfigError, ControlError, NotRunningError


def published(root: Path, name: str = "alpha") -> Place:
    """A place with its files, as a daemon in this process would leave them."""
    state_dir = root / name
    state_dir.mkdir()
    place = Place(name, state_dir, environ=environ(root))
    place.prepare()
    place.socket_file.touch()
    place.publish()
    return place


def environ(root: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(root)}


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_unit_then_the_session_then_tmp_gives_the_directory(root: Path) -> None:
    unit = {"RUNTIME_DIRECTORY": "/run/deid/a:/run/b", "XDG_RUNTIME_DIR": str(root)}

    assert runtime_directory(unit) == Path("/run/deid/a")
    assert runtime_directory(environ(root)) == root / "deid"
    assert runtime_directory({"XDG_RUNTIME_DIR": str(root / "gone")}) == Path(
        f"/tmp/deid-{os.getuid()}"
    )
    assert runtime_directory({}) == Path(f"/tmp/deid-{os.getuid()}")


def test_the_directory_is_made_for_this_user_alone(root: Path) -> None:
    place = published(root)

    assert stat.S_IMODE(place.socket_file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.socket_file.stat().st_mode) == 0o600


def test_a_directory_that_others_may_write_is_refused(root: Path) -> None:
    (root / "deid").mkdir()
    (root / "deid").chmod(0o777)

    with pytest.raises(ConfigError, match="mode 0777"):
        Place("alpha", root, environ=environ(root)).prepare()


def test_a_link_in_place_of_the_directory_is_refused(root: Path) -> None:
    (root / "elsewhere").mkdir()
    (root / "deid").symlink_to(root / "elsewhere")

    with pytest.raises(ConfigError, match="not a directory"):
        Place("alpha", root, environ=environ(root)).prepare()


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out(root: Path) -> None:
    long_dir = root / ("d" * 90)

    with pytest.raises(ConfigError, match="at most 99 bytes") as caught:
        Place("alpha", root, long_dir)

    assert caught.value.hint is not None and "socket_dir" in caught.value.hint


def test_two_directories_of_one_name_have_sockets_of_their_own(root: Path) -> None:
    first = Place("alpha", root / "a", environ=environ(root))
    second = Place("alpha", root / "b", environ=environ(root))

    assert first.socket_file != second.socket_file
    assert first.registry_file != second.registry_file


def test_a_published_node_is_found_by_its_directory_and_as_the_only_one(root: Path) -> None:
    place = published(root)

    assert node_of(root / "alpha").endpoint == place.endpoint
    assert find_node(None, environ(root)).node == "alpha"
    assert node_of(root / "alpha").pid == os.getpid()


def test_several_nodes_are_listed_when_none_is_named(root: Path) -> None:
    published(root, "beta")
    published(root, "alpha")

    with pytest.raises(NotRunningError) as caught:
        find_node(None, environ(root))

    assert caught.value.message == (
        f"2 daemons run for this user: alpha ({root / 'alpha'}); beta ({root / 'beta'})"
    )
    assert find_node(root / "beta", environ(root)).node == "beta"


def test_what_a_killed_daemon_left_is_no_daemon(root: Path) -> None:
    place = published(root)
    pid = ended_pid()
    for path in (place.control_file, place.registry_file):
        rewrite(path, pid=pid)

    assert running_nodes(environ(root)) == ()
    with pytest.raises(NotRunningError, match=rf"pid {pid}\) ended without cleaning up"):
        node_of(root / "alpha")


def test_a_pid_that_went_to_another_process_is_no_daemon(root: Path) -> None:
    place = published(root)
    rewrite(place.registry_file, started=1)

    assert running_nodes(environ(root)) == ()


def test_a_clean_end_leaves_nothing(root: Path) -> None:
    place = published(root)

    place.withdraw()
    place.withdraw()

    assert [p for p in root.rglob("*") if p.is_file()] == []
    with pytest.raises(NotRunningError, match="no daemon runs on"):
        node_of(root / "alpha")


def test_files_of_a_successor_are_left_alone(root: Path) -> None:
    place = published(root)
    rewrite(place.control_file, pid=1)

    place.withdraw()

    assert place.control_file.exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not json", '{"node": 1}', "[" * 10_000],
)
def test_a_damaged_file_is_named_and_does_not_hide_the_others(root: Path, text: str) -> None:
    place = published(root)
    (root / "deid" / "zz.node.json").write_text(text)

    assert [each.node for each in running_nodes(environ(root))] == ["alpha"]
    place.control_file.write_text(text)
    with pytest.raises(ControlError, match=r"control\.json: damaged"):
        node_of(root / "alpha")


def test_an_endpoint_that_is_not_local_is_not_followed(root: Path) -> None:
    place = published(root)
    rewrite(place.control_file, endpoint="tcp://example.org:80")

    with pytest.raises(ControlError, match="damaged"):
        node_of(root / "alpha")


def test_no_node_and_no_directory_are_told_apart(root: Path) -> None:
    (root / "empty").mkdir()

    with pytest.raises(NotRunningError, match="no daemon runs for this user"):
        find_node(None, environ(root))
    with pytest.raises(NotRunningError) as caught:
        node_of(root / "empty")
    assert caught.value.hint == "start one with deid run --config FILE"
    with pytest.raises(NotRunningError) as caught:
        node_of(root / "gone")
    assert caught.value.hint == "name the directory that [node] state_dir names"


def test_this_very_process_is_alive() -> None:
    running = Running("a", "ipc:///x", os.getpid(), 0, "/")

    assert running.alive()
    assert not Running(**{**asdict(running), "pid": ended_pid()}).alive()
