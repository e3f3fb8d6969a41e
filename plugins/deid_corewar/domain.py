"""Core War as a domain of deid: what warriors are, what they are worth, how they behave."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

import deid_mars
from deid.errors import CandidateError, ConfigError
from deid.plugin import Grammar, Parallelism, Settings
from deid.search.canonical import digest
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Grid
from deid_corewar.brief import brief_of
from deid_corewar.grammar import OPCODES, RedcodeGrammar
from deid_corewar.options import DomainOptions, read_options, source_of
from deid_corewar.placement import drq_positions, slots_max
from deid_corewar.redcode import Coded, assemble, listing, parse_listing
from deid_corewar.reference import reference_of
from deid_corewar.scoring import POINTS_CYCLE, melee_points
from deid_corewar.warriors import FAMILIES, SeedWarrior, seed_warriors

__all__ = ["CorewarDomain"]

RULES = "icws94-without-pspace"
ENDING = "last-cycle"
PLACEMENT = "drq-rotated-1"

POOLS_MAX = 8
"""Contexts whose opponents are kept ready: a round's, its predecessor's, the reference's."""


class CorewarDomain:
    """Warriors of one core; implements :class:`deid.plugin.Domain`.

    A genome's code is the canonical listing of the assembled warrior. A trial is one melee of
    the candidate and the whole pool. Points: :func:`deid_corewar.scoring.melee_points`. Measures
    are sums over battles of: processes spawned, distinct addresses at which processes were
    queued, distinct opcodes, instructions.

    Raises :class:`deid.errors.ConfigError` for settings that are unknown or impossible.
    """

    name = "corewar"
    semantics_version = 1
    parallelism = Parallelism.THREADS

    def __init__(self, settings: Settings) -> None:
        options = read_options(settings)
        self.core = options.core
        self.trials = options.battles
        self._reference = reference_of(options.core)
        self._mars = options.mars()
        self.grid = Grid(tuple(self._reference.axis(name) for name in options.axes))
        self.grammar: Grammar = RedcodeGrammar(options.core)
        self.brief = brief_of(options.core)
        self.opponents_max = (
            slots_max(options.core.core_size, options.core.length_max, options.core.distance) - 1
        )
        self._pools: OrderedDict[bytes, tuple[deid_mars.Program, ...]] = OrderedDict()
        self._lock = Lock()
        self._opponents = self._initial_pool(options)
        pool = tuple(self._seed(seed_warriors()[name]) for name in self._reference.pool)
        self.task_hash = self._task_hash(pool)
        self._reference_context = self.context(pool, self._reference.seeds)

    def parse(self, text: str) -> Genome:
        """Assemble Redcode; :class:`CandidateError` says where and why it is no warrior."""
        warrior = assemble(text, self.core)
        _check_opcodes(warrior)
        return Genome(text, listing(warrior), len(warrior.instructions))

    def decode(self, code: bytes) -> Genome:
        """Genome of a canonical listing for this core."""
        program = parse_listing(code)
        length, core = len(program.instructions), self.core
        if program.core_size != core.core_size or length > core.length_max:
            raise CandidateError(
                f"listing: expected at most {core.length_max} instructions for a core of "
                f"{core.core_size}, got {length} for one of {program.core_size}"
            )
        _check_opcodes(program)
        if listing(program) != code:
            raise CandidateError("listing: not in canonical form")
        return Genome(self.render(Genome("", code, length)), code, length)

    def render(self, genome: Genome) -> str:
        """The assembled warrior in full, one instruction a line."""
        return self.grammar.write(self.grammar.read(genome))

    def opponents(self) -> tuple[Genome, ...]:
        return self._opponents

    def corpora(self) -> Mapping[str, tuple[Genome, ...]]:
        """The shipped warriors for this core: a family each, and ``all``."""
        return self._corpora

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context:
        """A pool under ``seeds``; :class:`ValueError` where it does not fit this task."""
        if len(opponents) > self.opponents_max:
            raise ValueError(f"at most {self.opponents_max} opponents fit, got {len(opponents)}")
        if not seeds or not all(0 <= seed < 1 << 64 for seed in seeds):
            raise ValueError("expected one seed in [0, 2**64) for each battle, at least one")
        points_max = self.core.cycles_max * POINTS_CYCLE
        return Context(self.task_hash, tuple(opponents), tuple(seeds), points_max)

    def reference(self) -> Context:
        return self._reference_context

    def evaluate(self, genome: Genome, context: Context, first: int, count: int) -> Evaluation:
        """Battles ``first`` … ``first + count − 1``; the GIL is free while they are fought."""
        if context.task_hash != self.task_hash:
            raise ValueError("the context belongs to another task")
        if first < 0 or count < 1 or first + count > context.trials:
            raise ValueError(
                f"battles {first} to {first + count - 1} are not among 0 to {context.trials - 1}"
            )
        programs = (_program(genome), *self._pool(context))
        positions, movers = drq_positions(
            [len(program) for program in programs],
            self.core.core_size,
            self.core.distance,
            context.seeds[first : first + count],
            first,
        )
        # What happens after the candidate's death changes none of its figures: decision 0006.
        ending = deid_mars.Ending.CANDIDATE
        results = deid_mars.melee(self._mars, programs, positions, movers, ending=ending)
        points = melee_points(results.death, self.core.cycles_max)
        return Evaluation(int(points[:, 0].sum()), self._measures(programs[0], results), count)

    def _measures(self, program: deid_mars.Program, results: deid_mars.Results) -> tuple[int, ...]:
        battles = len(results.death)
        sums = {
            "spawned": _sum(results.spawned),
            "covered": _sum(results.covered),
            "opcodes": battles * len(np.unique(program.code[:, 0])),
            "length": battles * len(program),
        }
        return tuple(sums[axis.name] for axis in self.grid.axes)

    def _pool(self, context: Context) -> tuple[deid_mars.Program, ...]:
        """The opponents ready to fight; the most recently used contexts keep theirs."""
        with self._lock:
            pool = self._pools.get(context.context_hash)
            if pool is not None:
                self._pools.move_to_end(context.context_hash)
                return pool
        pool = tuple(_program(genome) for genome in context.opponents)
        with self._lock:
            self._pools[context.context_hash] = pool
            while len(self._pools) > POOLS_MAX:
                self._pools.popitem(last=False)
        return pool

    @cached_property
    def _corpora(self) -> Mapping[str, tuple[Genome, ...]]:
        fitting = {
            warrior: self._seed(warrior)
            for warrior in seed_warriors().values()
            if self.core.core_size in warrior.core_sizes
        }
        families = {
            family: tuple(genome for warrior, genome in fitting.items() if warrior.family == family)
            for family in FAMILIES
        }
        return {**families, "all": tuple(fitting.values())}

    def _initial_pool(self, options: DomainOptions) -> tuple[Genome, ...]:
        if len(options.opponents) > self.opponents_max:
            raise ConfigError(
                f"[domain] opponents: at most {self.opponents_max} fit beside a candidate in a "
                f"core of {self.core.core_size}, got {len(options.opponents)}"
            )
        return tuple(self._opponent(entry) for entry in options.opponents)

    def _opponent(self, entry: str) -> Genome:
        try:
            return self.parse(source_of(entry, self.core))
        except CandidateError as error:
            raise ConfigError(f"[domain] opponents: {entry}: {error}") from None

    def _seed(self, warrior: SeedWarrior) -> Genome:
        return self.parse(warrior.source)

    def _task_hash(self, pool: Sequence[Genome]) -> bytes:
        core = self.core
        return digest(
            {
                "domain": self.name,
                "semantics": self.semantics_version,
                "rules": RULES,
                "ending": ENDING,
                "placement": PLACEMENT,
                "core": {
                    "size": core.core_size,
                    "cycles": core.cycles_max,
                    "processes": core.processes_max,
                    "length": core.length_max,
                    "distance": core.distance,
                },
                "axes": [[axis.name, list(axis.edges)] for axis in self.grid.axes],
                "pool": [genome.code for genome in pool],
                "seeds": list(self._reference.seeds),
            }
        )


def _check_opcodes(program: Coded) -> None:
    """:class:`CandidateError` for an instruction outside the domain's set."""
    for number, instruction in enumerate(program.instructions):
        if instruction.opcode not in OPCODES:
            raise CandidateError(
                f"instruction {number}: LDP and STP are not part of this game (no P-space); "
                f"expected one of {', '.join(op.name for op in OPCODES)}"
            )


def _program(genome: Genome) -> deid_mars.Program:
    warrior = parse_listing(genome.code)
    rows = [(i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b) for i in warrior.instructions]
    return deid_mars.Program(rows, warrior.start)


def _sum(column: NDArray[np.int64]) -> int:
    """Of the candidate, over the battles."""
    return int(column[:, 0].sum())
