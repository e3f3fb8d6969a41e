"""How fast the search core is: ``python -m deid.search.bench [--json]``.

The grid has 6 x 6 cells, as Core War's. Where pyribs is installed its ``GridArchive`` does the
same additions, one at a time and in one batch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module

from deid.search.archive import Archive, Elite
from deid.search.calls import Call
from deid.search.canonical import digest
from deid.search.engine import Engine, Phase
from deid.search.evaluation import Context, Evaluation
from deid.search.genome import Genome
from deid.search.grid import Axis, Grid
from deid.search.records import Arrived, Candidate, Configured, Evaluated, Input, Proposed, Row
from deid.search.settings import SearchSettings
from deid.search.streams import Stream

GRID = Grid(
    (
        Axis("spawned", "processes", (1, 10, 100, 1_000, 10_000)),
        Axis("covered", "addresses", (10, 100, 500, 1_000, 4_000)),
    )
)
NODES = 4  # whose archives are merged
ADDITIONS = 20_000
SAMPLES = 50_000
MERGES = 500
CALLS = 500  # a round, of the engine that is measured
ROUNDS = 4
REPEATS = 3  # the best of them counts: the others were disturbed

_TASK = digest("bench")
_POINTS_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One figure, the best of :data:`REPEATS` runs."""

    name: str
    value: float
    unit: str


def rows(scale: float = 1.0) -> list[BenchRow]:
    """Measures everything; ``scale`` multiplies how often each thing is done."""

    def times(count: int) -> int:
        return max(1, round(count * scale))

    additions = _additions(times(ADDITIONS))
    full = [Archive(GRID, _TASK, _full(node)) for node in range(NODES)]
    samples, merges, calls = times(SAMPLES), times(MERGES), times(CALLS)
    add_s = _best_s(lambda: _add(additions))
    sample_s = _best_s(lambda: _sample(full[0], samples))
    stream_s = _best_s(lambda: _create_streams(samples))
    merge_s = _best_s(lambda: _merge(full, merges))
    commit_s = _best_s(lambda: _search(ROUNDS, calls, journalled=False))
    journal_s = _best_s(lambda: _search(ROUNDS, calls, journalled=True))
    return [
        BenchRow("archive additions", len(additions) / add_s, "1/s"),
        *_pyribs(additions),
        BenchRow("parents sampled", samples / sample_s, "1/s"),
        BenchRow("streams created", samples / stream_s, "1/s"),
        BenchRow(f"merge of {NODES} x {GRID.cells} cells", merge_s / merges * 1e3, "ms"),
        BenchRow("engine commits", ROUNDS * calls / commit_s, "1/s"),
        BenchRow("engine commits, rows encoded", ROUNDS * calls / journal_s, "1/s"),
    ]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deid.search.bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as one line of JSON")
    parser.add_argument("--scale", type=float, default=1.0, help="how much is done (default: 1)")
    chosen = parser.parse_args(arguments)
    measured = rows(chosen.scale)
    if chosen.json:
        sys.stdout.write(json.dumps([asdict(row) for row in measured]) + "\n")
    else:
        lines = (f"{row.name:36} {row.value:14,.3f} {row.unit}\n" for row in measured)
        sys.stdout.writelines(lines)


# --- The archive --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Addition:
    """An evaluated program that asks for its cell."""

    content_hash: bytes
    evaluation: Evaluation


def _additions(count: int) -> list[_Addition]:
    """Programs with points and measures spread over the whole grid, the same in every run."""
    stream = Stream(1, "bench", "additions")
    made = []
    for number in range(count):
        measures = (
            stream.below(20_000) >> stream.below(15),
            stream.below(8_000) >> stream.below(9),
        )
        evaluation = Evaluation(stream.below(_POINTS_MAX), measures, 1)
        made.append(_Addition(digest(number), evaluation))
    return made


def _full(node: int) -> list[Elite]:
    stream = Stream(1, f"bench-{node}", "full")
    return [
        Elite(digest([node, cell]), cell, stream.below(_POINTS_MAX)) for cell in range(GRID.cells)
    ]


