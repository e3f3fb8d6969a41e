"""The progress of a demo: a bar for each node and the merged archive's growth, or plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deid.cli.demo_plan import NodePlan, Plan
from deid.cli.palette import node_colours
from deid.control.views import ArchiveView, MetricsView, RunState, Status

__all__ = ["Moment", "Screen", "make_screen"]

BAR_WIDTH: Final = 30
SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARKS_MAX: Final = 32
LINE_S: Final = 5.0  # between two plain lines
REFRESH_HZ: Final = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known now: of each node in the plan's order, None before its first answer."""

    statuses: tuple[Status | None, ...]
    merged: ArchiveView | None

    def calls(self, index: int, plan: Plan) -> int:
        """Calls that a node has done so far."""
        status = self.statuses[index]
        return 0 if status is None else status.round * plan.calls + status.calls_done

    def share(self, plan: Plan) -> float:
        """Of all calls of all nodes, in [0, 1]."""
        done = sum(self.calls(index, plan) for index in range(len(self.statuses)))
        return done / (plan.calls * plan.rounds * len(self.statuses))


class Screen(Protocol):
    """Shows moments; a context manager."""

    def show(self, moment: Moment) -> None:
        """The state of affairs."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def make_screen(plan: Plan, stream: TextIO) -> Screen:
    """Bars where ``stream`` is a terminal, plain lines otherwise."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    return Bars(plan, console) if console.is_terminal else Lines(plan, stream)


class Bars:
    """The screen of a terminal, drawn anew in place."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self._plan = plan
        self._colours = node_colours(node.name for node in plan.nodes)
        self._started_s = time.monotonic()
        self._scores: list[float] = []
        self._moment = Moment((None,) * len(plan.nodes), None)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=REFRESH_HZ)

    def show(self, moment: Moment) -> None:
        if moment.merged is not None and moment.merged is not self._moment.merged:
            self._scores.append(moment.merged.metrics.qd_score)
        self._moment = moment

    def __enter__(self) -> Bars:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def _draw(self) -> RenderableType:
        moment = self._moment
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for head in ("node", "operator", "", "round", "calls", "arrivals", "cells", "state"):
            right = head in ("round", "calls", "arrivals", "cells")
            table.add_column(head, justify="right" if right else "left", no_wrap=True)
        for index, node in enumerate(self._plan.nodes):
            table.add_row(*self._row(index, node, moment))
        return Group(table, Text(""), *self._merged(moment))

    def _row(self, index: int, node: NodePlan, moment: Moment) -> list[RenderableType]:
        plan, colour = self._plan, self._colours[node.name]
        total, done = plan.calls * plan.rounds, moment.calls(index, self._plan)
        bar = ProgressBar(
            total, done, width=BAR_WIDTH, complete_style=colour, finished_style=colour
        )
        name = Text(node.name, style=f"bold {colour}")
        status = moment.statuses[index]
        if status is None:
            return [name, node.label, bar, "", "", "", "", Text("starting", style="dim")]
        return [
            name,
            node.label,
            bar,
            f"{min(status.round + 1, plan.rounds)}/{plan.rounds}",
            f"{done:,}",
            f"{status.arrivals}",
            f"{status.metrics.occupied}",
            Text(_state(status), style="dim"),
        ]

    def _merged(self, moment: Moment) -> Sequence[RenderableType]:
        share = moment.share(self._plan)
        elapsed_s = time.monotonic() - self._started_s
        clock = f"{elapsed_s:.0f} s"
        if 0.05 < share < 1:
            clock += f", about {max(0.0, elapsed_s * (1 / share - 1)):.0f} s left"
        if moment.merged is None:
            return [Text(f"merged  no items yet   {clock}", style="dim")]
        metrics = moment.merged.metrics
        row = Table.grid(padding=(0, 2, 0, 0))
        nodes = self._plan.nodes
        width = max(len(n.name) for n in nodes) + 2 + max(len(n.label) for n in nodes)
        row.add_row(
            Text(f"{'merged':<{width}}", style="bold"),
            ProgressBar(metrics.cells, metrics.occupied, width=BAR_WIDTH, complete_style="white"),
            Text(_coverage(metrics)),
            Text(f"QD-score {metrics.qd_score:.2f}", style="bold"),
            Text(_sparks(self._scores)),
        )
        return [row, Text(clock, style="dim")]


@dataclass(slots=True)
class Lines:
    """One line now and then, for logs and pipes."""

    plan: Plan
    stream: TextIO
    _started_s: float = field(default_factory=time.monotonic)
    _shown_s: float = -LINE_S
    _finished: bool = False

    def show(self, moment: Moment) -> None:
        elapsed_s = time.monotonic() - self._started_s
        finished = moment.share(self.plan) >= 1 and moment.merged is not None
        if elapsed_s - self._shown_s < LINE_S and finished == self._finished:
            return
        self._shown_s, self._finished = elapsed_s, finished
        nodes = ", ".join(
            f"{node.name} {self._where(status)}"
            for node, status in zip(self.plan.nodes, moment.statuses, strict=True)
        )
        merged = ""
        if moment.merged is not None:
            metrics = moment.merged.metrics
            merged = f"; merged: {_coverage(metrics)}, QD-score {metrics.qd_score:.2f}"
        print(f"{elapsed_s:5.0f} s  {nodes}{merged}", file=self.stream, flush=True)

    def _where(self, status: Status | None) -> str:
        if status is None:
            return "starting"
        if status.state is RunState.DONE:
            return f"done ({status.arrivals} arrivals)"
        return f"round {status.round + 1}/{self.plan.rounds} ({status.arrivals} arrivals)"

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stream.flush()


def _state(status: Status) -> str:
    if status.degraded:
        return f"degraded: {status.degraded[0]}"
    return status.state.value


def _coverage(metrics: MetricsView) -> str:
    return f"{metrics.occupied} of {metrics.cells} cells ({metrics.coverage:.1%})"


def _sparks(values: Sequence[float]) -> str:
    """The course of ``values`` from 0 to their largest."""
    step = -(-len(values) // SPARKS_MAX)
    shown = values[::-1][:: max(1, step)][::-1]
    top = max(shown, default=0.0) or 1.0
    return "".join(SPARKS[min(len(SPARKS) - 1, int(v / top * len(SPARKS)))] for v in shown)
