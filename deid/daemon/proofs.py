"""Proofs of equivocation over restarts: one value in the journal's table of values."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from deid.errors import RemoteError
from deid.search.canonical import decode, encode
from deid.store import Journal
from deid.wire.events import Equivocation
from deid.wire.messages import ORIGINS_PROVEN_MAX
from deid.wire.node import Node

log = structlog.get_logger(__name__)

META_PROOFS = "proofs"


class ProofStore:
    """What of the core's proofs is stored; no more of them than the core keeps."""

    def __init__(self, journal: Journal, proofs_max: int = ORIGINS_PROVEN_MAX) -> None:
        stored = journal.meta(META_PROOFS)
        self._proofs_max = proofs_max
        self._pairs: dict[bytes, tuple[bytes, bytes]] = {}
        if stored is not None:
            self._pairs = {origin: (kept, other) for origin, kept, other in decode(stored)}

    def restore(self, node: Node) -> None:
        """Gives the core what is stored, after its items."""
        for kept, other in self._pairs.values():
            try:
                node.restore_proof(kept, other)
            except RemoteError as error:
                log.warning("proof.unreadable", reason=error.message)

    def add(self, event: Equivocation) -> Mapping[str, bytes]:
        """What the journal stores from now on."""
        self._pairs[event.name.origin] = (event.kept, event.other)
        kept = sorted(self._pairs.items())[: self._proofs_max]  # as the core does
        self._pairs = dict(kept)
        return {META_PROOFS: encode([[origin, *pair] for origin, pair in kept])}
