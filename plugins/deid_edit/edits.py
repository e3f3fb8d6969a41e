"""The edits: each takes a program and gives another one of the same grammar.

An edit gives None where it cannot apply (nothing to delete, no room to insert). All values stay
in their slots and all lengths in the grammar's bounds, so whatever comes out can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from deid.plugin import Choice, Grammar, Number, Program
from deid.plugin.slots import bounds, draw_all, magnitude, nearby, spread, wrap
from deid.search.streams import Stream

__all__ = ["EDITS", "Bench", "cross", "edit", "random_program"]

Line: TypeAlias = tuple[int, ...]

BLOCK_MAX = 6  # lines that one edit copies or moves at once; a loop of a warrior is about that long


@dataclass(frozen=True, slots=True)
class Bench:
    """What an edit may use beside the program.

    donors: lines of other programs, to copy whole lines and numbers from; may be empty.
    step_max: the most that a small step changes a number.
    """

    grammar: Grammar
    donors: tuple[Line, ...]
    step_max: int

    def slots(self, kind: type[Choice] | type[Number]) -> list[int]:
        """Positions in a line of the slots of ``kind`` that have more than one value."""
        return [
            position
            for position, slot in enumerate(self.grammar.line)
            if isinstance(slot, kind) and bounds(slot)[0] < bounds(slot)[1]
        ]


Edit: TypeAlias = Callable[[Program, Bench, Stream], Program | None]


def edit(program: Program, bench: Bench, stream: Stream) -> tuple[str, Program]:
    """(name of an edit, result of it); "" and the program itself where none applies."""
    left = list(EDITS)
    while left:
        index = stream.weighted([weight for _, weight, _ in left])
        name, _, function = left.pop(index)
        result = function(program, bench, stream)
        if result is not None:
            return name, result
    return "", program


def cross(a: Program, b: Program, points: int, grammar: Grammar, stream: Stream) -> Program:
    """One-point or two-point crossover of lines; each head slot from either parent.

    points: 1 gives a beginning of ``a`` and an end of ``b``; 2 gives ``a`` with a run of ``b``
    in place of a run of its own.
    """
    head = tuple(x if stream.chance(1, 2) else y for x, y in zip(a.head, b.head, strict=True))
    start, stop = _run(a, stream)
    first, last = _run(b, stream)
    if points == 1:
        lines = a.lines[:start] + b.lines[first:]
    else:
        lines = a.lines[:start] + b.lines[first:last] + a.lines[stop:]
    lines = lines[: grammar.lines_max]
    missing = grammar.lines_min - len(lines)
    if missing > 0:
        lines += tuple(draw_all(grammar.line, stream) for _ in range(missing))
    return Program(head, lines)


def random_program(grammar: Grammar, lines_most: int, stream: Stream) -> Program:
    """A program drawn slot by slot, of uniform length up to about ``lines_most``."""
    most = max(grammar.lines_min, min(lines_most, grammar.lines_max))
    size = grammar.lines_min + stream.below(most - grammar.lines_min + 1)
    lines = tuple(draw_all(grammar.line, stream) for _ in range(size))
    return Program(draw_all(grammar.head, stream), lines)


def _word(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """Another word in one slot: opcode, modifier, mode."""
    positions = bench.slots(Choice)
    if not positions or not program.lines:
        return None
    row, position = stream.below(len(program.lines)), stream.choice(positions)
    old = program.lines[row][position]
    count = bounds(bench.grammar.line[position])[1] + 1
    value = (old + 1 + stream.below(count - 1)) % count
    return _with_value(program, row, position, value)


def _step(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A number a small step away."""
    place = _number_place(program, bench, stream)
    if place is None:
        return None
    row, position = place
    slot = bench.grammar.line[position]
    value = nearby(slot, program.lines[row][position], bench.step_max, stream)
    return _with_value(program, row, position, value)


