"""Draws what a daemon tells, for people: tables, and the archive as a grid.

Text that came from peers is never taken as markup, and control characters in it are shown escaped.
"""

from __future__ import annotations

import string
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from deid.control.views import (
    Ack,
    ArchiveView,
    AxisView,
    CellRow,
    Champions,
    OperatorsView,
    Peers,
    Reply,
    Scope,
    Show,
    Status,
)

__all__ = ["archive_grid", "draw", "make_console", "safe"]

PIPE_WIDTH: Final = 160  # columns where there is no terminal to ask
HASH_CHARS: Final = 12
SEED_LETTER: Final = "·"
LETTERS: Final = string.ascii_lowercase + string.ascii_uppercase
SHADES: Final = " ░▒▓█"
_RAMP: Final = ("#1b3a57", "#1f5f7a", "#218a82", "#5fae5b", "#c9c445", "#f2a03d")  # dark to bright
_WIDE, _NARROW = 7, 3  # columns of one cell


def make_console(file: TextIO | None = None) -> Console:
    """A console on ``file`` (stdout): colour only on a terminal and without ``NO_COLOR``."""
    target = file or sys.stdout
    width = None if target.isatty() else PIPE_WIDTH
    return Console(file=target, width=width, markup=False, highlight=False, emoji=False)


def draw(reply: Reply, width: int) -> RenderableType:
    """``reply`` for people, at most ``width`` columns wide where that can be had."""
    match reply:
        case Status():
            return _status(reply)
        case Peers():
            return _peers(reply)
        case ArchiveView():
            return archive_grid(reply, width)
        case Champions():
            return _champions(reply)
        case Show():
            return _show(reply)
        case OperatorsView():
            return _operators(reply)
        case Ack():
            changed = "" if reply.changed else " already"
            note = f" ({safe(reply.note)})" if reply.note else ""
            return Text(f"{reply.node}: {reply.state.value}{changed}{note}")


