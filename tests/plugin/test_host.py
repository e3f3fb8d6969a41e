"""The host loads real distributions from a folder: modules with entry points, good and broken."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

import pytest

from deid.errors import ConfigError, PluginError
from deid.plugin import OperatorPlugin, hookimpl, toy
from deid.plugin.host import OFFERS_MAX, PluginFault, PluginHost

ROOT = Path(__file__).parents[2]
GOOD = """
from deid.plugin import OperatorPlugin, hookimpl
def create(settings, context): raise NotImplementedError
@hookimpl
def deid_operators():
    return [OperatorPlugin({name!r}, "For a test.", create, variant_key={key!r})]
"""

Install: TypeAlias = Callable[..., None]
Points: TypeAlias = Callable[[], list[EntryPoint]]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("plug_"):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """install(package, entry point's name, source): a distribution of one module."""

    def install(package: str, name: str, source: str) -> None:
        module = f"plug_{package.replace('-', '_')}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[deid]\n{name} = {module}\n")

    return install


@pytest.fixture
def points(site: Path) -> Points:
    def points() -> list[EntryPoint]:
        found = distributions(path=[str(site)])
        return [p for dist in found for p in dist.entry_points.select(group="deid")]

    return points


def good(name: str, key: str = "") -> str:
    return GOOD.format(name=name, key=key)


def test_what_a_plugin_offers_is_found_by_name(install: Install, points: Points) -> None:
    install("apples", "apples", good("pick"))

    host = PluginHost(points())

    assert host.operator("pick").name == "pick"
    assert [plugin.name for plugin in host.operators()] == ["pick"]
    assert host.plugins == (("apples", "apples"),)
    assert host.package_of(host.operator("pick")) == "apples"
    assert host.faults == ()


def test_the_toy_is_offered_as_domain_and_operator() -> None:
    host = PluginHost([])

    host.register(toy, "toy")

    assert host.domain("toy").create({}).name == "toy"
    assert host.operator("toy").variant_key == ""
    assert [plugin.name for plugin in host.domains()] == ["toy"]


def test_of_fourteen_plugins_the_twelve_broken_ones_are_named_and_the_others_work(
    install: Install, points: Points
) -> None:
    hook = "from deid.plugin import *\nfrom deid.plugin import hookimpl\n@hookimpl\n"
    broken = {
        "import": ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        "syntax": ("def (", "cannot be imported: SyntaxError"),
        "exit": ("raise SystemExit(3)", "cannot be imported: SystemExit"),
        "raising": (hook + "def deid_checks(): raise OSError('disk')", "raised OSError: disk"),
        "lazy": (hook + "def deid_checks():\n yield 1/0", "raised ZeroDivisionError"),
        "rubbish": (hook + "def deid_domains(): return [42]", "must return DomainPlugins, got 42"),
        "word": (hook + "def deid_benches(): return 'bench'", "an iterable of BenchPlugin"),
        "nothing": (hook + "def deid_models(): pass", "must return an iterable of ModelPlugin"),
        "argument": (hook + "def deid_models(extra): return ()", "cannot be registered"),
        "typo": (hook + "def deid_operator(): return ()", "unknown hook deid_operator"),
        "wrapper": (
            hook.replace("@hookimpl", "@hookimpl(wrapper=True)") + "def deid_models(): yield",
            "deid_models is a wrapper",
        ),
        "endless": (
            hook
            + "def deid_commands():\n n = 0\n while True:\n"
            + "  n += 1\n  yield CommandPlugin(f'c{n}', 'x', 'm:f')",
            f"more than {OFFERS_MAX}",
        ),
    }
    for package, (source, _) in broken.items():
        install(package, f"{package}-plugin", source)
    install("apples", "apples", good("pick"))
    install("zebras", "zebras", good("ride"))

    host = PluginHost(points())

    faults = {fault.package: fault for fault in host.faults}
    assert faults.keys() == broken.keys()
    for package, (_, reason) in broken.items():
        assert reason in faults[package].reason
        assert faults[package].name == f"{package}-plugin"
    assert [plugin.name for plugin in host.operators()] == ["pick", "ride"]
    assert not host.commands()


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ("OperatorPlugin('Pick', 'x', len)", "name must be lower-case letters"),
        ("OperatorPlugin(7, 'x', len)", "name must be lower-case letters"),
        ("OperatorPlugin('a:b', 'x', len)", "name must be lower-case letters"),
        ("OperatorPlugin('pick', '', len)", "help must be a sentence"),
        ("OperatorPlugin('pick', 'x', 'len')", "create must be callable, got 'len'"),
        ("OperatorPlugin('pick', 'x', len, variant_key=None)", "variant_key must be"),
        ("OperatorPlugin('pick', 'x', len), OperatorPlugin('pick', 'y', len)", "'pick' twice"),
    ],
)
def test_a_wrong_field_is_named(install: Install, points: Points, offer: str, reason: str) -> None:
    install(
        "pears",
        "pears",
        "from deid.plugin import OperatorPlugin, hookimpl\n"
        f"@hookimpl\ndef deid_operators(): return [{offer}]",
    )

    host = PluginHost(points())

    assert reason in host.faults[0].reason
    assert not host.operators()


