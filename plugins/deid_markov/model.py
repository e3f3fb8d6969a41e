"""An n-gram model of programs, typed by slot.

A program is drawn line by line and a line slot by slot. What a slot is conditioned on, most
telling first, cut at order − 1 words:

- the *lead* (the first slot of words: the opcode): the leads of the lines before;
- another slot of words: the lead of its line, the words before it in the line (nearest first),
  the same slot of the line before, the numbers before it;
- a slot of the head, which is drawn last: the leads of the first lines, the slots before it;
- a number: the lead, the slot before it (its mode), the numbers before it in the line, the
  other words, the same slot of the line before.

After each line the program ends with the probability learned from the examples' lengths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from deid.plugin import Choice, Grammar, Program, Slot
from deid.plugin.slots import bounds
from deid.search.streams import Stream
from deid_markov.table import SlotTable

__all__ = ["Line", "ProgramModel", "fit"]

Line: TypeAlias = tuple[int, ...]

LEADS_MAX = 8  # leads that a lead may depend on; the order cuts deeper
OPENING = 3  # lines whose leads the head depends on


@dataclass(frozen=True, slots=True)
class _Reference:
    """A word of a context: a slot of the line ``back`` lines above, or ``missing`` if none is."""

    back: int
    position: int
    missing: int


class ProgramModel:
    """Draws programs, lines and single slots; made by :func:`fit`."""

    __slots__ = ("_ends", "_head", "_line", "_plans", "grammar", "lead")

    def __init__(
        self,
        grammar: Grammar,
        lead: int,
        plans: Sequence[tuple[_Reference, ...]],
        head: Sequence[SlotTable],
        line: Sequence[SlotTable],
        ends: Sequence[tuple[int, int]],
    ) -> None:
        self.grammar = grammar
        self.lead = lead
        self._plans = tuple(plans)
        self._head = tuple(head)
        self._line = tuple(line)
        self._ends = tuple(ends)

    def draw_program(self, stream: Stream) -> Program:
        """A whole program."""
        lines = self.draw_tail((), stream)
        head: list[int] = []
        for table in self._head:
            head.append(table.draw(_head_context(head, lines, self.lead), stream))
        return Program(tuple(head), lines)

    def draw_tail(self, above: Sequence[Line], stream: Stream) -> tuple[Line, ...]:
        """``above``, continued until the program ends; at least one line more if one fits."""
        lines = list(above)
        while len(lines) < self.grammar.lines_max:
            lines.append(self.draw_line(lines, stream))
            if len(lines) >= self.grammar.lines_min and self._ends_here(len(lines), stream):
                break
        return tuple(lines)

    def draw_line(self, above: Sequence[Line], stream: Stream) -> Line:
        """The next line after ``above``."""
        line: list[int] = []
        for position in range(len(self._line)):
            line.append(self.draw_slot(position, line, above, stream))
        return tuple(line)

    def draw_slot(
        self, position: int, line: Sequence[int], above: Sequence[Line], stream: Stream
    ) -> int:
        """A value for one slot of ``line``, given the slots before it and the lines above."""
        context = _context(self._plans[position], line, above)
        return self._line[position].draw(context, stream)

    def follows(self, above: Sequence[Line], lead: int) -> bool:
        """Whether the examples have ``lead`` right after the last lead of ``above``."""
        context = _context(self._plans[self.lead][:1], (), above)
        return self._line[self.lead].knows(context, lead)

    def _ends_here(self, length: int, stream: Stream) -> bool:
        ends, of = self._ends[min(length, len(self._ends) - 1)]
        return stream.chance(ends, of)


def fit(
    grammar: Grammar,
    programs: Sequence[Program],
    *,
    order: int,
    smoothing: int,
    temperature: int,
) -> ProgramModel:
    """A model of ``programs``, whose order does not matter; a pure function of its arguments.

    order: n of the n-grams, so that n − 1 words make a context; smoothing in thousandths;
    temperature in tenths (see :class:`SlotTable`). ``programs`` must not be empty.
    """
    lead = next((i for i, slot in enumerate(grammar.line) if isinstance(slot, Choice)), 0)
    plans = [
        _plan(grammar.line, position, lead)[: order - 1] for position in range(len(grammar.line))
    ]
    head = [
        SlotTable(
            slot,
            [
                (_head_context(p.head[:position], p.lines, lead)[: order - 1], p.head[position])
                for p in programs
            ],
            smoothing,
            temperature,
        )
        for position, slot in enumerate(grammar.head)
    ]
    line = [
        SlotTable(slot, _occurrences(programs, position, plans[position]), smoothing, temperature)
        for position, slot in enumerate(grammar.line)
    ]
    return ProgramModel(grammar, lead, plans, head, line, _ends(programs))


def _plan(slots: Sequence[Slot], position: int, lead: int) -> tuple[_Reference, ...]:
    """What the slot at ``position`` depends on, most telling first; see the module's docstring."""
    above = _reference(slots, 1, position)
    if position == lead:
        return tuple(_reference(slots, back, lead) for back in range(1, LEADS_MAX + 1))
    before = [i for i in range(position - 1, -1, -1) if i != lead]
    words = [i for i in before if isinstance(slots[i], Choice)]
    numbers = [i for i in before if i not in words]
    if isinstance(slots[position], Choice):
        inside = [*words, *numbers]
        split = len(words)
    else:
        mode = words[:1] if words and words[0] == position - 1 else []
        inside = [*mode, *numbers, *words[len(mode) :]]
        split = len(inside)
    if lead < position:
        inside.insert(0, lead)
        split += 1
    here = [_reference(slots, 0, i) for i in inside]
    return (*here[:split], above, *here[split:])


def _reference(slots: Sequence[Slot], back: int, position: int) -> _Reference:
    return _Reference(back, position, bounds(slots[position])[0] - 1)


def _context(
    plan: Sequence[_Reference], line: Sequence[int], above: Sequence[Line]
) -> tuple[int, ...]:
    height = len(above)
    return tuple(
        line[r.position]
        if r.back == 0
        else above[height - r.back][r.position]
        if r.back <= height
        else r.missing
        for r in plan
    )


def _head_context(before: Sequence[int], lines: Sequence[Line], lead: int) -> tuple[int, ...]:
    """Leads of the first lines, −1 for a line that is not there, then the head so far."""
    opening = [lines[row][lead] if row < len(lines) else -1 for row in range(OPENING)]
    return (*opening, *reversed(before))


def _occurrences(
    programs: Iterable[Program], position: int, plan: tuple[_Reference, ...]
) -> Iterable[tuple[tuple[int, ...], int]]:
    """(context, value) of a slot, in every line of every program."""
    for program in programs:
        for row, line in enumerate(program.lines):
            yield _context(plan, line, program.lines[:row]), line[position]


def _ends(programs: Sequence[Program]) -> list[tuple[int, int]]:
    """By length: (numerator, denominator) of the chance that a program so long ends there.

    Programs of that length over programs at least as long, to which one program with an end
    after each line of chance 1 / mean length is added, so that no chance is 0 or 1 by accident.
    The last entry holds for all greater lengths.
    """
    lengths = Counter(len(program.lines) for program in programs)
    longest = max(lengths)
    total = sum(length * n for length, n in lengths.items())
    mean = max(2, (2 * total + len(programs)) // (2 * len(programs)))  # rounded to an integer
    ends = []
    alive = len(programs)
    for length in range(longest + 2):
        ends.append((lengths[length] * mean + 1, (alive + 1) * mean))
        alive -= lengths[length]
    return ends
