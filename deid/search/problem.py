"""What the search needs of a domain; every domain plugin satisfies it by its shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deid.search.evaluation import Context
from deid.search.genome import Genome
from deid.search.grid import Grid


class Problem(Protocol):
    """The pure facts of a domain; see :class:`deid.plugin.contracts.Domain` for the laws."""

    @property
    def grid(self) -> Grid: ...

    @property
    def trials(self) -> int: ...

    @property
    def opponents_max(self) -> int: ...

    def opponents(self) -> tuple[Genome, ...]: ...

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context: ...

    def reference(self) -> Context: ...
