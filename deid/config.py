"""Reads a node's configuration strictly from TOML: every key, its range and its default.

Tables of plugins (``[domain]``, the rest of ``[[operator]]`` and ``[[model]]``) are passed on
untouched. What is read are the classes of :mod:`deid.config_tables`, all of them named here too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from math import gcd
from pathlib import Path
from typing import Any, Final, TypeVar

from deid.config_tables import (
    BudgetTable,
    Config,
    ControlTable,
    FleetTable,
    LogTable,
    ModelTable,
    NetTable,
    NodeTable,
    OperatorTable,
    SearchTable,
    ShareTable,
)
from deid.config_toml import (
    REQUIRED,
    Document,
    Origin,
    Override,
    Setting,
    Source,
    Table,
)
from deid.errors import ConfigError
from deid.net.addresses import advertised_address, parse_address, parse_listen
from deid.net.profile import profile_named
from deid.search.settings import LAG_MAX, PARTS, USES, SearchSettings, Use

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
    "Origin",
    "SearchTable",
    "Setting",
    "ShareTable",
    "Source",
    "load_config",
    "parse_config",
]

OPERATORS_MAX = 64
MODELS_MAX = 64
SEEDS_MAX = 128
WEIGHT_MAX = 1_000_000
WEIGHT_STEPS = 1_000  # weights are kept to a thousandth
LEVELS: Final = ("debug", "info", "warning", "error")

_TABLES: Final = (  # whose keys a variable DEID_TABLE_KEY may set; the longest name first
    ("budget", "fleet"),
    ("node",),
    ("net",),
    ("search",),
    ("share",),
    ("operator",),
    ("domain",),
    ("model",),
    ("budget",),
    ("control",),
    ("log",),
)
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_OPERATOR_NAME = r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}"
_SEARCH: Final[dict[str, Any]] = {each.name: each.default for each in fields(SearchSettings)}

T = TypeVar("T")


def load_config(
    path: Path,
    *,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration in the file ``path``.

    flags: by dotted key (``search.rounds``), text of the command line. environ: by default the
    process's; ``DEID_TABLE_KEY`` sets ``[table] key``. :class:`ConfigError` says what is wrong.
    Relative paths in the file count from the file's directory, others from the working directory.
    """
    variables = os.environ if environ is None else environ
    document = Document.read(path, _overrides(flags or {}, variables))
    return _config(document, path)


