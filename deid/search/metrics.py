"""Figures of an archive, recomputed from its cells each time (never carried along).

Definitions: coverage = occupied cells / cells; QD-score = sum of fitness over occupied cells
(Pugh, Soros and Stanley 2016, offset 0); normalised QD-score = sum of fitness / N over all cells,
in [0, 1], comparable between pools of different size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deid.search.archive import Archive
from deid.search.evaluation import Context


@dataclass(frozen=True, slots=True)
class Metrics:
    """coverage in [0, 1]; qd_score >= 0; norm_qd in [0, 1]; best = largest fitness, 0 if none."""

    occupied: int
    coverage: float
    qd_score: float
    norm_qd: float
    best: float


def measure(archive: Archive, context: Context) -> Metrics:
    """Metrics of ``archive``; :class:`ValueError` if it was filled in another context."""
    if archive.context_hash != context.context_hash:
        raise ValueError("the archive was filled in another context than the one given")
    whole = context.points_max * context.trials
    normalised = [elite.points / whole for elite in archive]
    fitness = [elite.points * context.contenders / whole for elite in archive]
    return Metrics(
        occupied=len(archive),
        coverage=len(archive) / archive.grid.cells,
        qd_score=math.fsum(fitness),
        norm_qd=math.fsum(normalised) / archive.grid.cells,
        best=max(fitness, default=0.0),
    )
