"""``deid`` as a program: configuration, plugins, lazy commands, exit codes, fast help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from deid.cli.deid import deid
from deid.config import Config, parse_config
from deid.errors import ConfigError, PluginError
from deid.plugin import hookimpl, toy
from deid.plugin.contracts import CommandPlugin
from deid.plugin.host import PluginHost

TOML = """\
[node]
name = "alpha"
state_dir = "state"
[search]
domain = "onemax"
operator = "flip"
"""


class Commands:
    """A plugin with a command that works, one that does not import, and one that is no command."""

    @hookimpl
    def deid_commands(self) -> list[CommandPlugin]:
        return [
            CommandPlugin("hello", "Say hello", "cli.hello:hello"),
            CommandPlugin("broken", "Never imports", "no_such_module_here:x"),
            CommandPlugin("number", "Is no command", "math:pi"),
            CommandPlugin("run", "Would shadow run", "cli.hello:hello"),
        ]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginHost]:
    """The plugins that the program sees: the toys and the commands above."""
    host = PluginHost(())
    host.register(toy, "toy")
    host.register(Commands(), "commands", "deid-commands")
    monkeypatch.setattr("deid.plugin.host.PluginHost", lambda *_: host)
    monkeypatch.setattr("deid.cli.lazy.PluginGroup._host", lambda *_: host)
    yield host


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(TOML)
    return path


def program(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deid.cli.deid", *args],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize(
    ("module", "args"),
    [
        ("deid.cli.deid", ["--help"]),
        ("deid.cli.deid", ["run", "--help"]),
        ("deid.cli.deid", ["--version"]),
        ("deid.cli.deictl", ["--help"]),
        ("deid.cli.deictl", ["archive", "--help"]),
    ],
)
def test_help_imports_nothing_heavy(module: str, args: list[str]) -> None:
    script = (
        f"import sys; sys.argv = ['x', *{args!r}]\n"
        f"from {module} import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'zmq', 'numpy', 'rich', 'structlog', 'cryptography', 'sqlite3', 'asyncio'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_version_names_the_program() -> None:
    done = program("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("deid ")


def test_wrong_configuration_is_one_line_and_78(file: Path) -> None:
    file.write_text(TOML + "ronds = 3\n")

    for verb in (["run"], ["config", "check"], ["config", "show"]):
        done = program(*verb, "--config", str(file))
        assert (done.returncode, done.stdout) == (78, "")
        assert done.stderr == (
            f"deid: {file}:7: [search] ronds: unknown key\n  hint: did you mean 'rounds'?\n"
        )


def test_usage_is_2() -> None:
    assert program("run").returncode == 2
    assert program("config", "show", "--config", "x", "--set", "novalue").returncode == 2
    assert program("run", "--config", "x", "--linger", "3").returncode == 2
    assert program("nonsense").returncode == 2


def test_config_show_prints_what_is_in_force_with_its_origin(file: Path) -> None:
    plain = program("config", "show", "--config", str(file), "--set", "search.rounds=3")
    origins = program(
        "config", "show", "--origin", "--config", str(file), "--name", "beta",
        "--seed-peer", "tcp://127.0.0.1:1", "--seed-peer", "tcp://127.0.0.1:2",
    )  # fmt: skip

    config = parse_config(plain.stdout)
    assert (config.search.rounds, config.node.state_dir) == (3, file.parent / "state")
    assert parse_config(origins.stdout).net.seeds == ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    assert f"# file {file}:5" in origins.stdout
    assert parse_config(origins.stdout).node.name == "beta"


def test_run_hands_the_daemon_its_configuration_and_returns_its_code(
    file: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[Config, bool, float]] = []

    async def run(config: Config, *, until_done: bool, linger_s: float) -> int:
        got.append((config, until_done, linger_s))
        return 7

    import deid.daemon.main

    monkeypatch.setattr(deid.daemon.main, "run", run)
    monkeypatch.setattr("deid.log.configure_logging", lambda *_: None)
    args = ["run", "--config", str(file), "--until-done", "--linger", "1.5", "--name", "beta"]
    done = CliRunner().invoke(deid_command(), args)

    assert done.exit_code == 7
    (config, until_done, linger_s) = got[0]
    assert (config.node.name, until_done, linger_s) == ("beta", True, 1.5)


def test_config_check_builds_what_the_file_names(
    file: Path, host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deid.log.configure_logging", lambda *_: None)
    name = host.domains()[0].name
    operator = next(each.name for each in host.operators() if not each.needs_model)
    file.write_text(TOML.replace("onemax", name).replace("flip", operator))

    ok = CliRunner().invoke(
        deid_command(),
        ["config", "check", "--config", str(file), "--set", "operator.isolation=inline"],
    )
    unknown = CliRunner().invoke(
        deid_command(), ["config", "check", "--config", str(file), "--set", "search.operator=zz"]
    )

    assert (ok.exit_code, ok.output) == (0, f"{file}: ok\n")
    assert isinstance(unknown.exception, ConfigError)
    assert "unknown operator 'zz'" in unknown.exception.message


def test_plugins_are_listed_for_people_and_programs(host: PluginHost) -> None:
    table = CliRunner().invoke(deid_command(), ["plugins", "list"])
    document = json.loads(CliRunner().invoke(deid_command(), ["plugins", "list", "--json"]).stdout)

    assert "command hello" in table.output and "[deid-commands]" in table.output
    assert (document["schema_version"], document["kind"]) == (1, "plugins")
    assert {"name": "commands", "package": "deid-commands"} in document["plugins"]
    offered = {(each["type"], each["name"]) for each in document["offers"]}
    assert {("command", "hello"), ("command", "broken")} <= offered
    assert ("domain", host.domains()[0].name) in offered
    assert document["faults"] == []


def test_a_command_of_a_plugin_is_in_the_help_and_runs(host: PluginHost) -> None:
    helped = CliRunner().invoke(deid_command(), ["--help"])
    own_help = CliRunner().invoke(deid_command(), ["hello", "--help"])
    done = CliRunner().invoke(deid_command(), ["hello", "--name", "you"])

    assert "hello" in helped.output and "Say hello" in helped.output
    assert "--name" in own_help.output
    assert (done.exit_code, done.output) == (0, "hello you\n")


def test_a_plugin_cannot_take_a_name_of_ours(host: PluginHost) -> None:
    helped = CliRunner().invoke(deid_command(), ["run", "--help"])

    assert "Run one daemon in the foreground" in helped.output


def test_a_plugin_command_that_does_not_import_is_one_clear_line(host: PluginHost) -> None:
    broken = CliRunner().invoke(deid_command(), ["broken"])
    number = CliRunner().invoke(deid_command(), ["number"])
    helped = CliRunner().invoke(deid_command(), ["--help"])

    assert isinstance(broken.exception, PluginError)
    assert str(broken.exception) == (
        "plugin 'deid-commands': command 'broken' cannot be imported: ModuleNotFoundError:"
        " No module named 'no_such_module_here'"
    )
    assert isinstance(number.exception, PluginError)
    assert "to be a click command, got 3.14" in number.exception.message
    assert helped.exit_code == 0 and "Never imports" in helped.output


def deid_command() -> Any:
    assert isinstance(deid, click.Group)
    return deid
