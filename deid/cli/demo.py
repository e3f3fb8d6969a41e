"""``deid demo``: a swarm of daemons on this machine, from start to picture."""

from __future__ import annotations

import sys
import time
import tomllib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deid.cli.demo_plan import NODES_MAX, OutFolder, Plan, choose_domain, make_plan
from deid.cli.demo_result import Result, check_identical, node_result, write_champions
from deid.cli.demo_screen import Moment, Screen, make_screen
from deid.cli.fleet import Fleet, Member, PortTakenError, free_ports
from deid.cli.palette import node_colours
from deid.cli.render import archive_grid, make_console
from deid.control.client import ControlClient
from deid.control.views import ArchiveView, ChampionRow, RunState, Status
from deid.errors import DeidError
from deid.plugin.host import PluginHost

__all__ = ["demo"]

STARTS_MAX: Final = 3  # with new ports each
POLL_S: Final = 0.25
MERGED_S: Final = 2.0  # between two looks at the merged archive; each may check new claims
LOOK_S: Final = 10.0  # for the answer to one
SETTLE_S: Final = 30.0  # for the last items to reach every node
STALL_S: Final = 180.0  # without a call done by any node
CHAMPIONS_SHOWN: Final = 8


@click.command(context_settings={"show_default": True})
@click.option(
    "--nodes",
    type=click.IntRange(1, NODES_MAX),
    metavar="N",
    help="How many daemons; by default as many as operators.",
)
@click.option(
    "--operators",
    metavar="LIST",
    help="An operator for each node, such as markov:bombers,edit; used again in turn.",
)
@click.option("--rounds", type=click.IntRange(1, 10_000), metavar="N", help="Rounds of each node.")
@click.option(
    "--iterations",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Calls in a round after the initial ones.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 63) - 1),
    default=1,
    metavar="N",
    help="Root of all randomness.",
)
@click.option(
    "--domain",
    "domain_name",
    metavar="NAME",
    help="The problem; by default the first that has a demo.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting of the domain, such as battles=20; repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    metavar="DIR",
    help="Where the results go; a former demo's are replaced.",
)
def demo(
    nodes: int | None,
    operators: str | None,
    rounds: int | None,
    iterations: int | None,
    seed: int,
    domain_name: str | None,
    assignments: tuple[str, ...],
    out: Path,
) -> None:
    """Run a swarm of daemons on this machine and draw what they find.

    Each daemon is a process with an operator of its own; they share elites over loopback. At the
    end all of them show the same merged archive, byte for byte. DIR then holds archive.json,
    heatmap.png, the champions, and configuration, log and state directory of each node.
    """  # fmt: skip
    host = PluginHost()
    plan = make_plan(
        host,
        choose_domain(host, domain_name),
        operators=_words(operators),
        nodes=nodes,
        rounds=rounds,
        iterations=iterations,
        seed=seed,
        settings=_settings(assignments),
    )
    folder = OutFolder(out)
    folder.prepare()
    _announce(plan, folder)
    result, archive_json = _run(plan, folder)
    files = _write(result, archive_json, folder)
    _print_result(result, archive_json, files)


def _run(plan: Plan, out: OutFolder) -> tuple[Result, str]:
    """Runs the swarm to its end; the daemons have ended when this returns or raises."""
    for attempt in range(1, STARTS_MAX + 1):
        members = _configure(plan, out)
        started_s = time.monotonic()
        try:
            with Fleet(members) as fleet, make_screen(plan, sys.stderr) as screen:
                fleet.start()
                statuses = _watch(plan, fleet, screen)
                views = [(member.name, fleet.archive(member)) for member in members]
                champions = fleet.champions(members[0]).champions
                screen.show(Moment(statuses, views[0][1]))
                seconds = time.monotonic() - started_s
            break
        except PortTakenError as error:
            if attempt == STARTS_MAX:
                raise
            click.echo(f"deid demo: {error.message.splitlines()[0]}; trying other ports", err=True)
            out.prepare()
    archive_json = check_identical(views)
    merged = views[0][1]
    results = tuple(
        node_result(plan, member, status, merged)
        for member, status in zip(members, statuses, strict=True)
    )
    return Result(plan, merged, champions, results, seconds), archive_json


