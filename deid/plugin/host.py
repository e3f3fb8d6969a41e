"""Loads plugins and answers for what they offer.

A plugin is a module (or an object) with an entry point in the group ``deid``. Each is loaded on
its own: one that fails to import, breaks a hook, offers rubbish, takes a name that is taken or
was written for another API is left out *as a whole* and remembered as a :class:`PluginFault`; the
others are not touched. A fault becomes an error only when someone asks for what is missing.

Nothing but pluggy and the standard library is imported here; plugins import their own heavy
modules when a factory is called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from itertools import islice
from typing import Final, TypeAlias, TypeVar

import pluggy

from deid.errors import ConfigError, PluginError
from deid.plugin.contracts import (
    API_VERSION,
    BenchPlugin,
    CheckPlugin,
    CommandPlugin,
    DemoDefaults,
    DomainPlugin,
    ModelPlugin,
    OperatorPlugin,
)
from deid.plugin.hooks import GROUP, DeidSpec
from deid.plugin.settings import nearest

__all__ = ["PluginFault", "PluginHost"]

OFFERS_MAX = 256  # a hook that yields more than a person could read is broken, or endless
OWN_PACKAGE = "deid-qd"  # loaded first: no foreign plugin can take a built-in name

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_SENTENCE = re.compile(r"(?s).*\S.*")
_KEY = re.compile(r"([a-z][a-z0-9_]*)?")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

Offer: TypeAlias = (
    DomainPlugin | OperatorPlugin | ModelPlugin | CommandPlugin | CheckPlugin | BenchPlugin
)
P = TypeVar("P", bound=Offer)


@dataclass(frozen=True, slots=True)
class PluginFault:
    """Why one plugin is not there.

    name: of the entry point; package: the distribution that brought it; reason: one line.
    """

    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} (package {self.package}): {self.reason}"


@dataclass(frozen=True, slots=True)
class _Section:
    """One hook: what it returns, and the word that messages use for it."""

    word: str
    kind: type[Offer]


_SECTIONS: Final = {
    "deid_domains": _Section("domain", DomainPlugin),
    "deid_operators": _Section("operator", OperatorPlugin),
    "deid_models": _Section("model provider", ModelPlugin),
    "deid_commands": _Section("command", CommandPlugin),
    "deid_checks": _Section("check", CheckPlugin),
    "deid_benches": _Section("bench", BenchPlugin),
}


@dataclass(slots=True)
class _Owned:
    """What one hook of all plugins offers, by name, each with the package it came from."""

    offers: dict[str, Offer] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)


class PluginHost:
    """All plugins that loaded, and the faults of those that did not.

    points: entry points to load; by default those of every installed package in the group
        ``deid``. Order of loading: this distribution, then by (name, package); the first plugin
        to offer a name keeps it.
    disabled: names of entry points that are not loaded at all.
    """

    def __init__(
        self, points: Iterable[EntryPoint] | None = None, *, disabled: Iterable[str] = ()
    ) -> None:
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(DeidSpec)
        self._faults: list[PluginFault] = []
        self._packages: dict[str, str] = {}  # plugin name -> package
        self._owned = {hook: _Owned() for hook in _SECTIONS}
        skipped = frozenset(disabled)
        found = entry_points(group=GROUP) if points is None else points
        for point in sorted(found, key=_load_order):
            if point.name not in skipped:
                self._load(point)

    @property
    def faults(self) -> tuple[PluginFault, ...]:
        """Plugins that are not there, in the order in which they failed."""
        return tuple(self._faults)

    @property
    def plugins(self) -> tuple[tuple[str, str], ...]:
        """(name, package) of every plugin that loaded, in the order of loading."""
        return tuple(self._packages.items())

    def domain(self, name: str) -> DomainPlugin:
        """The domain called ``name``; :class:`ConfigError` if there is none."""
        return self._find("deid_domains", DomainPlugin, name)

    def operator(self, name: str) -> OperatorPlugin:
        """The operator called ``name``; :class:`ConfigError` if there is none."""
        return self._find("deid_operators", OperatorPlugin, name)

    def model(self, name: str) -> ModelPlugin:
        """The backend of provider ``name``; :class:`ConfigError` if there is none."""
        return self._find("deid_models", ModelPlugin, name)

    def domains(self) -> tuple[DomainPlugin, ...]:
        """All domains, by name."""
        return self._all("deid_domains", DomainPlugin)

    def operators(self) -> tuple[OperatorPlugin, ...]:
        """All operators, by name."""
        return self._all("deid_operators", OperatorPlugin)

    def models(self) -> tuple[ModelPlugin, ...]:
        """All model backends, by provider."""
        return self._all("deid_models", ModelPlugin)

    def commands(self) -> tuple[CommandPlugin, ...]:
        """Commands added to ``deid``, by name."""
        return self._all("deid_commands", CommandPlugin)

    def checks(self) -> tuple[CheckPlugin, ...]:
        """Checks added to ``deid doctor``, by name."""
        return self._all("deid_checks", CheckPlugin)

    def benches(self) -> tuple[BenchPlugin, ...]:
        """Benchmarks added to ``deid bench``, by name."""
        return self._all("deid_benches", BenchPlugin)

    def package_of(self, offer: Offer) -> str:
        """The package that brought ``offer``."""
        for owned in self._owned.values():
            if owned.offers.get(offer.name) is offer:
                return owned.packages[offer.name]
        raise ConfigError(f"{offer.name!r} is not offered by any plugin that loaded")

    def parse_operator(self, text: str) -> tuple[str, dict[str, object]]:
        """Operator and settings of ``kind`` or ``kind:variant``, as command lines write them.

        ``markov:bombers`` gives ``("markov", {"corpus": "bombers"})`` when the operator's
        ``variant_key`` is ``corpus``. :class:`ConfigError` for an unknown kind, an empty variant,
        and a variant of an operator that takes none.
        """
        kind, colon, variant = text.partition(":")
        plugin = self.operator(kind)
        if not colon:
            return kind, {}
        if not plugin.variant_key:
            raise ConfigError(
                f"operator {kind!r} takes no variant, got {text!r}",
                hint=f"write {kind!r}",
            )
        if not variant:
            raise ConfigError(
                f"operator {text!r} has an empty variant",
                hint=f"write {kind!r}, or name the {plugin.variant_key} after the colon",
            )
        return kind, {plugin.variant_key: variant}

    def register(self, plugin: object, name: str, package: str = "") -> None:
        """Adds a module or object that no entry point names (tests, programs that embed deid).

        :class:`PluginError` where an entry point would have left a fault.
        """
        self._accept(plugin, name, package or name)

    def _load(self, point: EntryPoint) -> None:
        package = _package(point)
        try:
            plugin = point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; kept as a fault
            reason = f"cannot be imported: {_describe(error)}"
            self._faults.append(PluginFault(point.name, package, reason))
            return
        try:
            self._accept(plugin, point.name, package)
        except PluginError as error:
            reason = error.message.removeprefix(f"plugin {point.name!r}: ")
            self._faults.append(PluginFault(point.name, package, reason))
        except Exception as error:  # noqa: BLE001 - foreign attributes may raise anything
            reason = f"cannot be examined: {_describe(error)}"
            self._faults.append(PluginFault(point.name, package, reason))

    def _accept(self, plugin: object, name: str, package: str) -> None:
        """Takes all that ``plugin`` offers, or raises :class:`PluginError` and takes nothing."""
        if name in self._packages:
            other = self._packages[name]
            raise PluginError(name, f"packages {other} and {package} both have a plugin {name!r}")
        _check_api(plugin, name)
        try:
            self._register(plugin, name)
            offers = self._collect(plugin, name, package)
        except PluginError:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise
        self._packages[name] = package
        for hook, offer in offers:
            self._owned[hook].offers[offer.name] = offer
            self._owned[hook].packages[offer.name] = package

    def _register(self, plugin: object, name: str) -> None:
        try:
            self._manager.register(plugin, name)
        except Exception as error:  # pluggy reads attributes of the foreign object
            raise PluginError(name, f"cannot be registered: {_describe(error)}") from error

    def _collect(self, plugin: object, name: str, package: str) -> list[tuple[str, Offer]]:
        """(hook, offer) of everything in ``plugin``, checked."""
        offers: list[tuple[str, Offer]] = []
        for caller in self._manager.get_hookcallers(plugin) or ():
            impl = next(i for i in caller.get_hookimpls() if i.plugin is plugin)
            if caller.name not in _SECTIONS:
                if impl.optionalhook:
                    continue
                known = ", ".join(_SECTIONS)
                raise PluginError(name, f"has an unknown hook {caller.name}; known: {known}")
            if impl.wrapper or impl.hookwrapper:
                raise PluginError(name, f"{caller.name} is a wrapper; hooks only register")
            for offer in _call(impl.function, caller.name, name):
                self._check_free(caller.name, offer, offers, name, package)
                offers.append((caller.name, offer))
        return offers

    def _check_free(
        self, hook: str, offer: Offer, mine: list[tuple[str, Offer]], name: str, package: str
    ) -> None:
        word = _SECTIONS[hook].word
        if any(hook == taken and offer.name == other.name for taken, other in mine):
            raise PluginError(name, f"offers the {word} {offer.name!r} twice")
        holder = self._owned[hook].packages.get(offer.name)
        if holder is not None:
            raise PluginError(
                name,
                f"packages {holder} and {package} both offer {word} {offer.name!r};"
                f" that of {holder} is used",
            )

    def _find(self, hook: str, kind: type[P], name: str) -> P:
        owned = self._owned[hook].offers
        offer = owned.get(name)
        if isinstance(offer, kind):
            return offer
        word = _SECTIONS[hook].word
        have = ", ".join(sorted(owned)) or "none"
        hints = []
        match = nearest(name, owned)
        if match is not None:
            hints.append(f"did you mean {match!r}?")
        wanted = [fault for fault in self._faults if name in (fault.name, fault.package)]
        for fault in wanted or self._faults:
            hints.append(f"not loaded: {fault}")
        raise ConfigError(f"unknown {word} {name!r}; have: {have}", hint="\n  ".join(hints) or None)

    def _all(self, hook: str, kind: type[P]) -> tuple[P, ...]:
        owned = self._owned[hook].offers
        return tuple(offer for _, offer in sorted(owned.items()) if isinstance(offer, kind))


def _load_order(point: EntryPoint) -> tuple[bool, str, str]:
    package = _package(point)
    return (package != OWN_PACKAGE, point.name, package)


def _package(point: EntryPoint) -> str:
    """The distribution of an entry point, or its top module where it has none."""
    if point.dist is not None:
        return point.dist.name
    return point.value.partition(":")[0].partition(".")[0]


def _describe(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.200}" if lines else type(error).__name__


def _check_api(plugin: object, name: str) -> None:
    """A plugin may say which API it was written for; our minor versions only add."""
    wanted = getattr(plugin, "DEID_API", None)
    if wanted is None:
        return
    have = f"{API_VERSION[0]}.{API_VERSION[1]}"
    match wanted:
        case (int(major), int(minor)):
            if major != API_VERSION[0] or minor > API_VERSION[1]:
                raise PluginError(name, f"was written for API {major}.{minor}; this is {have}")
        case _:
            raise PluginError(name, f"DEID_API must be (major, minor), got {wanted!r:.80}")


def _call(function: Callable[..., object], hook: str, name: str) -> list[Offer]:
    """What one hook returns, checked item by item."""
    section = _SECTIONS[hook]
    try:
        result = function()
        if not isinstance(result, Iterable) or isinstance(result, (str, bytes)):
            expected = f"an iterable of {section.kind.__name__}"
            raise PluginError(name, f"{hook} must return {expected}, got {result!r:.80}")
        items = list(islice(result, OFFERS_MAX + 1))
    except PluginError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(name, f"{hook} raised {_describe(error)}") from error
    if len(items) > OFFERS_MAX:
        raise PluginError(name, f"{hook} offers more than {OFFERS_MAX} items")
    return [_checked(item, section, hook, name) for item in items]


def _checked(item: object, section: _Section, hook: str, name: str) -> Offer:
    if not isinstance(item, section.kind):
        raise PluginError(name, f"{hook} must return {section.kind.__name__}s, got {item!r:.80}")
    wrong = _wrong_field(item)
    if wrong is not None:
        field_name, expected = wrong
        raise PluginError(
            name,
            f"{section.word} {item.name!r:.80}: {field_name} must be {expected},"
            f" got {getattr(item, field_name)!r:.80}",
        )
    return item


def _wrong_field(offer: Offer) -> tuple[str, str] | None:
    """(field, what it must be) of the first field that is wrong; annotations are not trusted."""
    if not _is_text(offer.name, _NAME):
        return "name", "lower-case letters, digits, - and _, first a letter"
    if not _is_text(offer.help, _SENTENCE):
        return "help", "a sentence"
    if isinstance(offer, (CommandPlugin, CheckPlugin, BenchPlugin)):
        return None if _is_text(offer.target, _TARGET) else ("target", "'module:attribute'")
    if not _is_callable(offer.create):
        return "create", "callable"
    if isinstance(offer, DomainPlugin) and type(offer.demo) is not DemoDefaults:
        return "demo", "DemoDefaults"
    if isinstance(offer, OperatorPlugin) and not _is_text(offer.variant_key, _KEY):
        return "variant_key", "a settings key or empty"
    return None


def _is_text(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_callable(value: object) -> bool:
    return callable(value)
