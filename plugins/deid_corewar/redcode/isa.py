"""The instruction set: opcodes, modifiers, modes, and the modifier an instruction has by default.

The numbers are those of the simulator's instruction rows (opcode, modifier, A-mode, A, B-mode, B)
and of pMARS's checksum; the mode numbers here are the simulator's, 0 to 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType

__all__ = [
    "MODE_SIGNS",
    "SIGN_MODES",
    "Instruction",
    "Mode",
    "Modifier",
    "Opcode",
    "Standard",
    "default_modifier",
]


class Standard(Enum):
    """The rules that a text is read by."""

    ICWS88 = "88"
    ICWS94 = "94"


class Opcode(IntEnum):
    MOV = 0
    ADD = 1
    SUB = 2
    MUL = 3
    DIV = 4
    MOD = 5
    JMZ = 6
    JMN = 7
    DJN = 8
    CMP = 9
    SLT = 10
    SPL = 11
    DAT = 12
    JMP = 13
    SEQ = 14
    SNE = 15
    NOP = 16
    LDP = 17
    STP = 18


class Modifier(IntEnum):
    A = 0
    B = 1
    AB = 2
    BA = 3
    F = 4
    X = 5
    I = 6  # noqa: E741 - the standard's own name


class Mode(IntEnum):
    IMMEDIATE = 0
    DIRECT = 1
    B_INDIRECT = 2
    B_DECREMENT = 3
    B_INCREMENT = 4
    A_INDIRECT = 5
    A_DECREMENT = 6
    A_INCREMENT = 7


MODE_SIGNS = "#$@<>*{}"
"""The sign of mode n is character n."""

SIGN_MODES: Mapping[str, int] = MappingProxyType({sign: n for n, sign in enumerate(MODE_SIGNS)})


@dataclass(frozen=True, slots=True)
class Instruction:
    """One cell of the core; `a` and `b` lie in 0 … core size − 1."""

    opcode: int
    modifier: int
    a_mode: int
    a: int
    b_mode: int
    b: int


def default_modifier(opcode: int, a_mode: int, b_mode: int) -> int:
    """The modifier of an instruction written without one (ICWS'94 draft, section A.2.1.2)."""
    return DEFAULT_MODIFIERS[opcode][a_mode][b_mode]


def _default(opcode: Opcode, a_mode: Mode, b_mode: Mode) -> Modifier:
    a_immediate = a_mode is Mode.IMMEDIATE
    b_immediate = b_mode is Mode.IMMEDIATE
    match opcode:
        case Opcode.DAT | Opcode.NOP:
            return Modifier.F
        case Opcode.MOV | Opcode.SEQ | Opcode.SNE | Opcode.CMP:
            return Modifier.AB if a_immediate else Modifier.B if b_immediate else Modifier.I
        case Opcode.ADD | Opcode.SUB | Opcode.MUL | Opcode.DIV | Opcode.MOD:
            return Modifier.AB if a_immediate else Modifier.B if b_immediate else Modifier.F
        case Opcode.SLT | Opcode.LDP | Opcode.STP:
            return Modifier.AB if a_immediate else Modifier.B
        case _:
            return Modifier.B


DEFAULT_MODIFIERS: tuple[tuple[tuple[int, ...], ...], ...] = tuple(
    tuple(tuple(int(_default(opcode, a, b)) for b in Mode) for a in Mode) for opcode in Opcode
)
"""[opcode][A-mode][B-mode], so that encoding costs three look-ups."""
