"""Runs seeds of the simulator: ``python tests/sim/run.py --seeds 1000`` or ``--seed 17``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from sim.scenario import Outcome, run, scenario_of  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one seed and show what happened")
    parser.add_argument("--size", type=int, help="nodes, instead of what the seed says")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = run(scenario_of(options.seed, options.size))
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
    return f"python tests/sim/run.py --seed {scenario.seed} --size {scenario.size}"


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
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
