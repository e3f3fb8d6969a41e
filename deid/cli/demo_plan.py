"""What a demo runs: its nodes, their configuration files, and the folder that it writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from deid.cli.fleet import HOST, Member
from deid.config_toml import toml_key, toml_value
from deid.errors import ConfigError, StoreError
from deid.plugin.contracts import Domain, DomainPlugin
from deid.plugin.host import PluginHost
from deid.store import StateDirectory

__all__ = ["NODES_MAX", "NodePlan", "OutFolder", "Plan", "choose_domain", "make_plan"]

NAMES: Final = (  # in the order of the alphabet, as lists sort them
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
    "india", "juliett", "kilo", "lima", "mike", "november", "oscar", "papa",
)  # fmt: skip
NODES_MAX: Final = len(NAMES)
MARKER: Final = ".deid-demo"
MARKER_TEXT: Final = "written by deid demo, which replaces this folder's content\n"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node. label: its operator as ``kind:variant``; settings: of the operator."""

    name: str
    label: str
    operator: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the configuration files say, but the ports.

    settings: the ``[domain]`` table. battle_threads: of each node.
    """

    domain: DomainPlugin
    built: Domain
    settings: Mapping[str, object]
    nodes: tuple[NodePlan, ...]
    rounds: int
    iterations: int
    n_init: int
    in_flight: int
    seed: int
    battle_threads: int

    @property
    def calls(self) -> int:
        """Of one node in one round."""
        return self.n_init + self.iterations

    def toml(self, node: NodePlan, member: Member, others: Sequence[Member]) -> str:
        """The configuration file of ``node``; its paths count from where it lies."""
        state_dir = os.path.relpath(member.state_dir, member.config_file.parent)
        seeds = [f"tcp://{HOST}:{other.port}" for other in others]
        tables: dict[str, Mapping[str, object]] = {
            "node": {"name": node.name, "state_dir": state_dir},
            "net": {"listen": f"tcp://{HOST}:{member.port}", "seeds": seeds},
            "search": {
                "domain": self.domain.name,
                "operator": node.operator,
                "rounds": self.rounds,
                "iterations": self.iterations,
                "n_init": self.n_init,
                "in_flight": self.in_flight,
                "seed": self.seed,
                "battle_threads": self.battle_threads,
            },
            "operator": node.settings,
            "domain": self.settings,
            "log": {"format": "console"},
        }
        parts = (
            "\n".join([f"[{name}]", *(f"{toml_key(k)} = {toml_value(v)}" for k, v in rows.items())])
            for name, rows in tables.items()
            if rows
        )
        return "\n\n".join(parts) + "\n"


def choose_domain(host: PluginHost, name: str | None) -> DomainPlugin:
    """The domain called ``name``, or the first one that says what its demo runs."""
    if name is not None:
        return host.domain(name)
    for domain in host.domains():
        if domain.demo.operators:
            return domain
    raise ConfigError(
        "no installed domain says what its demo runs",
        hint="name one with --domain (deid plugins list shows them)",
    )


def make_plan(
    host: PluginHost,
    domain: DomainPlugin,
    *,
    operators: Sequence[str],
    nodes: int | None,
    rounds: int | None,
    iterations: int | None,
    seed: int,
    settings: Mapping[str, object],
) -> Plan:
    """The plan; what is None or empty is the domain's default.

    operators: as ``kind:variant``; with more nodes than operators they are used again in turn.
    settings: over the domain's defaults. :class:`ConfigError` for what cannot be built.
    """
    demo = domain.demo
    labels = tuple(operators) or demo.operators
    if not labels:
        raise ConfigError(
            f"domain {domain.name!r} says no operators for a demo", hint="name some: --operators"
        )
    count = nodes if nodes is not None else len(labels)
    if not 1 <= count <= NODES_MAX:
        raise ConfigError(f"a demo has 1 to {NODES_MAX} nodes, got {count}")
    table = {**demo.settings, **settings}
    plans = []
    for name, label in zip(NAMES, islice(cycle(labels), count), strict=False):
        kind, variant = host.parse_operator(label)
        plans.append(NodePlan(name, label, kind, variant))
    return Plan(
        domain=domain,
        built=domain.create(table),
        settings=table,
        nodes=tuple(plans),
        rounds=demo.rounds if rounds is None else rounds,
        iterations=demo.iterations if iterations is None else iterations,
        n_init=demo.n_init,
        in_flight=demo.in_flight,
        seed=seed,
        battle_threads=max(1, (os.cpu_count() or 1) // count),
    )


class OutFolder:
    """The folder that a demo writes.

    ``archive.json``, ``heatmap.png``, ``champions/``, ``config/``, ``logs/``, ``nodes/`` (the
    state directories) and a marker, by which a later demo knows that it may replace them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.archive_file = self.path / "archive.json"
        self.heatmap_file = self.path / "heatmap.png"
        self.champions_dir = self.path / "champions"
        self.config_dir = self.path / "config"
        self.logs_dir = self.path / "logs"
        self.nodes_dir = self.path / "nodes"

    def prepare(self) -> None:
        """Makes the folder, emptied of what a former demo wrote; other files in it are kept.

        :class:`StoreError` where it holds files and no demo wrote it, or daemons still run there.
        """
        marker = self.path / MARKER
        try:
            if self.path.exists() and not self.path.is_dir():
                raise StoreError(f"{self.path} is not a folder", hint="name another with --out")
            if self.path.is_dir() and any(self.path.iterdir()) and not marker.is_file():
                raise StoreError(
                    f"{self.path} holds files that no demo wrote; they are left alone",
                    hint="name another folder with --out",
                )
            self.clear()
            self.path.mkdir(parents=True, exist_ok=True)
            marker.write_text(MARKER_TEXT, encoding="utf-8")
            for folder in (self.champions_dir, self.config_dir, self.logs_dir, self.nodes_dir):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {error.filename}: {error.strerror}") from error

    def clear(self) -> None:
        """Removes what a demo writes, but the marker."""
        for state_dir in self.nodes_dir.glob("*/"):
            holder = StateDirectory(state_dir).holder()
            if holder is not None:
                raise StoreError(
                    f"a daemon (pid {holder}) still runs on {state_dir}",
                    hint=f"end it with deictl --state-dir {state_dir} stop, or name another --out",
                )
        for folder in (self.champions_dir, self.config_dir, self.logs_dir, self.nodes_dir):
            if folder.exists():
                shutil.rmtree(folder)
        self.archive_file.unlink(missing_ok=True)
        self.heatmap_file.unlink(missing_ok=True)

    def member(self, name: str, port: int) -> Member:
        """The files of one node."""
        return Member(
            name=name,
            port=port,
            config_file=self.config_dir / f"{name}.toml",
            state_dir=self.nodes_dir / name,
            log_file=self.logs_dir / f"{name}.log",
        )
