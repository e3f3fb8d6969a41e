"""The merged archive as a picture: each cell in its source node's colour, darker where fitter."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deid.cli.demo_result import Result
from deid.cli.palette import SEED_COLOUR, node_colours
from deid.control.views import AxisView, CellRow
from deid.errors import DeidError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["available", "write"]

PLANES_MAX: Final = 16
DPI: Final = 150
INK: Final = "#222222"
PALE: Final = 0.28  # share of the colour in the least fit cell
EMPTY: Final = "#f1f1ef"


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def write(result: Result, path: Path) -> None:
    """Writes the picture as PNG. :class:`DeidError` for a grid of too many planes to draw.

    The last axis runs to the right, the one before it upwards; further axes give one plane for
    each of their bins.
    """
    from matplotlib.figure import Figure

    *outer, across = result.merged.axes
    upward = outer.pop() if outer else None
    planes = list(product(*(range(len(axis.edges) + 1) for axis in outer)))
    if len(planes) > PLANES_MAX:
        raise DeidError(f"a picture has at most {PLANES_MAX} planes, the archive has {len(planes)}")
    colours = {**node_colours(node.name for node in result.nodes), "": SEED_COLOUR}
    figure = Figure(figsize=(5.3 * len(planes) + 4.0, 6.4), dpi=DPI, facecolor="white")
    parts: Any = figure.subplots(
        1,
        len(planes) + 1,
        squeeze=False,
        gridspec_kw={"width_ratios": [5.3] * len(planes) + [2.7]},
    )[0]
    for plane, bins in enumerate(planes):
        title = ", ".join(f"{a.name} {_range(a, b)}" for a, b in zip(outer, bins, strict=True))
        _draw_plane(parts[plane], result, upward, across, bins, colours)
        parts[plane].set_title(title, fontsize=10, color=INK)
    _draw_bars(parts[-1], result, colours)
    _draw_titles(figure, result)
    figure.subplots_adjust(left=0.085, right=0.975, top=0.82, bottom=0.12, wspace=0.2)
    figure.savefig(path, format="png")


def _draw_plane(
    axes: Axes,
    result: Result,
    upward: AxisView | None,
    across: AxisView,
    outer: tuple[int, ...],
    colours: dict[str, str],
) -> None:
    from matplotlib.patches import Rectangle

    columns = len(across.edges) + 1
    lines = len(upward.edges) + 1 if upward else 1
    rows = {row.bins: row for row in result.merged.rows}
    for line, column in product(range(lines), range(columns)):
        bins = (*outer, line, column) if upward else (*outer, column)
        row = rows.get(bins)
        fill = EMPTY if row is None else _fill(row, result, colours)
        axes.add_patch(
            Rectangle((column, line), 1, 1, facecolor=fill, edgecolor="white", linewidth=2.5)
        )
        if row is not None:
            front = "white" if _luminance(fill) < 0.5 else INK
            axes.text(column + 0.5, line + 0.5, f"{row.fitness:.2f}", ha="center", va="center",
                      fontsize=10.5, color=front)  # fmt: skip
    axes.set_xlim(0, columns)
    axes.set_ylim(0, lines)
    axes.set_xticks(range(columns + 1), _edge_labels(across), fontsize=9)
    axes.set_xlabel(_axis_name(across), fontsize=11, color=INK)
    if upward:
        axes.set_yticks(range(lines + 1), _edge_labels(upward), fontsize=9)
        axes.set_ylabel(_axis_name(upward), fontsize=11, color=INK)
    else:
        axes.set_yticks([])
    axes.set_aspect("equal")
    _plain(axes)


def _draw_bars(axes: Axes, result: Result, colours: dict[str, str]) -> None:
    """Coverage and QD-score: merged, then each node alone; the bars are the legend of colours."""
    merged = result.merged.metrics
    names = ["merged", *(node.name for node in result.nodes)]
    coverage = [merged.coverage, *(node.alone.coverage for node in result.nodes)]
    scores = [merged.qd_score, *(node.alone.qd_score for node in result.nodes)]
    fills = [INK, *(colours[node.name] for node in result.nodes)]
    places = list(range(len(names)))[::-1]
    axes.barh(places, coverage, color=fills, height=0.42)
    for place, share, score in zip(places, coverage, scores, strict=True):
        axes.text(share + 0.02, place, f"{share:.0%}   QD {score:.1f}", va="center", fontsize=9,
                  color=INK)  # fmt: skip
    notes = ["", *(f"{node.label} · gives {_cells(node.given)}" for node in result.nodes)]
    for place, name, note in zip(places, names, notes, strict=True):
        axes.text(0, place + 0.3, name, fontsize=10, fontweight="bold", color=INK, va="bottom")
        axes.text(0, place - 0.27, note, fontsize=8.5, color="#666666", va="top")
    axes.set_xlim(0, max(coverage) * 1.75 or 1)
    axes.set_ylim(-0.6, len(names) - 0.3)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title("Coverage and QD-score", fontsize=10, color=INK, loc="left", pad=8)
    _plain(axes)


def _draw_titles(figure: Figure, result: Result) -> None:
    metrics, plan = result.merged.metrics, result.plan
    count = len(result.nodes)
    swarm = f"{count} daemons" if count > 1 else "one daemon"
    figure.text(0.03, 0.945, f"{plan.domain.name}: merged archive of {swarm}", fontsize=16,
                fontweight="bold", color=INK)  # fmt: skip
    facts = (
        f"{metrics.occupied} of {metrics.cells} cells ({metrics.coverage:.0%}) · "
        f"QD-score {metrics.qd_score:.2f} · best {metrics.best:.2f} · "
        f"{plan.rounds} rounds of {plan.calls} calls a node · "
        f"{result.evaluations:,} evaluations · {result.merged.items} items · seed {plan.seed}"
    )
    figure.text(0.03, 0.905, facts, fontsize=10, color="#555555")
    note = (
        f"Number and shade: fitness against the reference pool of {result.merged.contenders - 1}"
        " (parity is 1). Colour: the node that found it."
    )
    figure.text(0.03, 0.018, note, fontsize=9, color="#555555")


def _fill(row: CellRow, result: Result, colours: dict[str, str]) -> str:
    best = result.merged.metrics.best
    level = row.fitness / best if best > 0 else 0.0
    return _mixed(colours.get(row.node, SEED_COLOUR), PALE + (1 - PALE) * level)


def _mixed(colour: str, share: float) -> str:
    """``colour`` over white."""
    return "#" + "".join(f"{round(255 - (255 - v) * share):02x}" for v in _channels(colour))


def _luminance(colour: str) -> float:
    """Relative, in [0, 1] (ITU-R BT.709 weights, without gamma)."""
    red, green, blue = (value / 255 for value in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _edge_labels(axis: AxisView) -> Sequence[str]:
    """Bins lie between their edges; the outermost are open."""
    return ["", *(f"{edge:,}" for edge in axis.edges), ""]


def _range(axis: AxisView, index: int) -> str:
    if index == len(axis.edges):
        return f"≥ {axis.edges[-1]:,}"
    if index == 0:
        return f"< {axis.edges[0]:,}"
    return f"{axis.edges[index - 1]:,} to {axis.edges[index]:,}"


def _axis_name(axis: AxisView) -> str:
    return f"{axis.name} ({axis.unit})" if axis.unit else axis.name


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _plain(axes: Axes) -> None:
    axes.tick_params(length=0, colors="#444444")
    for spine in axes.spines.values():
        spine.set_visible(False)
