"""Equivocation: two signed items of one name prove that their origin broke its word.

What follows for the items does not need the proof: of two items of one name every node keeps the
one with the smaller body hash, so all end with the same whichever came first. The proof tells
which key did it. A node keeps one an origin, of the origins with the smallest keys where there are
more than it has room for; so all nodes come to keep proofs of the same origins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deid.errors import RemoteError
from deid.wire.item import ItemName, SignedItem, parse_item, verified
from deid.wire.keys import Verify, verify_signature


@dataclass(frozen=True, slots=True)
class Fork:
    """Two items of one name; ``kept`` has the smaller body hash."""

    kept: SignedItem = field(repr=False)
    other: SignedItem = field(repr=False)

    @property
    def name(self) -> ItemName:
        return self.kept.name

    @staticmethod
    def of(one: SignedItem, two: SignedItem) -> Fork:
        """The proof that two verified items make; :class:`RemoteError` where they make none."""
        if one.name != two.name or one.body_hash == two.body_hash:
            raise RemoteError(f"proof: expected two items of one name, got {one.name}, {two.name}")
        return Fork(one, two) if one.body_hash < two.body_hash else Fork(two, one)


def open_proof(one: bytes, two: bytes, verify: Verify = verify_signature) -> Fork:
    """The proof in two raw items, checked in full; :class:`RemoteError` where it is none."""
    fork = Fork.of(parse_item(one), parse_item(two))
    verified(fork.kept, verify)
    verified(fork.other, verify)
    return fork


class Proofs:
    """At most ``proofs_max`` proofs, one an origin; so at most 128 KiB times that."""

    def __init__(self, proofs_max: int) -> None:
        self._proofs_max = proofs_max
        self._forks: dict[bytes, Fork] = {}

    def __len__(self) -> int:
        return len(self._forks)

    def __contains__(self, origin: bytes) -> bool:
        return origin in self._forks

    def get(self, origin: bytes) -> Fork | None:
        return self._forks.get(origin)

    def origins(self) -> tuple[bytes, ...]:
        """Whose proofs are held, in order."""
        return tuple(sorted(self._forks))

    def all(self) -> tuple[Fork, ...]:
        return tuple(self._forks[origin] for origin in self.origins())

    def wanted(self, origin: bytes) -> bool:
        """Whether a proof against ``origin`` would be kept."""
        if origin in self._forks:
            return False
        return len(self._forks) < self._proofs_max or origin < max(self._forks, default=b"")

    def add(self, fork: Fork) -> bool:
        """Keep ``fork``; False where it is not :meth:`wanted`."""
        origin = fork.name.origin
        if not self.wanted(origin):
            return False
        self._forks[origin] = fork
        if len(self._forks) > self._proofs_max:
            del self._forks[max(self._forks)]
        return True