@pytest.mark.parametrize("target", ["module", "module:", ":f", "a b:c", 3])
def test_a_command_needs_a_target(target: object) -> None:
    from deid.plugin import CommandPlugin

    plugin = SimpleNamespace(
        deid_commands=hookimpl(lambda: [CommandPlugin("go", "Goes.", target)])  # type: ignore[arg-type]
    )

    with pytest.raises(PluginError, match="target must be 'module:attribute'"):
        PluginHost([]).register(plugin, "go")


def test_a_domain_needs_demo_defaults() -> None:
    from deid.plugin import DomainPlugin

    plugin = SimpleNamespace(
        deid_domains=hookimpl(
            lambda: [DomainPlugin("d", "A domain.", lambda settings: toy.ToyDomain(), None)]  # type: ignore[arg-type]
        )
    )

    with pytest.raises(PluginError, match="demo must be DemoDefaults, got None"):
        PluginHost([]).register(plugin, "d")


def test_a_name_taken_twice_names_both_packages_and_the_first_keeps_it(
    install: Install, points: Points
) -> None:
    install("bananas", "bananas", good("pick", "hand"))
    install("apples", "apples", good("pick", "ladder"))

    host = PluginHost(points())

    assert host.operator("pick").variant_key == "ladder"
    assert host.faults == (
        PluginFault(
            "bananas",
            "bananas",
            "packages apples and bananas both offer operator 'pick'; that of apples is used",
        ),
    )


def test_a_foreign_package_cannot_take_a_name_of_our_own(install: Install, points: Points) -> None:
    install("aaa-foreign", "aaa", good("edit", "theirs"))
    install("deid-qd", "edit", good("edit", "ours"))

    host = PluginHost(points())

    assert host.operator("edit").variant_key == "ours"
    assert [fault.package for fault in host.faults] == ["aaa-foreign"]


def test_an_entry_point_of_a_name_that_is_taken_is_a_fault(
    install: Install, points: Points
) -> None:
    install("apples", "fruit", good("pick"))
    install("pears", "fruit", good("shake"))

    host = PluginHost(points())

    assert [plugin.name for plugin in host.operators()] == ["pick"]
    assert "packages apples and pears both have a plugin 'fruit'" in host.faults[0].reason


def test_a_plugin_with_one_bad_hook_offers_nothing(install: Install, points: Points) -> None:
    bad = "\n@hookimpl\ndef deid_models(): return 1"
    install("apples", "apples", good("pick") + bad)

    host = PluginHost(points())

    assert not host.operators()
    assert len(host.faults) == 1
    assert not host.plugins


@pytest.mark.parametrize("version", [(1, 0)])
def test_a_plugin_for_this_api_loads(install: Install, points: Points, version: object) -> None:
    install("apples", "apples", good("pick") + f"\nDEID_API = {version}")

    assert PluginHost(points()).operator("pick")


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ((2, 0), "was written for API 2.0; this is 1.0"),
        ((0, 9), "was written for API 0.9; this is 1.0"),
        ((1, 7), "was written for API 1.7; this is 1.0"),
        ("1.0", "DEID_API must be (major, minor), got '1.0'"),
        ((1,), "DEID_API must be (major, minor), got (1,)"),
    ],
)
def test_a_plugin_for_another_api_is_a_fault(
    install: Install, points: Points, version: object, reason: str
) -> None:
    install("apples", "apples", good("pick") + f"\nDEID_API = {version!r}")

    host = PluginHost(points())

    assert [fault.reason for fault in host.faults] == [reason]


def test_a_plugin_whose_attributes_raise_is_a_fault(install: Install, points: Points) -> None:
    source = "def __getattr__(name): raise RuntimeError(name)"
    install("apples", "apples", source)

    host = PluginHost(points())

    assert "cannot be examined: RuntimeError" in host.faults[0].reason


def test_an_unknown_name_gives_what_exists_and_the_nearest(
    install: Install, points: Points
) -> None:
    install("apples", "apples", good("markov"))
    install("pears", "pears", good("edit"))

    with pytest.raises(ConfigError) as caught:
        PluginHost(points()).operator("markvo")

    assert caught.value.message == "unknown operator 'markvo'; have: edit, markov"
    assert caught.value.hint == "did you mean 'markov'?"
    assert caught.value.exit_code == 78


