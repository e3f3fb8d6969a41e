"""``deid hill rank``: a warrior against a folder of others, one after the other."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from deid_corewar.command_options import core_of, core_options, load, read, threads_option
from deid_corewar.fights import program_of, slot_battles
from deid_corewar.redcode import AssemblyError, Standard, Warrior, assemble, listing
from deid_corewar.scoring import melee_points
from deid_corewar.settings import CoreSettings

__all__ = ["hill"]

CONFIDENCE_Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""

REFUSALS_SHOWN = 5
"""Errors shown of a folder's files; the rest is counted."""


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
@threads_option
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
    core = core_of(settings_name, sizes)
    rules = Standard(standard)
    warrior = load(warrior_file, core, rules)
    unwanted = {listing(warrior), *(listing(load(file, core, rules)) for file in exclude)}
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
            warrior = assemble(read(str(path)), core, standard=standard)
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
    program = program_of(warrior)
    margins: list[int] = []
    shares: list[float] = []
    for opponent in opponents:
        pair = (program, program_of(opponent))
        results = slot_battles(core, pair, battles, seed, "drq", threads or os.cpu_count() or 1)
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
