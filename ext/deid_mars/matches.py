"""Matches as pMARS 0.9.2 plays them: its placements, its order of moves, its count of cycles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .battles import PMARS_ENDING, Results, batch_of, checked_programs, require_apart, results_of
from .settings import Core, Program, require

# pMARS: draws of one position, and returns to an earlier one, before it falls back to `spread`.
RETRIES_MAX = 20
BACKTRACKS_MAX = 4

# pMARS's codes of the modes # $ @ < > * { }; they enter the checksum.
MODE_CODES = np.array([0, 1, 2, 3, 4, 0x82, 0x83, 0x84])


@dataclass(frozen=True, slots=True)
class SeriesResults:
    """A match of `rounds` rounds between n warriors."""

    results: Results
    """Per round and warrior; cycles are full cycles, whatever pMARS's shrinking counter says."""
    positions: NDArray[np.int32]
    """(rounds, n) load addresses."""
    first: NDArray[np.int32]
    """(rounds,) who moved first."""
    survived: NDArray[np.bool_]
    """(rounds, n) who was alive at the end."""

    @property
    def survivors(self) -> NDArray[np.int64]:
        """(rounds,) number of warriors alive at the end."""
        return np.asarray(self.survived.sum(axis=1), dtype=np.int64)

    @property
    def table(self) -> NDArray[np.int64]:
        """(n, n + 1) per warrior: rounds survived with 1, 2, ... n survivors, then rounds died."""
        n = self.survived.shape[1]
        counts = np.zeros((n, n + 1), dtype=np.int64)
        for k in range(1, n + 1):
            counts[:, k - 1] = self.survived[self.survivors == k].sum(axis=0)
        counts[:, n] = (~self.survived).sum(axis=0)
        return counts

    @property
    def wins(self) -> tuple[int, int, int]:
        """Rounds won by the first, won by the second, tied; of two warriors only."""
        if self.survived.shape[1] != 2:
            raise ValueError(f"wins are of two warriors, not {self.survived.shape[1]}; see table")
        return int(self.table[0, 0]), int(self.table[1, 0]), int(self.table[0, 1])


def series(
    core: Core,
    programs: Sequence[Program],
    rounds: int,
    *,
    distance: int,
    seed: int | None = None,
    threads: int = 1,
) -> SeriesResults:
    """Play pMARS's match: `-f` without a seed, `-F seed` with one (two warriors only).

    `distance` is the least separation, in cells, and no program may be longer. P-space lives on
    from round to round; where some program uses it, rounds run one after the other on one thread.
    Raises ValueError for programs or sizes that pMARS would refuse.
    """
    checked_programs(core, programs)
    require("rounds", rounds, 0, 2**24)
    require("threads", threads, 1, 1024)
    positions = placements(core, programs, rounds, distance, seed)
    require_apart(core, [len(program) for program in programs], positions)
    first = (np.arange(rounds) % len(programs)).astype(np.int32)
    keep = any(program.uses_pspace for program in programs)
    batch = batch_of(core, programs, positions, first, PMARS_ENDING, keep_pspace=keep)
    results = results_of(batch.run(1 if keep else threads))
    return SeriesResults(results, positions, first, results.death > core.cycles_max)


def placements(
    core: Core, programs: Sequence[Program], rounds: int, distance: int, seed: int | None
) -> NDArray[np.int32]:
    """Load positions (rounds, n) of a match. Raises ValueError."""
    n = len(programs)
    require("distance", distance, max(len(program) for program in programs), core.size // n)
    if seed is None:
        state = advance(checksum(programs))
    elif n == 2:
        require("seed, the second warrior's first position,", seed, distance, 2**31 - 1)
        state = seed - distance
    else:
        raise ValueError(f"a seed sets the second of two warriors; with {n} leave it out")
    rows = np.zeros((rounds, n), dtype=np.int32)
    generator = rounds_of(core.size, n, distance, state)
    for row in rows:
        row[:] = next(generator)
    return rows


def rounds_of(size: int, n: int, distance: int, state: int) -> Iterator[list[int]]:
    """Positions of n warriors, round after round, from the generator's state."""
    while True:
        if n == 1:
            yield [0]
        elif n == 2:
            yield [0, distance + state % (size + 1 - 2 * distance)]
            state = advance(state)
        else:
            positions, state = scatter(size, n, distance, state)
            if positions is None:
                positions, state = spread(size, n, distance, state)
            yield positions


def scatter(size: int, n: int, distance: int, state: int) -> tuple[list[int] | None, int]:
    """Draw each position until it keeps its distance; None when the tries are spent."""
    positions = [0] * n
    retries, backtracks = RETRIES_MAX, BACKTRACKS_MAX
    p = 1
    while p < n:
        state = advance(state)
        positions[p] = distance + state % (size - 2 * distance + 1)
        near = (i for i in range(1, p) if abs(positions[p] - positions[i]) < distance)
        i = next(near, p)
        if i == p:
            p += 1
        elif backtracks == 0:
            return None, state
        elif retries == 0:
            p, backtracks, retries = i, backtracks - 1, RETRIES_MAX
        else:
            retries -= 1
    return positions, state


def spread(size: int, n: int, distance: int, state: int) -> tuple[list[int], int]:
    """Share the free cells out between the warriors, then shuffle; never fails."""
    room = size - distance * n + 1
    gaps: list[int] = []
    for _ in range(1, n):
        state = advance(state)
        gaps.append(state % room)
    gaps.sort()
    positions = [0] + [gap + distance * i for i, gap in enumerate(gaps, start=1)]
    for i in range(1, n):
        state = advance(state)
        j = state % (n - i) + i
        positions[i], positions[j] = positions[j], positions[i]
    return positions, state


def advance(state: int) -> int:
    """pMARS's generator: 16807 s mod 2^31 - 1, by Schrage's method with C's truncation."""
    quotient = abs(state) // 127773 * (1 if state >= 0 else -1)
    following = 16807 * (state - quotient * 127773) - 2836 * quotient
    return following + 2147483647 if following < 0 else following


def checksum(programs: Sequence[Program]) -> int:
    """pMARS's sum over all instructions of their five values, each XOR its running number.

    pMARS adds in a 32-bit int on some machines and a 64-bit long on others; programs are far too
    short for the two to differ.
    """
    code = np.concatenate([program.code for program in programs]).astype(np.int64)
    values = np.stack(
        (
            code[:, 0] * 8 + code[:, 1],
            MODE_CODES[code[:, 2]],
            MODE_CODES[code[:, 4]],
            code[:, 3],
            code[:, 5],
        ),
        axis=1,
    ).ravel()
    return int((values ^ np.arange(len(values))).sum())
