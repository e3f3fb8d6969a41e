"""What the daemon shows to its control clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid import __version__
from deid.control.views import (
    REASONS_MAX,
    Ack,
    ArchiveView,
    AxisView,
    BudgetLine,
    CellRow,
    ChampionRow,
    Champions,
    ItemName,
    MetricsView,
    OperatorRow,
    OperatorsView,
    PeerRow,
    Peers,
    PlacementRow,
    ProvenanceRow,
    Scope,
    Show,
    Status,
)
from deid.daemon.budget import BudgetState
from deid.daemon.exchange import elite_key, program_of, text_of
from deid.errors import ControlError, NothingMatchedError
from deid.search.archive import Archive
from deid.search.evaluation import Context
from deid.search.genome import Genome
from deid.search.grid import Grid
from deid.search.metrics import measure
from deid.search.records import WARM_UP, Arrived, Placed, Proposed
from deid.wire.events import PeerState
from deid.wire.item import Item

if TYPE_CHECKING:
    from deid.daemon.daemon import Daemon

PREFIX_CHARS_MAX = 64
LINE_CHARS_MAX = 500  # of a reason; the control channel holds 2,048 bytes
MODEL_CHARS_MAX = 64  # of a name that an operator gave; a label holds 256 bytes
PLACEMENTS_MAX = 1_000  # of one program that ``show`` lists, the latest


class View:
    """A :class:`deid.control.views.DaemonView` of ``daemon``."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def status(self) -> Status:
        daemon = self._daemon
        engine, collective = daemon.loop.engine, daemon.collective
        items = collective.node.items()
        own = sum(1 for signed in items if signed.item.origin == daemon.identity.public)
        peers = collective.peers()
        head = daemon.journal.head()
        return Status(
            node=daemon.config.node.name,
            key=daemon.identity.public,
            version=__version__,
            pid=os.getpid(),
            state=daemon.state,
            degraded=tuple(map(_line, daemon.degraded()))[:REASONS_MAX],
            uptime_s=daemon.uptime_s(),
            domain=daemon.domain.name,
            task_hash=daemon.domain.task_hash,
            address=daemon.address,
            round=engine.round,
            rounds=engine.settings.rounds,
            calls_done=engine.committed,
            calls=engine.settings.calls,
            evaluations=daemon.tally.evaluations,
            metrics=_metrics(engine.archive, engine.archive_context, daemon.domain.grid),
            items_own=own,
            items_received=len(items) - own,
            arrivals=daemon.arrivals,
            arrivals_waiting=len(collective.mailbox),
            peers_alive=sum(1 for peer in peers if peer.state is PeerState.ALIVE),
            peers_known=len(peers),
            in_step=collective.settled(),
            budget=_budget_lines(daemon.attempts.budget.state()),
            journal_rows=head.seq,
            journal_hash=head.chain,
        )

    async def peers(self) -> Peers:
        rows = (
            PeerRow(
                name=peer.name,
                key=peer.key,
                address=peer.address,
                state=peer.state.value,
                same_task=peer.same_task,
                round=peer.round,
                lag=peer.lag,
                rtt_ms=peer.rtt_ms,
                sent=peer.sent,
                held=peer.held,
                missing=peer.missing,
                in_step=peer.in_step,
                version=peer.version,
                silent_ms=peer.silent_ms,
            )
            for peer in self._daemon.collective.peers()
        )
        ordered = sorted(rows, key=lambda row: (row.name, row.key))
        return Peers(self._daemon.config.node.name, tuple(ordered))

    async def archive(self, merged: bool) -> ArchiveView:
        return await self._merged() if merged else self._round()

    async def champions(self) -> Champions:
        items = (s.item for s in self._daemon.collective.node.items() if s.item.champion)
        held = [item for item in items if await self._daemon.claims.holds(item)]
        rows = tuple(self._champion(item) for item in sorted(held, key=elite_key))
        return Champions(self._daemon.config.node.name, rows)

    async def show(self, prefix: str) -> Show:
        prefix = prefix.lower()
        if not 0 < len(prefix) <= PREFIX_CHARS_MAX or set(prefix) - set("0123456789abcdef"):
            raise ControlError(f"a hash is 1 to {PREFIX_CHARS_MAX} hex digits, got {prefix[:80]!r}")
        daemon = self._daemon
        found = await asyncio.to_thread(daemon.journal_search, prefix)
        items = [s.item for s in daemon.collective.node.items()]
        items = [item for item in items if item.content_hash.hex().startswith(prefix)]
        for item in items:
            program = program_of(item.code, daemon.domain)
            if program is not None:
                found.genomes.setdefault(item.content_hash, program)
        for genome in daemon.domain.opponents():
            if genome.content_hash.hex().startswith(prefix):
                found.genomes.setdefault(genome.content_hash, genome)
        if not found.genomes:
            raise NothingMatchedError(
                f"no program here has a hash that begins with {prefix}",
                hint="`deictl archive` and `deictl champions` list the hashes",
            )
        if len(found.genomes) > 1:
            few = ", ".join(sorted(name.hex()[:16] for name in found.genomes)[:5])
            raise ControlError(
                f"{prefix} begins {len(found.genomes)} hashes: {few} …", hint="give more digits"
            )
        ((name, genome),) = found.genomes.items()
        return self._show(name, genome, items, found)

    def _show(self, name: bytes, genome: Genome, items: list[Item], found: Found) -> Show:
        daemon = self._daemon
        proposal = found.proposals.get(name)
        return Show(
            node=daemon.config.node.name,
            content_hash=name,
            size=genome.size,
            source=genome.source,
            listing=daemon.domain.render(genome),
            operator=proposal.operator if proposal else "",
            parents=proposal.parents if proposal else (),
            provenance=tuple(self._provenance(item) for item in sorted(items, key=elite_key)),
            placements=tuple(
                PlacementRow(
                    round=placed.round,
                    iteration=None if placed.iteration == WARM_UP else placed.iteration,
                    cell=placed.cell,
                    bins=daemon.domain.grid.bins(placed.cell),
                    points=placed.points,
                    outcome=placed.outcome,
                )
                for placed in found.placements.get(name, [])[-PLACEMENTS_MAX:]
            ),
        )

    async def operators(self) -> OperatorsView:
        daemon = self._daemon
        rows = []
        for operator in daemon.config.operators:
            arm = daemon.arms[operator.name]
            figures, spent = arm.port.counters(), arm.budget.state().spent
            charged = daemon.journal.charged(operator=operator.name)
            rows.append(
                OperatorRow(
                    name=operator.name,
                    kind=operator.kind,
                    weight=operator.weight,
                    isolation=operator.isolation,
                    calls=figures.calls,
                    succeeded=figures.succeeded,
                    failures=figures.failures,
                    candidates=figures.candidates,
                    placed=daemon.tally.placed[operator.name],
                    in_flight=figures.in_flight,
                    restarts=figures.restarts,
                    breaker=figures.breaker,
                    retry_in_s=figures.retry_in_s,
                    cpu_s=figures.cpu_s,
                    pid=figures.pid,
                    attempts=spent.attempts,
                    input_tokens=charged.usage[0],
                    output_tokens=charged.usage[1],
                    micro_usd=spent.micro_usd,
                    last_failure=_line(figures.last_failure),
                )
            )
        return OperatorsView(daemon.config.node.name, tuple(rows))

    async def start(self) -> Ack:
        changed = await self._daemon.set_paused(False)
        return self._ack("start", changed)

    async def pause(self) -> Ack:
        changed = await self._daemon.set_paused(True)
        return self._ack("pause", changed)

    async def stop(self) -> Ack:
        changed = self._daemon.request_stop()
        return self._ack("stop", changed)

    def _ack(self, verb: str, changed: bool) -> Ack:
        return Ack(self._daemon.config.node.name, verb, self._daemon.state, changed)

    # --- Rows -----------------------------------------------------------------------------------

    def _round(self) -> ArchiveView:
        daemon = self._daemon
        engine, grid = daemon.loop.engine, daemon.domain.grid
        archive = engine.archive
        context = engine.archive_context or engine.context or engine.reference
        rows: list[CellRow] = []
        for elite in archive or ():
            shown = engine.shown(elite.cell)
            if shown is None:
                continue
            provenance = shown.provenance
            trials = context.trials
            rows.append(
                CellRow(
                    cell=elite.cell,
                    bins=grid.bins(elite.cell),
                    content_hash=elite.content_hash,
                    points=elite.points,
                    measures=tuple(round(mean * trials) for mean in shown.measures),
                    trials=trials,
                    fitness=shown.fitness,
                    size=shown.genome.size,
                    node=provenance.node,
                    name=None,
                    round=provenance.round if provenance.node else None,
                    operator=provenance.operator,
                    model=_line(provenance.model)[:MODEL_CHARS_MAX],
                    source=shown.genome.source,
                )
            )
        return self._view(Scope.ROUND, context, archive, rows, round=engine.round)

    async def _merged(self) -> ArchiveView:
        daemon = self._daemon
        items = [signed.item for signed in daemon.collective.node.items()]
        merged = await daemon.claims.merge(items)
        daemon.quarantine(merged.void)
        reference = daemon.loop.engine.reference
        rows = [
            CellRow(
                cell=cell,
                bins=daemon.domain.grid.bins(cell),
                content_hash=item.content_hash,
                points=item.claim.points,
                measures=item.claim.measures,
                trials=item.claim.trials,
                fitness=reference.fitness(item.claim),
                size=daemon.domain.decode(item.code).size,
                node=item.node,
                name=ItemName(*item.name),
                round=item.round,
                operator=item.operator,
                model=item.model,
                source=text_of(item, daemon.domain),
            )
            for cell, item in sorted(merged.items.items())
        ]
        return self._view(Scope.MERGED, reference, merged.archive, rows, items=len(items))

    def _view(
        self,
        scope: Scope,
        context: Context,
        archive: Archive | None,
        rows: Iterable[CellRow],
        *,
        round: int | None = None,
        items: int | None = None,
    ) -> ArchiveView:
        daemon = self._daemon
        grid = daemon.domain.grid
        return ArchiveView(
            scope=scope,
            node=daemon.config.node.name if scope is Scope.ROUND else None,
            round=round,
            items=items,
            domain=daemon.domain.name,
            task_hash=daemon.domain.task_hash,
            context_hash=context.context_hash,
            contenders=context.contenders,
            axes=tuple(AxisView(axis.name, axis.unit, axis.edges) for axis in grid.axes),
            metrics=_metrics(archive, context, grid),
            rows=tuple(rows),
        )

    def _champion(self, item: Item) -> ChampionRow:
        daemon = self._daemon
        return ChampionRow(
            node=item.node,
            name=ItemName(*item.name),
            round=item.round,
            content_hash=item.content_hash,
            cell=daemon.domain.grid.cell(item.claim),
            points=item.claim.points,
            trials=item.claim.trials,
            fitness=daemon.loop.engine.reference.fitness(item.claim),
            size=daemon.domain.decode(item.code).size,
            operator=item.operator,
            model=item.model,
            source=text_of(item, daemon.domain),
        )

    def _provenance(self, item: Item) -> ProvenanceRow:
        daemon = self._daemon
        cell = daemon.domain.grid.cell(item.claim)
        usage = item.usage
        return ProvenanceRow(
            node=item.node,
            name=ItemName(*item.name),
            round=item.round,
            champion=item.champion,
            operator=item.operator,
            model=item.model,
            prompt_hash=item.prompt_hash,
            parents=item.parents,
            ancestry=item.ancestry,
            usage=(
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
            ),
            price=item.price,
            cell=cell,
            bins=daemon.domain.grid.bins(cell),
            points=item.claim.points,
            trials=item.claim.trials,
            fitness=daemon.loop.engine.reference.fitness(item.claim),
        )


