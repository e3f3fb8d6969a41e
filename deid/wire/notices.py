"""Events on their way to the rim, and the counters beside them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from deid.wire.events import (
    ClaimAccused,
    Equivocation,
    Event,
    ItemReceived,
    ItemsExpired,
    OwnLogBehind,
)

_MUST_ARRIVE = (ItemReceived, ItemsExpired, OwnLogBehind, Equivocation, ClaimAccused)


@dataclass(slots=True)
class Counters:
    """What a node counted since it started.

    early: messages on links whose other end is not proven (yet, or any more).
    duplicates: items that were held already. unknown_*: from newer minor versions.
    dropped_notices: events lost to the bound.
    """

    messages: int = 0
    refused: int = 0
    early: int = 0
    unknown_messages: int = 0
    unknown_fields: int = 0
    items_taken: int = 0
    duplicates: int = 0
    dropped_notices: int = 0


class Notices:
    """Events until they are drained. Those on which the search or the store depend are never
    dropped: they are bounded by what the logs take in. The others are, oldest first."""

    def __init__(self, notices_max: int) -> None:
        self._must: list[Event] = []
        self._may: deque[Event] = deque(maxlen=notices_max)
        self.counters = Counters()

    def tell(self, event: Event) -> None:
        if isinstance(event, _MUST_ARRIVE):
            self._must.append(event)
            return
        if len(self._may) == self._may.maxlen:
            self.counters.dropped_notices += 1
        self._may.append(event)

    def drain(self) -> list[Event]:
        """All events, those for the search and the store first; each kind in its order."""
        drained = [*self._must, *self._may]
        self._must.clear()
        self._may.clear()
        return drained
