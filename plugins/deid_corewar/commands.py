"""Commands on Redcode files: `deid assemble`, `deid battle`, `deid hill rank`.

Each sizes the core by ``--settings SET``, of which single values may be overridden. Bad Redcode
ends in one line on stderr and exit code 1, impossible options in exit code 2.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deid.errors import ConfigError
from deid_corewar.redcode import (
    AssemblyError,
    Standard,
    Warrior,
    disassemble,
    listing,
)
from deid_corewar.redcode import (
    assemble as assemble_text,
)
from deid_corewar.settings import SETTINGS, CoreSettings, default_pspace_size, settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    import deid_mars

__all__ = ["assemble", "battle", "hill"]

FILE_BYTES_MAX = 1 << 20
"""More of a file is not read: no warrior is that long, but a device file never ends."""

CONFIDENCE_Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""

REFUSALS_SHOWN = 5
"""Errors shown of a folder's files; the rest is counted."""

Command = TypeVar("Command", bound=Callable[..., Any])

SIZES = (
    ("--core-size", "core_size", "Addresses of the core."),
    ("--cycles", "cycles_max", "Cycles until a tie."),
    ("--processes", "processes_max", "Processes of a warrior."),
    ("--length", "length_max", "Instructions of a warrior."),
    ("--distance", "distance", "Least distance of warriors, in addresses."),
    ("--pspace-size", "pspace_size", "Cells of P-space; a sixteenth of the core unless given."),
)


def core_options(command: Command) -> Command:
    """The options that size the core and choose the rules of the language."""
    for flag, name, text in reversed(SIZES):
        command = click.option(flag, name, type=int, default=None, help=text)(command)
    command = click.option(
        "--standard",
        type=click.Choice(["94", "88"]),
        default="94",
        show_default=True,
        help="Rules of the language: ICWS'94 or ICWS'88.",
    )(command)
    return click.option(
        "--settings",
        "settings_name",
        type=click.Choice(list(SETTINGS)),
        default="94",
        show_default=True,
        help="Sizes of a published hill.",
    )(command)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@core_options
@click.option("--json", "as_json", is_flag=True, help="One JSON line a file.")
@click.option(
    "--listing", "as_listing", is_flag=True, help="The instructions with their addresses."
)
def assemble(
    files: tuple[str, ...],
    settings_name: str,
    standard: str,
    as_json: bool,
    as_listing: bool,
    **sizes: int | None,
) -> None:
    """Assemble Redcode files; exit code 1 if one has an error."""
    core = _core(settings_name, sizes)
    failed = False
    for file in files:
        text = _read(file)
        try:
            warrior = assemble_text(text, core, standard=Standard(standard))
        except AssemblyError as error:
            failed = True
            if as_json:
                place = {"line": error.line, "column": error.column, "message": error.message}
                click.echo(json.dumps({"file": file, "error": place}))
            else:
                click.echo(f"{file}: {error}", err=True)
            continue
        _show(file, warrior, as_json, as_listing)
    if failed:
        raise click.exceptions.Exit(1)


def _show(file: str, warrior: Warrior, as_json: bool, as_listing: bool) -> None:
    if as_json:
        code = [disassemble(instruction) for instruction in warrior.instructions]
        click.echo(json.dumps({"file": file, "start": warrior.start, "code": code}))
        return
    for warning in warrior.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    click.echo(
        f"{file}: {warrior.name or 'unnamed'} by {warrior.author or 'unknown'}, "
        f"{len(warrior.instructions)} instructions, starts at {warrior.start}"
    )
    if as_listing:
        for address, instruction in enumerate(warrior.instructions):
            mark = "START" if address == warrior.start else ""
            click.echo(f"{address:5} {mark:6}{disassemble(instruction)}")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="A.red B.red [...]")