@dataclass(slots=True)
class Found:
    """What a search of the journal found, by content hash."""

    genomes: dict[bytes, Genome]
    proposals: dict[bytes, Proposed]
    placements: dict[bytes, list[Placed]]


def find_in(rows: Iterable[object], prefix: str) -> Found:
    """Programs of the journal whose hash begins with ``prefix``: first text, proposal, placements.

    Reads the whole journal: about a second for 50,000 evaluations.
    """
    found = Found({}, {}, {})
    for record in rows:
        match record:
            case Proposed():
                for candidate in record.candidates:
                    genome = candidate.genome
                    if genome is not None and genome.content_hash.hex().startswith(prefix):
                        found.genomes.setdefault(genome.content_hash, genome)
                        found.proposals.setdefault(genome.content_hash, record)
            case Arrived():
                for item in record.items:
                    name = item.genome.content_hash
                    if name.hex().startswith(prefix):
                        found.genomes.setdefault(name, item.genome)
            case Placed():
                if record.content_hash.hex().startswith(prefix):
                    found.placements.setdefault(record.content_hash, []).append(record)
    return found


def _line(text: str) -> str:
    """``text`` on one printable line, as the control channel wants it."""
    line = " ".join(text.split())[:LINE_CHARS_MAX]
    return "".join(each if each.isprintable() else "?" for each in line)


def _metrics(archive: Archive | None, context: Context | None, grid: Grid) -> MetricsView:
    if archive is None or context is None:
        return MetricsView(0, grid.cells, 0.0, 0.0, 0.0, 0.0)
    figures = measure(archive, context)
    return MetricsView(
        occupied=figures.occupied,
        cells=grid.cells,
        coverage=figures.coverage,
        qd_score=figures.qd_score,
        norm_qd=figures.norm_qd,
        best=figures.best,
    )


def _budget_lines(state: BudgetState) -> tuple[BudgetLine, ...]:
    used = state.spent + state.held
    limits = state.limits
    return (
        BudgetLine("attempts_max", used.attempts, limits.attempts_max),
        BudgetLine("tokens_max", used.tokens, limits.tokens_max),
        BudgetLine("usd_max", used.micro_usd, limits.usd_max),
    )
