"""Who may import whom: the picture in docs/ARCHITECTURE.md, checked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Package -> what it may import of ours (itself and deid.errors always).
ALLOWED: dict[str, set[str]] = {
    "deid.search": set(),
    "deid.wire": {"deid.search"},
    "deid.plugin": {"deid.search"},
    "deid.net": {"deid.wire", "deid.search"},
    "deid.store": {"deid.search"},
    "deid.control": {"deid.wire", "deid.search"},
    "deid.config": {"deid.net", "deid.search"},  # and deid.config_*, its parts
    "deid.log": set(),
    "deid.daemon": {
        "deid",
        "deid.config",
        "deid.control",
        "deid.net",
        "deid.plugin",
        "deid.search",
        "deid.store",
        "deid.wire",
    },
    "deid.cli": {
        "deid",
        "deid.config",
        "deid.control",
        "deid.daemon",
        "deid.log",
        "deid.plugin",
        "deid.search",
        "deid.store",
        "deid.wire",
    },
    "deid_corewar": {"deid.plugin", "deid.search", "deid_mars"},
    "deid_edit": {"deid.plugin", "deid.search"},
    "deid_markov": {"deid.plugin", "deid.search"},
    "deid_mars": set(),
}
FOLDERS = {"deid": "deid", "deid_corewar": "plugins/deid_corewar", "deid_edit": "plugins/deid_edit"}
FOLDERS |= {"deid_markov": "plugins/deid_markov", "deid_mars": "ext/deid_mars"}

PURE = ("deid.search", "deid.wire")
IMPURE_MODULES = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "sys", "tempfile"}
IMPURE_MODULES |= {
    "threading",
    "time",
    "datetime",
    "uuid",
    "zmq",
    "structlog",
    "logging",
    "pathlib",
}
MAY_SPEAK_ZMQ = ("deid.net", "deid.control", "deid.daemon.control_server")


def modules() -> Iterator[tuple[str, Path]]:
    for name, folder in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join((name, *(p for p in parts if p != "__init__"))), path


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:  # within its own package
                continue
            found.add(node.module)
            if node.module in ("deid", "deid.plugin"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> str | None:
    """The longest known layer that ``module`` belongs to; None for what is not ours."""
    top = module.split(".")[0]
    if top not in FOLDERS:
        return None
    if module.startswith("deid.config"):
        return "deid.config"
    candidates = [name for name in ALLOWED if module == name or module.startswith(name + ".")]
    return max(candidates, key=len, default=top)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*m, id=m[0]) for m in modules()])
def test_a_module_imports_only_the_layers_below_it(name: str, path: Path) -> None:
    own = layer(name)
    assert own is not None
    allowed = ALLOWED.get(own, set()) | {own, "deid"}

    wrong = {
        imported
        for imported in imports(path)
        if (to := layer(imported)) is not None
        and to not in allowed
        and not imported.startswith("deid.errors")
    }

    assert not wrong


@pytest.mark.parametrize(
    ("name", "path"),
    [pytest.param(*m, id=m[0]) for m in modules() if m[0].startswith(PURE) and "bench" not in m[0]],
)
def test_a_pure_layer_knows_no_clock_chance_file_or_socket(name: str, path: Path) -> None:
    assert not {each.split(".")[0] for each in imports(path)} & IMPURE_MODULES


def test_contracts_are_pure() -> None:
    path = ROOT / "deid" / "plugin" / "contracts.py"

    assert not {each.split(".")[0] for each in imports(path)} & IMPURE_MODULES


def test_zmq_is_spoken_in_the_network_and_the_control_channel_only() -> None:
    speakers = {
        name for name, path in modules() if any(i.split(".")[0] == "zmq" for i in imports(path))
    }

    assert {name for name in speakers if not name.startswith(MAY_SPEAK_ZMQ)} == set()
    assert any(name.startswith("deid.net") for name in speakers)


def test_the_daemon_names_no_plugin() -> None:
    plugins = {"deid_corewar", "deid_edit", "deid_markov", "deid_mars"}

    naming = {
        name
        for name, path in modules()
        if name.startswith("deid.") and any(i.split(".")[0] in plugins for i in imports(path))
    }

    assert naming == set()


def test_every_layer_that_is_named_exists() -> None:
    known = {name for name, _ in modules()}

    for name in ALLOWED:
        assert any(each == name or each.startswith(name + ".") for each in known), name
