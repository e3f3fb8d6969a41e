"""An elite as a node publishes it: every field, its signed bytes, and the order of items.

A raw item is the origin's ed25519 signature (64 bytes) and the body that it covers. Relays
forward the raw bytes unchanged; nothing is ever re-encoded from a decoded item.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from deid.errors import LocalError, RemoteError
from deid.search.canonical import HASH_BYTES, digest_bytes
from deid.search.evaluation import Evaluation
from deid.wire.codec import (
    Blob,
    EpochInt,
    EvaluationOf,
    Flag,
    ListOf,
    Pair,
    Seqs,
    Struct,
    Tally,
    Text,
    UInt,
    pack,
    unpack,
)
from deid.wire.keys import KEY_BYTES, SIGNATURE_BYTES, KeyPair, Verify, verify_signature
from deid.wire.seqset import SEQ_MAX, SeqSet

ITEM_BYTES_MAX = 64 << 10  # a raw item, signature included
NAME_BYTES_MAX = 64
LABEL_BYTES_MAX = 128  # operator, model, a label of the ancestry
CODE_BYTES_MAX = 16 << 10
SOURCE_BYTES_MAX = 32 << 10
PARENTS_MAX = 8
ANCESTRY_MAX = 8
SHARE_WHOLE = 1 << 16  # ancestry shares are 65,536ths
MEASURES_MAX = 8
TRIALS_MAX = 1 << 20
LIVE_RANGES_MAX = 1_024  # of the origin's live sequence numbers in one item
ROUND_MAX = (1 << 32) - 1

_QUOTIENT_BITS = 41  # see Item.order_key
_CONTEXT = b"deid item 1\x00"  # a signature over an item can never be one over anything else


class ItemName(NamedTuple):
    """What names an item: no two items of a correct origin share it."""

    origin: bytes
    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.origin.hex()[:8]}/{self.epoch >> 64}/{self.seq}"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the attempts that led to an item."""

    input_tokens: Annotated[int, UInt()] = 0
    output_tokens: Annotated[int, UInt()] = 0
    cached_tokens: Annotated[int, UInt()] = 0
    reasoning_tokens: Annotated[int, UInt()] = 0


@dataclass(frozen=True, slots=True)
class Item:
    """One elite.

    origin: ed25519 public key of the node that published it.
    epoch, seq: its place in the origin's log.
    node: the origin's name, for people.
    round: the origin's round in which it was first proposed.
    champion: the best elite of that round (otherwise it is an improving one).
    code: canonical form of the program; its hash is the content hash.
    parents: content hashes, the first is the one that was changed.
    prompt_hash: BLAKE2b-256 of the prompt; empty where there was none.
    price: micro-USD.
    claim: the evaluation in the reference context, as the origin computed it.
    ancestry: (label, share) with shares in 65,536ths, at most 65,536 together.
    live: the sequence numbers of this epoch that the origin keeps, this one included.
    """

    origin: Annotated[bytes, Blob(KEY_BYTES)]
    epoch: Annotated[int, EpochInt()]
    seq: Annotated[int, UInt(SEQ_MAX, low=1)]
    task_hash: Annotated[bytes, Blob(HASH_BYTES)]
    node: Annotated[str, Text(NAME_BYTES_MAX, 1)]
    round: Annotated[int, UInt(ROUND_MAX)]
    champion: Annotated[bool, Flag()]
    code: Annotated[bytes, Blob(CODE_BYTES_MAX, 1)]
    source: Annotated[str, Text(SOURCE_BYTES_MAX, lines=True)]
    parents: Annotated[tuple[bytes, ...], ListOf(Blob(HASH_BYTES), PARENTS_MAX)]
    operator: Annotated[str, Text(LABEL_BYTES_MAX, 1)]
    model: Annotated[str, Text(LABEL_BYTES_MAX)]
    prompt_hash: Annotated[bytes, Blob(HASH_BYTES, or_empty=True)]
    usage: Annotated[Usage, Struct(Usage)]
    price: Annotated[int, UInt()]
    claim: Annotated[Evaluation, EvaluationOf(MEASURES_MAX, TRIALS_MAX)]
    ancestry: Annotated[
        tuple[tuple[str, int], ...],
        ListOf(Pair(Text(LABEL_BYTES_MAX, 1), UInt(SHARE_WHOLE)), ANCESTRY_MAX),
    ]
    live: Annotated[SeqSet, Seqs(LIVE_RANGES_MAX)]
    content_hash: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content_hash", digest_bytes(self.code))

    @property
    def name(self) -> ItemName:
        return ItemName(self.origin, self.epoch, self.seq)

    @property
    def order_key(self) -> tuple[int, bytes, bytes, int, int]:
        """Ascending from the best: more points a trial, then the smaller content hash, origin,
        epoch, seq. No two items share a key.

        Exact: with trials <= 2**20 two unequal quotients differ by more than 2**-41.
        """
        quotient = (self.claim.points << _QUOTIENT_BITS) // self.claim.trials
        return (-quotient, self.content_hash, self.origin, self.epoch, self.seq)


