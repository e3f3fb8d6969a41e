"""How fast and how large the journal is: ``python -m deid.store.bench [DIRECTORY] [--json]``.

The rows are those of a search on Core War in size and kind: a proposal with one candidate of 10 to
40 lines, its evaluation, its placement.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from deid.search.evaluation import Evaluation
from deid.search.genome import Genome
from deid.search.records import Candidate, Evaluated, Placed, Proposed, Row
from deid.store.journal import Journal
from deid.store.values import Head, Transaction

SINGLES = 500  # candidates committed one by one, each waited for
CANDIDATES = 5_000  # candidates committed in groups
IN_FLIGHT = 256  # transactions under way at once in the grouped part


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of the bench measured."""

    single_commits_per_s: float  # one candidate each, awaited before the next
    candidates_per_s: float  # grouped, IN_FLIGHT under way
    rows_per_s: float  # of the same run
    bytes_per_candidate: float  # of the closed file
    verified_rows_per_s: float  # the chain recomputed from the file


def measure(directory: Path, *, singles: int = SINGLES, candidates: int = CANDIDATES) -> Figures:
    """Writes journals under ``directory``; the figures depend on its disk."""
    made = [candidate_rows(Random(number), number) for number in range(candidates)]
    with Journal(directory / "singles.sqlite3") as journal:
        started = time.perf_counter()
        for rows in made[:singles]:
            journal.append(Transaction(rows)).result()
        single_s = time.perf_counter() - started
    path = directory / "groups.sqlite3"
    with Journal(path) as journal:
        started = time.perf_counter()
        _append_all(journal, made)
        group_s = time.perf_counter() - started
        head = journal.head()
        started = time.perf_counter()
        journal.verify()
        verify_s = time.perf_counter() - started
    return Figures(
        single_commits_per_s=len(made[:singles]) / single_s,
        candidates_per_s=candidates / group_s,
        rows_per_s=head.seq / group_s,
        bytes_per_candidate=path.stat().st_size / candidates,
        verified_rows_per_s=head.seq / verify_s,
    )


def candidate_rows(rng: Random, iteration: int) -> tuple[Row, ...]:
    """The rows of one candidate that was proposed, evaluated and placed."""
    source, code, size = _warrior(rng)
    genome = Genome(source, code, size)
    parents = (rng.randbytes(32),)
    candidates = (Candidate(source, genome),)
    proposed = Proposed(
        1, iteration, 3 * iteration, "mutate", parents, "markov", "ok", "", candidates
    )
    evaluation = Evaluation(rng.getrandbits(38), (rng.getrandbits(24), rng.getrandbits(24)), 20)
    evaluated = Evaluated(genome.content_hash, rng.randbytes(32), evaluation)
    placed = Placed(1, iteration, genome.content_hash, rng.randrange(36), evaluation.points, "kept")
    return Row.of(proposed), Row.of(evaluated), Row.of(placed)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deid.store.bench", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, help="where to write; default: TMPDIR")
    parser.add_argument("--json", action="store_true", help="figures as one line of JSON")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=chosen.directory) as directory:
        figures = asdict(measure(Path(directory), candidates=chosen.candidates))
    if chosen.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        sys.stdout.writelines(f"{name:24} {value:12,.0f}\n" for name, value in figures.items())


def _append_all(journal: Journal, made: Iterable[tuple[Row, ...]]) -> None:
    under_way: deque[Future[Head]] = deque()
    for rows in made:
        if len(under_way) >= IN_FLIGHT:
            under_way.popleft().result()
        under_way.append(journal.append(Transaction(rows)))
    for future in under_way:
        future.result()


def _warrior(rng: Random) -> tuple[str, bytes, int]:
    """Source text, code of 7 bytes an instruction, and length, as Core War's have them."""
    names = ("MOV", "ADD", "SUB", "DJN", "SPL", "JMP", "SEQ", "DAT")
    lines = [";redcode-94", ";name bench", "ORG start", "start:"]
    code = bytearray()
    size = rng.randint(10, 40)
    for _ in range(size):
        name, first, second = rng.randrange(8), rng.randrange(8_000), rng.randrange(8_000)
        lines.append(f"    {names[name]}.I ${first}, @{second}")
        code += bytes((name, 6, 0)) + first.to_bytes(2, "big") + second.to_bytes(2, "big")
    return "\n".join(lines) + "\n", bytes(code), size


if __name__ == "__main__":
    main()
