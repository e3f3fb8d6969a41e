"""The archive: one elite per cell, under a total order, so that merging is lawful.

Order (better first): more points, then the smaller content hash, then the smaller name
(origin key, epoch, seq). It is total, hence ``place`` does not depend on the order of arrival
and ``merge`` is commutative, associative and idempotent. Points compare within one context only,
so archives of different contexts do not merge.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from deid.search.canonical import Plain, digest
from deid.search.grid import Grid
from deid.search.streams import Stream

Name = tuple[bytes, int, int]  # origin key, epoch, seq; NOBODY for what was never published
NOBODY: Name = (b"", 0, 0)


@dataclass(frozen=True, slots=True)
class Elite:
    """A claim on a cell: who, where, how good."""

    content_hash: bytes
    cell: int
    points: int
    name: Name = NOBODY

    def better_than(self, other: Elite) -> bool:
        """The order above; False for an elite against itself."""
        if self.points != other.points:
            return self.points > other.points
        if self.content_hash != other.content_hash:
            return self.content_hash < other.content_hash
        return self.name < other.name


class Outcome(Enum):
    """What placing did."""

    NEW = "new"  # the cell was empty
    IMPROVED = "improved"  # the cell had a worse elite
    KEPT = "kept"  # the cell keeps what it had


class Archive:
    """Cells of one grid in one context.

    grid: the behaviour space; context_hash: 32 bytes, where the points were earned.
    """

    __slots__ = ("_elites", "_occupied", "context_hash", "grid")

    def __init__(self, grid: Grid, context_hash: bytes, elites: Iterable[Elite] = ()) -> None:
        self.grid = grid
        self.context_hash = context_hash
        self._elites: dict[int, Elite] = {}
        self._occupied: list[int] = []
        for elite in elites:
            self.place(elite)

    def place(self, elite: Elite) -> Outcome:
        """Gives ``elite`` its cell if that is empty or holds a worse one."""
        held = self._elites.get(elite.cell)
        if held is None:
            if not 0 <= elite.cell < self.grid.cells:
                raise ValueError(f"cell must be in [0, {self.grid.cells}), got {elite.cell}")
            self._elites[elite.cell] = elite
            insort(self._occupied, elite.cell)
            return Outcome.NEW
        if elite.better_than(held):
            self._elites[elite.cell] = elite
            return Outcome.IMPROVED
        return Outcome.KEPT

    def merge(self, other: Archive) -> Archive:
        """The best of both; :class:`ValueError` unless grid and context are the same."""
        if self.grid != other.grid or self.context_hash != other.context_hash:
            raise ValueError(
                "archives of different contexts do not merge: their points are not comparable; "
                "re-score the elites in one context first"
            )
        return Archive(self.grid, self.context_hash, [*self, *other])

    def sample(self, stream: Stream) -> Elite:
        """An elite of a cell drawn uniformly from the occupied ones; the archive holds some."""
        return self._elites[stream.choice(self._occupied)]

    def at(self, cell: int) -> Elite | None:
        return self._elites.get(cell)

    def best(self) -> Elite | None:
        """The best elite of all cells."""
        champion: Elite | None = None
        for elite in self._elites.values():
            if champion is None or elite.better_than(champion):
                champion = elite
        return champion

    def digest(self) -> bytes:
        """BLAKE2b-256 over context and cells; equal archives have equal digests."""
        rows: Plain = [
            [e.cell, e.content_hash, e.points, e.name[0], hex(e.name[1]), e.name[2]] for e in self
        ]
        return digest([self.context_hash, rows])

    def __iter__(self) -> Iterator[Elite]:
        """Elites in ascending order of their cells."""
        return (self._elites[cell] for cell in self._occupied)

    def __len__(self) -> int:
        """Occupied cells."""
        return len(self._occupied)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Archive):
            return NotImplemented
        same = self.grid == other.grid and self.context_hash == other.context_hash
        return same and self._elites == other._elites

    __hash__ = None  # type: ignore[assignment]  # mutable
