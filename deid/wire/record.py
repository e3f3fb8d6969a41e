"""The signed peer record, and the proof that a link's other end holds its key.

Only the subject of a record can raise its incarnation, so nobody is renamed, readdressed or
removed by what others say. Over CURVE the proof becomes redundant; the record stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from deid.errors import LocalError, RemoteError
from deid.search.canonical import HASH_BYTES, digest_bytes
from deid.wire.codec import Blob, EpochInt, Struct, Tally, Text, UInt, pack, unpack
from deid.wire.item import NAME_BYTES_MAX
from deid.wire.keys import KEY_BYTES, SIGNATURE_BYTES, KeyPair, Verify
from deid.wire.messages import RECORD_BYTES_MAX, VERSION_MAX, Hello, Open

ADDRESS_BYTES_MAX = 255

_RECORD_CONTEXT = b"deid peer 1\x00"
_HELLO_CONTEXT = b"deid hello 1\x00"


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What a node says about itself.

    address: where it may be dialled; empty when nobody can.
    incarnation: of two records of one key the higher counts.
    """

    key: Annotated[bytes, Blob(KEY_BYTES)]
    incarnation: Annotated[int, UInt()]
    epoch: Annotated[int, EpochInt()]
    name: Annotated[str, Text(NAME_BYTES_MAX, 1)]
    address: Annotated[str, Text(ADDRESS_BYTES_MAX)]
    task_hash: Annotated[bytes, Blob(HASH_BYTES)]
    minor: Annotated[int, UInt(VERSION_MAX)]


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """The exact bytes of a record, and what they say."""

    raw: bytes = field(repr=False)
    record: PeerRecord


_BODY = Struct(PeerRecord)


def sign_record(record: PeerRecord, keys: KeyPair) -> SignedRecord:
    """``record`` signed by its subject; :class:`LocalError` where a field breaks its bound."""
    body = pack(_BODY.to_plain(record))
    raw = keys.sign(_RECORD_CONTEXT + body) + body
    try:
        return parse_record(raw)
    except RemoteError as error:
        raise LocalError(f"this node's peer record: {error.message}") from error


def parse_record(raw: bytes, tally: Tally | None = None) -> SignedRecord:
    """The record in ``raw``, checked but for its signature; :class:`RemoteError` otherwise."""
    if not SIGNATURE_BYTES < len(raw) <= RECORD_BYTES_MAX:
        raise RemoteError(f"record: expected at most {RECORD_BYTES_MAX:,} bytes, got {len(raw):,}")
    body = unpack(raw[SIGNATURE_BYTES:], RECORD_BYTES_MAX)
    return SignedRecord(raw, _BODY.from_plain(body, tally or Tally()))


def verified_record(signed: SignedRecord, verify: Verify) -> SignedRecord:
    """``signed`` itself; :class:`RemoteError` where the signature is not its subject's."""
    signature, body = signed.raw[:SIGNATURE_BYTES], signed.raw[SIGNATURE_BYTES:]
    if not verify(signed.record.key, signature, _RECORD_CONTEXT + body):
        raise RemoteError(f"record of {signed.record.key.hex()[:8]}: the signature is not its own")
    return signed


def answer(
    opened: Open, record: SignedRecord, session: bytes, keys: KeyPair, *, links: int = 0
) -> Hello:
    """The hello that proves to the sender of ``opened`` who is at this end of the link."""
    proof = keys.sign(_proven(opened.nonce, opened.key, session, record.raw))
    return Hello(session, record.raw, proof, min(links, VERSION_MAX))


def verified_hello(
    hello: Hello, nonce: bytes, asker: bytes, verify: Verify, known: SignedRecord | None = None
) -> SignedRecord:
    """The record of the node that proved to hold its key in answer to ``nonce`` of ``asker``.

    known: a record verified before; the same bytes are not verified twice.
    :class:`RemoteError` where anything does not hold.
    """
    signed = parse_record(hello.record)
    if not verify(
        signed.record.key, hello.proof, _proven(nonce, asker, hello.session, hello.record)
    ):
        raise RemoteError(f"hello of {signed.record.key.hex()[:8]}: the proof does not hold")
    if known is not None and known.raw == signed.raw:
        return known
    return verified_record(signed, verify)


def _proven(nonce: bytes, asker: bytes, session: bytes, record: bytes) -> bytes:
    """Every part has a fixed length, so no two readings share one message."""
    return _HELLO_CONTEXT + nonce + asker + session + digest_bytes(record)
