"""Speed beside other simulators: the same battles, in turn, in one run.

All simulators found take turns every few hundredths of a second, so that whatever else the machine
does falls on all of them alike. `exhaust` is the library inside the package exhaust-ma; `pmars` is
the program of that name on the PATH, built without a display, which places its warriors itself.
"""

import itertools
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .battles import melee
from .matches import rounds_of, series
from .settings import MODES, MODIFIERS, OPCODES, Core, Ending, Program

# A simulator fights so many warriors, in battles of whatever size, before it is the next one's
# turn: enough to keep two threads busy to the end. And at least the battles of one evaluation.
WARRIORS_A_TURN = 200
BATTLES_A_TURN_MIN = 20
# Rounds of one pMARS match; its start and its assembler are timed apart and taken off.
PMARS_ROUNDS = 40
# A pMARS that shows its core on a display waits for someone to look at it.
PMARS_SECONDS_MAX = 60.0

# exhaust's numbering of opcodes, modifiers and modes; CMP is its SEQ.
EXHAUST_OPCODES = (
    "DAT", "SPL", "MOV", "DJN", "ADD", "JMZ", "SUB", "SEQ", "SNE", "SLT", "JMN", "JMP", "NOP",
    "MUL", "MOD", "DIV", "LDP", "STP",
)  # fmt: skip
EXHAUST_MODIFIERS = ("F", "A", "B", "AB", "BA", "X", "I")
EXHAUST_MODES = ("$", "#", "@", "<", ">", "*", "{", "}")


@dataclass(frozen=True, slots=True)
class Workload:
    """Fixed warriors of one set, in groups of one size that fight one another."""

    name: str
    core: Core
    distance: int
    groups: tuple[tuple[Program, ...], ...]


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One simulator's speed on one workload."""

    simulator: str
    set: str
    warriors: int
    statistics: bool
    threads: int
    battles_per_s: float
    minstr_per_s: float


@dataclass(slots=True)
class Tally:
    """What one simulator has done so far."""

    battles: int = 0
    instructions: int = 0
    seconds: float = 0.0


class Simulator(Protocol):
    """One competitor on one workload."""

    name: str
    statistics: bool
    threads: int

    def fight(self, group: tuple[Program, ...], positions: NDArray[np.int32], tally: Tally) -> None:
        """Fight a group's battles at positions (battles, warriors); the first moves first."""


Report = Callable[[str], object]
"""Takes a line about a simulator that was found but cannot be measured."""


def rows(
    seconds: float,
    workloads: Sequence[Workload],
    *,
    threads: Sequence[int] = (1,),
    seed: int = 1,
    report: Report,
) -> list[BenchRow]:
    """Speeds of all simulators found, within about `seconds` for all workloads together.

    Battles end with one survivor; `deid-last-cycle` goes on to the last cycle, as Digital Red
    Queen's fitness does. With several numbers of threads the first is measured under both endings,
    the others under the former. Speeds on one thread are by processor time, on more by the clock.
    exhaust calls some ties before the last cycle and is credited with all their instructions.
    Raises ValueError for warriors that do not fit their core.
    """
    return [
        row
        for workload in workloads
        for row in contest(workload, seconds / len(workloads), threads, seed, report)
    ]


