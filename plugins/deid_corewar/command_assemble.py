"""``deid assemble``: Redcode to instructions."""

from __future__ import annotations

import json

import click

from deid_corewar.command_options import core_of, core_options, read
from deid_corewar.redcode import AssemblyError, Standard, Warrior, disassemble
from deid_corewar.redcode import assemble as assemble_text

__all__ = ["assemble"]


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
    core = core_of(settings_name, sizes)
    failed = False
    for file in files:
        text = read(file)
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
