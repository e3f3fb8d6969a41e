"""Melees: batches of battles of the same programs; and the trace of a single one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _mars
from .settings import Core, Ending, Program, require

# pMARS's ending in the kernel's numbering; only `series` uses it.
PMARS_ENDING = 2

# Where the kernel's tuple holds opcode, modifier, A-mode and B-mode.
TUPLE_SHIFTS = np.array([9, 6, 3, 0], dtype=np.int32)
TUPLE_MASKS = np.array([31, 7, 7, 7], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Results:
    """What became of every warrior in every battle: int64 arrays (battles, warriors).

    A cycle is one turn of every living warrior. A warrior that dies in cycle t moved in it.
    """

    death: NDArray[np.int64]
    """Cycle, counted from 1, in which it lost its last process; cycles_max + 1 if it lived."""
    spawned: NDArray[np.int64]
    """Processes it gained, summed over its increases; the first process is not counted."""
    covered: NDArray[np.int64]
    """Distinct addresses at which its processes were queued; the start only if queued again."""
    executed: NDArray[np.int64]
    """Instructions it executed."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A stretch of one battle turn by turn (int32), and the state in which the battle ended."""

    results: Results
    """Of the whole battle, one row each."""
    skipped: int
    """Turns before the first that was recorded."""
    complete: bool
    """Whether every turn of the battle was recorded."""
    cycle: NDArray[np.int32]
    """(turns,) full cycle, counted from 1."""
    warrior: NDArray[np.int32]
    """(turns,) index of the warrior that moved."""
    address: NDArray[np.int32]
    """(turns,) address of the instruction executed."""
    instruction: NDArray[np.int32]
    """(turns, 4) its opcode, modifier, A-mode and B-mode."""
    written: NDArray[np.int32]
    """(turns, 3) addresses written, in order; -1 where there were fewer."""
    queued: NDArray[np.int32]
    """(turns, 2) addresses at which processes were queued, in order; -1 where there were fewer."""
    core: NDArray[np.int32]
    """(size, 6) instructions in the core at the end."""
    pspace: NDArray[np.int32]
    """(warriors, pspace_size) at the end; cell 0 is the result of this battle."""
    processes: tuple[tuple[int, ...], ...]
    """Per warrior the addresses of its processes at the end, the next to run first."""


def melee(
    core: Core,
    programs: Sequence[Program],
    positions: ArrayLike,
    first: ArrayLike,
    *,
    ending: Ending = Ending.LAST_CYCLE,
    threads: int = 1,
) -> Results:
    """Fight battles of the same programs, each with all of them in one core.

    `positions` (battles, warriors) holds load addresses, `first` (battles,) the index of the
    warrior that moves first; the others follow cyclically. P-space is private to each battle.
    Raises ValueError for programs that overlap or do not fit, and for sizes out of range.
    """
    placed, movers = checked_placement(core, programs, positions, first)
    require("threads", threads, 1, 1024)
    return results_of(batch_of(core, programs, placed, movers, ending.value).run(threads))


def trace(
    core: Core,
    programs: Sequence[Program],
    positions: ArrayLike,
    first: int = 0,
    *,
    ending: Ending = Ending.LAST_CYCLE,
    skip: int = 0,
    turns_max: int = 1_000_000,
) -> Trace:
    """Fight one battle and record its turns skip .. skip + turns_max - 1.

    `positions` (warriors,) holds load addresses. A turn takes 52 bytes. With turns_max = 0 the
    battle runs as in `melee` and only its end is kept. Raises ValueError as `melee` does.
    """
    placed, movers = checked_placement(core, programs, np.asarray(positions)[None], [first])
    require("skip", skip, 0, 2**62)
    require("turns_max", turns_max, 0, 2**28)
    batch = batch_of(core, programs, placed, movers, ending.value)
    results, columns, cells, pspace, processes = batch.record(skip, turns_max)
    cycle, warrior, address, tuples, written, queued = columns
    return Trace(
        results=results_of(results),
        skipped=skip,
        complete=skip == 0 and len(cycle) == int(results[3].sum()),
        cycle=cycle[:, 0],
        warrior=warrior[:, 0],
        address=address[:, 0],
        instruction=tuples >> TUPLE_SHIFTS & TUPLE_MASKS,
        written=written,
        queued=queued,
        core=cells,
        pspace=pspace,
        processes=tuple(tuple(queue) for queue in processes),
    )


