"""Strict MessagePack: every limit on what a peer may send is declared with the kinds below.

A class whose fields are ``Annotated[type, Kind(...)]`` is a *structure*; its form on the wire is
the array of its fields in order. Fields are only ever appended: a longer array comes from a newer
minor version (the rest is ignored and counted), a shorter one from an older (the missing fields
need defaults). Whatever breaks a bound raises :class:`~deid.errors.RemoteError`, before anything
was built from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, fields
from enum import IntEnum
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

import msgpack

from deid.errors import RemoteError
from deid.search.evaluation import Evaluation
from deid.wire.seqset import SeqSet

MESSAGE_BYTES_MAX = 1 << 20  # what one transport message may hold
ARRAY_MAX = 4_096  # elements of one array: the longest flat list that a bound below allows
UINT_MAX = (1 << 63) - 1  # so that every count fits the signed 64 bits of SQLite
EPOCH_BYTES = 16  # wall seconds << 64 | 64 random bits

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)


class Tally:
    """Counts what a decoder skipped: fields of a newer minor version."""

    __slots__ = ("unknown_fields",)

    def __init__(self) -> None:
        self.unknown_fields = 0


class Kind(ABC, Generic[T]):
    """The type and the bounds of a field."""

    @abstractmethod
    def to_plain(self, value: T) -> object:
        """What MessagePack packs for ``value``."""

    @abstractmethod
    def from_plain(self, plain: object, tally: Tally) -> T:
        """The value; :class:`RemoteError` where ``plain`` has the wrong type or breaks a bound."""

    @abstractmethod
    def words(self) -> str:
        """Type and bounds for people."""

    def refused(self, plain: object) -> RemoteError:
        return RemoteError(f"expected {self.words()}, got {_short(plain)}")


class UInt(Kind[int]):
    """An integer in [low, high]."""

    def __init__(self, high: int = UINT_MAX, low: int = 0) -> None:
        self.low, self.high = low, high

    def to_plain(self, value: int) -> object:
        return value

    def from_plain(self, plain: object, tally: Tally) -> int:
        if type(plain) is not int or not self.low <= plain <= self.high:
            raise self.refused(plain)
        return plain

    def words(self) -> str:
        return f"integer {_amount(self.low)}…{_amount(self.high)}"


class Flag(Kind[bool]):
    """True or false."""

    def to_plain(self, value: bool) -> object:
        return value

    def from_plain(self, plain: object, tally: Tally) -> bool:
        if type(plain) is not bool:
            raise self.refused(plain)
        return plain

    def words(self) -> str:
        return "boolean"


class Blob(Kind[bytes]):
    """Bytes, of one of the given lengths or of a range of them."""

    def __init__(self, high: int, low: int | None = None, *, or_empty: bool = False) -> None:
        self.high, self.low, self.or_empty = high, high if low is None else low, or_empty

    def to_plain(self, value: bytes) -> object:
        return value

    def from_plain(self, plain: object, tally: Tally) -> bytes:
        if type(plain) is bytes and (
            self.low <= len(plain) <= self.high or (self.or_empty and not plain)
        ):
            return plain
        raise self.refused(plain)

    def words(self) -> str:
        span = f"{self.high:,}" if self.low == self.high else f"{self.low:,}…{self.high:,}"
        return f"{span} bytes" + (" or none" if self.or_empty else "")


class Text(Kind[str]):
    """UTF-8 text of ``low`` to ``high`` bytes; printable and on one line unless ``lines``."""

    def __init__(self, high: int, low: int = 0, *, lines: bool = False) -> None:
        self.high, self.low, self.lines = high, low, lines

    def to_plain(self, value: str) -> object:
        return value

    def from_plain(self, plain: object, tally: Tally) -> str:
        if type(plain) is not str or not self.low <= len(plain.encode()) <= self.high:
            raise self.refused(plain)
        if not self.lines and not plain.isprintable():
            raise self.refused(plain)
        return plain

    def words(self) -> str:
        return f"text, {self.low}…{self.high:,} bytes" + ("" if self.lines else ", printable")


class EpochInt(Kind[int]):
    """An epoch: an integer below 2**128 as 16 bytes, big-endian."""

    def to_plain(self, value: int) -> object:
        return value.to_bytes(EPOCH_BYTES, "big")

    def from_plain(self, plain: object, tally: Tally) -> int:
        if type(plain) is not bytes or len(plain) != EPOCH_BYTES:
            raise self.refused(plain)
        return int.from_bytes(plain, "big")

    def words(self) -> str:
        return f"epoch, {EPOCH_BYTES} bytes"


class Seqs(Kind[SeqSet]):
    """A set of sequence numbers, as gaps and lengths."""

    def __init__(self, ranges_max: int) -> None:
        self.ranges_max = ranges_max

    def to_plain(self, value: SeqSet) -> object:
        return value.to_gaps()

    def from_plain(self, plain: object, tally: Tally) -> SeqSet:
        if type(plain) is not list or len(plain) % 2 or len(plain) > 2 * self.ranges_max:
            raise self.refused(plain)
        if any(type(number) is not int or number < 0 for number in plain):
            raise self.refused(plain)
        try:
            return SeqSet.from_gaps(plain)
        except ValueError:
            raise self.refused(plain) from None

    def words(self) -> str:
        return f"at most {self.ranges_max:,} ranges of sequence numbers"


class OneOf(Kind[E]):
    """A member of an enumeration, by its number."""

    def __init__(self, members: type[E]) -> None:
        self.members = members

    def to_plain(self, value: E) -> object:
        return int(value)

    def from_plain(self, plain: object, tally: Tally) -> E:
        if type(plain) is int:
            try:
                return self.members(plain)
            except ValueError:
                pass
        raise self.refused(plain)

    def words(self) -> str:
        return "one of " + ", ".join(f"{member.value} {member.label()}" for member in self._all())

    def _all(self) -> list[Any]:
        return list(self.members)


class ListOf(Kind[tuple[T, ...]]):
    """At most ``most`` values of one kind."""

    def __init__(self, kind: Kind[T], most: int) -> None:
        self.kind, self.most = kind, most

    def to_plain(self, value: tuple[T, ...]) -> object:
        return [self.kind.to_plain(element) for element in value]

    def from_plain(self, plain: object, tally: Tally) -> tuple[T, ...]:
        if type(plain) is not list or len(plain) > self.most:
            raise self.refused(plain)
        return tuple([self.kind.from_plain(element, tally) for element in plain])

    def words(self) -> str:
        return f"at most {self.most:,} of: {self.kind.words()}"


class Pair(Kind[tuple[str, int]]):
    """A label and a number."""

    def __init__(self, label: Text, number: UInt) -> None:
        self.label, self.number = label, number

    def to_plain(self, value: tuple[str, int]) -> object:
        return list(value)

    def from_plain(self, plain: object, tally: Tally) -> tuple[str, int]:
        if type(plain) is not list or len(plain) != 2:
            raise self.refused(plain)
        return self.label.from_plain(plain[0], tally), self.number.from_plain(plain[1], tally)

    def words(self) -> str:
        return f"[{self.label.words()}; {self.number.words()}]"


class EvaluationOf(Kind[Evaluation]):
    """[points, measures, trials] of an evaluation."""

    def __init__(self, measures_max: int, trials_max: int) -> None:
        self.points = UInt()
        self.measures = ListOf(UInt(low=-UINT_MAX), measures_max)
        self.trials = UInt(trials_max, low=1)

    def to_plain(self, value: Evaluation) -> object:
        return [value.points, list(value.measures), value.trials]

    def from_plain(self, plain: object, tally: Tally) -> Evaluation:
        if type(plain) is not list or len(plain) != 3:
            raise self.refused(plain)
        return Evaluation(
            self.points.from_plain(plain[0], tally),
            self.measures.from_plain(plain[1], tally),
            self.trials.from_plain(plain[2], tally),
        )

    def words(self) -> str:
        return f"[points, at most {self.measures.most} measures, trials ≤ {self.trials.high:,}]"


class Struct(Kind[T]):
    """A class of annotated fields, as the array of them in order."""

    def __init__(self, built: type[T]) -> None:
        self.built = built
        hints = get_type_hints(built, include_extras=True)
        self.fields: list[tuple[str, Kind[Any]]] = []
        self.required = 0
        for each in fields(cast(Any, built)):
            if not each.init:
                continue
            kind = get_args(hints[each.name])[1]
            self.fields.append((each.name, kind))
            if each.default is MISSING:
                self.required = len(self.fields)

    def to_plain(self, value: T) -> object:
        return [kind.to_plain(getattr(value, name)) for name, kind in self.fields]

    def from_plain(self, plain: object, tally: Tally) -> T:
        if type(plain) is not list or len(plain) < self.required:
            raise self.refused(plain)
        tally.unknown_fields += max(0, len(plain) - len(self.fields))
        values: dict[str, object] = {}
        for (name, kind), element in zip(self.fields, plain, strict=False):
            try:
                values[name] = kind.from_plain(element, tally)
            except RemoteError as error:
                raise RemoteError(f"{self.built.__name__}.{name}: {error.message}") from None
        return self.built(**values)

    def words(self) -> str:
        return self.built.__name__


def pack(plain: object) -> bytes:
    """MessagePack of plain values, the shortest form of each."""
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def unpack(data: bytes, bytes_max: int = MESSAGE_BYTES_MAX) -> object:
    """The plain value in ``data``; :class:`RemoteError` where it is not exactly one, or too big.

    Extension types, maps with keys other than text or bytes, and nesting that the unpacker's
    fixed stack cannot hold are refused by the unpacker itself.
    """
    if len(data) > bytes_max:
        raise RemoteError(f"expected at most {bytes_max:,} bytes, got {len(data):,}")
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=bytes_max,
            max_bin_len=bytes_max,
            max_array_len=ARRAY_MAX,
            max_map_len=ARRAY_MAX,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise RemoteError(f"expected MessagePack, got {len(data):,} bytes: {error}") from None


def _short(plain: object) -> str:
    if isinstance(plain, (bytes, str, list, dict)):
        return f"{type(plain).__name__} of length {len(plain)}"
    return f"{type(plain).__name__} {plain!r:.40}"


def _amount(number: int) -> str:
    if number >= 1 << 16 and (number + 1) & number == 0:
        return f"2^{number.bit_length()}−1"
    return f"{number:,}"
