"""What waits to be sent, per link, within byte budgets: small control messages overtake items.

Overflow drops the newest message and says so; repair brings back what it carried.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from deid.wire.events import Link


class _Lane:
    __slots__ = ("bytes", "bytes_max", "messages")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max = bytes_max
        self.bytes = 0
        self.messages: deque[bytes] = deque()

    def put(self, data: bytes) -> bool:
        if self.bytes + len(data) > self.bytes_max:
            return False
        self.messages.append(data)
        self.bytes += len(data)
        return True


class Outbox:
    """Two lanes a link; ``dropped`` counts messages that found theirs full."""

    def __init__(self, control_bytes_max: int, bulk_bytes_max: int) -> None:
        self._control_bytes_max = control_bytes_max
        self._bulk_bytes_max = bulk_bytes_max
        self._links: dict[Link, tuple[_Lane, _Lane]] = {}
        self.dropped = 0

    def put(self, link: Link, data: bytes, *, bulk: bool = False) -> bool:
        """Queue ``data`` for ``link``; False where its lane is full and it was dropped."""
        lanes = self._links.get(link)
        if lanes is None:
            lanes = _Lane(self._control_bytes_max), _Lane(self._bulk_bytes_max)
            self._links[link] = lanes
        taken = lanes[bulk].put(data)
        self.dropped += not taken
        return taken

    def drain(self, blocked: Collection[Link] = ()) -> list[tuple[Link, bytes]]:
        """Everything queued but for ``blocked`` links, which keep theirs."""
        sent: list[tuple[Link, bytes]] = []
        for link in [link for link in self._links if link not in blocked]:
            for lane in self._links.pop(link):
                sent += ((link, data) for data in lane.messages)
        return sent

    def forget(self, link: Link) -> None:
        """The link is gone, and what waited for it."""
        self._links.pop(link, None)

    @property
    def bytes(self) -> int:
        """Bytes queued for all links."""
        return sum(lane.bytes for lanes in self._links.values() for lane in lanes)
