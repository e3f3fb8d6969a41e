"""What the assembler raises, and the bounds that keep hostile text finite."""

from __future__ import annotations

from typing import Final

from deid.errors import CandidateError

__all__ = ["AssemblyError"]

TEXT_MAX: Final = 256 * 1024
"""Characters of a source; the longest published warrior has some 8,000."""

LINE_MAX: Final = 4_096
"""Characters of a line, continuations joined; published warriors stay under 128."""

STEPS_MAX: Final = 200_000
"""Tokens handled in all passes together, about a tenth of a second; long warriors need 5,000."""

NESTING_MAX: Final = 32
"""Depth of FOR in FOR, of EQU in EQU, of parentheses in an expression."""

NUMBER_MAX: Final = (1 << 63) - 1
"""Magnitude of a number on the way: pMARS computes with 64-bit C longs and warns beyond."""

WARNINGS_MAX: Final = 20
"""Warnings kept of one text."""


class AssemblyError(CandidateError):
    """The text is no Redcode program; `line` and `column` count from 1.

    `message` says what was expected and what was found there.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}: {self.message}"

    def __reduce__(self) -> tuple[type[AssemblyError], tuple[int, int, str]]:
        return (AssemblyError, (self.line, self.column, self.message))


class Budget:
    """Steps left for one text: what is counted here cannot run away."""

    __slots__ = ("left",)

    def __init__(self, steps_max: int = STEPS_MAX) -> None:
        self.left = steps_max
