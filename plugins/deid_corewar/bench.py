"""``deid bench mars``: the simulator's speed beside others', on the same battles."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from deid.errors import CandidateError, NothingMatchedError
from deid.search.streams import Stream
from deid_corewar.fights import mars_core, program_of
from deid_corewar.placement import slots_max
from deid_corewar.redcode import assemble
from deid_corewar.settings import SETTINGS, CoreSettings
from deid_corewar.warriors import seed_warriors
from deid_mars import Program
from deid_mars.bench import BenchRow, Workload, rows

__all__ = ["mars"]

COLUMNS = "{:<16} {:<12} {:>8} {:>10} {:>7} {:>12} {:>10}"


@click.command("mars")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--settings",
    type=click.Choice(tuple(SETTINGS)),
    help="Sizes of the core; without it those of the set that a folder is called after, else 94.",
)
@click.option("--pairs", type=click.IntRange(1, 10_000), default=40, show_default=True)
@click.option(
    "--group",
    type=click.IntRange(0, 1_000),
    default=21,
    show_default=True,
    help="Warriors in a group that fights in one core; 0 leaves groups out.",
)
@click.option("--groups", type=click.IntRange(1, 1_000), default=4, show_default=True)
@click.option("--seconds", type=click.FloatRange(0), default=20.0, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1, 1_024),
    multiple=True,
    help="Threads to measure with; may be repeated. Default: 1 and all processors.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
def mars(
    folders: tuple[Path, ...],
    settings: str | None,
    pairs: int,
    group: int,
    groups: int,
    seconds: float,
    threads: tuple[int, ...],
    seed: int,
    as_json: bool,
) -> None:
    """Battles a second, side by side with whatever other simulator is installed.

    FOLDERS hold .red files, a set each; without them the shipped warriors fight. Others that are
    measured where they are found: exhaust (package exhaust-ma) and pmars on the PATH.
    """
    workloads: list[Workload] = []
    for name, core, sources in _sets(folders, settings):
        programs = _programs(name, core, sources)
        fitting = slots_max(core.core_size, core.length_max, core.distance)
        sizes = [(2, pairs)] + ([(min(group, fitting, len(programs)), groups)] if group else [])
        workloads += [_workload(name, core, programs, size, many, seed) for size, many in sizes]
    counts = threads or tuple(sorted({1, os.cpu_count() or 1}))
    report = partial(click.echo, err=True)
    _show(rows(seconds, workloads, threads=counts, seed=seed, report=report), as_json)


def _sets(
    folders: Sequence[Path], settings: str | None
) -> list[tuple[str, CoreSettings, dict[str, str]]]:
    """Name, sizes and sources of every set."""
    if not folders:
        core = SETTINGS[settings or "94"]
        shipped = {
            name: warrior.source
            for name, warrior in seed_warriors().items()
            if core.core_size in warrior.core_sizes
        }
        return [("deid", core, shipped)]
    sets: list[tuple[str, CoreSettings, dict[str, str]]] = []
    for folder in folders:
        name = folder.resolve().name
        core = SETTINGS[settings or (name if name in SETTINGS else "94")]
        paths = sorted(folder.glob("*.red"))
        sets.append((name, core, {p.name: p.read_text(encoding="latin-1") for p in paths}))
    return sets


def _programs(name: str, core: CoreSettings, sources: dict[str, str]) -> list[Program]:
    """The warriors that assemble; the others are counted on standard error."""
    programs: list[Program] = []
    for source in sources.values():
        try:
            warrior = assemble(source, core)
        except CandidateError:
            continue
        programs.append(program_of(warrior))
    if len(programs) < 2:
        raise NothingMatchedError(
            f"{name}: expected at least two warriors for a core of {core.core_size}, "
            f"got {len(programs)}"
        )
    if len(programs) < len(sources):
        click.echo(f"{name}: {len(sources) - len(programs)} warriors do not assemble", err=True)
    return programs


def _workload(
    name: str, core: CoreSettings, programs: list[Program], size: int, many: int, seed: int
) -> Workload:
    """``many`` groups of ``size`` different warriors, drawn by ``seed``."""
    stream = Stream(seed, name, "bench", size)
    drawn: list[tuple[Program, ...]] = []
    for _ in range(many):
        left = list(programs)
        drawn.append(tuple(left.pop(stream.below(len(left))) for _ in range(size)))
    return Workload(name, mars_core(core), core.distance, tuple(drawn))


def _show(table: Sequence[BenchRow], as_json: bool) -> None:
    if as_json:
        for row in table:
            click.echo(json.dumps(asdict(row)))
        return
    names = ("simulator", "set", "warriors", "statistics", "threads", "battles/s", "Minstr/s")
    click.echo(COLUMNS.format(*names))
    for row in table:
        click.echo(
            COLUMNS.format(
                row.simulator,
                row.set,
                row.warriors,
                "yes" if row.statistics else "no",
                row.threads,
                f"{row.battles_per_s:,.0f}",
                f"{row.minstr_per_s:,.1f}",
            )
        )
