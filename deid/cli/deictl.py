"""``deictl``: the control client. Data goes to stdout, messages go to stderr."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from deid.cli.exits import EPILOG, run_program, version_option

if TYPE_CHECKING:
    from deid.control.client import ControlClient
    from deid.control.views import Reply

__all__ = ["deictl", "main"]

TIMEOUT_S = 10.0  # deid.control.client.TIMEOUT_S, which help must not import


@dataclass(frozen=True, slots=True)
class Options:
    """What was said before the verb."""

    as_json: bool
    state_dir: Path | None
    timeout_s: float | None


def _node_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every verb takes, and the group too."""
    for option in (
        click.option("--timeout", "timeout_s", type=click.FloatRange(0.001), metavar="SECONDS",
                     help=f"Wait so long for an answer ({TIMEOUT_S:g})."),
        click.option("--state-dir", type=click.Path(path_type=Path), metavar="DIR",
                     help="The node whose state directory this is; by default the only one that"
                     " runs for this user."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON of a stable form."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@version_option("deictl")
@_node_options
def deictl(as_json: bool, state_dir: Path | None, timeout_s: float | None) -> None:
    """Look at a running deid daemon and steer it.

    Options stand before or after the verb.
    """
    click.get_current_context().obj = Options(as_json, state_dir, timeout_s)


@deictl.command()
@_node_options
def status(**options: Any) -> None:
    """Show what the node is doing: round, archive, peers, budget."""
    _ask(options, lambda client: client.status())


@deictl.command()
@_node_options
def peers(**options: Any) -> None:
    """List the peers that the node knows, with their lag."""
    _ask(options, lambda client: client.peers())


@deictl.command()
@click.option("--merged", is_flag=True, help="All published items held, in the reference context.")
@_node_options
def archive(merged: bool, **options: Any) -> None:
    """Draw the archive of the running round, or the merged one.

    Nodes that hold the same items print the same bytes with --merged --json.
    """
    _ask(options, lambda client: client.archive(merged))


@deictl.command()
@_node_options
def champions(**options: Any) -> None:
    """List the champions of all rounds that the node holds, best first."""
    _ask(options, lambda client: client.champions())


@deictl.command()
@click.argument("hash_prefix", metavar="HASH")
@_node_options
def show(hash_prefix: str, **options: Any) -> None:
    """Show one program: source, provenance, placements.

    HASH is the content hash, or the beginning of it as long as only one program has it.
    """
    _ask(options, lambda client: client.show(hash_prefix))


@deictl.command()
@_node_options
def operators(**options: Any) -> None:
    """Show what the operators did: calls, failures, costs."""
    _ask(options, lambda client: client.operators())


@deictl.command()
@_node_options
def start(**options: Any) -> None:
    """Let a paused search go on."""
    _ask(options, lambda client: client.start())


@deictl.command()
@_node_options
def pause(**options: Any) -> None:
    """Let the search rest; peers are served."""
    _ask(options, lambda client: client.pause())


@deictl.command()
@_node_options
def stop(**options: Any) -> None:
    """End the daemon's process; the search goes on where it was at the next start."""
    _ask(options, lambda client: client.stop())


def main() -> NoReturn:
    """The console script."""
    run_program(deictl, "deictl")


def _ask(given: dict[str, Any], ask: Callable[[ControlClient], Reply]) -> None:
    """Asks the daemon and prints its reply; what stands after the verb wins."""
    from deid.control.client import ControlClient
    from deid.control.protocol import to_json

    before: Options = click.get_current_context().obj
    state_dir = given["state_dir"] or before.state_dir
    timeout_s = given["timeout_s"] or before.timeout_s or TIMEOUT_S
    with ControlClient.find(state_dir, timeout_s) as client:
        reply = ask(client)
    if given["as_json"] or before.as_json:
        click.echo(to_json(reply))
        return
    from deid.cli.render import draw, make_console

    console = make_console()
    console.print(draw(reply, console.width))


if __name__ == "__main__":
    main()
