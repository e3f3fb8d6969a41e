"""Replies of every kind, and a daemon that gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deid.control.views import (
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
    Reply,
    RunState,
    Scope,
    Show,
    Status,
)
from deid.errors import NothingMatchedError

KEY = bytes(range(32))
NAME = ItemName(KEY, (1_700_000_000 << 64) | 7, 3)
METRICS = MetricsView(2, 12, 2 / 12, 3.25, 0.1, 2.0)
AXES = (
    AxisView("spawned", "processes", (1, 64)),
    AxisView("covered", "cells", (100, 1_000, 5_000)),
)


def status(state: RunState = RunState.RUNNING) -> Status:
    return Status(
        node="alpha",
        key=KEY,
        version="0.1.0",
        pid=42,
        state=state,
        degraded=("no seed answers",),
        uptime_s=3_725.5,
        domain="corewar",
        task_hash=KEY,
        address="tcp://127.0.0.1:7701",
        round=3,
        rounds=20,
        calls_done=12,
        calls=70,
        evaluations=1_234,
        metrics=METRICS,
        items_own=4,
        items_received=5,
        arrivals=9,
        arrivals_waiting=1,
        peers_alive=2,
        peers_known=3,
        in_step=True,
        budget=(BudgetLine("usd_max", 250_000, 1_000_000), BudgetLine("attempts_max", 5, None)),
        journal_rows=99,
        journal_hash=KEY,
    )


def cell(bins: tuple[int, int], fitness: float, node: str, source: str = "mov 0, 1\n") -> CellRow:
    number = bins[0] * 4 + bins[1]
    return CellRow(
        cell=number,
        bins=bins,
        content_hash=bytes([number]) * 32,
        points=round(fitness * 1_000),
        measures=(70, 2_000),
        trials=10,
        fitness=fitness,
        size=1,
        node=node,
        name=NAME if node else None,
        round=2 if node else None,
        operator="markov",
        model="",
        source=source,
    )


def archive(scope: Scope = Scope.ROUND, rows: tuple[CellRow, ...] | None = None) -> ArchiveView:
    is_round = scope is Scope.ROUND
    return ArchiveView(
        scope=scope,
        node="alpha" if is_round else None,
        round=3 if is_round else None,
        items=None if is_round else 9,
        domain="corewar",
        task_hash=KEY,
        context_hash=KEY,
        contenders=5,
        axes=AXES,
        metrics=METRICS,
        rows=(cell((0, 1), 1.25, "alpha"), cell((2, 3), 2.0, "beta")) if rows is None else rows,
    )


def peers() -> Peers:
    row = PeerRow(
        "beta", KEY, "tcp://127.0.0.1:7702", "alive", True, 4, 1, None, 7, 8, 0, True, "0.1.0", 20
    )
    return Peers("alpha", (row,))


def champions() -> Champions:
    row = ChampionRow(
        "beta", NAME, 2, KEY, 7, 1_500, 10, 1.5, 12, "edit", "smollm2", "spl 0\nmov 0, 1\n"
    )
    return Champions("alpha", (row,))


def show() -> Show:
    provenance = ProvenanceRow(
        node="beta",
        name=NAME,
        round=2,
        champion=True,
        operator="edit",
        model="",
        prompt_hash=b"",
        parents=(bytes(32),),
        ancestry=(("beta/edit", 1 << 15), ("alpha/markov", 1 << 15)),
        usage=(1, 2, 3, 4),
        price=5,
        cell=7,
        bins=(1, 3),
        points=1_500,
        trials=10,
        fitness=1.5,
    )
    placed = PlacementRow(3, None, 7, (1, 3), 900, "new")
    return Show(
        "alpha", KEY, 2, "spl 0\nmov 0, 1\n", "SPL.B $0\n", "", (), (provenance,), (placed,)
    )


def operators() -> OperatorsView:
    row = OperatorRow(
        name="markov:bombers",
        kind="markov",
        weight=3,
        isolation="process",
        calls=70,
        succeeded=68,
        failures=(("timed-out", 2),),
        candidates=60,
        placed=11,
        in_flight=1,
        restarts=0,
        breaker="closed",
        retry_in_s=0.0,
        cpu_s=1.5,
        pid=4_242,
        attempts=70,
        input_tokens=0,
        output_tokens=0,
        micro_usd=0,
        last_failure="no answer in 5 s",
    )
    return OperatorsView("alpha", (row,))


EVERY_REPLY: dict[str, Callable[[], Reply]] = {
    "status": status,
    "peers": peers,
    "archive": archive,
    "merged archive": lambda: archive(Scope.MERGED),
    "champions": champions,
    "show": show,
    "operators": operators,
    "ack": lambda: Ack("alpha", "stop", RunState.STOPPING, True, "bye"),
}


class FakeDaemon:
    """A DaemonView. ``fault``: raised by every query; ``gate``: what ``status`` waits for."""

    def __init__(self) -> None:
        self.state = RunState.RUNNING
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.source = "mov 0, 1\n"

    async def status(self) -> Status:
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return status(self.state)

    async def peers(self) -> Peers:
        return peers()

    async def archive(self, merged: bool) -> ArchiveView:
        rows = (cell((0, 1), 1.25, "alpha", self.source), cell((2, 3), 2.0, "beta", self.source))
        return archive(Scope.MERGED if merged else Scope.ROUND, rows)

    async def champions(self) -> Champions:
        return champions()

    async def show(self, prefix: str) -> Show:
        if not KEY.hex().startswith(prefix):
            raise NothingMatchedError(f"no program has a hash that begins with {prefix}")
        return show()

    async def operators(self) -> OperatorsView:
        return operators()

    async def start(self) -> Ack:
        return self._become("start", RunState.RUNNING)

    async def pause(self) -> Ack:
        return self._become("pause", RunState.PAUSED)

    async def stop(self) -> Ack:
        return self._become("stop", RunState.STOPPING)

    def _become(self, verb: str, state: RunState) -> Ack:
        changed, self.state = self.state is not state, state
        return Ack("alpha", verb, state, changed)