def _configure(plan: Plan, out: OutFolder) -> tuple[Member, ...]:
    """Writes the configuration files, each node's seeds being all others."""
    ports = free_ports(len(plan.nodes))
    members = tuple(out.member(n.name, port) for n, port in zip(plan.nodes, ports, strict=True))
    for node, member in zip(plan.nodes, members, strict=True):
        others = [other for other in members if other is not member]
        member.config_file.write_text(plan.toml(node, member, others), encoding="utf-8")
    return members


def _watch(plan: Plan, fleet: Fleet, screen: Screen) -> tuple[Status, ...]:
    """Shows progress until all nodes are done and hold the same items, or time is up."""
    statuses: list[Status | None] = [None] * len(fleet.members)
    best_share, progress_s = -1.0, time.monotonic()
    with MergedLooks(fleet.members) as looks:
        while True:
            fleet.check()
            statuses = [fleet.status(m) or s for m, s in zip(fleet.members, statuses, strict=True)]
            known = [status for status in statuses if status is not None]
            done = len(known) == len(statuses) and all(s.state is RunState.DONE for s in known)
            moment = Moment(tuple(statuses), looks.latest(enabled=bool(known)))
            screen.show(moment)
            now_s = time.monotonic()
            if (share := moment.share(plan)) > best_share:
                best_share, progress_s = share, now_s
            if done and (_in_step(known) or now_s - progress_s > SETTLE_S):
                return tuple(known)
            if now_s - progress_s > STALL_S:
                raise DeidError(
                    f"no node has done a call in the last {STALL_S:.0f} s",
                    hint=f"look at the logs in {fleet.members[0].log_file.parent}",
                )
            time.sleep(POLL_S)


def _in_step(statuses: Sequence[Status]) -> bool:
    """Whether all nodes hold the same items, as far as counts and their own words tell."""
    held = {status.items_own + status.items_received for status in statuses}
    own = sum(status.items_own for status in statuses)
    return held == {own} and all(status.in_step for status in statuses)


