"""What a demo found: the merged archive beside each node's own, and the files that keep it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deid.cli.demo_plan import OutFolder, Plan
from deid.cli.fleet import Member
from deid.control.protocol import to_json
from deid.control.views import ArchiveView, ChampionRow, Status
from deid.errors import CandidateError, DeidError
from deid.plugin.contracts import Domain
from deid.search.archive import Archive, Elite
from deid.search.metrics import Metrics, measure
from deid.store import JournalReader, StateDirectory
from deid.wire.item import Item, parse_item

__all__ = ["NodeResult", "Result", "check_identical", "node_result", "write_champions"]

COMMENT_MARKS: Final = (";", "#", "//", "--", "%")  # of one line, tried in this order
HASH_CHARS: Final = 8


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node at the end. alone: figures of the archive of its own published items alone, in the
    reference context; given: cells of the merged archive that its items hold."""

    name: str
    label: str
    status: Status
    alone: Metrics
    given: int


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that is shown and written. seconds: of wall clock, from start to agreement."""

    plan: Plan
    merged: ArchiveView
    champions: tuple[ChampionRow, ...]
    nodes: tuple[NodeResult, ...]
    seconds: float

    @property
    def evaluations(self) -> int:
        return sum(node.status.evaluations for node in self.nodes)


def check_identical(views: Sequence[tuple[str, ArchiveView]]) -> str:
    """The merged archive of all nodes as JSON; :class:`DeidError` names those that differ.

    views: (name of the node, what it shows).
    """
    texts = [(name, to_json(view)) for name, view in views]
    first_name, first = texts[0]
    differing = [f"{name} ({_digest(text)})" for name, text in texts if text != first]
    if differing:
        raise DeidError(
            f"the merged archives differ: {first_name} shows {_digest(first)},"
            f" but {', '.join(differing)}",
            hint="deictl --state-dir DIR archive --merged --json shows each while daemons run",
        )
    return first


def node_result(plan: Plan, member: Member, status: Status, merged: ArchiveView) -> NodeResult:
    """What the journal of a node that has ended says of it, beside the merged archive."""
    node = next(each for each in plan.nodes if each.name == member.name)
    return NodeResult(
        name=node.name,
        label=node.label,
        status=status,
        alone=_alone(plan.built, _own_items(member.state_dir)),
        given=sum(row.node == node.name for row in merged.rows),
    )


def write_champions(result: Result, out: OutFolder) -> tuple[Path, ...]:
    """One source file for each champion, with a comment on where it comes from."""
    return tuple(_write_champion(result.plan, row, out) for row in result.champions)


def _write_champion(plan: Plan, row: ChampionRow, out: OutFolder) -> Path:
    label = next((node.label for node in plan.nodes if node.name == row.node), row.operator)
    name = f"{row.node}-r{row.round}-{row.content_hash.hex()[:HASH_CHARS]}"
    facts = (
        f"name {name}",
        f"author deid, node {row.node}, operator {label}" + (f", {row.model}" if row.model else ""),
        f"round {row.round}",
        f"fitness {row.fitness:.4f} in the reference context, parity is 1",
        f"hash {row.content_hash.hex()}",
    )
    path = out.champions_dir / f"{name}{plan.domain.file_suffix}"
    path.write_text(_commented(plan.built, row, facts), encoding="utf-8")
    return path


def _commented(domain: Domain, row: ChampionRow, facts: Sequence[str]) -> str:
    """The source under a header in the first comment style that the domain reads past."""
    for mark in COMMENT_MARKS:
        text = "".join(f"{mark}{fact}\n" for fact in facts) + row.source.rstrip("\n") + "\n"
        try:
            genome = domain.parse(text)
        except CandidateError:
            continue
        if genome.content_hash == row.content_hash:
            return text
    return row.source


def _alone(domain: Domain, items: Iterator[Item]) -> Metrics:
    """Own claims are taken as they are: the node computed them itself."""
    reference = domain.reference()
    archive = Archive(domain.grid, reference.context_hash)
    for item in items:
        cell = domain.grid.cell(item.claim)
        archive.place(Elite(item.content_hash, cell, item.claim.points, item.name))
    return measure(archive, reference)


def _own_items(state_dir: Path) -> Iterator[Item]:
    with JournalReader(StateDirectory(state_dir).journal_file) as journal:
        for stored in journal.items():
            if stored.own:
                yield parse_item(stored.raw).item


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