def _scale(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A number doubled, halved, negated, or drawn anew."""
    place = _number_place(program, bench, stream)
    if place is None:
        return None
    row, position = place
    slot = bench.grammar.line[position]
    old = program.lines[row][position]
    value = stream.choice((old * 2, old // 2, -old, spread(slot, stream)))
    return _with_value(program, row, position, wrap(slot, value))


def _tune(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A number copied from elsewhere, exactly or off by one: constants of a program agree."""
    place = _number_place(program, bench, stream)
    if place is None:
        return None
    row, position = place
    source = stream.choice(program.lines + bench.donors)
    value = source[stream.choice(bench.slots(Number))] + stream.choice((0, 0, 1, -1))
    return _with_value(program, row, position, wrap(bench.grammar.line[position], value))


def _insert(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A new line: drawn slot by slot, or a donor's."""
    if len(program.lines) >= bench.grammar.lines_max:
        return None
    if bench.donors and stream.chance(1, 2):
        line = stream.choice(bench.donors)
    else:
        line = draw_all(bench.grammar.line, stream)
    return _spliced(program, stream.below(len(program.lines) + 1), 0, (line,))


def _delete(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """One line less."""
    if len(program.lines) <= bench.grammar.lines_min:
        return None
    return _spliced(program, stream.below(len(program.lines)), 1, ())


def _duplicate(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A line twice, one after the other."""
    if not program.lines or len(program.lines) >= bench.grammar.lines_max:
        return None
    row = stream.below(len(program.lines))
    return _spliced(program, row, 0, (program.lines[row],))


def _swap(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """Two lines in each other's place."""
    size = len(program.lines)
    if size < 2:
        return None
    row = stream.below(size)
    other = (row + 1 + stream.below(size - 1)) % size
    lines = list(program.lines)
    lines[row], lines[other] = lines[other], lines[row]
    return Program(program.head, tuple(lines))


def _move(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A run of lines elsewhere."""
    if len(program.lines) < 2:
        return None
    start, stop = _run(program, stream)
    block = program.lines[start:stop]
    rest = _spliced(program, start, stop - start, ())
    return _spliced(rest, stream.below(len(rest.lines) + 1), 0, block)


def _copy(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """A run of lines a second time, elsewhere, as far as there is room."""
    room = bench.grammar.lines_max - len(program.lines)
    if not program.lines or room < 1:
        return None
    start, stop = _run(program, stream)
    block = program.lines[start : min(stop, start + room)]
    return _spliced(program, stream.below(len(program.lines) + 1), 0, block)


def _head(program: Program, bench: Bench, stream: Stream) -> Program | None:
    """Another value in a slot of the head."""
    if not program.head:
        return None
    position = stream.below(len(program.head))
    slot = bench.grammar.head[position]
    head = list(program.head)
    if isinstance(slot, Choice) or stream.chance(1, 4):
        head[position] = spread(slot, stream)
    else:
        head[position] = nearby(slot, head[position], bench.step_max, stream)
    return Program(tuple(head), program.lines)


EDITS: tuple[tuple[str, int, Edit], ...] = (
    ("word", 6, _word),
    ("step", 5, _step),
    ("tune", 4, _tune),
    ("scale", 2, _scale),
    ("insert", 3, _insert),
    ("delete", 3, _delete),
    ("duplicate", 1, _duplicate),
    ("swap", 2, _swap),
    ("move", 2, _move),
    ("copy", 1, _copy),
    ("head", 1, _head),
)
"""(name, weight, edit)."""


def _number_place(program: Program, bench: Bench, stream: Stream) -> tuple[int, int] | None:
    """(row, position) of a number, or None where lines have none."""
    positions = bench.slots(Number)
    if not positions or not program.lines:
        return None
    return stream.below(len(program.lines)), stream.choice(positions)


def _run(program: Program, stream: Stream) -> tuple[int, int]:
    """[start, stop) of a run of 1 … BLOCK_MAX lines; an empty one of an empty program."""
    size = len(program.lines)
    if size == 0:
        return 0, 0
    start = stream.below(size)
    return start, min(size, start + magnitude(stream, BLOCK_MAX))


def _with_value(program: Program, row: int, position: int, value: int) -> Program:
    line = program.lines[row]
    return _spliced(program, row, 1, ((*line[:position], value, *line[position + 1 :]),))


def _spliced(program: Program, row: int, removed: int, lines: Sequence[Line]) -> Program:
    """``program`` with ``removed`` lines from ``row`` on replaced by ``lines``."""
    return Program(program.head, (*program.lines[:row], *lines, *program.lines[row + removed :]))