def parse_config(
    text: str,
    *,
    flags: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Like :func:`load_config` for a text, without the process's environment."""
    document = Document(text, "(text)", _overrides(flags or {}, environ or {}))
    return _config(document, None)


def _overrides(flags: Mapping[str, str], environ: Mapping[str, str]) -> list[Override]:
    """Weakest first."""
    found = []
    for variable in sorted(environ):
        path = _variable_path(variable)
        if path is not None:
            origin = Origin(Source.ENVIRONMENT, variable)
            found.append(Override(path, environ[variable], origin))
    for key, text in flags.items():
        path = tuple(key.split("."))
        if len(path) < 2 or not all(path):
            raise ConfigError(f"--set {key}: expected TABLE.KEY=VALUE, such as search.rounds=5")
        found.append(Override(path, text, Origin(Source.FLAG, f"--set {key}")))
    return found


def _variable_path(variable: str) -> tuple[str, ...] | None:
    """``("search", "rounds")`` of ``DEID_SEARCH_ROUNDS``; None for a variable that is no key."""
    for table in _TABLES:
        prefix = f"DEID_{'_'.join(table).upper()}_"
        if variable.startswith(prefix) and len(variable) > len(prefix):
            return (*table, variable.removeprefix(prefix).lower())
    return None


def _config(document: Document, file: Path | None) -> Config:
    root = Table(document, (), document.root)
    node = _node(root.table("node"), file)
    net = _net(root.table("net"))
    search_table = root.table("search")
    search = _search(search_table)
    share = ShareTable(
        _whole(root.table("share"), "per_round_max", _SEARCH["per_round_max"], 0, 1_000)
    )
    operators = _operators(root, search_table)
    domain = root.table("domain").rest()
    models = _models(root)
    budget = _budget(root.table("budget"), of_node=True)
    control = _control(root.table("control"), file)
    log = _log(root.table("log"))
    root.finish()
    return Config(
        node=node,
        net=net,
        search=search,
        share=share,
        operators=operators,
        domain=domain,
        models=models,
        budget=budget,
        control=control,
        log=log,
        file=file,
        settings=tuple(document.settings),
    )


def _node(table: Table, file: Path | None) -> NodeTable:
    name = _must(table.text("name", REQUIRED, pattern=_NAME))
    state_dir = _path(table, "state_dir", _must(table.text("state_dir", REQUIRED)), file)
    given = table.text("key_file", None)
    if given is None:
        key_file = state_dir.with_name(f"{state_dir.name}.key")
        table.note("key_file", key_file)
    else:
        key_file = _path(table, "key_file", given, file)
        if key_file.is_relative_to(state_dir):
            raise table.wrong(
                "key_file",
                "a file outside the state directory",
                given,
                hint="losing the one must not lose the other",
            )
    table.finish()
    return NodeTable(name, state_dir, key_file)


def _net(table: Table) -> NetTable:
    listen_text = _must(table.text("listen", "tcp://127.0.0.1:7701"))
    listen = _placed(table, "listen", lambda: parse_listen(listen_text))
    advertise = table.text("advertise", None)
    told = _placed(table, "advertise", lambda: advertised_address(listen, advertise))
    texts = table.texts("seeds", (), SEEDS_MAX)
    seeds = _placed(
        table,
        "seeds",
        lambda: [parse_address(t, f"net.seeds[{i}]") for i, t in enumerate(texts)],
    )
    profile = _must(table.text("profile", "lan"))
    _placed(table, "profile", lambda: profile_named(profile))
    security = _must(table.text("security", "plain"))
    if security != "plain":
        raise table.wrong(
            "security",
            "'plain'",
            security,
            hint="encryption arrives with the keys of a later version",
        )
    for key, address in (("listen", listen), *(("seeds", seed) for seed in seeds)):
        if not address.is_loopback:  # as the transport does, but with the line
            raise table.wrong(
                key,
                "an address of this machine (plain links stay on it)",
                str(address),
                hint="use 127.0.0.1, [::1] or localhost; links to other hosts need encryption",
            )
    table.finish()
    return NetTable(
        listen=str(listen),
        advertise=None if advertise is None else str(told),
        seeds=tuple(dict.fromkeys(map(str, seeds))),
        profile=profile,
        security=security,
    )


def _search(table: Table) -> SearchTable:
    new_parts = _parts(table, "new_share", _SEARCH["new_parts"])
    cross_parts = _parts(table, "cross_share", _SEARCH["cross_parts"])
    if new_parts + cross_parts > PARTS:
        got = (new_parts + cross_parts) / PARTS
        raise table.wrong("cross_share", "new_share + cross_share of at most 1", got)
    return SearchTable(
        domain=_must(table.text("domain", REQUIRED)),
        rounds=_whole(table, "rounds", _SEARCH["rounds"], 0, (1 << 32) - 1),
        iterations=_whole(table, "iterations", _SEARCH["iterations"], 1, 1_000_000),
        seed=_whole(table, "seed", 0, 0, (1 << 63) - 1),
        in_flight=_whole(table, "in_flight", _SEARCH["in_flight"], 1, 64),
        opponents_max=_whole(table, "opponents_max", _SEARCH["opponents_max"], 0, 1_000),
        foreign_max=_whole(table, "foreign_max", _SEARCH["foreign_max"], 0, 10_000),
        lag_max=_whole(table, "lag_max", _SEARCH["lag_max"], 0, LAG_MAX),
        late=_use(table, "late"),
        backfill=_use(table, "backfill"),
        new_parts=new_parts,
        cross_parts=cross_parts,
        n_init=_whole(table, "n_init", _SEARCH["n_init"], 0, 100_000),
        inspirations_max=_whole(table, "inspirations_max", _SEARCH["inspirations_max"], 0, 64),
        battle_threads=_whole(table, "battle_threads", 2, 1, 256),
    )


def _use(table: Table, key: str) -> Use:
    """What becomes of received elites of one kind."""
    word = table.word(key, _SEARCH[key], USES)
    return next(use for use in USES if use == word)


def _operators(root: Table, search: Table) -> tuple[OperatorTable, ...]:
    """``[[operator]]``, or ``search.operator`` and ``[operator]`` for one."""
    tables = root.tables("operator")
    short = search.text("operator", None)
    search.finish()
    if short is not None and len(tables) > 1:
        raise search.wrong(
            "operator", f"no operator beside {len(tables)} [[operator]] tables", short
        )
    if short is not None and not tables:
        tables = (root.table("operator"),)
    if not tables:
        raise ConfigError(
            f"{root.document.where}: [search] operator: missing",
            hint='name one: operator = "NAME" under [search], or [[operator]] kind = "NAME"'
            " (deid plugins list shows them)",
        )
    if len(tables) > OPERATORS_MAX:
        raise ConfigError(
            f"{root.document.where}: [[operator]]: expected at most {OPERATORS_MAX},"
            f" got {len(tables)}"
        )
    operators = [_operator(table, short) for table in tables]
    _check_unique(tables, [each.name for each in operators], "operator")
    divisor = gcd(*(each.weight for each in operators))
    return tuple(replace(each, weight=each.weight // divisor) for each in operators)


def _operator(table: Table, short: str | None) -> OperatorTable:
    """One operator, its weight in thousandths."""
    kind = _must(table.text("kind", REQUIRED if short is None else short, pattern=_NAME))
    if short is not None and kind != short:
        raise table.wrong("kind", f"{short!r} as under [search] operator", kind)
    name = _must(table.text("name", kind, pattern=_OPERATOR_NAME))
    weight = _must(table.number("weight", 1.0, 1 / WEIGHT_STEPS, WEIGHT_MAX))
    isolation = table.word("isolation", "process", ("process", "inline"))
    memory = _whole(table, "memory_max_mb", 2_048, 0, 1 << 24)
    deadline_s = _must(table.number("deadline_s", 120.0, 0.001, 86_400))
    model = table.text("model", None)
    budget = _budget(table.table("budget"), of_node=False) if table.has("budget") else None
    return OperatorTable(
        name=name,
        kind=kind,
        weight=round(weight * WEIGHT_STEPS),
        isolation=isolation,
        memory_max_mb=memory,
        deadline_s=deadline_s,
        model=model or "",
        settings=table.rest(),
        budget=budget,
    )


def _models(root: Table) -> tuple[ModelTable, ...]:
    tables = root.tables("model")
    if len(tables) > MODELS_MAX:
        raise ConfigError(
            f"{root.document.where}: [[model]]: expected at most {MODELS_MAX}, got {len(tables)}"
        )
    models = []
    for table in tables:
        provider = _must(table.text("provider", REQUIRED))
        name = _must(table.text("name", provider))
        if table.has("api_key"):
            raise table.document.error(
                (*table.path, "api_key"),
                "a key never stands in the configuration",
                hint="name a variable (api_key_env) or a file (api_key_file)",
            )
        models.append(ModelTable(name, provider, table.rest()))
    _check_unique(tables, [each.name for each in models], "model")
    return tuple(models)


def _budget(table: Table, *, of_node: bool) -> BudgetTable:
    budget = BudgetTable(
        attempts_max=table.integer("attempts_max", None, 0, (1 << 63) - 1),
        tokens_max=table.integer("tokens_max", None, 0, (1 << 63) - 1),
        micro_usd_max=_micro_usd(table, "usd_max"),
        micro_usd_per_day_max=_micro_usd(table, "usd_per_day_max"),
        cpu_s_max=table.number("cpu_s_max", None, 0, 1e12),
        prices=table.table("prices").rest(),
        fleet=_fleet(table.table("fleet")) if of_node and table.has("fleet") else None,
    )
    table.finish()
    return budget


def _fleet(table: Table) -> FleetTable:
    fleet = FleetTable(
        attempts_max=table.integer("attempts_max", None, 0, (1 << 63) - 1),
        micro_usd_max=_micro_usd(table, "usd_max"),
        lessor=table.text("lessor", None),
        lease_share=table.number("lease_share", None, 0, 1),
        lease_minutes=table.number("lease_minutes", None, 0.01, 1e6),
    )
    table.finish()
    return fleet


def _control(table: Table, file: Path | None) -> ControlTable:
    given = table.text("socket_dir", None)
    table.finish()
    return ControlTable(None if given is None else _path(table, "socket_dir", given, file))


def _log(table: Table) -> LogTable:
    log = LogTable(
        level=table.word("level", "info", LEVELS),
        format=table.word("format", "auto", ("auto", "console", "json")),
    )
    table.finish()
    return log


def _parts(table: Table, key: str, default: int) -> int:
    """A share in [0, 1] as millionths."""
    return round(_must(table.number(key, default / PARTS, 0, 1)) * PARTS)


def _whole(table: Table, key: str, default: int, low: int, high: int) -> int:
    return _must(table.integer(key, default, low, high))


def _micro_usd(table: Table, key: str) -> int | None:
    """USD >= 0, a number or its digits as text, in 10⁻⁶ USD, rounded down."""
    value = table.amount(key)
    if value is None:
        return None
    try:
        usd = Decimal(value)
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= 10**12:
        raise table.wrong(key, "USD, a number >= 0", value)
    return int(usd * 1_000_000)


def _path(table: Table, key: str, text: str, file: Path | None) -> Path:
    """An absolute path; one that the file gives counts from the file's directory."""
    override = table.document.override((*table.path, key))
    base = Path.cwd() if file is None or override is not None else file.absolute().parent
    if "\0" in text:
        raise table.wrong(key, "a path", text)
    path = Path(os.path.normpath(base / text))
    table.amend(key, path)
    return path


def _placed(table: Table, key: str, check: Callable[[], T]) -> T:
    """What ``check`` gives; its error gets the place in the file in front."""
    try:
        return check()
    except ConfigError as error:
        where = table.document.origin((*table.path, key)) if table.has(key) else None
        place = table.document.where if where is None else where.detail
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from None


def _check_unique(tables: tuple[Table, ...], names: list[str], word: str) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise tables[index].document.error(
                (*tables[index].path, "name"),
                f"two {word}s are called {name!r}",
                hint=f'give each [[{word}]] a name = "…" of its own',
            )


def _must(value: T | None) -> T:
    """A value whose default is never None."""
    assert value is not None
    return value
