"""The second pass: from statements to instructions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deid_corewar.redcode.expansion import Expansion, Statement
from deid_corewar.redcode.expression import evaluate
from deid_corewar.redcode.isa import (
    DEFAULT_MODIFIERS,
    MODE_SIGNS,
    SIGN_MODES,
    Instruction,
    Mode,
    Opcode,
    Standard,
)
from deid_corewar.redcode.lexer import Span
from deid_corewar.redcode.symbols import Symbols

__all__ = ["check_88", "encode", "operand_value"]

DIRECT = int(Mode.DIRECT)
IMMEDIATE = int(Mode.IMMEDIATE)
DAT = int(Opcode.DAT)
ONE_OPERAND = frozenset({Opcode.SPL, Opcode.JMP, Opcode.NOP})


def encode(
    statement: Statement, core_size: int, symbols: Symbols, standard: Standard
) -> Instruction:
    """The instruction that a statement stands for; raises `AssemblyError`."""
    span, start = _operands(statement, symbols)
    tokens = span.tokens
    comma = tokens.index(",", start) if "," in tokens else -1
    address = statement.address
    opcode = statement.opcode
    if comma < 0:
        return _one_operand(statement, span, start, core_size, symbols, standard)
    stop = len(tokens)
    a_mode, at = _mode(span, start, comma)
    a = evaluate(span, at, comma, address, symbols)
    b_mode, at = _mode(span, comma + 1, stop)
    b = evaluate(span, at, stop, address, symbols)
    modifier = statement.modifier
    if modifier is None:
        modifier = DEFAULT_MODIFIERS[opcode][a_mode][b_mode]
    if standard is Standard.ICWS88:
        _check_88(statement, span, (start, comma + 1), (a_mode, b_mode))
    return Instruction(opcode, modifier, a_mode, a % core_size, b_mode, b % core_size)


def check_88(expansion: Expansion) -> None:
    """Refuse the pseudo-opcodes that ICWS'88 does not have; raises `AssemblyError`."""
    for name, statement in (("ORG", expansion.org), ("PIN", expansion.pin)):
        if statement is not None:
            raise statement.span.error(
                statement.start - 1,
                f"expected no {name}: ICWS'88 lacks it; write the start after END instead",
            )


def operand_value(statement: Statement, symbols: Symbols) -> int | None:
    """The number after ORG, END or PIN, or None where nothing stands there."""
    span, start = _operands(statement, symbols)
    stop = len(span.tokens)
    if start == stop:
        return None
    return evaluate(span, start, stop, statement.address, symbols)


def _operands(statement: Statement, symbols: Symbols) -> tuple[Span, int]:
    """The operands with every EQU name and counter replaced, and where they begin."""
    span = statement.span
    if statement.counters or symbols.needs_substitution(span.tokens):
        return symbols.substitute(span, statement.start, statement.counters), 0
    return span, statement.start


def _mode(span: Span, start: int, stop: int) -> tuple[int, int]:
    """The mode of the operand that begins at `start`, and where its expression begins."""
    if start < stop:
        mode = SIGN_MODES.get(span.tokens[start])
        return (DIRECT, start) if mode is None else (mode, start + 1)
    return DIRECT, start


def _one_operand(
    statement: Statement,
    span: Span,
    start: int,
    core_size: int,
    symbols: Symbols,
    standard: Standard,
) -> Instruction:
    stop = len(span.tokens)
    opcode = statement.opcode
    name = Opcode(opcode).name
    if start == stop:
        wanted = "an operand" if opcode == DAT or opcode in ONE_OPERAND else "two operands"
        raise span.error(stop, f"expected {wanted} after {name}, got {span.got(stop)}")
    mode, at = _mode(span, start, stop)
    value = evaluate(span, at, stop, statement.address, symbols) % core_size
    if opcode == DAT:
        a_mode, a, b_mode, b = IMMEDIATE, 0, mode, value
    elif opcode in ONE_OPERAND:
        a_mode, a, b_mode, b = mode, value, DIRECT, 0
    else:
        raise span.error(
            stop, f"expected ', B-operand' ({name} takes two operands), got {span.got(stop)}"
        )
    modifier = statement.modifier
    if modifier is None:
        modifier = DEFAULT_MODIFIERS[opcode][a_mode][b_mode]
    if standard is Standard.ICWS88:
        _check_88(statement, span, (start, start), (a_mode, b_mode))
    return Instruction(opcode, modifier, a_mode, a, b_mode, b)


def _check_88(
    statement: Statement, operands: Span, places: tuple[int, int], modes: tuple[int, int]
) -> None:
    """Refuse what ICWS'88 does not have: modifiers, later opcodes, modes an opcode may not take.

    `places` are the indices of the operands in `operands`.
    """
    opcode = Opcode(statement.opcode)
    allowed = MODES_88.get(opcode)
    if allowed is None:
        known = ", ".join(op.name for op in MODES_88)
        raise statement.span.error(
            statement.start - 1, f"expected an ICWS'88 opcode ({known}), got {opcode.name}"
        )
    if statement.modifier is not None:
        raise statement.span.error(
            statement.start - 1, "expected no modifier: ICWS'88 has none; remove the '.' and it"
        )
    for which, signs, mode, place in zip("AB", allowed, modes, places, strict=True):
        if MODE_SIGNS[mode] not in signs:
            raise operands.error(
                place,
                f"expected a mode of {' '.join(signs)} for the {which}-operand of {opcode.name} "
                f"under ICWS'88, got {MODE_SIGNS[mode]}",
            )


_ALL, _NO_IMMEDIATE = "#$@<", "$@<"

MODES_88: Mapping[Opcode, tuple[str, str]] = MappingProxyType(
    {
        Opcode.DAT: ("#<", "#<"),
        Opcode.MOV: (_ALL, _NO_IMMEDIATE),
        Opcode.ADD: (_ALL, _NO_IMMEDIATE),
        Opcode.SUB: (_ALL, _NO_IMMEDIATE),
        Opcode.CMP: (_ALL, _NO_IMMEDIATE),
        Opcode.SLT: (_ALL, _ALL),
        Opcode.JMP: (_NO_IMMEDIATE, _ALL),
        Opcode.JMZ: (_NO_IMMEDIATE, _ALL),
        Opcode.JMN: (_NO_IMMEDIATE, _ALL),
        Opcode.DJN: (_NO_IMMEDIATE, _ALL),
        Opcode.SPL: (_NO_IMMEDIATE, _ALL),
    }
)
"""Signs of the A-mode and of the B-mode that `pmars -8` takes (SLT with an immediate B too)."""
