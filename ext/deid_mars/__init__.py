"""The MARS, exactly pMARS 0.9.2: melees, matches and traces of assembled Redcode programs.

Instructions are int32 rows of six columns: opcode, modifier, A-mode, A-number, B-mode, B-number;
`OPCODES`, `MODIFIERS` and `MODES` name the values of the first, second, third and fifth, and the
numbers lie in 0 .. core size - 1. All results are integers, and the same on any number of threads.
"""

from ._mars import DISPATCH
from .battles import Results, Trace, melee, trace
from .matches import SeriesResults, series
from .settings import MODES, MODIFIERS, OPCODES, Core, Ending, Program

__all__ = [
    "DISPATCH",
    "MODES",
    "MODIFIERS",
    "OPCODES",
    "Core",
    "Ending",
    "Program",
    "Results",
    "SeriesResults",
    "Trace",
    "melee",
    "series",
    "trace",
]
