"""The data folder's assembled warriors and pMARS's results, without an assembler."""

import csv
import functools
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deid_mars import MODES, MODIFIERS, OPCODES, Core, Program, SeriesResults, series

INSTRUCTION = re.compile(r"(\w+)\.(\w+) (.)(\d+), (.)(\d+)")
PIN = re.compile(r"^[ \t]*pin[ \t]+(\d+)", re.IGNORECASE | re.MULTILINE)
DEFAULTS = {"-r": 1, "-s": 8000, "-c": 80_000, "-p": 8000, "-l": 100, "-d": 0, "-F": 0}


@dataclass(frozen=True, slots=True)
class Match:
    """One row of pairs.csv or multis.csv."""

    group: str
    options: str
    names: tuple[str, ...]
    programs: tuple[Program, ...]
    core: Core
    rounds: int
    distance: int
    seed: int | None
    expected: str

    def play(self, rounds: int | None = None, threads: int = 1) -> SeriesResults:
        return series(
            self.core,
            self.programs,
            self.rounds if rounds is None else rounds,
            distance=self.distance,
            seed=self.seed,
            threads=threads,
        )


def corewar_data() -> Path:
    """Where the data folder is, if it is there."""
    root = Path(__file__).parents[2]
    return Path(os.environ.get("DEID_COREWAR_DATA", root.parent / "shared" / "data" / "corewar"))


def shown(result: SeriesResults) -> str:
    """A match's result as the data folder writes it."""
    if result.survived.shape[1] == 2:
        return " ".join(map(str, result.wins))
    return " | ".join(" ".join(map(str, row)) for row in result.table.tolist())


@functools.cache
def warriors(data: Path, group: str) -> dict[str, Program]:
    """The programs of one set by file name; PIN, which load files leave out, from the source."""
    programs = {}
    for line in (data / "assembled" / f"{group}.jsonl").read_text().splitlines():
        entry = json.loads(line)
        name = entry["warrior"]
        pin = PIN.search((data / "warriors" / name).read_text("latin-1"))
        programs[name] = Program(
            [instruction(text) for text in entry["code"]],
            entry["start"],
            int(pin[1]) if pin else None,
        )
    return programs


def instruction(text: str) -> tuple[int, ...]:
    """The six columns of an instruction in full, such as `MOV.I $0, @1`."""
    found = INSTRUCTION.fullmatch(text)
    assert found, text
    opcode, modifier, a_mode, a, b_mode, b = found.groups()
    return (
        OPCODES.index(opcode),
        MODIFIERS.index(modifier),
        MODES.index(a_mode),
        int(a),
        MODES.index(b_mode),
        int(b),
    )


def matches(data: Path, name: str) -> Iterator[Match]:
    """All rows of results/NAME."""
    with (data / "results" / name).open() as file:
        for row in csv.DictReader(file):
            options = parsed(row["options"])
            names = tuple(row["warriors"].split())
            programs = warriors(data, row["set"])
            yield Match(
                group=row["set"],
                options=row["options"],
                names=names,
                programs=tuple(programs[name] for name in names),
                core=Core(options["-s"], options["-c"], options["-p"]),
                rounds=options["-r"],
                distance=options["-d"] or options["-l"],
                seed=options["-F"] or None,
                expected=row["results"],
            )


def parsed(options: str) -> dict[str, int]:
    """pMARS's options with its defaults; 0 stands for an option not given."""
    values = dict(DEFAULTS)
    words = iter(options.split())
    for word in words:
        if word != "-f":
            values[word] = int(next(words))
    return values
