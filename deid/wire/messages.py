"""Every message of the protocol, declared once: number, purpose, fields with types and bounds.

On the wire a message is the MessagePack array of its number and its fields in order. A message
with an unknown number, or with more fields than declared, comes from a newer minor version: the
unknown part is ignored and counted. ``docs/protocol.md`` shows the table that
:func:`message_table` draws from these declarations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

from deid.errors import LocalError, RemoteError
from deid.search.canonical import HASH_BYTES
from deid.wire.codec import (
    MESSAGE_BYTES_MAX,
    Blob,
    EpochInt,
    Flag,
    ListOf,
    OneOf,
    Seqs,
    Struct,
    Tally,
    Text,
    UInt,
    pack,
    unpack,
)
from deid.wire.item import ITEM_BYTES_MAX, LIVE_RANGES_MAX, ROUND_MAX
from deid.wire.keys import KEY_BYTES, SIGNATURE_BYTES
from deid.wire.seqset import SEQ_MAX, SeqSet

MAJOR = 1  # must match
MINOR = 0  # the smaller of both sides is spoken

NONCE_BYTES = 16
SESSION_BYTES = 8
PREFIX_BYTES = 8  # of a key, where a list of peers need only be told apart
RECORD_BYTES_MAX = 1 << 10
RECORDS_MAX = 64
LINKED_MAX = 64
ITEMS_MAX = 1_024
LOGS_MAX = 512  # in one message; more go into the next
ORIGINS_PROVEN_MAX = 64
DIGEST_PREFIX_BYTES = 16  # of a log's digest: 2**64 tries to find two that agree
BODY_PREFIX_BYTES = 16  # of an item's body hash
VARIANTS_MAX = 32_768  # items of one log whose bodies are told at a time
PARTS = 64  # of all logs, by six bits of their origins' keys
ALL_PARTS = b"\xff" * (PARTS // 8)
PART_HASH_BYTES = 8  # enough to tell apart; a collision is found at the next change
DISTANCE_MAX = 64  # links from the root of the tree
VERSION_MAX = 255
NUMBER_MAX = (1 << 16) - 1

M = TypeVar("M")


class Reason(IntEnum):
    """Why a link is refused."""

    VERSION = 1
    FULL = 2
    SELF = 3
    UNPROVEN = 4
    REDUNDANT = 5

    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class LogSeqs:
    """Sequence numbers of one log."""

    origin: Annotated[bytes, Blob(KEY_BYTES), "the log's origin"]
    epoch: Annotated[int, EpochInt(), "the log's epoch"]
    seqs: Annotated[SeqSet, Seqs(LIVE_RANGES_MAX), "which of its items"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a node is; rides on pings, so that equal nodes need no other traffic."""

    epoch: Annotated[int, EpochInt(), "the sender's epoch"]
    round: Annotated[int, UInt(ROUND_MAX), "its newest round in that epoch"]
    held: Annotated[int, UInt(), "items that it holds"]
    root: Annotated[bytes, Blob(HASH_BYTES), "hash over the names of all of them"]


_LOGS = ListOf(Struct(LogSeqs), LOGS_MAX)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A message's number, class and structure."""

    number: int
    built: type[Any]
    struct: Struct[Any]


DECLARATIONS: dict[int, Declaration] = {}


def _declare(number: int) -> Callable[[type[M]], type[M]]:
    def register(built: type[M]) -> type[M]:
        assert number not in DECLARATIONS, f"message {number} is declared twice"
        DECLARATIONS[number] = Declaration(number, built, Struct(built))
        return built

    return register


@_declare(1)
@dataclass(frozen=True, slots=True)
class Open:
    """First on a link, again until the other side is known: states the version, asks for proof."""

    major: Annotated[int, UInt(VERSION_MAX), "must match"]
    minor: Annotated[int, UInt(VERSION_MAX), "the smaller of both is spoken"]
    session: Annotated[bytes, Blob(SESSION_BYTES), "random, one per start of the process"]
    key: Annotated[bytes, Blob(KEY_BYTES), "who asks (proven by its own hello)"]
    nonce: Annotated[bytes, Blob(NONCE_BYTES), "the challenge; random, one per link"]


@_declare(2)
@dataclass(frozen=True, slots=True)
class Hello:
    """Answers an open: the sender's signed record, and proof that it holds the key on this link."""

    session: Annotated[bytes, Blob(SESSION_BYTES), "as in its open"]
    record: Annotated[bytes, Blob(RECORD_BYTES_MAX, 1), "its signed peer record"]
    proof: Annotated[
        bytes, Blob(SIGNATURE_BYTES), "signature over challenge, asker's key, session, record"
    ]
    links: Annotated[int, UInt(VERSION_MAX), "peers that it reaches; few have precedence"]


