"""Lines and tokens: the text as the later passes see it.

A token is a plain string: a name (with `&` joints, as in `bomb&i`), a number, an operator or sign,
or one character that Redcode has no use for. Columns are worked out only when an error needs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deid_corewar.redcode.errors import LINE_MAX, TEXT_MAX, AssemblyError

__all__ = ["Line", "Span", "source_lines", "tokens_of"]

TOKEN = re.compile(
    r"""  [A-Za-z_]\w*(?:&\w+)*                 # a name
      |   \d+                                 # a number
      |   ==|!=|<=|>=|=<|=>|&&|\|\|           # two characters
      |   [^ \t\n\r\v\f\x1a\x00]              # one character, known or not
    """,
    re.VERBOSE | re.ASCII,
)

tokens_of = TOKEN.findall
"""The tokens of a piece of text without its comment."""


class Line:
    """A logical line of the source: where it starts, its code, its comment.

    Lines joined by a trailing backslash stand in one `text`, the joints being newlines.
    """

    __slots__ = ("comment", "number", "text", "tokens")

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        code, semicolon, comment = text.partition(";")
        self.comment = comment if semicolon else None
        self.tokens: list[str] = tokens_of(code)

    def place(self, index: int) -> tuple[int, int]:
        """Line and column of token `index`; of the end of the code when there is no such token."""
        code = self.text.partition(";")[0]
        for number, match in enumerate(TOKEN.finditer(code)):
            if number == index:
                offset = match.start()
                break
        else:
            offset = len(code.rstrip())
        return (
            self.number + code.count("\n", 0, offset),
            offset - code.rfind("\n", 0, offset),
        )


class Span:
    """Tokens with their way back to the source: `origins[i]` is the index of token i in `line`.

    `origins` is None where the tokens are those of the line itself.
    """

    __slots__ = ("line", "origins", "tokens")

    def __init__(self, line: Line, tokens: list[str], origins: Sequence[int] | None = None) -> None:
        self.line = line
        self.tokens = tokens
        self.origins = origins

    def error(self, index: int, message: str) -> AssemblyError:
        """The error at token `index` (one past the last: at the end of the line)."""
        if self.origins is not None:
            if self.tokens != [self.line.tokens[origin] for origin in self.origins]:
                message += f" (with EQU and FOR replaced: {shown(' '.join(self.tokens))})"
            index = self.origins[index] if index < len(self.origins) else len(self.line.tokens)
        return AssemblyError(*self.line.place(index), message)

    def got(self, index: int) -> str:
        """Token `index` as an error message names it."""
        return shown(self.tokens[index]) if index < len(self.tokens) else "the end of the line"


def shown(text: str) -> str:
    """Text quoted for a message, cut to a length that a line can hold."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def source_lines(text: str) -> list[Line]:
    """The logical lines of the program: from the first `;redcode` line to the second one.

    A text without such a line is a program from its first line on. Raises `AssemblyError` where
    the text or a line is longer than any warrior's.
    """
    if len(text) > TEXT_MAX:
        raise AssemblyError(1, 1, f"expected at most {TEXT_MAX} characters, got {len(text)}")
    lines: list[Line] = []
    begun = False
    for line in _joined(text):
        comment = line.comment
        if comment is not None and comment[:7].lower() == "redcode" and not line.tokens:
            if begun:
                break
            begun = True
            lines.clear()
        lines.append(line)
    return lines


def _joined(text: str) -> list[Line]:
    """The lines of a text, those that end in a backslash joined with the next."""
    lines: list[Line] = []
    head, first = "", 0
    for number, physical in enumerate(text.split("\n"), 1):
        whole = head + physical
        if len(whole) > LINE_MAX:
            raise AssemblyError(
                number, 1, f"expected a line of at most {LINE_MAX} characters, got {len(whole)}"
            )
        start = first or number
        if physical.endswith(("\\", "\\\r")):
            head, first = whole.rstrip("\r")[:-1] + "\n", start
            continue
        lines.append(Line(start, whole))
        head, first = "", 0
    if head:
        lines.append(Line(first, head))
    return lines