@core_options
@click.option("--rounds", type=click.IntRange(1, 1 << 20), default=100, show_default=True)
@click.option(
    "--placement",
    type=click.Choice(["pmars", "drq"]),
    default="pmars",
    show_default=True,
    help="pMARS's series, or a slot for each warrior, rotated.",
)
@click.option(
    "--seed",
    default="fixed",
    show_default=True,
    metavar="fixed|N",
    help="pMARS: -f, or -F N. Slots: seeds from 0 or N on.",
)
@click.option(
    "--rules",
    type=click.Choice(["pmars", "drq"]),
    default="pmars",
    show_default=True,
    help="End at one survivor, or fight to the last cycle; of two, drq compares the points.",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, help="All cores if left out."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line.")
def battle(
    files: tuple[str, ...],
    settings_name: str,
    standard: str,
    rounds: int,
    placement: str,
    seed: str,
    rules: str,
    threads: int | None,
    as_json: bool,
    **sizes: int | None,
) -> None:
    """Let two or more warriors fight in one core."""
    if len(files) < 2:
        raise click.UsageError(f"expected two warriors or more, got {len(files)}")
    core = _core(settings_name, sizes)
    warriors = [_load(file, core, Standard(standard)) for file in files]
    plan = Plan(core, rounds, placement, _seed(seed), rules, threads or os.cpu_count() or 1)
    began = time.perf_counter()
    try:
        outcome = fight(plan, warriors)
    except (ValueError, ConfigError) as error:
        raise click.UsageError(str(error)) from None
    seconds = time.perf_counter() - began
    if as_json:
        record = {
            "results": outcome.results,
            "instructions": outcome.instructions,
            "seconds": round(seconds, 6),
        }
        click.echo(json.dumps(record))
        return
    _show_outcome(files, warriors, outcome)
    click.echo(f"{rounds} rounds, {outcome.instructions} instructions in {seconds:.2f} s")


@dataclass(frozen=True, slots=True)
class Plan:
    """How warriors fight; `seed` is None for pMARS's fixed series."""

    core: CoreSettings
    rounds: int
    placement: str
    seed: int | None
    rules: str
    threads: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of two warriors [wins, wins, ties]; of N, a row each: survived with 1 … N alive, died."""

    results: list[int] | list[list[int]]
    instructions: int


def fight(plan: Plan, warriors: Sequence[Warrior]) -> Outcome:
    """Play the rounds of a plan; ValueError or `ConfigError` where the core has no room."""
    programs = [_program(warrior) for warrior in warriors]
    results = _results(plan, programs)
    executed = int(results.executed.sum())
    if len(programs) == 2 and plan.rules == "drq":
        return Outcome(_compared(results.death, plan.core.cycles_max), executed)
    survived = results.death > plan.core.cycles_max
    if len(programs) == 2:
        alone = survived & (survived.sum(axis=1, keepdims=True) == 1)
        wins = [int(count) for count in alone.sum(axis=0)]
        return Outcome([*wins, plan.rounds - sum(wins)], executed)
    return Outcome(_table(survived), executed)


def _results(plan: Plan, programs: Sequence[deid_mars.Program]) -> deid_mars.Results:
    """The battles; P-space lives on from round to round in pMARS's own series only."""
    import deid_mars

    core = plan.core
    if plan.placement == "drq":
        return _slots(core, programs, plan.rounds, plan.seed or 0, plan.rules, plan.threads)
    match = deid_mars.series(
        _mars(core),
        programs,
        plan.rounds,
        distance=core.distance,
        seed=plan.seed,
        threads=plan.threads,
    )
    if plan.rules == "pmars":
        return match.results
    return deid_mars.melee(
        _mars(core),
        programs,
        match.positions,
        match.first,
        ending=_ending(plan.rules),
        threads=plan.threads,
    )


def _slots(
    core: CoreSettings,
    programs: Sequence[deid_mars.Program],
    battles: int,
    seed: int,
    rules: str,
    threads: int,
) -> deid_mars.Results:
    """Battles in rotating slots, one seed each."""
    import deid_mars
    from deid_corewar.placement import drq_positions

    positions, first = drq_positions(
        [len(program) for program in programs],
        core.core_size,
        core.distance,
        [(seed + battle) % (1 << 64) for battle in range(battles)],
    )
    return deid_mars.melee(
        _mars(core), programs, positions, first, ending=_ending(rules), threads=threads
    )


def _compared(death: NDArray[np.int64], cycles_max: int) -> list[int]:
    """[wins, wins, ties] of two warriors, battle by battle, by their points."""
    from deid_corewar.scoring import melee_points

    points = melee_points(death, cycles_max)
    wins = int((points[:, 0] > points[:, 1]).sum())
    losses = int((points[:, 0] < points[:, 1]).sum())
    return [wins, losses, len(points) - wins - losses]


def _table(survived: NDArray[np.bool_]) -> list[list[int]]:
    """Per warrior the rounds survived with 1, 2, … N survivors, then the rounds died."""
    alive = survived.sum(axis=1)
    return [
        [int((column & (alive == k)).sum()) for k in range(1, survived.shape[1] + 1)]
        + [int((~column).sum())]
        for column in survived.T
    ]


def _show_outcome(files: Sequence[str], warriors: Sequence[Warrior], outcome: Outcome) -> None:
    pairs = zip(files, warriors, strict=True)
    names = [f"{warrior.name or 'unnamed'} ({file})" for file, warrior in pairs]
    width = max(map(len, names))
    for number, name in enumerate(names):
        row = outcome.results[number]
        if isinstance(row, list):
            text = f"survived alone {row[0]}, with others {sum(row[1:-1])}, died {row[-1]}"
        else:
            text = f"won {row}"
        click.echo(f"{name:{width}}  {text}")
    if len(warriors) == 2:
        click.echo(f"{'':{width}}  tied {outcome.results[2]}")


@click.group()
def hill() -> None:
    """Judge warriors by a folder of others."""


@hill.command()
@click.argument("warrior_file", metavar="WARRIOR")
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@core_options
@click.option("--battles", type=click.IntRange(1, 1 << 16), default=20, show_default=True)
@click.option("--seed", type=click.IntRange(0, (1 << 64) - 1), default=0, show_default=True)
@click.option("--exclude", multiple=True, metavar="FILE", help="Opponents of this code stay out.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=None, help="All cores if left out."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line.")
def rank(
    warrior_file: str,
    folder: Path,
    settings_name: str,
    standard: str,
    battles: int,
    seed: int,
    exclude: tuple[str, ...],
    threads: int | None,
    as_json: bool,
    **sizes: int | None,
) -> None:
    """Share of the .red files of a folder that a warrior defeats, ties with and loses to.

    An opponent is defeated when the warrior has more points than it over all battles, 1 on 1.
    Opponents of the warrior's own code stay out.
    """
    core = _core(settings_name, sizes)
    rules = Standard(standard)
    warrior = _load(warrior_file, core, rules)
    unwanted = {listing(warrior), *(listing(_load(file, core, rules)) for file in exclude)}
    opponents, excluded, refused = _opponents(folder, core, rules, unwanted)
    if not opponents:
        raise click.ClickException(
            f"{folder}: expected .red files that assemble under these settings, got none"
        )
    margins, shares = _duels(core, warrior, opponents, battles, seed, threads)
    standing = {
        "defeated": _share(sum(margin > 0 for margin in margins), len(margins)),
        "tied": _share(sum(margin == 0 for margin in margins), len(margins)),
        "lost": _share(sum(margin < 0 for margin in margins), len(margins)),
        "score": _mean(shares),
    }
    if as_json:
        record = {
            "warrior": warrior_file,
            "hill": str(folder),
            "settings": settings_name,
            "battles": battles,
            "seed": seed,
            "opponents": len(opponents),
            "excluded": excluded,
            "refused": refused,
        }
        click.echo(json.dumps({**record, **standing}))
        return
    click.echo(
        f"{warrior.name or warrior_file} against {len(opponents)} warriors of {folder}, "
        f"{battles} battles each ({excluded} excluded, {refused} refused)"
    )
    for word, figures in standing.items():
        click.echo(
            f"{word:9} {figures['share']:6.1%}  [{figures['low']:.1%}, {figures['high']:.1%}]"
        )


def _opponents(
    folder: Path, core: CoreSettings, standard: Standard, unwanted: set[bytes]
) -> tuple[list[Warrior], int, int]:
    """The warriors of a folder in the order of their names; how many stay out, how many fail."""
    found: list[Warrior] = []
    excluded = refused = 0
    for path in sorted(folder.glob("*.red")):
        try:
            warrior = assemble_text(_read(str(path)), core, standard=standard)
        except AssemblyError as error:
            refused += 1
            if refused <= REFUSALS_SHOWN:
                click.echo(f"{path}: {error}", err=True)
            continue
        if listing(warrior) in unwanted:
            excluded += 1
        else:
            found.append(warrior)
    if refused > REFUSALS_SHOWN:
        click.echo(f"... and {refused - REFUSALS_SHOWN} more that do not assemble", err=True)
    return found, excluded, refused


def _duels(
    core: CoreSettings,
    warrior: Warrior,
    opponents: Iterable[Warrior],
    battles: int,
    seed: int,
    threads: int | None,
) -> tuple[list[int], list[float]]:
    """Per opponent: the lead in points, and the share of all points shared out."""
    from deid_corewar.scoring import melee_points

    program = _program(warrior)
    margins: list[int] = []
    shares: list[float] = []
    for opponent in opponents:
        pair = (program, _program(opponent))
        results = _slots(core, pair, battles, seed, "drq", threads or os.cpu_count() or 1)
        own, other = (int(p) for p in melee_points(results.death, core.cycles_max).sum(axis=0))
        margins.append(own - other)
        shares.append(own / (own + other) if own + other else 0.5)
    return margins, shares


def _share(count: int, total: int) -> dict[str, float]:
    """A share with Wilson's 95 % interval, the opponents taken as a sample."""
    share, z2 = count / total, CONFIDENCE_Z**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = (
        CONFIDENCE_Z
        / (1 + z2 / total)
        * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    )
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return {"count": count, "share": share, "low": min(low, share), "high": max(high, share)}


def _mean(values: Sequence[float]) -> dict[str, float]:
    """A mean with the 95 % interval of its standard error."""
    total = len(values)
    mean = math.fsum(values) / total
    if total == 1:
        return {"share": mean, "low": 0.0, "high": 1.0}
    variance = math.fsum((value - mean) ** 2 for value in values) / (total - 1)
    half = CONFIDENCE_Z * math.sqrt(variance / total)
    return {"share": mean, "low": max(0.0, mean - half), "high": min(1.0, mean + half)}


def _core(name: str, sizes: dict[str, int | None]) -> CoreSettings:
    """The sizes of a set with what the command line overrides."""
    given = {key: value for key, value in sizes.items() if value is not None}
    if "core_size" in given and "pspace_size" not in given and given["core_size"] > 0:
        given["pspace_size"] = default_pspace_size(given["core_size"])
    try:
        return replace(settings_of(name), **given)
    except ConfigError as error:
        raise click.UsageError(error.message) from None


def _seed(text: str) -> int | None:
    if text == "fixed":
        return None
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    raise click.UsageError(f"--seed: expected 'fixed' or a whole number, got {text!r}")


def _load(file: str, core: CoreSettings, standard: Standard) -> Warrior:
    try:
        return assemble_text(_read(file), core, standard=standard)
    except AssemblyError as error:
        raise click.ClickException(f"{file}: {error}") from None


def _read(file: str) -> str:
    """The text of a file, `-` being standard input; published warriors are often latin-1."""
    try:
        with click.open_file(file, "rb") as stream:
            content: bytes = stream.read(FILE_BYTES_MAX)
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _mars(core: CoreSettings) -> deid_mars.Core:
    import deid_mars

    return deid_mars.Core(core.core_size, core.cycles_max, core.processes_max, core.pspace_size)


def _ending(rules: str) -> deid_mars.Ending:
    import deid_mars

    return deid_mars.Ending.LAST_CYCLE if rules == "drq" else deid_mars.Ending.ONE_SURVIVOR


def _program(warrior: Warrior) -> deid_mars.Program:
    import deid_mars

    rows = [(i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b) for i in warrior.instructions]
    return deid_mars.Program(rows, warrior.start, warrior.pin)