@_declare(3)
@dataclass(frozen=True, slots=True)
class Refuse:
    """Ends a link and says why."""

    reason: Annotated[Reason, OneOf(Reason), "the reason"]
    detail: Annotated[str, Text(200), "the same for people"]


@_declare(4)
@dataclass(frozen=True, slots=True)
class Bye:
    """The sender leaves on purpose; its items stay."""


@_declare(5)
@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a sign of life and tells how far the sender is."""

    nonce: Annotated[int, UInt(), "comes back in the pong"]
    progress: Annotated[Progress, Struct(Progress), "the sender's"]


@_declare(6)
@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping."""

    nonce: Annotated[int, UInt(), "of the ping"]
    progress: Annotated[Progress, Struct(Progress), "the sender's"]


@_declare(7)
@dataclass(frozen=True, slots=True)
class Status:
    """Told to all when it changes: a new round, another set of live neighbours."""

    progress: Annotated[Progress, Struct(Progress), "the sender's"]
    linked: Annotated[
        tuple[bytes, ...],
        ListOf(Blob(PREFIX_BYTES), LINKED_MAX),
        "key prefixes of the peers that it hears and reaches",
    ]


@_declare(8)
@dataclass(frozen=True, slots=True)
class Peers:
    """Peer exchange: signed records of members, candidates for dialling and nothing more."""

    records: Annotated[
        tuple[bytes, ...], ListOf(Blob(RECORD_BYTES_MAX, 1), RECORDS_MAX), "signed peer records"
    ]


@_declare(9)
@dataclass(frozen=True, slots=True)
class Items:
    """Raw items, pushed by their origin or pulled from any holder; each is judged by itself."""

    raws: Annotated[
        tuple[bytes, ...], ListOf(Blob(ITEM_BYTES_MAX, 1), ITEMS_MAX), "the origins' exact bytes"
    ]


@_declare(10)
@dataclass(frozen=True, slots=True)
class Have:
    """Names of items just taken in, for a peer that their origin cannot reach."""

    logs: Annotated[tuple[LogSeqs, ...], _LOGS, "what the sender holds; each log once, in order"]


