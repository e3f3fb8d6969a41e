"""Axes of the behaviour space and the cells they cut.

Source: MAP-Elites (Mouret and Clune 2015); edges as in ``docs/ARCHITECTURE.md``, Definitions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from deid.search.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Axis:
    """One measure and where it is cut.

    name, unit: for people (``spawned``, ``processes``).
    edges: ascending integers; a value v falls into bin ``bisect_right(edges, v)``, so there is
        one bin more than edges, and a value on an edge belongs to the bin above it.
    """

    name: str
    unit: str
    edges: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.edges or any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"axis {self.name!r}: edges must ascend, got {self.edges}")

    @property
    def bins(self) -> int:
        return len(self.edges) + 1

    def bin(self, total: int, trials: int) -> int:
        """Bin of the mean ``total / trials``, compared as integers, hence exact."""
        return bisect_right(self.edges, total, key=lambda edge: edge * trials)

    def label(self, index: int) -> str:
        """``[low, high)`` of a bin, for people."""
        low = str(self.edges[index - 1]) if index > 0 else "0"
        high = str(self.edges[index]) if index < len(self.edges) else "∞"
        return f"{low}–{high}"


@dataclass(frozen=True, slots=True)
class Grid:
    """The product of the axes; cells are numbered row-major, the last axis fastest."""

    axes: tuple[Axis, ...]
    cells: int = field(init=False)

    def __post_init__(self) -> None:
        if not self.axes:
            raise ValueError("a grid needs at least one axis")
        cells = 1
        for axis in self.axes:
            cells *= axis.bins
        object.__setattr__(self, "cells", cells)

    def cell(self, evaluation: Evaluation) -> int:
        """Cell number in [0, cells); :class:`ValueError` on a wrong number of measures."""
        index = 0
        for axis, total in zip(self.axes, evaluation.measures, strict=True):
            index = index * axis.bins + axis.bin(total, evaluation.trials)
        return index

    def bins(self, cell: int) -> tuple[int, ...]:
        """The bin on every axis of cell ``cell``; the inverse of the numbering."""
        if not 0 <= cell < self.cells:
            raise ValueError(f"cell must be in [0, {self.cells}), got {cell}")
        bins: list[int] = []
        for axis in reversed(self.axes):
            cell, index = divmod(cell, axis.bins)
            bins.append(index)
        return tuple(reversed(bins))

    def number(self, bins: Sequence[int]) -> int:
        """Cell number of one bin per axis."""
        index = 0
        for axis, position in zip(self.axes, bins, strict=True):
            if not 0 <= position < axis.bins:
                raise ValueError(f"axis {axis.name!r} has bins 0..{axis.bins - 1}, got {position}")
            index = index * axis.bins + position
        return index
