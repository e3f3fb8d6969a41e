"""From the configuration's tables to domain, operators, models and budgets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from deid.config import BudgetTable, Config, ModelTable
from deid.daemon.asking import Arm
from deid.daemon.attempt_log import JournalAttemptLog
from deid.daemon.attempts import Attempts, LoopClock, Model
from deid.daemon.budget import Amount, Budget, BudgetLimits
from deid.daemon.operators import ProcessOptions, make_operator
from deid.errors import ConfigError, DeidError, PluginError
from deid.plugin.contracts import Domain
from deid.plugin.host import PluginHost
from deid.store import Journal

T = TypeVar("T")


def make_domain(config: Config, host: PluginHost) -> Domain:
    """The problem; :class:`ConfigError` for a wrong setting, :class:`PluginError` where its plugin
    cannot build it."""
    plugin = host.domain(config.search.domain)
    return _built(plugin.name, lambda: plugin.create(config.domain))


def make_attempts(config: Config, host: PluginHost, journal: Journal) -> Attempts:
    """The owner of all attempts, with what earlier starts of this run have spent."""
    models = {table.name: _model(table, host) for table in config.models}
    log = JournalAttemptLog(journal)
    budget = Budget(_limits(config.budget, "budget"), Amount.of(journal.charged()))
    return Attempts(
        log, models, budget, LoopClock(), node=config.node.name, seed=config.search.seed
    )


def make_arms(
    config: Config, host: PluginHost, attempts: Attempts, journal: Journal
) -> dict[str, Arm]:
    """The node's operators by name, not started yet."""
    arms: dict[str, Arm] = {}
    for table in config.operators:
        port = make_operator(
            host,
            table.kind,
            table.settings,
            config.search.domain,
            config.domain,
            config.node.name,
            config.search.seed,
            table.isolation,
            options=ProcessOptions(memory_max_mb=table.memory_max_mb),
        )
        if port.needs_model:
            attempts.model(table.name, table.model)  # ConfigError where there is none
        budget = attempts.budget
        if table.budget is not None:
            spent = Amount.of(journal.charged(operator=table.name))
            limits = _limits(table.budget, f"operator {table.name}: budget")
            budget = Budget(limits, spent, outer=attempts.budget)
        arms[table.name] = Arm(table.name, port, table.deadline_s, table.model, budget)
    return arms


def _limits(table: BudgetTable, where: str) -> BudgetLimits:
    """Limits that hold; one that could not be held is refused rather than ignored."""
    unheld = {
        "usd_max": table.micro_usd_max,
        "usd_per_day_max": table.micro_usd_per_day_max,
        "cpu_s_max": table.cpu_s_max,
        "fleet": table.fleet,
    }
    for key, value in unheld.items():
        if value is not None:
            raise ConfigError(
                f"[{where}] {key}: this version holds attempts_max and tokens_max only",
                hint=f"take {key} out; a limit that is not held would be worse than none",
            )
    return BudgetLimits(attempts_max=table.attempts_max, tokens_max=table.tokens_max)


def _model(table: ModelTable, host: PluginHost) -> Model:
    settings = dict(table.settings)
    secrets = _resolve_secret(table.name, settings)
    plugin = host.model(table.provider)
    backend = _built(plugin.name, lambda: plugin.create({**settings, **secrets}))
    options = {
        key: value
        for key, value in settings.items()
        if key in ("temperature", "top_p", "seed", "reasoning_effort")
    }
    return Model(
        name=table.name,
        backend=backend,
        model=str(settings.get("model", "")),
        options=options,
        max_output_tokens=_positive(table, settings, "max_output_tokens", 1_024),
        attempt_timeout_s=float(_positive(table, settings, "attempt_timeout_s", 60)),
        in_flight_max=_positive(table, settings, "in_flight_max", 8),
        secrets=tuple(secrets.values()),
    )


def _positive(table: ModelTable, settings: Mapping[str, object], key: str, default: int) -> int:
    value = settings.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"[model] {table.name}: {key}: expected an integer >= 1, got {value!r}")
    return value


def _resolve_secret(name: str, settings: dict[str, object]) -> dict[str, str]:
    """``api_key`` from the variable or the file that the table names; keys never stand in it."""
    variable, file = settings.pop("api_key_env", None), settings.pop("api_key_file", None)
    if variable is not None:
        key = os.environ.get(str(variable))
        if not key:
            raise ConfigError(
                f"[model] {name}: api_key_env: the variable {variable} is not set",
                hint=f"export {variable}=… before the daemon starts",
            )
        return {"api_key": key}
    if file is not None:
        try:
            key = Path(str(file)).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(
                f"[model] {name}: api_key_file: cannot read {file}: {reason}"
            ) from error
        if not key:
            raise ConfigError(f"[model] {name}: api_key_file: {file} is empty")
        return {"api_key": key}
    return {}


def _built(plugin: str, create: Callable[[], T]) -> T:
    """What a plugin's factory makes; what it raises beside our errors names the plugin."""
    try:
        return create()
    except DeidError:
        raise
    except Exception as error:
        raise PluginError(plugin, f"cannot be built: {type(error).__name__}: {error}") from error