def contest(
    workload: Workload, seconds: float, threads: Sequence[int], seed: int, report: Report
) -> Iterator[BenchRow]:
    """The rows of one workload; every simulator fights every group at least once."""
    warriors = len(workload.groups[0])
    battles = max(BATTLES_A_TURN_MIN, WARRIORS_A_TURN // warriors)
    with ExitStack() as stack:
        sides = simulators(workload, threads, stack, report)
        tallies = [Tally() for _ in sides]
        placements = rounds_of(workload.core.size, warriors, workload.distance, seed)
        end = time.perf_counter() + seconds
        for turn in itertools.count():
            group = workload.groups[turn % len(workload.groups)]
            positions = np.array([next(placements) for _ in range(battles)], dtype=np.int32)
            for side, tally in zip(sides, tallies, strict=True):
                side.fight(group, positions, tally)
            if turn + 1 >= len(workload.groups) and time.perf_counter() >= end:
                break
    for side, tally in zip(sides, tallies, strict=True):
        yield BenchRow(
            simulator=side.name,
            set=workload.name,
            warriors=warriors,
            statistics=side.statistics,
            threads=side.threads,
            battles_per_s=tally.battles / tally.seconds,
            minstr_per_s=tally.instructions / tally.seconds / 1e6,
        )


def simulators(
    workload: Workload, threads: Sequence[int], stack: ExitStack, report: Report
) -> list[Simulator]:
    """The simulators found on this machine that can fight this workload; `stack` closes them."""
    sides: list[Simulator] = [Deid(workload, Ending.LAST_CYCLE, "deid-last-cycle", threads[0])]
    sides += [Deid(workload, Ending.ONE_SURVIVOR, "deid", count) for count in threads]
    try:
        import _exhaust_ma as library
    except ImportError:
        pass
    else:
        exhaust = Exhaust(workload, library)
        stack.callback(exhaust.close)
        sides.append(exhaust)
    program = shutil.which("pmars")
    if program is not None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="deid-bench-"))
        pmars = Pmars(workload, program, Path(folder))
        obstacle = pmars.obstacle()
        if obstacle is None:
            sides.append(pmars)
        else:
            where = f"{workload.name}, {len(workload.groups[0])} warriors"
            report(f"{where}: pmars is left out: {program} {obstacle}")
    return sides