def _add(additions: Sequence[_Addition]) -> None:
    archive = Archive(GRID, _TASK)
    for each in additions:
        cell = GRID.cell(each.evaluation)
        archive.place(Elite(each.content_hash, cell, each.evaluation.points))


def _sample(archive: Archive, count: int) -> None:
    stream = Stream(1, "bench", "sample")
    for _ in range(count):
        archive.sample(stream)


def _create_streams(count: int) -> None:
    for iteration in range(count):
        Stream(1, "bench", "sample", 0, iteration)


def _merge(archives: Sequence[Archive], count: int) -> None:
    for _ in range(count):
        merged = archives[0]
        for other in archives[1:]:
            merged = merged.merge(other)


def _pyribs(additions: Sequence[_Addition]) -> list[BenchRow]:
    """The same additions to pyribs' archive; nothing where it is not installed."""
    try:
        archives = import_module("ribs.archives")
    except ImportError:
        return []
    solutions = [[float(number)] for number in range(len(additions))]
    objectives = [float(each.evaluation.points) for each in additions]
    measures = [[float(m) for m in each.evaluation.measures] for each in additions]

    def empty() -> object:
        return archives.GridArchive(
            solution_dim=1, dims=(6, 6), ranges=[(0, 20_000), (0, 8_000)], qd_score_offset=0
        )

    def singles() -> None:
        archive = empty()
        for solution, objective, place in zip(solutions, objectives, measures, strict=True):
            archive.add_single(solution, objective, place)  # type: ignore[attr-defined]

    def batch() -> None:
        empty().add(solutions, objectives, measures)  # type: ignore[attr-defined]

    return [
        BenchRow("pyribs: single additions", len(additions) / _best_s(singles), "1/s"),
        BenchRow("pyribs: additions in one batch", len(additions) / _best_s(batch), "1/s"),
    ]


# --- The engine ---------------------------------------------------------------------------------


class _Bench:
    """A problem whose programs are numbers; evaluating one costs next to nothing."""

    grid = GRID
    trials = 1
    opponents_max = 20

    def opponents(self) -> tuple[Genome, ...]:
        return tuple(Genome("", b"seed %d" % k, 1) for k in range(4))

    def context(self, opponents: Sequence[Genome], seeds: Sequence[int]) -> Context:
        return Context(_TASK, tuple(opponents), tuple(seeds), _POINTS_MAX)

    def reference(self) -> Context:
        return Context(_TASK, (), (0,), _POINTS_MAX)

    def evaluate(self, genome: Genome) -> Evaluation:
        word = int.from_bytes(genome.content_hash[:8], "big")
        measures = (word % 20_000 >> word % 15, (word >> 20) % 8_000 >> word % 9)
        return Evaluation(word % _POINTS_MAX, measures, 1)


def _search(round_count: int, calls: int, *, journalled: bool) -> None:
    """Commits ``round_count`` times ``calls`` calls of one candidate each."""
    problem = _Bench()
    engine = Engine(problem)
    settings = SearchSettings("bench", 1, rounds=round_count, iterations=calls, n_init=0)
    record: Input = Configured(settings)
    while True:
        outputs = engine.apply(record)
        if journalled:
            for each in (record, *outputs):
                Row.of(each)
        if engine.phase is Phase.DONE:
            return
        record = _wanted(engine, problem)


def _wanted(engine: Engine, problem: _Bench) -> Input:
    if engine.awaiting:
        task = engine.awaiting[0]
        result = problem.evaluate(task.genome)
        return Evaluated(task.genome.content_hash, task.context.context_hash, result)
    if engine.gather is not None:
        return Arrived(engine.gather.round, ())
    return _answer(next(iter(engine.calls.values())))


def _answer(call: Call) -> Proposed:
    source = f"program {call.seed}"
    candidates = (Candidate(source, Genome(source, source.encode(), 1)),)
    kind, parents = call.kind.value, call.parent_hashes
    return Proposed(
        call.round, call.iteration, call.seen, kind, parents, call.operator, "ok", "", candidates
    )


def _best_s(work: Callable[[], None]) -> float:
    """Seconds of the fastest of :data:`REPEATS` runs of ``work``."""
    spent = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return min(spent)


if __name__ == "__main__":
    main()
