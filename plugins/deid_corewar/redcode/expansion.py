"""The first pass: from lines to statements. Labels get addresses, EQU and FOR disappear.

A line is ``label… opcode operands``; labels may stand alone on lines above, with or without a
colon. FOR is unrolled here, so its count may use only what stands above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from deid_corewar.redcode.errors import NESTING_MAX, WARNINGS_MAX, AssemblyError
from deid_corewar.redcode.expression import evaluate
from deid_corewar.redcode.isa import Modifier, Opcode
from deid_corewar.redcode.lexer import Line, Span, shown
from deid_corewar.redcode.symbols import Counters, Macro, Symbols, is_name, likely

__all__ = ["Expansion", "Statement", "expand"]

EQU: Final = 100
FOR: Final = 101
ROF: Final = 102
ORG: Final = 103
END: Final = 104
PIN: Final = 105

PSEUDO: Mapping[str, int] = MappingProxyType(
    {"EQU": EQU, "FOR": FOR, "ROF": ROF, "ORG": ORG, "END": END, "PIN": PIN}
)
NAMES: Mapping[int, str] = MappingProxyType({number: name for name, number in PSEUDO.items()})


def _both_cases(words: Mapping[str, int]) -> dict[str, int]:
    return {spelt: n for word, n in words.items() for spelt in (word, word.lower())}


KEYWORDS: Mapping[str, int] = MappingProxyType(
    _both_cases({**{opcode.name: opcode.value for opcode in Opcode}, **PSEUDO})
)
MODIFIERS: Mapping[str, int] = MappingProxyType(
    _both_cases({modifier.name: modifier.value for modifier in Modifier})
)
ERROR_STEPS: Final = 5_000
"""What an error that is survived counts: finding similar names takes milliseconds."""

NO_COUNTERS: Counters = MappingProxyType({})


@dataclass(slots=True)
class Statement:
    """An instruction (or ORG, END, PIN) whose operands begin at token `start` of `span`.

    `modifier` is None where the text names none.
    """

    opcode: int
    modifier: int | None
    span: Span
    start: int
    address: int
    counters: Counters


@dataclass(slots=True)
class Loop:
    """A FOR that is about to be unrolled."""

    count: int
    counter: str | None


class Block:
    """Lines that stand together: those of the source, or those of an EQU's text."""

    __slots__ = ("_rofs", "spans")

    def __init__(self, spans: list[Span]) -> None:
        self.spans = spans
        self._rofs: dict[int, int] = {}

    def rof(self, first: int, stop: int) -> int:
        """The line of the ROF that closes the FOR before line `first`."""
        if first not in self._rofs:
            opened = [first]
            for index in range(first, stop):
                word = _first_keyword(self.spans[index].tokens)
                if word == FOR:
                    opened.append(index + 1)
                elif word == ROF:
                    self._rofs[opened.pop()] = index
                    if not opened:
                        break
            else:
                raise self.spans[first - 1].error(
                    0, "expected a ROF that closes this FOR, got the end of the text"
                )
        return self._rofs[first]


@dataclass(slots=True)
class Expansion:
    """What the first pass leaves for the second."""

    symbols: Symbols
    statements: list[Statement] = field(default_factory=list)
    org: Statement | None = None
    end: Statement | None = None
    pin: Statement | None = None
    asserted: bool = False
    warnings: list[str] = field(default_factory=list)

    def warn(self, line: Line, message: str) -> None:
        if len(self.warnings) < WARNINGS_MAX:
            self.warnings.append(f"line {line.number}: {message}")


def expand(lines: list[Line], length_max: int, symbols: Symbols) -> Expansion:
    """Run the first pass; raises `AssemblyError`."""
    return _Pass(lines, length_max, symbols).run()


