"""What goes into the journal and comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b

from deid.search.archive import Name
from deid.search.records import Row

CHAIN_BYTES = 32
FIRST_CHAIN = bytes(CHAIN_BYTES)  # what stands before the first row


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the last row's seq (0: no row yet), and the journal hash."""

    seq: int = 0
    chain: bytes = FIRST_CHAIN

    def after(self, row: Row) -> Head:
        """The head once ``row`` is appended."""
        return Head(self.seq + 1, chain_after(self.chain, row.kind, row.body))


def chain_after(chain: bytes, kind: str, body: bytes) -> bytes:
    """BLAKE2b-256 of ``chain``, the length of ``kind`` in one byte, ``kind`` in UTF-8, ``body``."""
    name = kind.encode("utf-8")
    return blake2b(
        b"".join((chain, bytes((len(name),)), name, body)), digest_size=CHAIN_BYTES
    ).digest()


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of the journal; ``chain`` is the journal hash up to and with it."""

    seq: int
    row: Row
    chain: bytes


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A published item that this node holds.

    name: (origin key, epoch, seq), epoch < 2**128; raw: the exact signed bytes.
    own: published by this node, under any of its epochs.
    """

    name: Name
    content_hash: bytes
    own: bool
    raw: bytes = field(repr=False)


class AttemptState(Enum):
    """Where an attempt stands; only ``settled`` costs less than what was reserved."""

    RESERVED = "reserved"  # under way
    SETTLED = "settled"  # the usage is known
    UNKNOWN = "unknown"  # the outcome is not: the reservation stays charged
    ORPHANED = "orphaned"  # its daemon died under way: charged, and no part of a replay


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to a model; the journal keeps one row for each, replaced whole as it proceeds.

    round, iteration, ordinal: the replay key within this node; ordinal counts in the call.
    serial: 0, and one more for every attempt of this key that was orphaned before.
    request, reply: bytes of the caller's choice; reply is empty until there is one.
    outcome: a word, empty while reserved.
    usage: input, output, cached, reasoning tokens: the worst case until settled, then reported.
    reserved_micro_usd, settled_micro_usd: 10^-6 USD; settled is None until it is known.
    reserved_ms, settled_ms: wall clock since 1970; 0 for what has not happened.
    """

    round: int
    iteration: int
    ordinal: int
    serial: int
    request_hash: bytes
    state: AttemptState
    operator: str
    model: str
    request: bytes = field(repr=False)
    reply: bytes = field(default=b"", repr=False)
    outcome: str = ""
    usage: tuple[int, int, int, int] = (0, 0, 0, 0)
    reserved_micro_usd: int = 0
    settled_micro_usd: int | None = None
    reserved_ms: int = 0
    settled_ms: int = 0

    @property
    def charged_micro_usd(self) -> int:
        """What the budget counts."""
        if self.settled_micro_usd is None:
            return self.reserved_micro_usd
        return self.settled_micro_usd


@dataclass(frozen=True, slots=True)
class Charged:
    """Sums over attempts, as the budget counts them: the worst case where usage is not settled."""

    attempts: int
    usage: tuple[int, int, int, int]
    micro_usd: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is committed together or not at all, applied in the order of the fields.

    rows: appended to the chain; items, attempts: a second one of the same name or key replaces
    the first; dropped: names of items that retention gives up; meta: values by key.
    """

    rows: tuple[Row, ...] = ()
    items: tuple[StoredItem, ...] = ()
    dropped: tuple[Name, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    meta: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What :meth:`JournalReader.verify` found.

    head: the end of the chain as recomputed, up to what is broken.
    broken_seq: the first row that is missing, unreadable, or whose chain differs; None: all hold.
    """

    head: Head
    broken_seq: int | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.broken_seq is None
