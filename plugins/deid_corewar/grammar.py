"""Redcode as slots: what the statistical operators read and write.

Every line is written out in full (opcode, modifier, both modes, both numbers), so each
combination of slot values is a legal instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid.plugin import Choice, Number, Program, Slot
from deid.search.genome import Genome
from deid_corewar.redcode import Instruction, parse_listing
from deid_corewar.redcode.isa import MODE_SIGNS, Modifier, Opcode

if TYPE_CHECKING:
    from deid_corewar.settings import CoreSettings

__all__ = ["OPCODES", "RedcodeGrammar", "signed"]

OPCODES = tuple(op for op in Opcode if op not in (Opcode.LDP, Opcode.STP))
"""The domain's instruction set: ICWS'94 without P-space, which no memory outlives here."""


class RedcodeGrammar:
    """The grammar of warriors for one core; implements :class:`deid.plugin.Grammar`.

    Head: ``start``, taken modulo the number of lines. Numbers of a line are signed, the shortest
    way round the core: −((core − 1) // 2) … core // 2.
    """

    head_template = "ORG {start}"
    line_template = "{opcode}.{modifier} {a_mode}{a}, {b_mode}{b}"
    lines_min = 1

    def __init__(self, settings: CoreSettings) -> None:
        self.settings = settings
        self.lines_max = settings.length_max
        low, high = -((settings.core_size - 1) // 2), settings.core_size // 2
        modes = tuple(MODE_SIGNS)
        self.head: tuple[Slot, ...] = (Number("start", 0, settings.length_max - 1),)
        self.line: tuple[Slot, ...] = (
            Choice("opcode", tuple(op.name for op in OPCODES)),
            Choice("modifier", tuple(modifier.name for modifier in Modifier)),
            Choice("a_mode", modes),
            Number("a", low, high),
            Choice("b_mode", modes),
            Number("b", low, high),
        )

    def read(self, genome: Genome) -> Program:
        """The slots of a warrior of this core."""
        program = parse_listing(genome.code)
        return Program(
            (program.start,), tuple([self._read_line(line) for line in program.instructions])
        )

    def write(self, program: Program) -> str:
        """Redcode of ``program``; :class:`ValueError` where a value leaves its slot."""
        if not self.lines_min <= len(program.lines) <= self.lines_max:
            raise ValueError(
                f"expected {self.lines_min} to {self.lines_max} lines, got {len(program.lines)}"
            )
        _check(self.head, program.head, "head")
        lines = [self.head_template.format(start=program.head[0] % len(program.lines))]
        for number, values in enumerate(program.lines, 1):
            _check(self.line, values, f"line {number}")
            lines.append(self._write_line(values))
        return "\n".join(lines) + "\n"

    def _read_line(self, instruction: Instruction) -> tuple[int, ...]:
        core_size = self.settings.core_size
        return (
            OPCODES.index(Opcode(instruction.opcode)),
            instruction.modifier,
            instruction.a_mode,
            signed(instruction.a, core_size),
            instruction.b_mode,
            signed(instruction.b, core_size),
        )

    def _write_line(self, values: tuple[int, ...]) -> str:
        words = {
            slot.name: slot.values[value] if isinstance(slot, Choice) else value
            for slot, value in zip(self.line, values, strict=True)
        }
        return self.line_template.format(**words)


def signed(number: int, core_size: int) -> int:
    """A number of 0 … core − 1 as the shortest way round the core; half of it is positive."""
    return number - core_size if number > core_size // 2 else number


def _check(slots: tuple[Slot, ...], values: tuple[int, ...], where: str) -> None:
    if len(values) != len(slots):
        raise ValueError(f"{where}: expected {len(slots)} values, got {len(values)}")
    for slot, value in zip(slots, values, strict=True):
        low, high = (0, len(slot.values) - 1) if isinstance(slot, Choice) else (slot.low, slot.high)
        if not low <= value <= high:
            raise ValueError(f"{where}: {slot.name} must be in [{low}, {high}], got {value}")