@_declare(11)
@dataclass(frozen=True, slots=True)
class Compare:
    """What the sender holds, log by log; the other side pulls what it lacks."""

    ask: Annotated[bool, Flag(), "answer with your own"]
    logs: Annotated[tuple[LogSeqs, ...], _LOGS, "what the sender holds; each log once, in order"]
    digests: Annotated[
        tuple[bytes, ...],
        ListOf(Blob(DIGEST_PREFIX_BYTES), LOGS_MAX),
        "of each of these logs, over its items' bodies",
    ]
    proven: Annotated[
        tuple[bytes, ...],
        ListOf(Blob(KEY_BYTES), ORIGINS_PROVEN_MAX),
        "origins of whose equivocation the sender has a proof",
    ]
    parts: Annotated[
        bytes, Blob(PARTS // 8), "which of the 64 parts are told; bit n of the integer"
    ] = ALL_PARTS


@_declare(12)
@dataclass(frozen=True, slots=True)
class Pull:
    """Asks for items by name; answered by items and, for what is not held, absent."""

    logs: Annotated[tuple[LogSeqs, ...], _LOGS, "what the sender lacks"]


@_declare(13)
@dataclass(frozen=True, slots=True)
class Absent:
    """Names that were pulled and are not held."""

    logs: Annotated[tuple[LogSeqs, ...], _LOGS, "what the sender does not hold"]


@_declare(14)
@dataclass(frozen=True, slots=True)
class Variants:
    """Which items the sender holds in a log whose digest differs: one name, two items."""

    origin: Annotated[bytes, Blob(KEY_BYTES), "the log's origin"]
    epoch: Annotated[int, EpochInt(), "the log's epoch"]
    seqs: Annotated[SeqSet, Seqs(LIVE_RANGES_MAX), "the newest of its items"]
    bodies: Annotated[
        bytes, Blob(VARIANTS_MAX * BODY_PREFIX_BYTES, 0), "16 bytes of the body hash of each"
    ]


@_declare(15)
@dataclass(frozen=True, slots=True)
class Proof:
    """Two items of one name, both signed: their origin equivocates."""

    one: Annotated[bytes, Blob(ITEM_BYTES_MAX, 1), "the origin's exact bytes"]
    two: Annotated[bytes, Blob(ITEM_BYTES_MAX, 1), "the same, of the other item"]


@_declare(16)
@dataclass(frozen=True, slots=True)
class Accuse:
    """Names an item whose reference claim is false; believed by nobody who did not check it."""

    origin: Annotated[bytes, Blob(KEY_BYTES), "the item's origin"]
    epoch: Annotated[int, EpochInt(), "the item's epoch"]
    seq: Annotated[int, UInt(SEQ_MAX, low=1), "the item's number"]
    body: Annotated[bytes, Blob(HASH_BYTES), "its body hash"]


@_declare(17)
@dataclass(frozen=True, slots=True)
class Digest:
    """What the sender holds, in hashes by parts; answered by a compare of those that differ."""

    hashes: Annotated[
        bytes, Blob(PARTS * PART_HASH_BYTES), "8 bytes for each of the 64 parts, in order"
    ]


@_declare(18)
@dataclass(frozen=True, slots=True)
class Probe:
    """Asks to ping another peer, which does not answer the sender."""

    key: Annotated[bytes, Blob(KEY_BYTES), "whom to ping"]


@_declare(19)
@dataclass(frozen=True, slots=True)
class Vouch:
    """Answers a probe: the sender has just heard that peer."""

    key: Annotated[bytes, Blob(KEY_BYTES), "who is alive"]


@_declare(20)
@dataclass(frozen=True, slots=True)
class Suspect:
    """The sender's own verdict; its subject answers by a record of a higher incarnation."""

    key: Annotated[bytes, Blob(KEY_BYTES), "who does not answer"]
    incarnation: Annotated[int, UInt(), "of the newest record that the sender has of it"]


@_declare(21)
@dataclass(frozen=True, slots=True)
class Tree:
    """The sender's place in the tree along which payloads travel; passed on, when it is new."""

    root: Annotated[bytes, Blob(KEY_BYTES), "who counts"]
    count: Annotated[int, UInt(low=1), "its newest count"]
    distance: Annotated[int, UInt(DISTANCE_MAX), "links between the root and the sender"]
    push: Annotated[bool, Flag(), "the receiver is the sender's parent"]


Message = (
    Open
    | Hello
    | Refuse
    | Bye
    | Ping
    | Pong
    | Status
    | Peers
    | Items
    | Have
    | Compare
    | Pull
    | Absent
    | Variants
    | Proof
    | Accuse
    | Digest
    | Probe
    | Vouch
    | Suspect
    | Tree
)

_NUMBERS = {declaration.built: declaration.number for declaration in DECLARATIONS.values()}


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message, or None where its number is unknown here; and how many fields were unknown."""

    message: Message | None
    unknown_fields: int


def encode(message: Message) -> bytes:
    """The bytes of ``message``; :class:`LocalError` where they exceed what a peer takes."""
    number = _NUMBERS[type(message)]
    plain = cast(list[object], DECLARATIONS[number].struct.to_plain(message))
    data = pack([number, *plain])
    if len(data) > MESSAGE_BYTES_MAX:
        raise LocalError(
            f"{type(message).__name__}: expected at most {MESSAGE_BYTES_MAX:,} bytes, "
            f"got {len(data):,}"
        )
    return data


def decode(data: bytes) -> Decoded:
    """The message in ``data``; :class:`RemoteError` where it breaks any bound."""
    plain = unpack(data)
    if type(plain) is not list or not plain:
        raise RemoteError("message: expected an array that starts with its number")
    number = plain[0]
    if type(number) is not int or not 0 <= number <= NUMBER_MAX:
        raise RemoteError(f"message: expected a number 0…{NUMBER_MAX:,}, got {number!r:.40}")
    declaration = DECLARATIONS.get(number)
    if declaration is None:
        return Decoded(None, 0)
    tally = Tally()
    message = declaration.struct.from_plain(plain[1:], tally)
    return Decoded(message, tally.unknown_fields)


def message_table() -> str:
    """All messages as a Markdown table, for ``docs/protocol.md``."""
    lines = ["| no. | message | field | type and bounds | meaning |", "|---|---|---|---|---|"]
    for declaration in DECLARATIONS.values():
        lines.append(f"| {declaration.number} | **{declaration.built.__name__}** | | | "
                     f"{_purpose(declaration.built)} |")  # fmt: skip
        lines += _field_rows(declaration.built)
    for part in (Progress, LogSeqs):
        lines.append(f"| | *{part.__name__}* | | | {_purpose(part)} |")
        lines += _field_rows(part)
    return "\n".join(lines) + "\n"


def _purpose(built: type[Any]) -> str:
    return " ".join((built.__doc__ or "").split())


def _field_rows(built: type[Any]) -> list[str]:
    hints = get_type_hints(built, include_extras=True)
    rows = []
    for each in fields(built):
        _, kind, meaning = get_args(hints[each.name])
        rows.append(f"| | | `{each.name}` | {kind.words()} | {meaning} |")
    return rows
