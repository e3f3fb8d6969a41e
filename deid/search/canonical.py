"""Canonical bytes of plain values, and the hashes taken over them.

Canonical form: MessagePack with the shortest encoding of every value, maps with their keys in
ascending order, text as UTF-8, tuples as arrays, and no floats: what a hash covers is integers,
text, bytes, booleans, nil, arrays and maps of them. Two nodes that agree on the values agree on
the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, TypeAlias

import msgpack

Plain: TypeAlias = "bool | int | str | bytes | Sequence[Plain] | Mapping[str, Plain] | None"

HASH_BYTES = 32  # BLAKE2b-256


def encode(value: Plain) -> bytes:
    """Canonical MessagePack of ``value``; :class:`TypeError` on a float or an object in it."""
    packed: bytes = msgpack.packb(_ordered(value), use_bin_type=True)
    return packed


def digest(value: Plain) -> bytes:
    """BLAKE2b-256 of the canonical bytes of ``value`` (32 bytes)."""
    return blake2b(encode(value), digest_size=HASH_BYTES).digest()


def digest_bytes(data: bytes) -> bytes:
    """BLAKE2b-256 of ``data`` as it stands (32 bytes)."""
    return blake2b(data, digest_size=HASH_BYTES).digest()


def decode(data: bytes) -> Any:
    """The values of canonical bytes that this node wrote itself (arrays come back as lists).

    For bytes of others use the codec in :mod:`deid.wire`, which sets limits.
    """
    return msgpack.unpackb(data, raw=False, strict_map_key=True)


def _ordered(value: Plain) -> Plain:
    if value is None or isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_ordered(item) for item in value]
    raise TypeError(f"no canonical form for {type(value).__name__}: {value!r:.80}")