class MergedLooks:
    """Asks the nodes for the merged archive, one after the other, without keeping anyone waiting.

    Each look makes a node check the claims that are new to it, so they take turns.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="merged")
        self._pending: Future[ArchiveView | None] | None = None
        self._latest: ArchiveView | None = None
        self._turn = 0
        self._asked_s = 0.0

    def latest(self, *, enabled: bool) -> ArchiveView | None:
        """The newest answer; asks again when it is time and ``enabled``."""
        if self._pending is not None and self._pending.done():
            self._latest = self._pending.result() or self._latest
            self._pending = None
        if enabled and self._pending is None and time.monotonic() - self._asked_s >= MERGED_S:
            member = self._members[self._turn % len(self._members)]
            self._turn += 1
            self._asked_s = time.monotonic()
            self._pending = self._thread.submit(_look, member)
        return self._latest

    def __enter__(self) -> MergedLooks:
        return self

    def __exit__(self, *exit_info: object) -> None:
        self._thread.shutdown(cancel_futures=True)


def _look(member: Member) -> ArchiveView | None:
    """None where the node does not answer; the watch finds out why."""
    try:
        with ControlClient.find(member.state_dir, LOOK_S) as client:
            return client.archive(merged=True)
    except DeidError:
        return None


def _write(result: Result, archive_json: str, out: OutFolder) -> tuple[str, ...]:
    """Writes the files; one line each for people."""
    from deid.cli import heatmap

    out.archive_file.write_text(archive_json + "\n", encoding="utf-8")
    champions = write_champions(result, out)
    lines = [
        f"{_shown(out.archive_file)}: the merged archive",
        f"{_shown(out.champions_dir)}/: {len(champions)} champions",
    ]
    if heatmap.available():
        heatmap.write(result, out.heatmap_file)
        lines.append(f"{_shown(out.heatmap_file)}: the picture of it")
    else:
        lines.append("no heatmap.png: matplotlib is not installed (pip install 'deid-qd[report]')")
    lines.append(
        f"{_shown(out.config_dir)}/, {_shown(out.nodes_dir)}/: go on with"
        f" deid run --config {_shown(out.config_dir)}/{result.nodes[0].name}.toml"
        " --set search.rounds=N"
    )
    return tuple(lines)


def _announce(plan: Plan, out: OutFolder) -> None:
    click.echo(
        f"{len(plan.nodes)} daemons on loopback search {plan.domain.name}: {plan.rounds} rounds of"
        f" {plan.calls} calls each, seed {plan.seed}.\n"
        f"Look in from another terminal: deictl --state-dir"
        f" {_shown(out.nodes_dir / plan.nodes[0].name)} status\n",
        err=True,
    )


def _print_result(result: Result, archive_json: str, files: Sequence[str]) -> None:
    console = make_console()
    count, size = len(result.nodes), len(archive_json.encode())
    console.print()
    console.print(archive_grid(result.merged, console.width))
    console.print()
    same = f"All {count} nodes show" if count > 1 else "The node shows"
    console.print(Text(f"{same} this archive, byte for byte the same ({size:,} bytes of JSON)."))
    console.print()
    _print_champions(console, result.champions)
    console.print()
    console.print(_comparison(result))
    console.print()
    console.print(Text(f"{result.evaluations:,} evaluations in {result.seconds:.0f} s. Written:"))
    for line in files:
        console.print(Text(f"  {line}"))


def _print_champions(console: Console, champions: Sequence[ChampionRow]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("champions", "fitness", "round", "size", "operator", "hash"):
        right = head in ("fitness", "round", "size")
        table.add_column(head, justify="right" if right else "left")
    for row in champions[:CHAMPIONS_SHOWN]:
        digits = row.content_hash.hex()[:12]
        fitness, round_text = f"{row.fitness:.3f}", str(row.round)
        table.add_row(row.node, fitness, round_text, str(row.size), row.operator, digits)
    console.print(table)
    more = len(champions) - CHAMPIONS_SHOWN
    if more > 0:
        console.print(Text(f"… and {more} more", style="dim"))


def _comparison(result: Result) -> Table:
    """Merged against each node alone, all in the reference context."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("in the reference context", "operator", "QD-score", "coverage", "best",
                 "cells in merged"):  # fmt: skip
        table.add_column(head, justify="left" if head in _LEFT else "right")
    merged = result.merged.metrics
    table.add_row(
        "merged",
        "",
        f"{merged.qd_score:.2f}",
        f"{merged.coverage:.1%}",
        f"{merged.best:.3f}",
        f"{merged.occupied}",
        style="bold",
    )
    colours = node_colours(node.name for node in result.nodes)
    for node in result.nodes:
        table.add_row(
            Text(f"{node.name} alone", style=colours[node.name]),
            node.label,
            f"{node.alone.qd_score:.2f}",
            f"{node.alone.coverage:.1%}",
            f"{node.alone.best:.3f}",
            f"{node.given}",
        )
    return table


_LEFT: Final = ("in the reference context", "operator")


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _settings(assignments: Sequence[str]) -> dict[str, object]:
    """``KEY=VALUE`` texts as a table; a value that is no TOML is text."""
    table: dict[str, object] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.UsageError(f"--set {text}: expected KEY=VALUE")
        try:
            table[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[key.strip()] = value.strip()
    return table


def _shown(path: Path) -> str:
    """``path`` as short as it can be said here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
