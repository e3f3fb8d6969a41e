"""Kinds of fields that the control channel has beside those of :mod:`deid.wire.codec`, and the
JSON form of every kind.

JSON: structures are objects in the order of their fields, bytes are lower-case hex, an epoch is 32
hex digits (it exceeds what JSON numbers hold exactly), enumerations are their words.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, TypeVar

from deid.wire.codec import EpochInt, Kind, ListOf, Pair, Struct, Tally

__all__ = ["OrNone", "Real", "Word", "json_value"]

T = TypeVar("T")
W = TypeVar("W", bound=Enum)


class Real(Kind[float]):
    """A finite number."""

    def to_plain(self, value: float) -> object:
        return float(value)

    def from_plain(self, plain: object, tally: Tally) -> float:
        if type(plain) is not float or not math.isfinite(plain):
            raise self.refused(plain)
        return plain

    def words(self) -> str:
        return "finite number"


class Word(Kind[W]):
    """A member of an enumeration of words, by its word."""

    def __init__(self, members: type[W]) -> None:
        self.members = members

    def to_plain(self, value: W) -> object:
        return value.value

    def from_plain(self, plain: object, tally: Tally) -> W:
        if type(plain) is str:
            for member in self.members:
                if member.value == plain:
                    return member
        raise self.refused(plain)

    def words(self) -> str:
        return "one of " + ", ".join(str(member.value) for member in self.members)


class OrNone(Kind["T | None"]):
    """A value of another kind, or nothing."""

    def __init__(self, kind: Kind[T]) -> None:
        self.kind = kind

    def to_plain(self, value: T | None) -> object:
        return None if value is None else self.kind.to_plain(value)

    def from_plain(self, plain: object, tally: Tally) -> T | None:
        return None if plain is None else self.kind.from_plain(plain, tally)

    def words(self) -> str:
        return f"{self.kind.words()}, or nothing"


def json_value(kind: Kind[Any], value: Any) -> object:
    """What :mod:`json` writes for ``value``, a value of ``kind``."""
    if value is None:
        return None
    match kind:
        case Struct():
            return {name: json_value(each, getattr(value, name)) for name, each in kind.fields}
        case ListOf():
            return [json_value(kind.kind, element) for element in value]
        case Pair():
            return list(value)
        case OrNone():
            return json_value(kind.kind, value)
        case EpochInt():
            return f"{value:032x}"
    plain = kind.to_plain(value)
    return plain.hex() if isinstance(plain, bytes) else plain
