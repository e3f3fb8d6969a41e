"""``deid battle``: warriors in one core."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

import click

from deid.errors import ConfigError
from deid_corewar.command_options import core_of, core_options, load, threads_option
from deid_corewar.fights import Outcome, Plan, fight
from deid_corewar.redcode import Standard, Warrior

__all__ = ["battle"]


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
@threads_option
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
    core = core_of(settings_name, sizes)
    warriors = [load(file, core, Standard(standard)) for file in files]
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


def _seed(text: str) -> int | None:
    if text == "fixed":
        return None
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    raise click.UsageError(f"--seed: expected 'fixed' or a whole number, got {text!r}")
