"""Addresses to dial: seeds for ever, learned ones while there is room, each with its back-off.

Discovery yields candidates only. No reachable seed is a normal start: keep trying.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deid.search.streams import Stream
from deid.wire.config import NodeConfig

_HOPELESS = 4  # dials in a row without success, after which nobody counts on an address


@dataclass(slots=True)
class _Entry:
    """key: who was last known to be there; None before the first hello.
    tries: dials since the last success; misses: those of them that nobody answered at all.
    due_ms: not before."""

    seed: bool
    key: bytes | None
    due_ms: int
    tries: int = 0
    misses: int = 0
    linked: bool = False
    own: bool = False


class Book:
    """Which addresses the rim should dial, and when."""

    def __init__(self, config: NodeConfig, stream: Stream) -> None:
        self._config = config
        self._stream = stream
        self._entries: dict[str, _Entry] = {}
        for seed in config.seeds:
            if seed != config.address:
                self._entries[seed] = _Entry(seed=True, key=None, due_ms=0)

    def learn(self, now_ms: int, address: str, key: bytes, *, defer_ms: int = 0) -> None:
        """A member's signed record names ``address``."""
        if not address or address == self._config.address:
            return
        entry = self._entries.get(address)
        if entry is not None:
            # A seed is whoever proves itself there; of two claims to one address neither counts,
            # or a member could keep this node from dialling an address that is not its own.
            if not entry.seed and entry.key != key:
                entry.key = None
            return
        if not self._make_room():
            return
        self._entries[address] = _Entry(seed=False, key=key, due_ms=now_ms + defer_ms)

    def up(self, address: str) -> None:
        """A link that was dialled to ``address`` is up."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.linked = True

    def proven(self, address: str, key: bytes) -> None:
        """The node at ``address`` proved its key."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.key, entry.tries, entry.misses = key, 0, 0

    def down(self, now_ms: int, address: str) -> None:
        """The dialled link is gone."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.linked = False
            entry.due_ms = now_ms + self._delay_ms(entry.tries)

    def lost(self, now_ms: int, key: bytes) -> None:
        """The last link of ``key`` is gone, whoever dialled it."""
        for entry in self._entries.values():
            if entry.key == key and not entry.linked:
                entry.due_ms = min(entry.due_ms, now_ms + self._delay_ms(entry.tries))

    def refused(self, now_ms: int, address: str) -> None:
        """The node at ``address`` does not want this one, or the other way round: try seldom."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.linked = False
            entry.misses = 0
            entry.tries = max(entry.tries, self._config.dial_max_ms.bit_length())
            entry.due_ms = now_ms + self._delay_ms(entry.tries)

    def is_self(self, address: str) -> None:
        """This node answers at ``address``: never dial it again."""
        entry = self._entries.get(address)
        if entry is not None:
            entry.own, entry.linked = True, False

    def forget(self, address: str, key: bytes) -> None:
        """``key``, said to be at ``address``, is known no longer."""
        entry = self._entries.get(address)
        if entry is not None and entry.key == key and not (entry.seed or entry.linked):
            del self._entries[address]

    def hopeful(self, address: str) -> bool:
        """Whether somebody may well answer at ``address``."""
        entry = self._entries.get(address)
        return entry is not None and entry.misses < _HOPELESS

    def some(self, now_ms: int, linked: Callable[[bytes], bool], most: int) -> list[str]:
        """At most ``most`` addresses to dial now, at random; seeds only where nothing else is
        known, so that they do not carry the whole network."""
        learned: list[str] = []
        seeds: list[str] = []
        for address, entry in self._entries.items():
            if entry.own or entry.linked or now_ms < entry.due_ms:
                continue
            if entry.key is not None and linked(entry.key):
                continue
            (seeds if entry.seed and entry.tries else learned).append(address)
        found: list[str] = []
        for pool in (learned, seeds):
            while pool and len(found) < most:
                found.append(pool.pop(self._stream.below(len(pool))))
        for address in found:
            entry = self._entries[address]
            entry.tries += 1
            entry.misses += 1
            entry.due_ms = now_ms + self._delay_ms(entry.tries)
        return found

    def due(
        self, now_ms: int, linked: Callable[[bytes], bool], *, full: bool, most: int = 1_000
    ) -> list[str]:
        """Addresses to dial now; the next try of each is set as if this one failed.

        linked: whether a key is linked already, by whoever dialled. full: no room for new peers,
        so only seeds (which may be members under another address) are tried. most: how many at
        a time.
        """
        waiting: list[tuple[int, str]] = []
        for address, entry in self._entries.items():
            if entry.own or entry.linked or now_ms < entry.due_ms:
                continue
            if (full and not entry.seed) or (entry.key is not None and linked(entry.key)):
                entry.due_ms = now_ms + self._config.dial_max_ms
                continue
            waiting.append((entry.misses, address))
        waiting.sort(key=lambda each: each[0])  # made-up addresses do not hold up the others
        found = [address for _, address in waiting[:most]]
        for address in found:
            entry = self._entries[address]
            entry.tries += 1
            entry.misses += 1
            entry.due_ms = now_ms + self._delay_ms(entry.tries)
        return found

    def next_due_ms(self) -> int | None:
        waiting = [e.due_ms for e in self._entries.values() if not (e.own or e.linked)]
        return min(waiting, default=None)

    def addresses(self) -> tuple[str, ...]:
        """Learned addresses where a member proved its key or is said to be."""
        return tuple(sorted(a for a, e in self._entries.items() if not e.own and not e.seed))

    def _delay_ms(self, tries: int) -> int:
        """Doubled from ``dial_ms`` to ``dial_max_ms``, then between half and all of that."""
        shift = min(max(0, tries - 1), 20)
        delay = min(self._config.dial_ms << shift, self._config.dial_max_ms)
        return delay // 2 + self._stream.below(delay // 2 + 1)

    def _make_room(self) -> bool:
        learned = [(e.tries, a) for a, e in self._entries.items() if not e.seed]
        if len(learned) < self._config.addresses_max:
            return True
        failed = [pair for pair in learned if pair[0] > 1 and not self._entries[pair[1]].linked]
        if not failed:
            return False
        del self._entries[max(failed)[1]]
        return True