class _Pass:
    __slots__ = (
        "address",
        "counters",
        "equ",
        "equ_names",
        "length_max",
        "lines",
        "output",
        "pending",
        "symbols",
    )

    def __init__(self, lines: list[Line], length_max: int, symbols: Symbols) -> None:
        self.lines = lines
        self.length_max = length_max
        self.symbols = symbols
        self.output = Expansion(symbols)
        self.address = 0
        self.counters: Counters = NO_COUNTERS
        self.pending: list[tuple[str, Span, int]] = []
        self.equ: Macro | None = None
        self.equ_names: list[str] = []

    def run(self) -> Expansion:
        spans = [Span(line, line.tokens) for line in self.lines]
        self._lines(Block(spans), 0, len(spans), 0)
        if self.pending and self.output.end is None:
            name, span, _ = self.pending[0]
            self.output.warn(span.line, f"label {shown(name)} names no instruction: ignored")
        return self.output

    def _lines(self, block: Block, index: int, stop: int, depth: int) -> None:
        """Take the lines `index` … `stop`; FOR bodies are taken as often as they say."""
        while index < stop and self.output.end is None:
            span = block.spans[index]
            index += 1
            self.symbols.spend(len(span.tokens) + 1, span.line)
            if not span.tokens:
                self._comment(span.line)
                continue
            loop = self._line(span, depth)
            if loop is not None:
                index = self._loop(loop, block, index, stop, depth)

    def _loop(self, loop: Loop, block: Block, first: int, stop: int, depth: int) -> int:
        """Unroll a FOR whose body begins at line `first`; the line after its ROF."""
        opening = block.spans[first - 1]
        self._check_depth(opening, 0, depth)
        rof = block.rof(first, stop)
        outer = self.counters
        for number in range(1, loop.count + 1):
            self.symbols.spend(1, opening.line)
            if loop.counter is not None:
                self.counters = {**outer, loop.counter: number}
            self._lines(block, first, rof, depth + 1)
            if self.output.end is not None:
                break
        self.counters = outer
        return rof + 1

    def _check_depth(self, span: Span, index: int, depth: int) -> None:
        if depth >= NESTING_MAX:
            raise span.error(
                index,
                f"expected FOR and EQU nested at most {NESTING_MAX} deep, got more: does an EQU "
                "contain itself?",
            )

    def _line(self, span: Span, depth: int) -> Loop | None:
        """Take one line: labels, then what they name. Returns the loop that a FOR opens."""
        symbols = self.symbols
        tokens = span.tokens
        if not symbols.multiline.isdisjoint(tokens) and _first_keyword(tokens) != EQU:
            name = next(token for token in tokens if token in symbols.multiline)
            self._splice(span, tokens.index(name), depth)
            return None
        names: list[tuple[str, Span, int]] = []
        for index, token in enumerate(tokens):
            word = KEYWORDS.get(token)
            if word is None:
                word = KEYWORDS.get(token.upper())
            if word is not None:
                self.pending += names
                return self._statement(word, span, index)
            if token in symbols.macros and not self._defines(tokens, index):
                self._splice(span, index, depth)
                return None
            if is_name(token):
                names.append((self._label(span, index), span, index))
            elif token != ":" or not names or tokens[index - 1] == ":":
                raise self._no_statement(span, index, names)
        self.pending += names
        return None

    def _defines(self, tokens: list[str], index: int) -> bool:
        """Whether the name at `index` is about to be defined (again) by an EQU."""
        return index + 1 < len(tokens) and KEYWORDS.get(tokens[index + 1].upper()) == EQU

    def _splice(self, span: Span, index: int, depth: int) -> None:
        """Put the EQU text named at `index` in its place; it may have several lines."""
        self._check_depth(span, index, depth)
        texts = self.symbols.macros[span.tokens[index]].texts
        origins = span.origins if span.origins is not None else range(len(span.tokens))
        parts: list[Span] = []
        for number, text in enumerate(texts):
            self.symbols.spend(len(text) + 1, span.line)
            head = index if number == 0 else 0
            tail = index + 1 if number == len(texts) - 1 else len(span.tokens)
            parts.append(
                Span(
                    span.line,
                    [*span.tokens[:head], *text, *span.tokens[tail:]],
                    [*origins[:head], *([origins[index]] * len(text)), *origins[tail:]],
                )
            )
        self._lines(Block(parts), 0, len(parts), depth + 1)

    def _statement(self, word: int, span: Span, index: int) -> Loop | None:
        """Take the keyword at `index` and what belongs to it."""
        if word < EQU:
            self._instruction(word, span, index)
        elif word == EQU:
            self._equ(span, index)
            return None
        elif word == FOR:
            return self._for(span, index)
        elif word == ROF:
            raise span.error(index, "expected an open FOR before ROF, got none")
        else:
            self._place(word, span, index)
        self.equ = None
        return None

    def _instruction(self, opcode: int, span: Span, index: int) -> None:
        if self.address >= self.length_max:
            raise span.error(
                index, f"expected at most {self.length_max} instructions, got one more"
            )
        if self.pending:
            self._attach()
        start = index + 1
        modifier = None
        if start < len(span.tokens) and span.tokens[start] == ".":
            modifier = self._modifier(span, start + 1)
            start += 2
        self.output.statements.append(
            Statement(opcode, modifier, span, start, self.address, self.counters)
        )
        self.address += 1

    def _modifier(self, span: Span, index: int) -> int:
        text = span.tokens[index] if index < len(span.tokens) else ""
        found = MODIFIERS.get(text)
        if found is None:
            found = MODIFIERS.get(text.upper())
        if found is None:
            expected = ", ".join(modifier.name for modifier in Modifier)
            raise span.error(index, f"expected a modifier ({expected}), got {span.got(index)}")
        return found

    def _equ(self, span: Span, index: int) -> None:
        """Define the names that wait, or add a line to the definition above."""
        text = span.tokens[index + 1 :]
        if self.pending:
            self.equ = Macro(span.line.number, [text])
            self.equ_names = [name for name, _, _ in self.pending]
            for name, where, at in self.pending:
                self._check_new(name, where, at)
                self.symbols.macros[name] = self.equ
            self.pending = []
        elif self.equ is None:
            raise span.error(index, "expected a name before EQU, got none")
        else:
            self.equ.texts.append(text)
            self.symbols.multiline.update(self.equ_names)
            self.equ_names = []

    def _for(self, span: Span, index: int) -> Loop:
        counter = None
        if self.pending:
            counter, where, at = self.pending.pop()
            self._check_new(counter, where, at)
            self._attach()
        operand = self.symbols.substitute(span, index + 1, self.counters)
        count = evaluate(operand, 0, len(operand.tokens), self.address, self.symbols)
        self.equ = None
        return Loop(count, counter)

    def _place(self, word: int, span: Span, index: int) -> None:
        """Take ORG, END or PIN; their operands are read when all labels are known."""
        self._attach()
        statement = Statement(word, None, span, index + 1, self.address, self.counters)
        if word == ORG:
            self.output.org = statement
        elif word == PIN:
            self.output.pin = statement
        else:
            self.output.end = statement

    def _label(self, span: Span, index: int) -> str:
        name = span.tokens[index]
        if "&" in name:
            name = self.symbols.joined(span, index, name, self.counters)
        if name in self.counters:
            raise span.error(
                index, f"expected a label or an opcode, got {shown(name)}, the counter of this FOR"
            )
        return name

    def _attach(self) -> None:
        """Give the labels that wait the address of the next instruction."""
        for name, span, index in self.pending:
            self._check_new(name, span, index)
            self.symbols.labels[name] = self.address
            self.symbols.label_lines[name] = span.line.number
        self.pending = []

    def _check_new(self, name: str, span: Span, index: int) -> None:
        symbols = self.symbols
        if name in symbols.predefined or name == "CURLINE":
            what = "a predefined name"
        elif name in symbols.macros:
            what = f"an EQU of line {symbols.macros[name].line}"
        elif name in symbols.labels:
            what = f"a label of line {symbols.label_lines[name]}"
            if self.counters:
                what += f"; inside FOR, join the counter: {shown(f'{name}&{[*self.counters][-1]}')}"
        elif name in self.counters:
            what = "the counter of an enclosing FOR"
        else:
            return
        raise span.error(index, f"expected a new name, got {shown(name)}, which is {what}")

    def _comment(self, line: Line) -> None:
        """Take `;assert expression`: false refuses the text, nonsense is only warned of."""
        if line.comment is None or line.tokens or line.comment[:6].lower() != "assert":
            return
        offset = len(line.text) - len(line.comment) + 6
        line = Line(line.number, " " * offset + line.text[offset:])
        span = Span(line, line.tokens)
        self.symbols.spend(len(span.tokens), line)
        try:
            operand = self.symbols.substitute(span, 0, self.counters)
            held = evaluate(operand, 0, len(operand.tokens), self.address, self.symbols)
        except AssemblyError as error:
            self.symbols.spend(ERROR_STEPS, line)
            self.output.warn(line, f"';assert' is ignored: {error.message}")
            return
        self.output.asserted = True
        if not held:
            raise span.error(
                0,
                f"expected {shown(line.text.strip())} to hold in this core, got false: "
                ";assert refuses these settings",
            )

    def _no_statement(
        self, span: Span, index: int, names: list[tuple[str, Span, int]]
    ) -> AssemblyError:
        if not names:
            return span.error(index, f"expected a label or an opcode, got {span.got(index)}")
        name = names[-1][0]
        hint = likely(name.upper(), [opcode.name for opcode in Opcode] + list(PSEUDO))
        return span.error(
            index, f"expected an opcode after the label {shown(name)}, got {span.got(index)}{hint}"
        )


def _first_keyword(tokens: list[str]) -> int | None:
    """The keyword that a line is about, its labels skipped."""
    for token in tokens:
        word = KEYWORDS.get(token.upper())
        if word is not None:
            return word
        if not is_name(token) and token != ":":
            break
    return None
