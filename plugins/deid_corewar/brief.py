"""The game in one page, for a language model or a person."""

from __future__ import annotations

from deid_corewar.settings import CoreSettings

__all__ = ["brief_of"]


def brief_of(core: CoreSettings) -> str:
    """Rules, syntax, scoring and an example, with the sizes of ``core``."""
    return _BRIEF.format(
        core_size=core.core_size,
        cycles_max=core.cycles_max,
        processes_max=core.processes_max,
        length_max=core.length_max,
        distance=core.distance,
    )


_BRIEF = """\
Core War: programs called warriors fight in the memory of a simulated computer. Write one warrior
in Redcode, ICWS'94 dialect without P-space.

GAME
- The core is a ring of {core_size} cells. Each cell holds one instruction. All addresses are
  relative to the instruction that uses them and are taken modulo {core_size}. Empty cells hold
  DAT.F $0, $0.
- All warriors share one core; each starts with one process at a random place at least
  {distance} cells from the others. In every cycle each living warrior executes one instruction,
  of its next process in turn. A warrior with many processes runs each of them more slowly.
- A process that executes DAT, or divides by zero, ends. A warrior without processes is dead.
- Limits: {length_max} instructions, {processes_max} processes, {cycles_max} cycles.

SCORE
- Each cycle is worth one point, shared equally among the warriors alive in it. So: survive, and
  kill the others early. Programs are also kept for being different: by how many processes they
  spawn, how many cells they execute or other counts.

INSTRUCTION: OPCODE.MODIFIER A-operand, B-operand
- MOV copy A to B; ADD SUB MUL DIV MOD: B becomes B op A (each over the fields that the modifier
  selects)
- JMP jump to A; JMZ / JMN jump to A if B is zero / not zero; DJN decrement B, then jump to A if
  it is not zero; SPL new process at A, this one goes on behind it
- SEQ (or CMP) / SNE skip the next instruction if A and B are equal / differ; SLT skip if A < B
- DAT end the process; NOP nothing
- Modifiers: .A A-field to A-field; .B B to B; .AB A to B; .BA B to A; .F both fields;
  .X both, crossed; .I the whole instruction (MOV, SEQ, SNE; else as .F)
- Modes: # immediate (the number itself, target is this cell); $ direct; @ and * indirect through
  the B- / A-field of the cell pointed to; < and {{ the same, decrementing that field first;
  > and }} the same, incrementing it afterwards. The A-operand is worked out before the B-operand.

TEXT
- One instruction a line; `label` before it names its address; `;` starts a comment; `NAME EQU
  expression` defines a constant; `ORG label` says where execution starts; `END` closes the
  program. Expressions use + - * / % ( ), labels and CORESIZE, MAXPROCESSES, MAXCYCLES, MAXLENGTH.

EXAMPLE: a bomber that drops a DAT on every eighth cell and never on itself
;redcode-94
;name example
step    EQU 8
        ORG   start
bomb    DAT.F  #0, #0
start   ADD.AB #step, target
target  MOV.I  bomb, 204
        JMP.B  start
        END
"""
