"""Measures one thread against two, call by call in turn, on the shipped warriors.

    python tests/mars/measure_threads.py

Prints the median, least and greatest ratio of times; it needs a machine with two free cores.
"""

from __future__ import annotations

import statistics
import time

import deid_mars
from deid_corewar.domain import CorewarDomain
from deid_corewar.placement import drq_positions
from deid_corewar.redcode import parse_listing

TURNS = 9


def main() -> None:
    domain = CorewarDomain({})
    programs = []
    for genome in domain.corpora()["all"][:21]:
        code = parse_listing(genome.code)
        rows = [[i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b] for i in code.instructions]
        programs.append(deid_mars.Program(rows, code.start))
    core = deid_mars.Core()
    for count, battles in ((21, 100), (21, 20), (2, 200)):
        chosen = programs[:count]
        positions, first = drq_positions([len(p) for p in chosen], 8000, 100, list(range(battles)))
        ratios = []
        for _ in range(TURNS):
            start = time.perf_counter()
            one = deid_mars.melee(core, chosen, positions, first, threads=1)
            middle = time.perf_counter()
            two = deid_mars.melee(core, chosen, positions, first, threads=2)
            ratios.append((middle - start) / (time.perf_counter() - middle))
            if not (one.death == two.death).all():
                raise SystemExit("two threads gave other results than one")
        middle_ratio = statistics.median(ratios)
        print(
            f"{count} warriors, {battles} battles a call: two threads are {middle_ratio:.2f} times"
            f" as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
