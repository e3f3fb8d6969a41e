"""What a daemon tells its control clients: one type for every reply, and the view behind them.

Each reply has a form in MessagePack and one in JSON (:mod:`deid.control.protocol`); fields are only
ever appended. Text that peers sent is printable or, as source, shown escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Annotated, ClassVar, Protocol, TypeAlias

from deid.control.kinds import OrNone, Real, Word
from deid.wire.codec import UINT_MAX, Blob, EpochInt, Flag, ListOf, Pair, Struct, Text, UInt

__all__ = [
    "Ack",
    "ArchiveView",
    "AxisView",
    "BudgetLine",
    "CellRow",
    "ChampionRow",
    "Champions",
    "DaemonView",
    "ItemName",
    "MetricsView",
    "OperatorRow",
    "OperatorsView",
    "PeerRow",
    "Peers",
    "PlacementRow",
    "ProvenanceRow",
    "Reply",
    "RunState",
    "Scope",
    "Show",
    "Status",
]

AXES_MAX = 8
CELLS_MAX = 1 << 16
EDGES_MAX = 4_096
PEERS_MAX = 4_096
ROWS_MAX = 1 << 16
REASONS_MAX = 64
OPERATORS_MAX = 256
PARENTS_MAX = 8
ANCESTRY_MAX = 8
SOURCE_BYTES_MAX = 1 << 16

Hash: TypeAlias = Annotated[bytes, Blob(32)]
Count: TypeAlias = Annotated[int, UInt()]
Label: TypeAlias = Annotated[str, Text(256)]
Line: TypeAlias = Annotated[str, Text(2_048)]
Number: TypeAlias = Annotated[float, Real()]
Source: TypeAlias = Annotated[str, Text(SOURCE_BYTES_MAX, lines=True)]
Bins: TypeAlias = Annotated[tuple[int, ...], ListOf(UInt(EDGES_MAX), AXES_MAX)]
Sums: TypeAlias = Annotated[tuple[int, ...], ListOf(UInt(low=-UINT_MAX), AXES_MAX)]


class RunState(Enum):
    """What a daemon is doing."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"  # the search rests, peers are served
    DONE = "done"  # its rounds are over, peers are served
    BUDGET_SPENT = "budget-spent"  # no further attempt fits the budget, peers are served
    STOPPING = "stopping"


class Scope(Enum):
    """Which archive."""

    ROUND = "round"  # the running (or last) round of the answering node
    MERGED = "merged"  # the published items that it holds, in the reference context


@dataclass(frozen=True, slots=True)
class ItemName:
    """What names a published item on every node."""

    origin: Hash
    epoch: Annotated[int, EpochInt()]
    seq: Count


@dataclass(frozen=True, slots=True)
class MetricsView:
    """Figures of an archive as :mod:`deid.search.metrics` defines them."""

    occupied: Count
    cells: Count
    coverage: Number
    qd_score: Number
    norm_qd: Number
    best: Number


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """What one limit allows and what is gone (spent, and held by what is under way).

    name: the key under ``[budget]``; unit of ``usd_max``: 10⁻⁶ USD. most: None without a limit.
    """

    name: Label
    used: Count
    most: Annotated[int | None, OrNone(UInt())]


@dataclass(frozen=True, slots=True)
class Status:
    """One node at one moment.

    degraded: what is missing though the daemon runs on, one sentence each.
    address: where peers dial it, empty when they cannot.
    round: the running one, from 0; rounds: how many it is to run, 0 = until stopped.
    calls_done, calls: of the running round. evaluations: since the run began.
    metrics: of the running round's archive.
    items_own, items_received: published items held. arrivals: items that came from peers in this
    process's life; arrivals_waiting: for a round's end.
    in_step: no living peer of this task is known to lack what this node holds, or the reverse.
    journal_rows, journal_hash: ``docs/formats.md``.
    """

    kind: ClassVar[str] = "status"
    schema_version: ClassVar[int] = 1

    node: Label
    key: Hash
    version: Label
    pid: Count
    state: Annotated[RunState, Word(RunState)]
    degraded: Annotated[tuple[str, ...], ListOf(Text(2_048), REASONS_MAX)]
    uptime_s: Number
    domain: Label
    task_hash: Hash
    address: Annotated[str, Text(512)]
    round: Count
    rounds: Count
    calls_done: Count
    calls: Count
    evaluations: Count
    metrics: Annotated[MetricsView, Struct(MetricsView)]
    items_own: Count
    items_received: Count
    arrivals: Count
    arrivals_waiting: Count
    peers_alive: Count
    peers_known: Count
    in_step: Annotated[bool, Flag()]
    budget: Annotated[tuple[BudgetLine, ...], ListOf(Struct(BudgetLine), 64)]
    journal_rows: Count
    journal_hash: Hash


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One peer as this node sees it; see :class:`deid.wire.events.PeerStatus`.

    state: alive, suspected, evicted or left.
    """

    name: Label
    key: Hash
    address: Annotated[str, Text(512)]
    state: Label
    same_task: Annotated[bool, Flag()]
    round: Count
    lag: Count
    rtt_ms: Annotated[int | None, OrNone(UInt())]
    sent: Count
    held: Count
    missing: Count
    in_step: Annotated[bool, Flag()]
    version: Label
    silent_ms: Count


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers of one node, by name and key."""

    kind: ClassVar[str] = "peers"
    schema_version: ClassVar[int] = 1

    node: Label
    peers: Annotated[tuple[PeerRow, ...], ListOf(Struct(PeerRow), PEERS_MAX)]


