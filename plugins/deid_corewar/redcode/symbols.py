"""Names and what they stand for: labels, EQU texts, predefined numbers, registers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deid_corewar.redcode.errors import NESTING_MAX, AssemblyError, Budget
from deid_corewar.redcode.lexer import Line, Span, shown
from deid_corewar.settings import CoreSettings

__all__ = ["Counters", "Macro", "Symbols", "is_name", "likely"]

PMARS_VERSION = 92
"""What VERSION stands for: pMARS 0.9.2, whose language this is."""

JOINT_CHARACTERS = 16
"""Characters of a joined name that count one step: each joint makes a new text to keep."""

Counters = Mapping[str, int]
"""The FOR counters that a line stands under, and their values there."""


@dataclass(slots=True)
class Macro:
    """The text of an EQU, one token list a line, and the line that it begins in."""

    line: int
    texts: list[list[str]]


class Symbols:
    """Everything that the text has named so far."""

    __slots__ = (
        "budget",
        "label_lines",
        "labels",
        "macros",
        "multiline",
        "predefined",
        "registers",
    )

    def __init__(self, settings: CoreSettings, budget: Budget) -> None:
        self.budget = budget
        self.labels: dict[str, int] = {}
        self.label_lines: dict[str, int] = {}
        self.macros: dict[str, Macro] = {}
        self.multiline: set[str] = set()
        self.registers: dict[str, int] = {}
        self.predefined: dict[str, int] = {
            "CORESIZE": settings.core_size,
            "MAXPROCESSES": settings.processes_max,
            "MAXCYCLES": settings.cycles_max,
            "MAXLENGTH": settings.length_max,
            "MINDISTANCE": settings.distance,
            "PSPACESIZE": settings.pspace_size,
            "ROUNDS": 1,
            "WARRIORS": 1,
            "VERSION": PMARS_VERSION,
        }

    def spend(self, steps: int, line: Line) -> None:
        """Count steps; raises `AssemblyError` when the text has used up what it may."""
        self.budget.left -= steps
        if self.budget.left < 0:
            raise AssemblyError(
                line.number,
                1,
                "expected a program that expands to a few thousand tokens; FOR and EQU expand this "
                "one without an end in sight: use smaller counts and fewer nested macros",
            )

    def needs_substitution(self, tokens: list[str]) -> bool:
        """Whether an EQU name stands among the tokens."""
        return not self.macros.keys().isdisjoint(tokens)

    def substitute(self, span: Span, start: int, counters: Counters) -> Span:
        """The tokens from `start` on, with counters, `&` joints and EQU names replaced.

        EQU texts go in as they are, without parentheses, and are replaced in turn.
        """
        output = Span(span.line, [], [])
        for index in range(start, len(span.tokens)):
            origin = index if span.origins is None else span.origins[index]
            self._replace(span, index, span.tokens[index], origin, counters, (), output)
        return output

    def joined(self, span: Span, index: int, name: str, counters: Counters) -> str:
        """A name with its `&counter` joints replaced by the counters' two-digit values."""
        head, *parts = name.split("&")
        self.spend(len(parts) + len(name) // JOINT_CHARACTERS, span.line)
        for part in parts:
            if part not in counters:
                raise span.error(
                    index,
                    f"expected the counter of an enclosing FOR after '&' in {shown(name)}, "
                    f"got {shown(part)}" + _known("counters here", counters),
                )
            head += f"{counters[part]:02d}"
        return head

    def _replace(
        self,
        span: Span,
        index: int,
        token: str,
        origin: int,
        counters: Counters,
        active: tuple[str, ...],
        output: Span,
    ) -> None:
        if "&" in token and token not in ("&", "&&"):
            token = self.joined(span, index, token, counters)
        macro = self.macros.get(token)
        if token in counters:
            token = f"{counters[token]:02d}"
            if output.tokens and output.tokens[-1].isdecimal():
                output.tokens[-1] += token
                return
        elif macro is not None:
            self._open(span, index, token, macro, active)
            for part in macro.texts[0]:
                self._replace(span, index, part, origin, counters, (*active, token), output)
            return
        output.tokens.append(token)
        assert isinstance(output.origins, list)
        output.origins.append(origin)

    def _open(
        self, span: Span, index: int, name: str, macro: Macro, active: tuple[str, ...]
    ) -> None:
        """Check that an EQU text may be put in here."""
        self.spend(len(macro.texts[0]) + 1, span.line)
        if name in active:
            raise span.error(
                index, f"EQU {shown(name)} (line {macro.line}) contains itself: write a number"
            )
        if len(active) >= NESTING_MAX:
            raise span.error(
                index, f"expected EQU texts nested at most {NESTING_MAX} deep, got more"
            )
        if len(macro.texts) > 1:
            raise span.error(
                index,
                f"EQU {shown(name)} (line {macro.line}) has {len(macro.texts)} lines and is used "
                "inside an operand before its definition: define it above",
            )


def is_name(token: str) -> bool:
    """Whether a token is a name (the lexer lets only names begin with a letter or `_`)."""
    return (token[0].isalpha() and token.isascii()) or token[0] == "_"


def likely(name: str, known: Iterable[str]) -> str:
    """A hint `; did you mean 'x'?` for a name that resembles a known one, or nothing."""
    matches = difflib.get_close_matches(name[:40], sorted(known)[:500], n=1)
    return f"; did you mean {shown(matches[0])}?" if matches else ""


def _known(what: str, names: Iterable[str]) -> str:
    listed = ", ".join(sorted(names)[:10])
    return f" ({what}: {listed or 'none'})"
