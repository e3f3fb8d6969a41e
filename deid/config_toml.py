"""A TOML file with values from the environment and the command line on top, read strictly.

Precedence: flag > environment > file > default. Every value that is read is remembered with its
origin; every error names the file, the line where there is one, the table, the key, what was
expected and what was got.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

from deid.errors import ConfigError

__all__ = ["REQUIRED", "Document", "Origin", "Override", "Setting", "Source", "Table", "as_toml"]

TEXT_BYTES_MAX = 1 << 20  # a configuration is a page; this bounds a mistaken path

Step: TypeAlias = "str | int"  # a key, or the index in an array of tables
KeyPath: TypeAlias = tuple[Step, ...]

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_ENTRY = re.compile(r"\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"))*)\s*=")
_BARE = re.compile(r"[\w-]+\Z", re.ASCII)


class _Required(Enum):
    REQUIRED = "required"


REQUIRED: Final = _Required.REQUIRED  # as a default: the key must be there


class Source(Enum):
    """Where a value comes from."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """``detail``: ``FILE:LINE``, the variable, or the flag; empty for a default."""

    source: Source
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.source.value} {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class Override:
    """A value that the command line or the environment gives as text.

    path: the key, tables first. ``text`` is TOML where that fits the key, otherwise plain text.
    """

    path: tuple[str, ...]
    text: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Setting:
    """A value in force, as TOML would write it.

    path: tables first, with the index of each array's element.
    """

    path: KeyPath
    value: object
    origin: Origin

    @property
    def key(self) -> str:
        """The dotted name: ``search.rounds``, ``operator[0].kind``."""
        return dotted(self.path)


class Document:
    """One configuration: the file's tables, the overrides, and what was read so far."""

    def __init__(self, text: str, where: str, overrides: Iterable[Override] = ()) -> None:
        """``where`` names the file; :class:`ConfigError` where ``text`` is not TOML."""
        self.where = where
        try:
            self.root: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{where}: not TOML: {error}") from None
        self._lines = _index(text)
        self._overrides: dict[KeyPath, Override] = {}
        for override in overrides:  # later ones win
            self._overrides[override.path] = override
        self.settings: list[Setting] = []

    @classmethod
    def read(cls, path: Path, overrides: Iterable[Override] = ()) -> Document:
        """The file at ``path``; :class:`ConfigError` where it cannot be read."""
        try:
            with path.open("rb") as file:
                data = file.read(TEXT_BYTES_MAX + 1)
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: no such configuration file",
                hint="name one with --config FILE",
            ) from None
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        if len(data) > TEXT_BYTES_MAX:
            raise ConfigError(f"{path}: expected at most {TEXT_BYTES_MAX:,} bytes")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ConfigError(f"{path}:{line}: not UTF-8 text") from None
        return cls(text, str(path), overrides)

    def line(self, path: KeyPath) -> int | None:
        """The line that sets ``path`` in the file, where it could be found."""
        return self._lines.get(path)

    def override(self, path: KeyPath) -> Override | None:
        return self._overrides.get(path)

    def overridden(self, path: KeyPath) -> dict[str, Override]:
        """By key, the first override of each key of the table ``path``, nested ones too."""
        depth = len(path)
        found: dict[str, Override] = {}
        for override in self._overrides.values():
            if override.path[:depth] == path and len(override.path) > depth:
                found.setdefault(override.path[depth], override)
        return found

    def origin(self, path: KeyPath) -> Origin:
        override = self.override(path)
        if override is not None:
            return override.origin
        line = self.line(path)
        return Origin(Source.FILE, self.where if line is None else f"{self.where}:{line}")

    def error(
        self,
        path: KeyPath,
        message: str,
        *,
        hint: str | None = None,
        origin: Origin | None = None,
    ) -> ConfigError:
        """A ConfigError that begins with the origin of ``path`` and its table and key."""
        origin = origin or self.origin(path)
        where = self.where if origin.source is Source.DEFAULT else origin.detail
        return ConfigError(f"{where}: {_named(path)}: {message}", hint=hint)


