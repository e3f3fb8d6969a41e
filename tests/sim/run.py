"""Runs seeds of the simulator: ``python tests/sim/run.py --seeds 1000`` or ``--seed 17``.

With ``--size 1000`` the seeds of large clusters. Of a seed that fails the smallest part of its
schedule that still fails is shown, too, as the command that replays it.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from sim.large import run_large  # noqa: E402
from sim.scenario import Outcome, Scenario, run, scenario_of, shrunk  # noqa: E402

MESH_MAX = 32  # nodes; beyond, the overlay is what is to be shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one seed and show what happened")
    parser.add_argument("--size", type=int, help="nodes, instead of what the seed says")
    parser.add_argument("--without", default="", help="parts of the schedule to leave out")
    options = parser.parse_args()
    if (options.size or 0) > MESH_MAX:
        return large(options)
    if options.seed is not None:
        without = frozenset(options.without.split(",")) - {""}
        outcome = run(replace(scenario_of(options.seed, options.size), without=without))
        print(outcome)
        return report([outcome])
    started = time.monotonic()
    outcomes = [
        run(scenario_of(seed, options.size))
        for seed in range(options.first, options.first + options.seeds)
    ]
    print(summary(outcomes, time.monotonic() - started))
    return report(outcomes)


def replay_command(outcome: Outcome) -> str:
    """What replays the run of ``outcome``."""
    scenario = outcome.scenario
    without = f" --without {','.join(sorted(scenario.without))}" if scenario.without else ""
    return f"python tests/sim/run.py --seed {scenario.seed} --size {scenario.size}{without}"


def smallest(outcome: Outcome) -> Outcome:
    """The same failure with all that it does not need left out."""
    words = {each.split(":")[0] for each in outcome.violations}

    def fails(scenario: Scenario) -> bool:
        return bool(words & {each.split(":")[0] for each in run(scenario).violations})

    return run(shrunk(outcome.scenario, fails))


def large(options: argparse.Namespace) -> int:
    """Clusters beyond a full mesh; see large.py."""
    first = options.first if options.seed is None else options.seed
    count = options.seeds if options.seed is None else 1
    failed = 0
    for seed in range(first, first + count):
        started = time.monotonic()
        outcome = run_large(seed, options.size)
        print(f"{outcome}\n  {time.monotonic() - started:.0f} s", flush=True)
        failed += bool(outcome.violations)
    return 1 if failed else 0


def summary(outcomes: list[Outcome], seconds: float) -> str:
    heals = sorted(each.heal_ms for each in outcomes if each.heal_ms is not None)
    items = sum(each.items for each in outcomes)
    copies = sum(each.copies * each.items for each in outcomes) / max(1, items)
    return (
        f"{len(outcomes)} seeds in {seconds:.1f} s: {items:,} items taken in, "
        f"{sum(each.messages for each in outcomes):,} messages, {copies:.3f} copies an item, "
        f"healed in {heals[len(heals) // 2]} ms (median), {heals[-1]} ms (most)"
    )


def report(outcomes: list[Outcome]) -> int:
    failed = [each for each in outcomes if each.violations]
    for outcome in failed:
        print(f"seed {outcome.scenario.seed}: {len(outcome.violations)} violations")
        for violation in outcome.violations[:5]:
            print(f"  {violation}")
        print(f"  replay: {replay_command(outcome)}")
        print(f"  smallest: {replay_command(smallest(outcome))}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
