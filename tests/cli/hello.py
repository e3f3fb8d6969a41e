"""A command as a plugin would bring it."""

from __future__ import annotations

import click


@click.command()
@click.option("--name", default="world")
def hello(name: str) -> None:
    """Says hello."""
    click.echo(f"hello {name}")
