"""The ed25519 key that names a node and signs what it publishes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY_BYTES = 32
SEED_BYTES = 32
SIGNATURE_BYTES = 64

Verify: TypeAlias = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, message) -> whether the signature holds."""


class KeyPair:
    """A private key and its public half (32 bytes, the node's identity)."""

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """The pair of a 32-byte private seed, as a key file keeps it."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same message always gets the same signature (RFC 8032)."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"KeyPair({self.public.hex()[:12]}…)"


def verify_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether ``signature`` over ``message`` is ``public``'s; about 100 us."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