@dataclass(frozen=True, slots=True)
class SignedItem:
    """The exact bytes of an item, and what they say.

    body_hash: BLAKE2b-256 of the signed bytes; two of one name with different ones are
    equivocation.
    """

    raw: bytes = field(repr=False)
    item: Item
    body_hash: bytes = field(repr=False)

    @property
    def name(self) -> ItemName:
        return self.item.name


_BODY = Struct(Item)


def sign(item: Item, keys: KeyPair) -> SignedItem:
    """``item`` as its origin publishes it.

    :class:`LocalError` where the key is not the origin's or a field breaks its bound.
    """
    if item.origin != keys.public:
        raise LocalError(f"item {item.name} cannot be signed with the key {keys.public.hex()[:8]}")
    body = pack(_BODY.to_plain(item))
    try:
        _parse(body, Tally())
        _check_size(SIGNATURE_BYTES + len(body))
    except RemoteError as error:
        raise LocalError(f"item {item.name} cannot be published: {error.message}") from error
    return SignedItem(keys.sign(_CONTEXT + body) + body, item, digest_bytes(body))


def open_item(
    raw: bytes, *, verify: Verify = verify_signature, tally: Tally | None = None
) -> SignedItem:
    """The item in ``raw``, checked: size, types, bounds, then its signature.

    :class:`RemoteError` where any of them fails.
    """
    return verified(parse_item(raw, tally=tally), verify)


def parse_item(raw: bytes, *, tally: Tally | None = None) -> SignedItem:
    """The item in ``raw`` with everything checked but its signature: enough to see that it is
    held already. Never store or forward it before :func:`verified`."""
    _check_size(len(raw))
    body = raw[SIGNATURE_BYTES:]
    return SignedItem(raw, _parse(body, tally or Tally()), digest_bytes(body))


def verified(signed: SignedItem, verify: Verify = verify_signature) -> SignedItem:
    """``signed`` itself; :class:`RemoteError` where the signature is not its origin's."""
    signature, body = signed.raw[:SIGNATURE_BYTES], signed.raw[SIGNATURE_BYTES:]
    if not verify(signed.item.origin, signature, _CONTEXT + body):
        raise RemoteError(f"item {signed.name}: the signature is not its origin's")
    return signed


def _check_size(size: int) -> None:
    if not SIGNATURE_BYTES < size <= ITEM_BYTES_MAX:
        raise RemoteError(f"item: expected at most {ITEM_BYTES_MAX:,} bytes, got {size:,}")


def _parse(body: bytes, tally: Tally) -> Item:
    item = _BODY.from_plain(unpack(body, ITEM_BYTES_MAX), tally)
    if item.live.last != item.seq:
        raise RemoteError(f"item {item.name}: expected live to end with its own seq")
    if sum(share for _, share in item.ancestry) > SHARE_WHOLE:
        raise RemoteError(f"item {item.name}: ancestry shares exceed {SHARE_WHOLE:,} together")
    return item