def test_an_unknown_name_gives_the_fault_of_the_plugin_that_was_wanted(
    install: Install, points: Points
) -> None:
    install("apples", "markov", "import nothing_of_that_name")
    install("pears", "other", "raise ValueError('not this one')")

    with pytest.raises(ConfigError) as caught:
        PluginHost(points()).operator("markov")

    assert "have: none" in caught.value.message
    assert "not loaded: plugin 'markov' (package apples): cannot be imported" in str(caught.value)
    assert "nothing_of_that_name" in str(caught.value)
    assert "not this one" not in str(caught.value)


@pytest.mark.parametrize("find", ["domain", "operator", "model"])
def test_an_empty_host_knows_nothing(find: str) -> None:
    with pytest.raises(ConfigError, match="have: none"):
        getattr(PluginHost([]), find)("anything")


def test_a_disabled_plugin_is_not_even_imported(install: Install, points: Points) -> None:
    install("apples", "apples", "raise RuntimeError('imported')")

    host = PluginHost(points(), disabled=["apples"])

    assert host.faults == ()
    assert host.plugins == ()


def test_an_operator_is_parsed_with_its_variant(install: Install, points: Points) -> None:
    install("apples", "apples", good("markov", "corpus"))
    host = PluginHost(points())

    assert host.parse_operator("markov") == ("markov", {})
    assert host.parse_operator("markov:bombers") == ("markov", {"corpus": "bombers"})
    assert host.parse_operator("markov:a:b") == ("markov", {"corpus": "a:b"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("markvo:bombers", "unknown operator 'markvo'"),
        ("markov:", "has an empty variant"),
        ("toy:big", "operator 'toy' takes no variant"),
        ("", "unknown operator ''"),
    ],
)
def test_a_wrong_operator_text_is_one_clear_line(
    install: Install, points: Points, text: str, message: str
) -> None:
    install("apples", "apples", good("markov", "corpus"))
    host = PluginHost(points())
    host.register(toy, "toy")

    with pytest.raises(ConfigError, match=message):
        host.parse_operator(text)


def test_register_raises_where_an_entry_point_leaves_a_fault() -> None:
    host = PluginHost([])
    host.register(toy, "toy")

    with pytest.raises(PluginError, match="both have a plugin 'toy'"):
        host.register(toy, "toy")
    with pytest.raises(PluginError, match="both offer domain 'toy'"):
        host.register(SimpleNamespace(deid_domains=toy.deid_domains), "copy", "elsewhere")

    assert [plugin.name for plugin in host.domains()] == ["toy"]


@pytest.mark.parametrize(
    "broken",
    [
        SimpleNamespace(deid_models=hookimpl(lambda extra: ())),
        SimpleNamespace(deid_models=hookimpl(lambda: 3)),
    ],
)
def test_a_plugin_that_failed_leaves_its_name_free(broken: object) -> None:
    host = PluginHost([])
    with pytest.raises(PluginError):
        host.register(broken, "toy")

    host.register(toy, "toy")

    assert host.operator("toy").name == "toy"


def test_an_object_with_hooks_is_a_plugin_too() -> None:
    class Plugin:
        @hookimpl
        def deid_operators(self) -> list[OperatorPlugin]:
            return [OperatorPlugin("mine", "Mine.", lambda settings, context: NotImplemented)]

    host = PluginHost([])
    host.register(Plugin(), "mine")

    assert host.operator("mine").help == "Mine."


def test_our_own_operators_load_from_their_entry_points_without_numpy() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    code = (
        "import sys\n"
        "from importlib.metadata import EntryPoint\n"
        "from deid.plugin.host import PluginHost\n"
        "imported = {m.partition('.')[0] for m in sys.modules}\n"
        f"points = [EntryPoint(n, v, 'deid') for n, v in {sorted(declared['deid'].items())!r}]\n"
        "host = PluginHost(points)\n"
        "assert host.faults == (), host.faults\n"
        "print(*(o.name for o in host.operators()), *(d.name for d in host.domains()))\n"
        "heavy = {'numpy', 'zmq', 'click', 'rich', 'structlog', 'cryptography', 'asyncio'}\n"
        "print(*sorted(heavy & {m.partition('.')[0] for m in sys.modules}))\n"
        "print(*sorted(imported & {'deid_edit', 'deid_markov', 'deid_corewar'}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )

    assert result.stderr == ""
    names, heavy, early = result.stdout.splitlines()
    assert {"edit", "markov", "corewar"} <= set(names.split())
    assert (heavy, early) == ("", "")
