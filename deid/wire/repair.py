"""Pull repair: which known items are missing, whom to ask for them, and when to ask another.

Wants are learnt from comparisons and announcements, asked in windows that follow what a peer can
deliver, and end when the item is held or has expired. A want whose sources all failed is let go;
the next comparison brings it back, so nothing is lost by any bound here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deid.wire.config import NodeConfig
from deid.wire.item import ItemName

SOURCES_MAX = 4  # per want; more peers may hold it, these were first to say so
FAILURES_MAX = 8  # questions without an answer before a want is let go
WINDOW_START = 16
WINDOW_MIN = 2


@dataclass(slots=True)
class Want:
    """One missing item: peers that said they hold it, whom it was asked of last."""

    sources: list[bytes]
    due_ms: int
    backfill: bool
    asked: bytes | None = None
    failures: int = 0


@dataclass(slots=True)
class _Source:
    """One peer as a source: ``asked`` names in flight, ``heard_ms`` of the last sign of progress,
    ``told`` wants in whose sources it is."""

    window: int = WINDOW_START
    asked: set[ItemName] = field(default_factory=set)
    heard_ms: int = 0
    told: int = 0


class Repair:
    """The table of wants."""

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._wants: dict[ItemName, Want] = {}
        self._idle: dict[ItemName, None] = {}  # wants not in flight, in the order to ask
        self._sources: dict[bytes, _Source] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def learn(self, due_ms: int, name: ItemName, source: bytes, *, backfill: bool) -> bool:
        """``source`` holds ``name``, which is missing here: ask from ``due_ms`` on. False where a
        bound was reached."""
        peer = self._sources.setdefault(source, _Source())
        want = self._wants.get(name)
        if want is not None:
            if source not in want.sources and len(want.sources) < SOURCES_MAX:
                want.sources.append(source)
                peer.told += 1
            return True
        if len(self._wants) >= self._config.wants_max:
            return False
        if peer.told >= self._config.wants_per_peer_max:
            return False
        self._wants[name] = Want([source], due_ms, backfill)
        self._idle[name] = None
        peer.told += 1
        return True

    def want(self, name: ItemName) -> Want | None:
        return self._wants.get(name)

    def done(self, now_ms: int, name: ItemName, source: bytes) -> None:
        """An item came from ``source``, pulled or pushed, taken or not: nothing more to ask."""
        want = self._wants.get(name)
        if want is None:
            return
        asked = want.asked
        self._forget(name, want)
        if asked == source:
            peer = self._sources[source]
            peer.heard_ms = now_ms
            peer.window = min(self._config.pull_window, peer.window + 1)

    def absent(self, name: ItemName, source: bytes) -> None:
        """``source`` does not hold ``name`` (any more)."""
        want = self._wants.get(name)
        if want is None or source not in want.sources:
            return
        if want.asked == source:
            self._unask(name, want)
        want.sources.remove(source)
        self._sources[source].told -= 1
        if not want.sources:
            self._forget(name, want)

    def keep_sources(self, is_source: Callable[[bytes], bool]) -> None:
        """Drop every peer that ``is_source`` denies."""
        for source in [each for each in self._sources if not is_source(each)]:
            self.drop_source(source)

    def drop_source(self, source: bytes) -> None:
        """``source`` cannot be asked any more."""
        if source not in self._sources:
            return
        for name in [name for name, want in self._wants.items() if source in want.sources]:
            self.absent(name, source)
        del self._sources[source]

    def time_out(self, now_ms: int) -> None:
        """Take back what was asked of peers that delivered nothing for too long."""
        for source, peer in self._sources.items():
            if not peer.asked or now_ms - peer.heard_ms < self._config.pull_timeout_ms:
                continue
            peer.window = max(WINDOW_MIN, peer.window // 2)
            for name in sorted(peer.asked):
                want = self._wants[name]
                self._unask(name, want)
                want.failures += 1
                want.sources.remove(source)  # to the end: another is asked first
                want.sources.append(source)
                if want.failures >= FAILURES_MAX:
                    self._forget(name, want)

    def ask(
        self,
        now_ms: int,
        usable: Callable[[bytes], bool],
        wanted: Callable[[ItemName], bool],
    ) -> dict[bytes, list[ItemName]]:
        """What to ask of whom now; it counts as asked.

        usable: whether a peer can be asked. wanted: whether a name is neither held nor expired;
        where it is, the want ends here.
        """
        questions: dict[bytes, list[ItemName]] = {}
        room = {
            source: peer.window - len(peer.asked)
            for source, peer in self._sources.items()
            if peer.told and usable(source)
        }
        free = sum(max(0, each) for each in room.values())
        for name in list(self._idle):
            if free <= 0:
                break
            want = self._wants[name]
            if now_ms < want.due_ms:
                continue
            if not wanted(name):
                self._forget(name, want)
                continue
            source = next((each for each in want.sources if room.get(each, 0) > 0), None)
            if source is None:
                continue
            room[source] -= 1
            free -= 1
            self._mark_asked(now_ms, name, want, source)
            questions.setdefault(source, []).append(name)
        return questions

    def next_due_ms(self, now_ms: int) -> int | None:
        """When :meth:`time_out` or :meth:`ask` has something to do that time alone brings; what
        is due already waits for a peer."""
        due = [
            peer.heard_ms + self._config.pull_timeout_ms
            for peer in self._sources.values()
            if peer.asked
        ]
        due += [want.due_ms for name in self._idle if (want := self._wants[name]).due_ms > now_ms]
        return min(due, default=None)

    def names(self) -> Iterable[ItemName]:
        return self._wants

    def _mark_asked(self, now_ms: int, name: ItemName, want: Want, source: bytes) -> None:
        peer = self._sources[source]
        if not peer.asked:
            peer.heard_ms = now_ms
        peer.asked.add(name)
        want.asked = source
        del self._idle[name]

    def _unask(self, name: ItemName, want: Want) -> None:
        assert want.asked is not None
        self._sources[want.asked].asked.discard(name)
        want.asked = None
        self._idle[name] = None

    def _forget(self, name: ItemName, want: Want) -> None:
        if want.asked is not None:
            self._sources[want.asked].asked.discard(name)
        for source in want.sources:
            self._sources[source].told -= 1
        self._idle.pop(name, None)
        del self._wants[name]
