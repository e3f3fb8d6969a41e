"""Instructions as text: one line each, the canonical listing, load files.

The canonical listing of a program is Redcode that assembles to itself::

    ;assert CORESIZE==8000
    ORG 1
    DAT.F $0, $0
    MOV.I $0, $1

Numbers are decimal from 0 to core size - 1; every line ends in a newline. Two programs have the
same listing exactly if core size, start and instructions are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from deid_corewar.redcode.assembler import Warrior
from deid_corewar.redcode.errors import TEXT_MAX, AssemblyError
from deid_corewar.redcode.isa import MODE_SIGNS, SIGN_MODES, Instruction, Modifier, Opcode

__all__ = ["Coded", "Listing", "disassemble", "listing", "load_file", "parse_listing"]

CORE_LINE = re.compile(r";assert CORESIZE==([1-9][0-9]{0,7})")
ORG_LINE = re.compile(r"ORG (0|[1-9][0-9]{0,7})")
CODE_LINE = re.compile(
    r"([A-Z]{3}\.[A-Z]{1,2}) ([#$@<>*{}])(0|[1-9][0-9]{0,7}), ([#$@<>*{}])(0|[1-9][0-9]{0,7})"
)

MNEMONICS = tuple(
    tuple(f"{opcode.name}.{modifier.name}" for modifier in Modifier) for opcode in Opcode
)
OPERATIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {MNEMONICS[op][modifier]: (op.value, modifier.value) for op in Opcode for modifier in Modifier}
)


class Coded(Protocol):
    """What a listing is taken of: a `Warrior`, a `Listing`."""

    @property
    def core_size(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def instructions(self) -> tuple[Instruction, ...]: ...


@dataclass(frozen=True, slots=True)
class Listing:
    """What a canonical listing says; `start` is the offset of the first instruction executed."""

    core_size: int
    start: int
    instructions: tuple[Instruction, ...]


def disassemble(instruction: Instruction) -> str:
    """One instruction as pMARS lists it, numbers from 0 up: `MOV.I $65, <57`."""
    return (
        f"{MNEMONICS[instruction.opcode][instruction.modifier]} "
        f"{MODE_SIGNS[instruction.a_mode]}{instruction.a}, "
        f"{MODE_SIGNS[instruction.b_mode]}{instruction.b}"
    )


def listing(program: Coded) -> bytes:
    """The canonical listing, ASCII; the content hash is taken over these bytes."""
    lines = [f";assert CORESIZE=={program.core_size}", f"ORG {program.start}"]
    lines += map(disassemble, program.instructions)
    lines.append("")
    return "\n".join(lines).encode("ascii")


def parse_listing(code: bytes) -> Listing:
    """The program of a canonical listing; raises `AssemblyError` for any other text."""
    if len(code) > TEXT_MAX:
        raise AssemblyError(1, 1, f"expected at most {TEXT_MAX} bytes, got {len(code)}")
    lines = code.decode("latin-1").split("\n")
    if len(lines) < 4 or lines.pop():
        raise AssemblyError(
            len(lines), 1, "expected ';assert CORESIZE==N', 'ORG N' and instructions, each a line"
        )
    core = CORE_LINE.fullmatch(lines[0])
    org = ORG_LINE.fullmatch(lines[1])
    if core is None or org is None:
        number = 1 if core is None else 2
        wanted = "';assert CORESIZE==N'" if core is None else "'ORG N'"
        raise AssemblyError(number, 1, f"expected {wanted}, got {lines[number - 1][:80]!r}")
    core_size, start = int(core[1]), int(org[1])
    if start >= len(lines) - 2:
        raise AssemblyError(
            2, 5, f"expected a start below the {len(lines) - 2} instructions, got {start}"
        )
    instructions = tuple(
        [_instruction(line, number, core_size) for number, line in enumerate(lines[2:], 3)]
    )
    return Listing(core_size, start, instructions)


def load_file(warrior: Warrior) -> str:
    """The warrior as a file that people and pMARS read; it assembles to the same code.

    Numbers above half the core are written as negative ones, as distances are thought of.
    """
    lines = [";redcode-94"]
    lines += _remark("name", warrior.name)
    lines += _remark("author", warrior.author)
    for text in warrior.strategy.split("\n"):
        lines += _remark("strategy", text)
    lines.append(f";assert CORESIZE=={warrior.core_size}")
    if warrior.pin is not None:
        lines.append(f"        PIN    {warrior.pin}")
    lines.append("        ORG    START")
    for number, instruction in enumerate(warrior.instructions):
        label = "START" if number == warrior.start else ""
        lines.append(f"{label:8}{_signed_line(instruction, warrior.core_size)}")
    lines.append("        END")
    return "\n".join(lines) + "\n"


def _instruction(line: str, number: int, core_size: int) -> Instruction:
    match = CODE_LINE.fullmatch(line)
    operation = OPERATIONS.get(match[1]) if match else None
    if match is None or operation is None:
        raise AssemblyError(
            number, 1, f"expected an instruction such as 'MOV.I $0, $1', got {line[:80]!r}"
        )
    a, b = int(match[3]), int(match[5])
    if a >= core_size or b >= core_size:
        raise AssemblyError(
            number, 1, f"expected numbers below the core size {core_size}, got {line!r}"
        )
    return Instruction(*operation, SIGN_MODES[match[2]], a, SIGN_MODES[match[4]], b)


def _signed_line(instruction: Instruction, core_size: int) -> str:
    a = f"{MODE_SIGNS[instruction.a_mode]}{_signed(instruction.a, core_size)},"
    b = f"{MODE_SIGNS[instruction.b_mode]}{_signed(instruction.b, core_size)}"
    return f"{MNEMONICS[instruction.opcode][instruction.modifier]:7}{a:8}{b}"


def _signed(value: int, core_size: int) -> int:
    return value - core_size if 2 * value > core_size else value


def _remark(word: str, text: str) -> list[str]:
    """A comment line, or none for an empty text; a backslash at its end would join lines."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split()).rstrip("\\ ")
    return [f";{word} {shown}"] if shown else []