@dataclass(frozen=True, slots=True)
class AxisView:
    """One axis of the grid; a value v falls into the bin numbered by the edges <= v."""

    name: Label
    unit: Label
    edges: Annotated[tuple[int, ...], ListOf(UInt(low=-UINT_MAX), EDGES_MAX)]


@dataclass(frozen=True, slots=True)
class CellRow:
    """The elite of one cell.

    points, measures: sums over ``trials``; fitness: parity is 1.
    node: the name of the node that proposed it, "" for a program that came with the domain.
    name: of the item, None where it was never published. round: of its origin.
    """

    cell: Annotated[int, UInt(CELLS_MAX - 1)]
    bins: Bins
    content_hash: Hash
    points: Count
    measures: Sums
    trials: Count
    fitness: Number
    size: Count
    node: Label
    name: Annotated[ItemName | None, OrNone(Struct(ItemName))]
    round: Annotated[int | None, OrNone(UInt())]
    operator: Label
    model: Label
    source: Source


@dataclass(frozen=True, slots=True)
class ArchiveView:
    """An archive: of the running round, or merged from all published items held.

    The merged view has no field that is local to the answering node: nodes that hold the same
    items give the same bytes. So ``node`` and ``round`` are None there, and ``items``, how many
    items it was made of, is None in the other.
    """

    kind: ClassVar[str] = "archive"
    schema_version: ClassVar[int] = 1

    scope: Annotated[Scope, Word(Scope)]
    node: Annotated[str | None, OrNone(Text(256))]
    round: Annotated[int | None, OrNone(UInt())]
    items: Annotated[int | None, OrNone(UInt())]
    domain: Label
    task_hash: Hash
    context_hash: Hash
    contenders: Count
    axes: Annotated[tuple[AxisView, ...], ListOf(Struct(AxisView), AXES_MAX)]
    metrics: Annotated[MetricsView, Struct(MetricsView)]
    rows: Annotated[tuple[CellRow, ...], ListOf(Struct(CellRow), CELLS_MAX)]

    def __post_init__(self) -> None:
        if self.scope is Scope.MERGED and (self.node is not None or self.round is not None):
            raise ValueError("a merged archive has no field that is local to a node")
        cells = [row.cell for row in self.rows]
        if any(a >= b for a, b in pairwise(cells)):
            raise ValueError("rows of an archive must ascend by cell, one for each")


@dataclass(frozen=True, slots=True)
class ChampionRow:
    """The best elite that one node first proposed in one of its rounds, judged in the reference
    context (``points`` over ``trials``; fitness: parity is 1)."""

    node: Label
    name: Annotated[ItemName, Struct(ItemName)]
    round: Count
    content_hash: Hash
    cell: Annotated[int, UInt(CELLS_MAX - 1)]
    points: Count
    trials: Count
    fitness: Number
    size: Count
    operator: Label
    model: Label
    source: Source


@dataclass(frozen=True, slots=True)
class Champions:
    """Published champions that the answering node holds, its own and received ones, best first."""

    kind: ClassVar[str] = "champions"
    schema_version: ClassVar[int] = 1

    node: Label
    champions: Annotated[tuple[ChampionRow, ...], ListOf(Struct(ChampionRow), ROWS_MAX)]


