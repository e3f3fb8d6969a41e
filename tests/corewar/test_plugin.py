"""What the plugin registers, and that registering it is cheap."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pluggy
import pytest

import deid_corewar
import deid_mars
from deid.plugin import DomainPlugin
from deid.plugin.hooks import GROUP, DeidSpec
from deid_corewar.checks import check_simulator
from deid_corewar.domain import CorewarDomain
from deid_corewar.warriors import FAMILIES


def registered() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(DeidSpec)
    manager.register(deid_corewar)
    manager.check_pending()
    return manager


def test_importing_the_plugin_loads_neither_numpy_nor_the_simulator() -> None:
    code = "import sys, deid_corewar; print({'numpy', 'deid_mars'} & set(sys.modules))"

    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    ).stdout

    assert output.strip() == "set()"


def test_the_domain_is_registered_and_made_from_its_table() -> None:
    [[plugin]] = registered().hook.deid_domains()

    assert isinstance(plugin, DomainPlugin)
    assert (plugin.name, plugin.file_suffix) == ("corewar", ".red")
    assert isinstance(plugin.create({"settings": "tiny"}), CorewarDomain)
    assert plugin.create(plugin.demo.settings).trials == plugin.demo.settings["battles"]


def test_the_demo_names_families_of_warriors() -> None:
    [[plugin]] = registered().hook.deid_domains()
    variants = [operator.split(":")[1] for operator in plugin.demo.operators if ":" in operator]

    assert len(plugin.demo.operators) == 4
    assert set(variants) <= set(FAMILIES)


def test_commands_and_checks_are_named_by_module_and_attribute() -> None:
    manager = registered()
    [commands] = manager.hook.deid_commands()
    [checks] = manager.hook.deid_checks()
    [benches] = manager.hook.deid_benches()

    assert {c.name: c.target for c in commands} == {
        name: f"deid_corewar.command_{name}:{name}" for name in ("assemble", "battle", "hill")
    }
    assert [(b.name, b.target) for b in benches] == [("mars", "deid_corewar.bench:mars")]
    assert [c.target for c in checks] == ["deid_corewar.checks:check_simulator"]


def test_the_check_passes_on_this_build() -> None:
    ok, text = check_simulator()

    assert ok
    assert deid_mars.DISPATCH in text


def test_the_check_tells_a_simulator_that_counts_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = deid_mars.melee

    def wrong(*arguments: object) -> deid_mars.Results:
        results = right(*arguments)  # type: ignore[arg-type]
        return deid_mars.Results(
            np.minimum(results.death, 80_000), results.spawned, results.covered, results.executed
        )

    monkeypatch.setattr(deid_mars, "melee", wrong)
    ok, text = check_simulator()

    assert not ok
    assert "should live 80000 cycles" in text
