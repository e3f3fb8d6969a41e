"""Edits of a program by a model: what is drawn anew is drawn in its context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from deid.plugin import Program
from deid.plugin.slots import magnitude
from deid.search.streams import Stream
from deid_markov.model import Line, ProgramModel

__all__ = ["EDITS", "Edit", "mutate", "splice"]

BRIDGE_TRIES = 4  # draws of a line that should lead on to the one below it
INSERT_MAX = 4  # lines that one insertion adds at most

Edit: TypeAlias = Callable[[ProgramModel, Program, Stream], Program]


def mutate(
    model: ProgramModel, program: Program, edits: Sequence[tuple[int, Edit]], stream: Stream
) -> Program:
    """``program`` after one of ``edits`` (weight, edit), and with chance 1/4 after one more …"""
    if not program.lines:
        return rewrite(model, program, stream)
    while True:
        _, edit = edits[stream.weighted([weight for weight, _ in edits])]
        program = edit(model, program, stream)
        if not program.lines or not stream.chance(1, 4):
            return program


def splice(model: ProgramModel, a: Program, b: Program, stream: Stream) -> Program:
    """A beginning of ``a`` and an end of ``b``, joined where the model knows the transition.

    Joins that the examples have weigh eight times as much as others; then the rest of the line
    below the seam is drawn anew, in its new context, with chance 1/2.
    """
    cut = stream.below(len(a.lines) + 1)
    above = a.lines[:cut]
    weights = [8 if model.follows(above, line[model.lead]) else 1 for line in b.lines]
    join = stream.weighted(weights) if weights else 0
    below = b.lines[join : join + model.grammar.lines_max - cut]
    if below and stream.chance(1, 2):
        below = (_redrawn(model, below[0], above, stream), *below[1:])
    head = tuple(x if stream.chance(1, 2) else y for x, y in zip(a.head, b.head, strict=True))
    return _long_enough(model, Program(head, above + below), stream)


def rewrite(model: ProgramModel, program: Program, stream: Stream) -> Program:
    """Everything from some line on, drawn anew."""
    kept = stream.below(max(1, len(program.lines)))
    return Program(program.head, model.draw_tail(program.lines[:kept], stream))


def line(model: ProgramModel, program: Program, stream: Stream) -> Program:
    """One line drawn anew, or one slot of it."""
    row = stream.below(len(program.lines))
    above = program.lines[:row]
    if stream.chance(1, 2):
        fresh = _bridge(model, above, program.lines[row + 1 :], stream)
    else:
        old = program.lines[row]
        position = stream.below(len(old))
        value = model.draw_slot(position, old, above, stream)
        fresh = (*old[:position], value, *old[position + 1 :])
    return Program(program.head, (*above, fresh, *program.lines[row + 1 :]))


def insert(model: ProgramModel, program: Program, stream: Stream) -> Program:
    """A few lines more; in a program that is full they take the place of others."""
    row = stream.below(len(program.lines) + 1)
    lines = list(program.lines[:row])
    for _ in range(magnitude(stream, INSERT_MAX)):
        lines.append(_bridge(model, lines, program.lines[row:], stream))
    lines.extend(program.lines[row:])
    return Program(program.head, tuple(lines[: model.grammar.lines_max]))


def delete(model: ProgramModel, program: Program, stream: Stream) -> Program:
    """One line less; drawn anew instead where no line can be missed."""
    if len(program.lines) <= model.grammar.lines_min:
        return line(model, program, stream)
    row = stream.below(len(program.lines))
    return Program(program.head, program.lines[:row] + program.lines[row + 1 :])


EDITS: Mapping[str, tuple[tuple[int, Edit], ...]] = {
    "rewrite": ((1, rewrite),),
    "line": ((1, line),),
    "insert": ((1, insert),),
    "mix": ((2, rewrite), (5, line), (2, insert), (2, delete)),
}
"""By the setting ``edit``: (weight, edit)."""


def _bridge(
    model: ProgramModel, above: Sequence[Line], below: Sequence[Line], stream: Stream
) -> Line:
    """A line after ``above``, one that leads on to ``below`` if a few draws find it."""
    fresh = model.draw_line(above, stream)
    for _ in range(BRIDGE_TRIES - 1):
        if not below or model.follows([*above, fresh], below[0][model.lead]):
            break
        fresh = model.draw_line(above, stream)
    return fresh


def _redrawn(model: ProgramModel, old: Line, above: Sequence[Line], stream: Stream) -> Line:
    """``old`` with its lead kept and the slots after it drawn anew."""
    fresh = list(old)
    for position in range(model.lead + 1, len(old)):
        fresh[position] = model.draw_slot(position, fresh, above, stream)
    return tuple(fresh)


def _long_enough(model: ProgramModel, program: Program, stream: Stream) -> Program:
    lines = list(program.lines)
    while len(lines) < model.grammar.lines_min:
        lines.append(model.draw_line(lines, stream))
    return Program(program.head, tuple(lines))