def batch_of(
    core: Core,
    programs: Sequence[Program],
    positions: NDArray[np.int32],
    first: NDArray[np.int32],
    ending: int,
    keep_pspace: bool = False,
) -> _mars.Batch:
    """The kernel's batch for checked arguments."""
    owners = pspace_owners(programs)
    return _mars.Batch(
        [(p.cells, p.start, owner) for p, owner in zip(programs, owners, strict=True)],
        positions,
        first,
        size=core.size,
        cycles_max=core.cycles_max,
        processes_max=core.processes_max,
        pspace_size=core.pspace_size,
        ending=ending,
        keep_pspace=keep_pspace,
    )


def results_of(columns: NDArray[np.int64]) -> Results:
    """Results from int64 (4, battles, warriors)."""
    columns.flags.writeable = False
    return Results(death=columns[0], spawned=columns[1], covered=columns[2], executed=columns[3])


def pspace_owners(programs: Sequence[Program]) -> list[int]:
    """Index of the warrior whose P-space each warrior uses.

    As pMARS: a warrior with a PIN shares with all later ones of the same PIN, and there a warrior
    without PIN counts as one with PIN 0.
    """
    owners: list[int | None] = [None] * len(programs)
    for i, program in enumerate(programs):
        if owners[i] is not None:
            continue
        owners[i] = i
        if program.pin is not None:
            for j in range(i + 1, len(programs)):
                if (programs[j].pin or 0) == program.pin:
                    owners[j] = i
    return [i if owner is None else owner for i, owner in enumerate(owners)]


def checked_programs(core: Core, programs: Sequence[Program]) -> None:
    """Raise ValueError unless the programs can be loaded into the core together."""
    require("the number of warriors", len(programs), 1, core.size)
    if len(programs) * core.processes_max > _mars.RING_MAX:
        raise ValueError(
            f"{len(programs)} warriors with {core.processes_max} processes each are too many; "
            f"the product must be at most {_mars.RING_MAX}"
        )
    for i, program in enumerate(programs):
        if len(program) > core.size:
            raise ValueError(
                f"warrior {i} has {len(program)} instructions, but the core {core.size} cells"
            )
        if program.number_max >= core.size:
            raise ValueError(
                f"warrior {i} holds the number {program.number_max}; in a core of {core.size} "
                f"cells numbers are 0 to {core.size - 1}"
            )


def checked_placement(
    core: Core, programs: Sequence[Program], positions: ArrayLike, first: ArrayLike
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Positions (battles, warriors) and first movers (battles,) as int32. Raises ValueError."""
    checked_programs(core, programs)
    placed, movers = np.asarray(positions), np.asarray(first)
    n = len(programs)
    if placed.ndim != 2 or placed.shape[1] != n or placed.dtype.kind not in "iu":
        raise ValueError(
            f"positions must be an integer array of shape (battles, {n}), "
            f"not {placed.dtype} of shape {placed.shape}"
        )
    if movers.shape != (len(placed),) or (len(placed) and movers.dtype.kind not in "iu"):
        raise ValueError(
            f"first must be an integer array of shape ({len(placed)},), "
            f"not {movers.dtype} of shape {movers.shape}"
        )
    if len(placed):
        require("positions", int(placed.min()), 0, core.size - 1)
        require("positions", int(placed.max()), 0, core.size - 1)
        require("first", int(movers.min()), 0, n - 1)
        require("first", int(movers.max()), 0, n - 1)
        require_apart(core, [len(program) for program in programs], placed)
    return placed.astype(np.int32), movers.astype(np.int32)


def require_apart(core: Core, lengths: Sequence[int], positions: NDArray[np.integer]) -> None:
    """Raise ValueError if two programs overlap in some battle, of positions (battles, warriors)."""
    order = np.argsort(positions, axis=1, kind="stable")
    starts = np.take_along_axis(positions.astype(np.int64), order, axis=1)
    ends = starts + np.asarray(lengths)[order]
    following = np.concatenate((starts[:, 1:], starts[:, :1] + core.size), axis=1)
    if (ends > following).any():
        battle, rank = (int(x) for x in np.argwhere(ends > following)[0])
        one, other = int(order[battle, rank]), int(order[battle, (rank + 1) % len(lengths)])
        raise ValueError(
            f"battle {battle}: warrior {one}, {lengths[one]} instructions at "
            f"{int(positions[battle, one])}, overlaps warrior {other} at "
            f"{int(positions[battle, other])}"
        )
