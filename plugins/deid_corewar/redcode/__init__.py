"""Redcode, the language of Core War: assembler and disassembler, as pMARS 0.9.2 has them."""

from deid_corewar.redcode.assembler import Warrior, assemble
from deid_corewar.redcode.errors import AssemblyError
from deid_corewar.redcode.isa import Instruction, Mode, Modifier, Opcode, Standard
from deid_corewar.redcode.listing import (
    Coded,
    Listing,
    disassemble,
    listing,
    load_file,
    parse_listing,
)

__all__ = [
    "AssemblyError",
    "Coded",
    "Instruction",
    "Listing",
    "Mode",
    "Modifier",
    "Opcode",
    "Standard",
    "Warrior",
    "assemble",
    "disassemble",
    "listing",
    "load_file",
    "parse_listing",
]
