"""From a text to a warrior."""

from __future__ import annotations

from dataclasses import dataclass

from deid_corewar.redcode.encoding import check_88, encode, operand_value
from deid_corewar.redcode.errors import AssemblyError, Budget
from deid_corewar.redcode.expansion import Expansion, Statement, expand
from deid_corewar.redcode.isa import Instruction, Standard
from deid_corewar.redcode.lexer import Line, source_lines
from deid_corewar.redcode.symbols import Symbols
from deid_corewar.settings import CoreSettings

__all__ = ["Warrior", "assemble"]

PIN_MAX = (1 << 31) - 1
"""A P-space is shared by warriors of the same PIN, a C int that is not negative."""

REMARK_MAX = 4_000
"""Characters kept of a name, an author, a strategy."""


@dataclass(frozen=True, slots=True)
class Warrior:
    """A program ready to be loaded.

    `start` is the offset of the first instruction executed; `pin` is None where the warrior has a
    P-space of its own. Numbers are reduced modulo `core_size`.
    """

    name: str
    author: str
    strategy: str
    instructions: tuple[Instruction, ...]
    start: int
    pin: int | None
    warnings: tuple[str, ...]
    core_size: int


def assemble(text: str, settings: CoreSettings, *, standard: Standard = Standard.ICWS94) -> Warrior:
    """Assemble Redcode as pMARS 0.9.2 does; raises `AssemblyError` and nothing else."""
    lines = source_lines(text)
    symbols = Symbols(settings, Budget())
    expansion = expand(lines, settings.length_max, symbols)
    if standard is Standard.ICWS88:
        check_88(expansion)
    instructions = tuple(
        [encode(item, settings.core_size, symbols, standard) for item in expansion.statements]
    )
    if not instructions:
        last = lines[-1].number if lines else 1
        raise AssemblyError(last, 1, "expected at least one instruction, got none")
    start = _start(expansion, settings.core_size, len(instructions))
    pin = _pin(expansion)
    if not expansion.asserted:
        expansion.warnings.append("';assert' is missing: the warrior may not suit this core")
    name, author, strategy = _remarks(lines)
    return Warrior(
        name,
        author,
        strategy,
        instructions,
        start,
        pin,
        tuple(expansion.warnings),
        settings.core_size,
    )


def _start(expansion: Expansion, core_size: int, length: int) -> int:
    """The start: ORG's operand or, where that is missing or 0, END's; both may be absent."""
    for statement in (expansion.org, expansion.end):
        value = None if statement is None else _offset(statement, expansion.symbols)
        if statement is not None and value:
            start = value % core_size
            if start >= length:
                raise statement.span.error(
                    statement.start,
                    f"expected a start among the {length} instructions (0 to {length - 1}), "
                    f"got {value}",
                )
            return start
    return 0


def _offset(statement: Statement, symbols: Symbols) -> int | None:
    """The operand of ORG or END as an offset from the first instruction."""
    statement.address = 0
    return operand_value(statement, symbols)


def _pin(expansion: Expansion) -> int | None:
    if expansion.pin is None:
        return None
    expansion.pin.address = 0
    value = operand_value(expansion.pin, expansion.symbols)
    if value is not None and not 0 <= value <= PIN_MAX:
        raise expansion.pin.span.error(
            expansion.pin.start, f"expected a PIN from 0 to {PIN_MAX}, got {value}"
        )
    return value


def _remarks(lines: list[Line]) -> tuple[str, str, str]:
    """What the comments say of the warrior: the last name and author, all of the strategy."""
    name = author = ""
    strategy: list[str] = []
    for line in lines:
        comment = line.comment
        if comment is None or line.tokens:
            continue
        word = comment[:9].lower()
        if word.startswith("name"):
            name = _remark(comment[4:])
        elif word.startswith("author"):
            author = _remark(comment[6:])
        elif word.startswith("strategy"):
            strategy.append(comment[8:].strip())
    return name, author, "\n".join(strategy)[:REMARK_MAX]


def _remark(text: str) -> str:
    return " ".join(text.split())[:REMARK_MAX]
