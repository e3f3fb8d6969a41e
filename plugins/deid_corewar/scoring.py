"""What a melee was worth to each warrior, in integers.

The objective of Digital Red Queen (arXiv 2601.03335) shares every cycle equally among those that
live through it; ``docs/ARCHITECTURE.md``, Points, has the exact definition.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["POINTS_CYCLE", "melee_points"]

POINTS_CYCLE = 1 << 20
"""Points of one cycle; a power of two far above N², so that truncation is below all meaning."""


def melee_points(death: NDArray[np.int64], cycles_max: int) -> NDArray[np.int64]:
    """Points of every warrior in every battle, int64 (battles, N).

    death: (battles, N), the full cycle, counted from 1, in which each warrior lost its last
    process; cycles_max + 1 if it never did. A cycle in which a warrior dies does not count
    for it.

    Points of c = Σ over the maximal runs of cycles t in 1 … min(death_c − 1, cycles_max) with a
    constant number alive of (length of the run · POINTS_CYCLE) // alive.
    """
    lived = np.minimum(death - 1, cycles_max)
    ends = np.sort(lived, axis=1)
    runs = np.diff(ends, axis=1, prepend=0)
    alive = np.arange(death.shape[1], 0, -1)
    total = np.cumsum(runs * POINTS_CYCLE // alive, axis=1)
    order = np.argsort(lived, axis=1, kind="stable")
    points = np.empty_like(total)
    np.put_along_axis(points, order, total, axis=1)  # ties add runs of length 0: same points
    return points