@dataclass(frozen=True, slots=True)
class ProvenanceRow:
    """One publication of a program: who, how, from what.

    parents: content hashes, the first is the one that was changed. ancestry: (maker, share in
    65,536ths). usage: input, output, cached and reasoning tokens; price: 10⁻⁶ USD.
    """

    node: Label
    name: Annotated[ItemName, Struct(ItemName)]
    round: Count
    champion: Annotated[bool, Flag()]
    operator: Label
    model: Label
    prompt_hash: Annotated[bytes, Blob(32, or_empty=True)]
    parents: Annotated[tuple[bytes, ...], ListOf(Blob(32), PARENTS_MAX)]
    ancestry: Annotated[
        tuple[tuple[str, int], ...], ListOf(Pair(Text(256), UInt(1 << 16)), ANCESTRY_MAX)
    ]
    usage: Annotated[tuple[int, ...], ListOf(UInt(), 4)]
    price: Count
    cell: Annotated[int, UInt(CELLS_MAX - 1)]
    bins: Bins
    points: Count
    trials: Count
    fitness: Number


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """What became of the program in one round of the answering node.

    iteration: None where it warmed the archive up. outcome: new, improved or kept (the cell kept
    what it had).
    """

    round: Count
    iteration: Annotated[int | None, OrNone(UInt())]
    cell: Annotated[int, UInt(CELLS_MAX - 1)]
    bins: Bins
    points: Count
    outcome: Label


@dataclass(frozen=True, slots=True)
class Show:
    """One program: its text and all that the answering node knows of it.

    source: as it was proposed; listing: its canonical text. operator, parents: of the proposal
    made here, "" and none where it came from elsewhere.
    """

    kind: ClassVar[str] = "show"
    schema_version: ClassVar[int] = 1

    node: Label
    content_hash: Hash
    size: Count
    source: Source
    listing: Source
    operator: Label
    parents: Annotated[tuple[bytes, ...], ListOf(Blob(32), PARENTS_MAX)]
    provenance: Annotated[tuple[ProvenanceRow, ...], ListOf(Struct(ProvenanceRow), ROWS_MAX)]
    placements: Annotated[tuple[PlacementRow, ...], ListOf(Struct(PlacementRow), ROWS_MAX)]


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator; see :class:`deid.daemon.operator_port.OperatorCounters`.

    weight: its share of the calls is weight / sum of weights. placed: its candidates that took a
    cell. attempts, input_tokens, output_tokens, micro_usd: what it used.
    """

    name: Label
    kind: Label
    weight: Count
    isolation: Label
    calls: Count
    succeeded: Count
    failures: Annotated[tuple[tuple[str, int], ...], ListOf(Pair(Text(256), UInt()), 64)]
    candidates: Count
    placed: Count
    in_flight: Count
    restarts: Count
    breaker: Label
    retry_in_s: Number
    cpu_s: Number
    pid: Count
    attempts: Count
    input_tokens: Count
    output_tokens: Count
    micro_usd: Count
    last_failure: Line


@dataclass(frozen=True, slots=True)
class OperatorsView:
    """The operators of one node, in the order of its configuration."""

    kind: ClassVar[str] = "operators"
    schema_version: ClassVar[int] = 1

    node: Label
    operators: Annotated[tuple[OperatorRow, ...], ListOf(Struct(OperatorRow), OPERATORS_MAX)]


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to start, pause and stop.

    state: from now on; changed: False where it was so already. note: more to say, or "".
    """

    kind: ClassVar[str] = "ack"
    schema_version: ClassVar[int] = 1

    node: Label
    verb: Label
    state: Annotated[RunState, Word(RunState)]
    changed: Annotated[bool, Flag()]
    note: Line = ""


Reply: TypeAlias = Status | Peers | ArchiveView | Champions | Show | OperatorsView | Ack


class DaemonView(Protocol):
    """What the control server asks of a daemon.

    Methods run on the daemon's loop, several at once. A :class:`deid.errors.DeidError` reaches the
    client as it is; anything else is logged as our bug and the client is told so.
    """

    async def status(self) -> Status:
        """The node at this moment."""

    async def peers(self) -> Peers:
        """Every peer that it knows."""

    async def archive(self, merged: bool) -> ArchiveView:
        """The running round's archive, or the merged one."""

    async def champions(self) -> Champions:
        """Published champions held, best first."""

    async def show(self, prefix: str) -> Show:
        """The program whose content hash in hex begins with ``prefix`` (lower-case, 1 to 64).

        :class:`deid.errors.NothingMatchedError` for none, :class:`deid.errors.ControlError`
        for several.
        """

    async def operators(self) -> OperatorsView:
        """Every operator of the node."""

    async def start(self) -> Ack:
        """The search goes on."""

    async def pause(self) -> Ack:
        """The search rests; peers are served."""

    async def stop(self) -> Ack:
        """The process ends, after the answer was sent."""
