"""``deid``: the daemon and the stand-alone jobs. Data goes to stdout, messages go to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from deid.cli.exits import EPILOG, run_program, version_option
from deid.cli.lazy import BenchGroup, LazyCommand, PluginGroup

if TYPE_CHECKING:
    from deid.config import Config
    from deid.plugin.host import Offer, PluginHost

__all__ = ["deid", "main"]

LINGER_S = 30.0  # for peers to fetch what a finished node has


@click.group(
    cls=PluginGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@version_option("deid")
def deid() -> None:
    """Distributed, LLM-driven quality-diversity search by a swarm of peers.

    deictl looks at running daemons and steers them.
    """


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--config`` and what goes on top of it."""
    for option in (
        click.option("--set", "assignments", multiple=True, metavar="TABLE.KEY=VALUE",
                     help="Set any key of the configuration; repeatable."),
        click.option("--seed-peer", "seed_peers", multiple=True, metavar="ADDRESS",
                     help="A peer to dial, in place of [net] seeds; repeatable."),
        click.option("--listen", metavar="ADDRESS", help="[net] listen."),
        click.option("--state-dir", metavar="DIR", help="[node] state_dir."),
        click.option("--name", metavar="NAME", help="[node] name."),
        click.option("--config", "file", required=True, type=click.Path(path_type=Path),
                     metavar="FILE", help="The configuration, a TOML file."),
    ):  # fmt: skip
        command = option(command)
    return command


@deid.command()
@_config_options
@click.option("--until-done", is_flag=True, help="End when the rounds are done and peers have all.")
@click.option(
    "--linger",
    "linger_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help=f"With --until-done: wait at most so long for peers ({LINGER_S:g}).",
)
def run(until_done: bool, linger_s: float | None, **options: Any) -> None:
    """Run one daemon in the foreground.

    A flag beats an environment variable (DEID_TABLE_KEY), which beats the file.
    """
    if linger_s is not None and not until_done:
        raise click.UsageError("--linger belongs to --until-done")
    config = _load(options)

    import asyncio

    from deid.daemon.main import run as run_daemon
    from deid.log import configure_logging

    configure_logging(config.log.level, config.log.format)
    wait_s = LINGER_S if linger_s is None else linger_s
    code = asyncio.run(run_daemon(config, until_done=until_done, linger_s=wait_s))
    click.get_current_context().exit(code)


@deid.group()
def config() -> None:
    """Look at a configuration without running it."""


@config.command()
@_config_options
def check(**options: Any) -> None:
    """Read the configuration and build what it names: domain, operators, models."""
    read = _load(options)

    import asyncio

    from deid.log import configure_logging

    configure_logging("error", read.log.format)  # what is wrong is raised; the rest is noise here
    asyncio.run(_build(read))
    click.echo(f"{read.file}: ok")


@config.command("show")
@_config_options
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
def show_config(origin: bool, **options: Any) -> None:
    """Print the configuration in force as TOML, defaults included."""
    click.echo(_load(options).toml(origins=origin), nl=False)


@deid.group()
def plugins() -> None:
    """Look at the installed plugins."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON of a stable form.")
def list_plugins(as_json: bool) -> None:
    """List what plugins offer, and those that did not load."""
    from deid.plugin.host import PluginHost

    host = PluginHost()
    offers = _offers(host)
    if as_json:
        document = {
            "schema_version": 1,
            "kind": "plugins",
            "plugins": [{"name": name, "package": package} for name, package in host.plugins],
            "offers": offers,
            "faults": [
                {"name": fault.name, "package": fault.package, "reason": fault.reason}
                for fault in host.faults
            ],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    width = max((len(f"{each['type']} {each['name']}") for each in offers), default=0)
    for each in offers:
        head = f"{each['type']} {each['name']}"
        click.echo(f"{head:<{width}}  {each['help']} [{each['package']}]")
    for fault in host.faults:
        click.echo(f"not loaded: {fault}", err=True)


deid.add_command(
    LazyCommand(
        "demo",
        "Run a swarm of daemons on this machine and draw what they find",
        "deid.cli.demo:demo",
        "deid-qd",
    )
)


def main() -> NoReturn:
    """The console script."""
    run_program(deid, "deid")


def _load(options: dict[str, Any]) -> Config:
    from deid.config import load_config

    flags: dict[str, str] = {}
    for text in options["assignments"]:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--set {text}: expected TABLE.KEY=VALUE")
        flags[key.strip()] = value.strip()
    named = {
        "node.name": options["name"],
        "node.state_dir": options["state_dir"],
        "net.listen": options["listen"],
        "net.seeds": ",".join(options["seed_peers"]),
    }
    flags |= {key: value for key, value in named.items() if value}
    return load_config(options["file"], flags=flags)


async def _build(config: Config) -> None:
    """Builds domain, operators and models as the daemon does, and gives them back."""
    from deid.daemon.operators import ProcessOptions, make_operator
    from deid.plugin.host import PluginHost

    host = PluginHost()
    host.domain(config.search.domain).create(config.domain)
    for model in config.models:
        host.model(model.provider)
    for each in config.operators:
        port = make_operator(
            host,
            each.kind,
            each.settings,
            config.search.domain,
            config.domain,
            config.node.name,
            config.search.seed,
            each.isolation,
            options=ProcessOptions(memory_max_mb=each.memory_max_mb),
        )
        try:
            await port.start()
        finally:
            await port.close()


@deid.group(cls=BenchGroup)
def bench() -> None:
    """Measure the speed of this machine's parts, side by side with peers."""


def _offers(host: PluginHost) -> list[dict[str, str]]:
    """One row for each thing that a plugin offers, by type and name."""
    kinds: dict[str, Sequence[Offer]] = {
        "domain": host.domains(),
        "operator": host.operators(),
        "model": host.models(),
        "command": host.commands(),
        "check": host.checks(),
        "bench": host.benches(),
    }
    return [
        {
            "type": kind,
            "name": offer.name,
            "help": offer.help,
            "package": host.package_of(offer),
        }
        for kind, offers in kinds.items()
        for offer in offers
    ]


if __name__ == "__main__":
    main()