class Deid:
    """Our simulator, with all statistics."""

    statistics = True

    def __init__(self, workload: Workload, ending: Ending, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self.core = workload.core
        self.ending = ending
        self.clock: Callable[[], float] = time.thread_time if threads == 1 else time.perf_counter

    def fight(self, group: tuple[Program, ...], positions: NDArray[np.int32], tally: Tally) -> None:
        first = np.zeros(len(positions), dtype=np.int32)
        begin = self.clock()
        results = melee(
            self.core, group, positions, first, ending=self.ending, threads=self.threads
        )
        tally.seconds += self.clock() - begin
        tally.battles += len(positions)
        tally.instructions += int(results.executed.sum())


class Exhaust:
    """exhaust through its C library, which keeps one set of buffers a process."""

    name = "exhaust"
    statistics = False
    threads = 1

    def __init__(self, workload: Workload, library: Any) -> None:
        core = workload.core
        self.core = core
        self.ffi, self.lib = library.ffi, library.lib
        self.codes: dict[Program, Any] = {}
        buffers = self.lib.sim_alloc_bufs2(
            len(workload.groups[0]),
            core.size,
            core.processes_max,
            core.cycles_max,
            core.pspace_size,
        )
        if buffers == self.ffi.NULL:
            raise MemoryError("exhaust found no memory for its core")

    def close(self) -> None:
        self.lib.sim_free_bufs()

    def fight(self, group: tuple[Program, ...], positions: NDArray[np.int32], tally: Tally) -> None:
        codes = [self.code(program) for program in group]
        deaths = self.ffi.new("unsigned int[]", len(group))
        starts = [
            self.ffi.new(
                "field_t[]",
                [(at + p.start) % self.core.size for at, p in zip(row, group, strict=True)],
            )
            for row in positions.tolist()
        ]
        begin = time.thread_time()
        for row, start in zip(positions.tolist(), starts, strict=True):
            self.lib.sim_clear_core()
            self.lib.sim_clear_pspaces()
            self.lib.sim_reset_pspaces()
            for at, code in zip(row, codes, strict=True):
                self.lib.sim_load_warrior(at, code, len(code))
            self.lib.sim_mw(len(group), start, deaths)
        tally.seconds += time.thread_time() - begin
        tally.battles += len(positions)
        first = np.zeros(len(positions), dtype=np.int32)
        results = melee(self.core, group, positions, first, ending=Ending.ONE_SURVIVOR)
        tally.instructions += int(results.executed.sum())

    def code(self, program: Program) -> Any:
        """The program in exhaust's form."""
        if program not in self.codes:
            self.codes[program] = self.ffi.new("insn_t[]", len(program))
            for cell, (op, mod, a_mode, a, b_mode, b) in zip(
                self.codes[program], program.code.tolist(), strict=True
            ):
                name = "SEQ" if OPCODES[op] == "CMP" else OPCODES[op]
                number = EXHAUST_OPCODES.index(name) << 3 | EXHAUST_MODIFIERS.index(MODIFIERS[mod])
                number = number << 3 | EXHAUST_MODES.index(MODES[b_mode])
                number = number << 3 | EXHAUST_MODES.index(MODES[a_mode])
                setattr(cell, "in", number)
                cell.a, cell.b = a, b
        return self.codes[program]


class Pmars:
    """pMARS as a program; the rounds it plays are played here again to count instructions."""

    name = "pmars"
    statistics = False
    threads = 1

    def __init__(self, workload: Workload, program: str, folder: Path) -> None:
        self.workload = workload
        self.program = program
        self.folder = folder

    def obstacle(self) -> str | None:
        """Why this pMARS cannot be measured, or None: it plays one round to find out."""
        group = self.workload.groups[0]
        try:
            printed = self.match(group, 1)
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout or "").strip().splitlines()
            return f"ends with exit code {error.returncode}: {lines[0] if lines else 'no message'}"
        except subprocess.TimeoutExpired:
            return f"does not end within {PMARS_SECONDS_MAX:g} s"
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        if printed.count("Results:") != (1 if len(group) == 2 else len(group)):
            return "does not print the results of a round; build it without a display"
        return None

    def fight(self, group: tuple[Program, ...], positions: NDArray[np.int32], tally: Tally) -> None:
        idle, busy = (self.seconds(group, rounds) for rounds in (0, PMARS_ROUNDS))
        core, distance = self.workload.core, self.workload.distance
        played = series(core, group, PMARS_ROUNDS, distance=distance)
        tally.seconds += max(busy - idle, 1e-6)
        tally.battles += PMARS_ROUNDS
        tally.instructions += int(played.results.executed.sum())

    def seconds(self, group: Sequence[Program], rounds: int) -> float:
        """Processor time of one match."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.match(group, rounds)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def match(self, group: Sequence[Program], rounds: int) -> str:
        """What pMARS prints of a match by -f; no display is shown to it.

        Raises CalledProcessError if it refuses, TimeoutExpired if it hangs.
        """
        files = [self.folder / f"{i}.red" for i in range(len(group))]
        for file, warrior in zip(files, group, strict=True):
            file.write_text(load_file(warrior))
        core, distance = self.workload.core, self.workload.distance
        sizes = ["-s", core.size, "-c", core.cycles_max, "-p", core.processes_max]
        sizes += ["-S", core.pspace_size, "-l", distance, "-d", distance]
        return subprocess.run(
            [self.program, "-b", "-f", "-r", str(rounds), *map(str, sizes), *files],
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="latin-1",
            env={name: value for name, value in os.environ.items() if name != "DISPLAY"},
            timeout=PMARS_SECONDS_MAX,
        ).stdout


def load_file(program: Program) -> str:
    """A program as text that any assembler takes."""
    lines = [";redcode-94", ";assert 1", f"ORG {program.start}"]
    if program.pin is not None:
        lines.append(f"PIN {program.pin}")
    lines += [
        f"{OPCODES[op]}.{MODIFIERS[mod]} {MODES[a_mode]}{a}, {MODES[b_mode]}{b}"
        for op, mod, a_mode, a, b_mode, b in program.code.tolist()
    ]
    return "\n".join([*lines, "END", ""])