class Table:
    """One table of a document; what was not asked for when it is finished is unknown.

    values: the file's. Every reader raises :class:`ConfigError`.
    """

    def __init__(self, document: Document, path: KeyPath, values: Mapping[str, Any]) -> None:
        self.document = document
        self.path = path
        self._values = values
        self._overrides = document.overridden(path)
        self._asked: list[str] = []

    def has(self, key: str) -> bool:
        """Whether anything but a default would answer for ``key``."""
        return key in self._values or key in self._overrides

    def text(self, key: str, default: str | _Required | None, *, pattern: str = "") -> str | None:
        """Text, not empty; matching ``pattern`` wholly where there is one."""
        value = self._take(key, default, as_text=True)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            raise self.wrong(key, "a text", value)
        if pattern and re.fullmatch(pattern, value) is None:
            raise self.wrong(key, f"a text of the form {pattern}", value)
        return value

    def word(self, key: str, default: str | _Required, known: Collection[str]) -> str:
        """One of the ``known`` words."""
        value = self.text(key, default)
        if value is None or value not in known:
            expected = " or ".join(map(repr, known))
            raise self.wrong(key, expected, value, hint=did_you_mean(str(value), known))
        return value

    def integer(self, key: str, default: int | _Required | None, low: int, high: int) -> int | None:
        """An integer in [low, high]."""
        value = self._take(key, default)
        if value is None:
            return None
        expected = f"an integer in [{low}, {high}]"
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, expected, value)
        return value

    def number(
        self, key: str, default: float | _Required | None, low: float, high: float
    ) -> float | None:
        """A number in [low, high]."""
        value = self._take(key, default)
        if value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:  # false for NaN too
            raise self.wrong(key, f"a number in [{low:g}, {high:g}]", value)
        return float(value)

    def amount(self, key: str) -> str | None:
        """The digits of a number that must stay exact: written as a number or as a text."""
        value = self._take(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise self.wrong(key, "a number", value)
        return str(value)

    def texts(self, key: str, default: Sequence[str], count_max: int) -> tuple[str, ...]:
        """A list of texts; on a command line and in a variable, also separated by commas."""
        value = self._take(key, list(default), as_list=True)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong(key, "a list of texts", value)
        if len(value) > count_max:
            raise self.wrong(key, f"at most {count_max} texts", f"{len(value)}")
        return tuple(value)

    def table(self, key: str) -> Table:
        """The table ``key`` below this one; empty where there is none."""
        self._asked.append(key)
        values = self._values.get(key, {})
        if not isinstance(values, dict):
            raise self.wrong(key, "a table", values)
        direct = self.document.override((*self.path, key))
        if direct is not None:
            raise self.wrong(key, "a table", direct.text, hint=f"set {key}.KEY=VALUE")
        return Table(self.document, (*self.path, key), values)

    def tables(self, key: str) -> tuple[Table, ...]:
        """``[[key]]`` as its elements, ``[key]`` as the only one, or none."""
        values = self._values.get(key)
        if not isinstance(values, list):
            return (self.table(key),) if self.has(key) else ()
        self._asked.append(key)
        if key in self._overrides:
            override = self._overrides[key]
            raise self.document.error(
                override.path,
                f"the file has {len(values)} [[{key}]] tables: which one is meant is unclear",
                hint="edit the file",
            )
        for index, each in enumerate(values):
            if not isinstance(each, dict):
                path = (*self.path, key, index)
                raise self.document.error(path, f"expected a table, got {shown(each)}")
        return tuple(
            Table(self.document, (*self.path, key, index), each)
            for index, each in enumerate(values)
        )

    def rest(self) -> dict[str, object]:
        """Everything that was not asked for, as TOML gave it: settings of a plugin."""
        taken: dict[str, object] = {}
        for key in dict.fromkeys([*self._values, *self._overrides]):
            if key in self._asked:
                continue
            override = self._overrides.get(key)
            if override is not None and len(override.path) > len(self.path) + 1:
                taken[key] = self.table(key).rest()
            else:
                taken[key] = self._take(key, None)
        return taken

    def finish(self) -> None:
        """Refuses the first key that nobody asked for."""
        for key in [*self._values, *self._overrides]:
            if key not in self._asked:
                raise self.unknown(key, self._asked)

    def unknown(self, key: str, known: Collection[str]) -> ConfigError:
        """The error for ``key``, with the nearest known name."""
        override = self._overrides.get(key)
        is_table = not self.path and (override is not None or isinstance(self._values[key], dict))
        what = "unknown table" if is_table else "unknown key"
        hint = did_you_mean(key, known)
        if hint is None:
            hint = f"known: {', '.join(sorted(known))}" if known else None
        origin = None if override is None else override.origin
        return self.document.error((*self.path, key), what, hint=hint, origin=origin)

    def wrong(
        self, key: str, expected: str, got: object, *, hint: str | None = None
    ) -> ConfigError:
        """The error for a value of the wrong type or range."""
        path = (*self.path, key)
        return self.document.error(path, f"expected {expected}, got {shown(got)}", hint=hint)

    def note(self, key: str, value: object, origin: Origin | None = None) -> None:
        """Records a value that was derived from others, such as a default path."""
        origin = origin or Origin(Source.DEFAULT)
        self.document.settings.append(Setting((*self.path, key), value, origin))

    def amend(self, key: str, value: object) -> None:
        """Replaces a recorded value by what it came to, such as an absolute path."""
        path = (*self.path, key)
        settings = self.document.settings
        settings[:] = [replace(s, value=value) if s.path == path else s for s in settings]

    def _take(
        self, key: str, default: object, *, as_text: bool = False, as_list: bool = False
    ) -> Any:
        self._asked.append(key)
        path = (*self.path, key)
        override = self.document.override(path)
        if override is not None:
            value = _override_value(override.text, as_text, as_list)
        elif key in self._overrides:  # a key below this one: there is no table here
            raise self.document.error(self._overrides[key].path, f"{key!r} is no table")
        elif key in self._values:
            value = self._values[key]
        elif default is REQUIRED:
            table = _named(self.path)
            raise ConfigError(
                f"{self.document.where}: {table} {key}: missing",
                hint=f"add {key} = … under {table}, or --set {dotted(path)}=VALUE",
            )
        else:
            if default is not None:
                self.note(key, default)
            return default
        self.document.settings.append(Setting(path, value, self.document.origin(path)))
        return value


def dotted(path: KeyPath) -> str:
    """``operator[0].kind``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def did_you_mean(word: str, known: Collection[str]) -> str | None:
    """A hint with the known word that looks most like ``word``, if one does."""
    matches = get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    return f"did you mean {matches[0]!r}?" if matches else None


def shown(value: object) -> str:
    """``value`` as a person wrote it, shortened."""
    try:
        text = toml_value(value)
    except TypeError:
        text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def toml_value(value: object) -> str:
    """``value`` in TOML; :class:`TypeError` for what TOML has no form of."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case int() | float():
            return repr(value)
        case Path():
            return toml_value(str(value))
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case Mapping():
            items = (f"{toml_key(str(k))} = {toml_value(v)}" for k, v in value.items())
            return f"{{ {', '.join(items)} }}" if value else "{}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"TOML has no {type(value).__name__}")


def toml_key(key: str) -> str:
    """``key``, quoted where it has to be."""
    return key if _BARE.match(key) else toml_value(key)


def as_toml(settings: Sequence[Setting], origins: bool) -> str:
    """``settings`` as a TOML file, each with its origin as a comment where wanted."""
    groups: dict[KeyPath, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(setting.path[:-1], []).append(setting)
    lines: list[str] = []
    for path, group in groups.items():
        lines += [*([""] if lines else []), _header(path)]
        entries = [f"{toml_key(str(s.path[-1]))} = {toml_value(s.value)}" for s in group]
        width = max(map(len, entries))
        for entry, setting in zip(entries, group, strict=True):
            lines.append(f"{entry:<{width}}  # {setting.origin}" if origins else entry)
    return "\n".join(lines) + "\n"


def _header(path: KeyPath) -> str:
    names = [toml_key(step) for step in path if isinstance(step, str)]
    array = isinstance(path[-1], int)
    return f"[[{'.'.join(names)}]]" if array else f"[{'.'.join(names)}]"


def _override_value(text: str, as_text: bool, as_list: bool) -> object:
    """``text`` as TOML where it is a value of the wanted type, otherwise as plain text."""
    try:
        value: object = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if as_text and not isinstance(value, str):
        return text
    if as_list and not isinstance(value, list):
        return [part.strip() for part in text.split(",") if part.strip()]
    return value


def _named(path: KeyPath) -> str:
    """``[search] rounds`` for a key of a table, ``[search]`` for a table."""
    if len(path) == 1:
        return f"[{path[0]}]"
    if isinstance(path[-1], int):
        return f"[[{dotted(path[:-1])}]] number {path[-1] + 1}"
    head, key = path[:-1], path[-1]
    if isinstance(head[-1], int):
        return f"[[{dotted(head[:-1])}]] {key}"
    return f"[{dotted(head)}] {key}"


def _index(text: str) -> dict[KeyPath, int]:
    """Lines of tables and keys, found without a full parse; only ever used in messages."""
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    quoted = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not quoted:
            if header := _HEADER.match(line):
                table = _steps(header[2])
                if header[1] == "[[":
                    index = counts[table] = counts.get(table, -1) + 1
                    lines.setdefault(table, number)
                    table = (*table, index)
                elif table[:1] in counts and len(table) > 1:  # a table of the last element
                    table = (table[0], counts[table[:1]], *table[1:])
                lines.setdefault(table, number)
            elif entry := _ENTRY.match(line):
                lines.setdefault((*table, *_steps(entry[1])), number)
        for mark in ('"""', "'''"):
            if quoted in ("", mark) and line.count(mark) % 2:
                quoted = "" if quoted else mark
    return lines


def _steps(dotted_key: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in dotted_key.split("."))