def safe(text: str) -> str:
    """``text`` with control characters escaped, lines and tabs kept."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def archive_grid(view: ArchiveView, width: int = 80) -> RenderableType:
    """The archive as a picture: shading is fitness, letters are source nodes when merged.

    The last axis runs to the right, the one before it upwards; further axes give one picture for
    each of their bins.
    """
    rows = {row.bins: row for row in view.rows}
    letters = _letters(view) if view.scope is Scope.MERGED else {}
    parts: list[RenderableType] = [_title(view)]
    *outer, last = view.axes
    upward = outer.pop() if outer else None
    for slice_bins in product(*(range(len(axis.edges) + 1) for axis in outer)):
        if outer:
            where = zip(outer, slice_bins, strict=True)
            names = ", ".join(f"{axis.name} {_label(axis, index)}" for axis, index in where)
            parts.append(Text(f"\n{names}", style="bold"))
        parts.append(_plane(slice_bins, upward, last, rows, letters, view.metrics.best, width))
    parts.extend(_legend(view, letters))
    return Group(*parts)


def _plane(
    outer: tuple[int, ...],
    upward: AxisView | None,
    across: AxisView,
    rows: dict[tuple[int, ...], CellRow],
    letters: dict[str, str],
    best: float,
    width: int,
) -> Text:
    columns = range(len(across.edges) + 1)
    lines = range(len(upward.edges), -1, -1) if upward else range(1)
    heads = [_label(upward, index) if upward else "" for index in lines]
    margin = max(map(len, heads)) + 1
    cell_width = _WIDE if margin + 2 + _WIDE * len(columns) <= width else _NARROW
    text = Text()
    if upward:
        text.append(f"{'↑':>{margin}} {_axis_name(upward)}\n", style="dim")
    for head, line in zip(heads, lines, strict=True):
        text.append(f"{head:>{margin}} │", style="dim")
        for column in columns:
            bins = (*outer, line, column) if upward else (*outer, column)
            text.append_text(_cell(rows.get(bins), letters, best, cell_width))
        text.append("\n")
    text.append(f"{'':>{margin}} └{'─' * (cell_width * len(columns))}\n", style="dim")
    text.append(_column_labels(across, margin + 2, cell_width), style="dim")
    text.append(f"{'':>{margin}}   {_axis_name(across)} →", style="dim")
    return text


def _cell(row: CellRow | None, letters: dict[str, str], best: float, width: int) -> Text:
    if row is None:
        return Text(f"{'·':^{width}}", style="dim")
    level = row.fitness / best if best > 0 else 0.0
    mark = letters.get(row.node, "?") if letters else _shade(level)
    text = f"{mark} {row.fitness:.2f}" if width == _WIDE else mark
    background = _RAMP[min(len(_RAMP) - 1, int(level * len(_RAMP)))]
    front = "black" if level > 0.5 else "white"
    return Text(f"{text:^{width}}", style=Style(color=front, bgcolor=background))


def _shade(level: float) -> str:
    return SHADES[max(1, min(len(SHADES) - 1, 1 + int(level * (len(SHADES) - 1))))]


def _column_labels(axis: AxisView, indent: int, width: int) -> str:
    """Ranges under the columns; where cells are small lower edges, on as many lines as needed."""
    labels = [_label(axis, index) for index in range(len(axis.edges) + 1)]
    if max(map(len, labels)) < width:
        return " " * indent + "".join(f"{label:^{width}}" for label in labels) + "\n"
    lows = [_low(axis, index) for index in range(len(axis.edges) + 1)]
    step = -(-(max(map(len, lows)) + 1) // width)
    lines = []
    for first in range(step):
        line = [" " * width] * len(lows)
        text = ""
        for index in range(first, len(line), step):
            text += " " * (index * width - len(text)) + lows[index]
        lines.append(" " * indent + text + "\n")
    return "".join(lines)


def _title(view: ArchiveView) -> Text:
    metrics = view.metrics
    what = "merged archive"
    if view.scope is Scope.ROUND:
        what = f"archive of {view.node}, round {view.round}"
    text = Text(f"{view.domain}: {what}\n", style="bold")
    figures = (
        f"{metrics.occupied} of {metrics.cells} cells ({metrics.coverage:.1%}),"
        f" QD-score {metrics.qd_score:.2f}, best {metrics.best:.3f},"
        f" {view.contenders} in the pool"
    )
    if view.items is not None:
        figures += f", from {view.items} items"
    text.append(figures, style="")
    return text


def _legend(view: ArchiveView, letters: dict[str, str]) -> Iterator[Text]:
    if letters:
        counts = Counter(row.node for row in view.rows)
        best = {node: max(r.fitness for r in view.rows if r.node == node) for node in letters}
        yield Text("")
        for node, letter in letters.items():
            name = node or "(from the domain)"
            yield Text(f"  {letter}  {name}: {counts[node]} cells, best {best[node]:.3f}")
    elif view.rows:
        yield Text(f"  {SHADES[1:]}  fitness from 0 to the best; parity is 1", style="dim")


def _letters(view: ArchiveView) -> dict[str, str]:
    """A letter for each source node, by name; more than 52 share the last one."""
    nodes = sorted({row.node for row in view.rows})
    named = [node for node in nodes if node]
    letters = {node: LETTERS[min(i, len(LETTERS) - 1)] for i, node in enumerate(named)}
    return letters if "" not in nodes else {**letters, "": SEED_LETTER}


def _axis_name(axis: AxisView) -> str:
    return f"{axis.name} ({axis.unit})" if axis.unit else axis.name


def _label(axis: AxisView, index: int) -> str:
    """``[low, high)`` of a bin."""
    if index == len(axis.edges):
        return f"≥{_short(axis.edges[-1])}"
    if index == 0:
        return f"<{_short(axis.edges[0])}"
    return f"{_short(axis.edges[index - 1])}–{_short(axis.edges[index])}"


def _low(axis: AxisView, index: int) -> str:
    return f"<{_short(axis.edges[0])}" if index == 0 else f"≥{_short(axis.edges[index - 1])}"


def _short(number: int) -> str:
    """Exact, with k and M where nothing is lost."""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if number and number % unit == 0:
            return f"{number // unit}{letter}"
    return str(number)


def _status(status: Status) -> RenderableType:
    metrics = status.metrics
    total = f" of {status.rounds}" if status.rounds else ""
    rows = [
        ("node", f"{status.node}  key {status.key.hex()[:HASH_CHARS]}  pid {status.pid}"),
        ("state", status.state.value),
        *(("degraded", reason) for reason in status.degraded),
        ("up", _duration(status.uptime_s)),
        ("address", status.address or "(not reachable from outside)"),
        ("search", f"{status.domain}, round {status.round}{total}"),
        ("calls", f"{status.calls_done} of {status.calls} in this round"),
        ("evaluations", f"{status.evaluations:,}"),
        (
            "archive",
            f"{metrics.occupied} of {metrics.cells} cells ({metrics.coverage:.1%}), QD-score"
            f" {metrics.qd_score:.2f}, best {metrics.best:.3f}",
        ),
        ("items", f"{status.items_own} own, {status.items_received} received"),
        ("arrivals", f"{status.arrivals} so far, {status.arrivals_waiting} waiting"),
        ("peers", f"{status.peers_alive} alive of {status.peers_known} known"),
        ("in step", "yes" if status.in_step else "no"),
        *(("budget", _budget(b.name, b.used, b.most)) for b in status.budget),
        ("journal", f"{status.journal_rows:,} rows, {status.journal_hash.hex()[:HASH_CHARS]}"),
        ("version", status.version),
    ]
    return _pairs(rows)


def _budget(name: str, used: int, most: int | None) -> str:
    if name.startswith("usd"):
        limit = "" if most is None else f" of {most / 1e6:.2f}"
        return f"{name}: {used / 1e6:.4f}{limit} USD"
    return f"{name}: {used:,}" + ("" if most is None else f" of {most:,}")


def _peers(peers: Peers) -> RenderableType:
    table = _table(
        "peer", "key", "state", "round", "lag", "rtt ms", "held", "missing", "in step", "address"
    )
    for peer in peers.peers:
        state = peer.state if peer.same_task else f"{peer.state}, other task"
        table.add_row(
            *_texts(
                peer.name,
                peer.key.hex()[:HASH_CHARS],
                state,
                peer.round,
                peer.lag,
                "" if peer.rtt_ms is None else peer.rtt_ms,
                peer.held,
                peer.missing,
                "yes" if peer.in_step else "no",
                peer.address,
            )
        )
    return table if peers.peers else Text(f"{peers.node} knows no peer")


def _champions(champions: Champions) -> RenderableType:
    table = _table("fitness", "node", "round", "hash", "size", "cell", "operator", "model")
    for row in champions.champions:
        table.add_row(
            *_texts(
                f"{row.fitness:.3f}",
                row.node,
                row.round,
                row.content_hash.hex()[:HASH_CHARS],
                row.size,
                row.cell,
                row.operator,
                row.model,
            )
        )
    return table if champions.champions else Text(f"{champions.node} holds no champion yet")


def _operators(view: OperatorsView) -> RenderableType:
    table = _table(
        "operator", "weight", "calls", "ok", "failed", "candidates", "placed", "breaker", "cpu s",
        "tokens", "USD", "last failure",
    )  # fmt: skip
    for row in view.operators:
        failed = ", ".join(f"{count} {word}" for word, count in row.failures)
        table.add_row(
            *_texts(
                row.name if row.name == row.kind else f"{row.name} ({row.kind})",
                row.weight,
                row.calls,
                row.succeeded,
                failed or "0",
                row.candidates,
                row.placed,
                row.breaker,
                f"{row.cpu_s:.1f}",
                row.input_tokens + row.output_tokens,
                f"{row.micro_usd / 1e6:.4f}",
                row.last_failure,
            )
        )
    return table


def _show(show: Show) -> RenderableType:
    parts: list[RenderableType] = [
        _pairs(
            [
                ("hash", show.content_hash.hex()),
                ("size", str(show.size)),
                *((("operator", show.operator),) if show.operator else ()),
                *(("parent", parent.hex()) for parent in show.parents),
            ]
        )
    ]
    for row in show.provenance:
        makers = ", ".join(f"{maker} {share / 655.36:.0f} %" for maker, share in row.ancestry)
        model = f", model {row.model}" if row.model else ""
        star = ", champion of its round" if row.champion else ""
        by = f"{row.node}, round {row.round}, operator {row.operator}{model}{star}"
        pairs = [
            ("published", by),
            ("reference", f"fitness {row.fitness:.3f}, cell {row.cell}"),
            ("ancestry", makers),
            *(("parent", parent.hex()) for parent in row.parents),
        ]
        parts += [Text(""), _pairs(pairs)]
    if show.placements:
        table = _table("round", "iteration", "cell", "points", "outcome")
        for placed in show.placements:
            iteration = "warm-up" if placed.iteration is None else placed.iteration
            table.add_row(
                *_texts(placed.round, iteration, placed.cell, placed.points, placed.outcome)
            )
        parts += [Text(""), table]
    return Group(*parts, Text(""), Text(safe(show.source).rstrip("\n")))


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    return table


def _pairs(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(safe(value)))
    return table


def _texts(*values: object) -> Iterable[Text]:
    return (Text(safe(str(value))) for value in values)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value]
    return " ".join(shown[:2]) or "0 s"
