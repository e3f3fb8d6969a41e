"""Fights of assembled warriors under pMARS's rules or Digital Red Queen's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import deid_mars
from deid_corewar.placement import drq_positions
from deid_corewar.redcode import Warrior
from deid_corewar.scoring import melee_points
from deid_corewar.settings import CoreSettings

__all__ = ["Outcome", "Plan", "fight", "mars_core", "program_of", "slot_battles"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How warriors fight; `seed` is None for pMARS's fixed series."""

    core: CoreSettings
    rounds: int
    placement: str
    seed: int | None
    rules: str
    threads: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of two warriors [wins, wins, ties]; of N, a row each: survived with 1 … N alive, died."""

    results: list[int] | list[list[int]]
    instructions: int


def fight(plan: Plan, warriors: Sequence[Warrior]) -> Outcome:
    """Play the rounds of a plan; ValueError or `ConfigError` where the core has no room."""
    programs = [program_of(warrior) for warrior in warriors]
    results = _results(plan, programs)
    executed = int(results.executed.sum())
    if len(programs) == 2 and plan.rules == "drq":
        return Outcome(_compared(results.death, plan.core.cycles_max), executed)
    survived = results.death > plan.core.cycles_max
    if len(programs) == 2:
        alone = survived & (survived.sum(axis=1, keepdims=True) == 1)
        wins = [int(count) for count in alone.sum(axis=0)]
        return Outcome([*wins, plan.rounds - sum(wins)], executed)
    return Outcome(_table(survived), executed)


def _results(plan: Plan, programs: Sequence[deid_mars.Program]) -> deid_mars.Results:
    """The battles; P-space lives on from round to round in pMARS's own series only."""
    core = plan.core
    if plan.placement == "drq":
        return slot_battles(core, programs, plan.rounds, plan.seed or 0, plan.rules, plan.threads)
    match = deid_mars.series(
        mars_core(core),
        programs,
        plan.rounds,
        distance=core.distance,
        seed=plan.seed,
        threads=plan.threads,
    )
    if plan.rules == "pmars":
        return match.results
    return deid_mars.melee(
        mars_core(core),
        programs,
        match.positions,
        match.first,
        ending=_ending(plan.rules),
        threads=plan.threads,
    )


def slot_battles(
    core: CoreSettings,
    programs: Sequence[deid_mars.Program],
    battles: int,
    seed: int,
    rules: str,
    threads: int,
) -> deid_mars.Results:
    """Battles in rotating slots, one seed each."""
    positions, first = drq_positions(
        [len(program) for program in programs],
        core.core_size,
        core.distance,
        [(seed + battle) % (1 << 64) for battle in range(battles)],
    )
    return deid_mars.melee(
        mars_core(core), programs, positions, first, ending=_ending(rules), threads=threads
    )


def _compared(death: NDArray[np.int64], cycles_max: int) -> list[int]:
    """[wins, wins, ties] of two warriors, battle by battle, by their points."""
    points = melee_points(death, cycles_max)
    wins = int((points[:, 0] > points[:, 1]).sum())
    losses = int((points[:, 0] < points[:, 1]).sum())
    return [wins, losses, len(points) - wins - losses]


def _table(survived: NDArray[np.bool_]) -> list[list[int]]:
    """Per warrior the rounds survived with 1, 2, … N survivors, then the rounds died."""
    alive = survived.sum(axis=1)
    return [
        [int((column & (alive == k)).sum()) for k in range(1, survived.shape[1] + 1)]
        + [int((~column).sum())]
        for column in survived.T
    ]


def mars_core(core: CoreSettings) -> deid_mars.Core:
    """The sizes as the simulator takes them."""
    return deid_mars.Core(core.core_size, core.cycles_max, core.processes_max, core.pspace_size)


def _ending(rules: str) -> deid_mars.Ending:
    return deid_mars.Ending.LAST_CYCLE if rules == "drq" else deid_mars.Ending.ONE_SURVIVOR


def program_of(warrior: Warrior) -> deid_mars.Program:
    """A warrior as the simulator takes it."""
    rows = [(i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b) for i in warrior.instructions]
    return deid_mars.Program(rows, warrior.start, warrior.pin)
