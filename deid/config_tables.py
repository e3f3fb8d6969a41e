"""A node's configuration as values: one class for each table, as :mod:`deid.config` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from deid.config_toml import Setting, as_toml
from deid.search.settings import SearchSettings, Use

__all__ = [
    "BudgetTable",
    "Config",
    "ControlTable",
    "FleetTable",
    "LogTable",
    "ModelTable",
    "NetTable",
    "NodeTable",
    "OperatorTable",
    "SearchTable",
    "Settings",
    "ShareTable",
]

Settings: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NodeTable:
    """``[node]``. name: up to 64 letters, digits, ``._-``; with the seed it names all randomness.
    key_file: by default ``STATE_DIR.key``, beside the state directory. Paths are absolute."""

    name: str
    state_dir: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class NetTable:
    """``[net]``. listen, advertise, seeds: ``tcp://HOST:PORT`` in canonical form.
    advertise: None where peers are told ``listen``. profile: lan or wan. security: plain."""

    listen: str
    advertise: str | None
    seeds: tuple[str, ...]
    profile: str
    security: str


@dataclass(frozen=True, slots=True)
class SearchTable:
    """``[search]``; see :class:`deid.search.settings.SearchSettings`.

    new_parts, cross_parts: ``new_share``, ``cross_share`` in millionths.
    battle_threads: evaluations at once; no result depends on it.
    """

    domain: str
    rounds: int
    iterations: int
    seed: int
    in_flight: int
    opponents_max: int
    foreign_max: int
    lag_max: int
    late: Use
    backfill: Use
    new_parts: int
    cross_parts: int
    n_init: int
    inspirations_max: int
    battle_threads: int


@dataclass(frozen=True, slots=True)
class ShareTable:
    """``[share]``. per_round_max: improving elites shared in a round beside the champion."""

    per_round_max: int


@dataclass(frozen=True, slots=True)
class FleetTable:
    """``[budget.fleet]``. micro_usd_max: ``usd_max`` in 10⁻⁶ USD."""

    attempts_max: int | None
    micro_usd_max: int | None
    lessor: str | None
    lease_share: float | None
    lease_minutes: float | None


@dataclass(frozen=True, slots=True)
class BudgetTable:
    """``[budget]`` of the node, or of one operator; None: no limit.

    micro_usd_max, micro_usd_per_day_max: ``usd_max``, ``usd_per_day_max`` in 10⁻⁶ USD.
    prices: passed on. fleet: None where there is none.
    """

    attempts_max: int | None = None
    tokens_max: int | None = None
    micro_usd_max: int | None = None
    micro_usd_per_day_max: int | None = None
    cpu_s_max: float | None = None
    prices: Settings = field(default_factory=dict)
    fleet: FleetTable | None = None


@dataclass(frozen=True, slots=True)
class OperatorTable:
    """One ``[[operator]]``.

    kind: what the plugin registers; name: unique in the node, by default the kind.
    weight: an integer; the weights of all operators have no common divisor.
    isolation: process or inline. memory_max_mb: of its process, MiB; 0: no limit.
    deadline_s: of one call. model: name of the ``[[model]]`` it uses; "": the first.
    settings: what the plugin gets. budget: ``[operator.budget]``.
    """

    name: str
    kind: str
    weight: int
    isolation: str
    memory_max_mb: int
    deadline_s: float
    model: str
    settings: Settings
    budget: BudgetTable | None


@dataclass(frozen=True, slots=True)
class ModelTable:
    """One ``[[model]]``. name: by default the provider. settings: the rest of the table."""

    name: str
    provider: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class ControlTable:
    """``[control]``. socket_dir: None = the runtime directory of this user."""

    socket_dir: Path | None


@dataclass(frozen=True, slots=True)
class LogTable:
    """``[log]``. level: debug, info, warning or error. format: auto (console on a terminal,
    JSON lines otherwise), console or json."""

    level: str
    format: str


@dataclass(frozen=True, slots=True)
class Config:
    """One node's configuration. file: None where the text was no file's.
    settings: every value in force with its origin."""

    node: NodeTable
    net: NetTable
    search: SearchTable
    share: ShareTable
    operators: tuple[OperatorTable, ...]
    domain: Settings
    models: tuple[ModelTable, ...]
    budget: BudgetTable
    control: ControlTable
    log: LogTable
    file: Path | None
    settings: tuple[Setting, ...]

    def search_settings(self, ordered: bool) -> SearchSettings:
        """What the engine folds. ordered: no operator needs a model."""
        search = self.search
        return SearchSettings(
            node=self.node.name,
            seed=search.seed,
            rounds=search.rounds,
            iterations=search.iterations,
            n_init=search.n_init,
            in_flight=search.in_flight,
            new_parts=search.new_parts,
            cross_parts=search.cross_parts,
            opponents_max=search.opponents_max,
            foreign_max=search.foreign_max,
            lag_max=search.lag_max,
            late=search.late,
            backfill=search.backfill,
            per_round_max=self.share.per_round_max,
            inspirations_max=search.inspirations_max,
            operators=tuple((each.name, each.weight) for each in self.operators),
            ordered=ordered,
        )

    def toml(self, *, origins: bool = False) -> str:
        """The configuration in force as TOML; with each value's origin as a comment."""
        return as_toml(self.settings, origins)
