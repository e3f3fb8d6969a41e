"""Who a round's candidates meet: the choice of the pool, and the queue of received elites."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from deid.search.archive import Name
from deid.search.canonical import Plain
from deid.search.genome import Genome
from deid.search.records import Arrival

QUEUED_PER_ORIGIN_MAX = 256  # a flooder's surplus is its own oldest; repair never depends on this


def choose_pool(
    initial: Sequence[Genome], own: Sequence[Genome], received: Sequence[Genome], size_max: int
) -> tuple[Genome, ...]:
    """The ordered pool of a round, of at most ``size_max`` distinct programs.

    First the initial opponents, then in turn the newest own champion and the newest received one
    (``own`` and ``received`` run from old to new), so that neither side crowds out the other.
    """
    turns = chain.from_iterable(zip_longest(reversed(own), reversed(received)))
    pool: dict[bytes, Genome] = {}
    for genome in chain(initial, turns):
        if len(pool) >= size_max:
            break
        if genome is not None:
            pool.setdefault(genome.content_hash, genome)
    return tuple(pool.values())


class ForeignQueue:
    """Received elites that wait for their evaluation, served round-robin by origin.

    The round goes on after the origin that was served last, so that none starves. Within an origin
    champions go before other elites, newer rounds before older ones. The order of service depends
    on the content alone, never on the order of arrival within a snapshot.
    """

    __slots__ = ("_by_origin", "_served", "_void")

    def __init__(self) -> None:
        self._by_origin: dict[bytes, list[Arrival]] = {}
        self._served = b""  # the origin that was served last
        self._void: set[bytes] = set()

    def put(self, items: Iterable[Arrival]) -> None:
        """Queues ``items``; those of a quarantined origin are dropped."""
        touched: set[bytes] = set()
        for item in items:
            origin = item.name[0]
            if origin not in self._void:
                self._by_origin.setdefault(origin, []).append(item)
                touched.add(origin)
        for origin in touched:
            waiting = self._by_origin[origin]
            waiting.sort(key=_service_order)
            del waiting[QUEUED_PER_ORIGIN_MAX:]

    def take(self, count_max: int) -> tuple[Arrival, ...]:
        """Removes and returns at most ``count_max`` items."""
        taken: list[Arrival] = []
        while self._by_origin and len(taken) < count_max:
            origins = sorted(self._by_origin)
            after = bisect_right(origins, self._served)
            for origin in origins[after:] + origins[:after]:
                if len(taken) == count_max:
                    break
                self._served = origin
                taken.append(self._by_origin[origin].pop(0))
                if not self._by_origin[origin]:
                    del self._by_origin[origin]
        return tuple(taken)

    def quarantine(self, origin: bytes) -> None:
        """Drops what ``origin`` has here, now and from now on."""
        self._void.add(origin)
        self._by_origin.pop(origin, None)

    def is_void(self, origin: bytes) -> bool:
        return origin in self._void

    def plain(self) -> Plain:
        """What decides whom it serves next."""
        waiting: Plain = [[item.name[0], item.name[2], item.genome.content_hash] for item in self]
        return [self._served, sorted(self._void), waiting]

    def __iter__(self) -> Iterator[Arrival]:
        return (item for origin in sorted(self._by_origin) for item in self._by_origin[origin])

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._by_origin.values())


def _service_order(item: Arrival) -> tuple[bool, int, bytes, Name]:
    return (not item.champion, -item.round, item.genome.content_hash, item.name)
