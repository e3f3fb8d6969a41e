"""What liars cost: ``python tests/daemon/measure_liars.py [seeds]`` prints the tables.

Seven honest nodes search alone, and beside three liars (30 % of ten peers) that publish random
programs, or copies of what honest nodes publish, under the best claims there are. The honest nodes
make the same number of calls in all conditions. The figure is the QD-score of the merged archive
that an honest node shows in the end.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from daemon.swarm import DOMAIN, REFERENCE, Copycat, Honest, Liar, merged, run_swarm

from deid.search.archive import Archive, Elite
from deid.search.metrics import measure

HONEST, LIARS = 7, 3


@dataclass(frozen=True)
class Cost:
    """One seed: QD-scores, of honest nodes alone; beside liars with one check of a claim a round;
    with as many as there are to do; with none, so that no liar is found out; and what the liars'
    claims would show if they were believed. shown: lies in the archive that is shown."""

    seed: int
    alone: float
    one_check: float
    all_checks: float
    no_check: float
    believed: float
    shown: int

    def loss(self, value: float) -> float:
        return 1 - value / self.alone


def cost(seed: int, liar: type[Liar], *, controls: bool = True) -> Cost:
    """controls: with the runs of all checks and of none; else the figures of one check stand for
    theirs."""
    runs: dict[int | None, list[Honest]] = {}
    runs[1] = run_swarm(HONEST, LIARS, seed, checks=1, liar=liar)
    for checks in (None, 0):
        runs[checks] = (
            run_swarm(HONEST, LIARS, seed, checks=checks, liar=liar) if controls else runs[1]
        )
    alone = run_swarm(HONEST, 0, seed)
    honest = {node.key for node in runs[1]}
    shown = merged(each.item for each in runs[1][0].held)
    return Cost(
        seed,
        alone=qd(alone),
        one_check=qd(runs[1]),
        all_checks=qd(runs[None]),
        no_check=qd(runs[0]),
        believed=believed(runs[0]),
        shown=sum(1 for item in shown.items.values() if item.origin not in honest),
    )


def qd(nodes: list[Honest]) -> float:
    """The first node's; all show the same, which is checked."""
    archives = [merged(each.item for each in node.held).archive for node in nodes]
    last = {each.name for each in nodes[-1].held}
    assert all({each.name for each in node.held} == last for node in nodes)
    assert all(archive == archives[0] for archive in archives)
    return measure(archives[0], REFERENCE).qd_score


def believed(nodes: list[Honest]) -> float:
    """As if claims were true."""
    items = [each.item for each in nodes[0].held]
    elites = [
        Elite(item.content_hash, DOMAIN.grid.cell(item.claim), item.claim.points) for item in items
    ]
    return measure(Archive(DOMAIN.grid, REFERENCE.context_hash, elites), REFERENCE).qd_score


def main(seeds: int) -> None:
    for liar in (Liar, Copycat):
        print(f"{liar.__name__}: {HONEST} honest nodes, {LIARS} liars")
        _table(seeds, liar)


def _table(seeds: int, liar: type[Liar]) -> None:
    print("seed  alone  one check       all checks      no check        believed  lies shown")
    found = []
    for seed in range(1, seeds + 1):
        each = cost(seed, liar)
        found.append(each)
        cells = [
            f"{value:6.2f} ({each.loss(value):+6.1%})"
            for value in (each.one_check, each.all_checks, each.no_check)
        ]
        print(f"{seed:4}  {each.alone:5.2f}  {'  '.join(cells)}  {each.believed:8.2f}"
              f"  {each.shown}", flush=True)  # fmt: skip
    for name in ("one_check", "all_checks", "no_check"):
        losses = [each.loss(getattr(each, name)) for each in found]
        spread = statistics.stdev(losses) if len(losses) > 1 else 0.0
        print(f"{name}: mean loss {statistics.mean(losses):+.2%}, sd {spread:.2%}, "
              f"worst {max(losses):+.2%}")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
