"""What a battle is fought with: the numbering of instructions, a core's sizes, programs."""

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _mars

OPCODES: tuple[str, ...] = (
    "MOV", "ADD", "SUB", "MUL", "DIV", "MOD", "JMZ", "JMN", "DJN", "CMP", "SLT", "SPL", "DAT",
    "JMP", "SEQ", "SNE", "NOP", "LDP", "STP",
)  # fmt: skip
MODIFIERS: tuple[str, ...] = ("A", "B", "AB", "BA", "F", "X", "I")
MODES: tuple[str, ...] = ("#", "$", "@", "<", ">", "*", "{", "}")

COLUMNS = ("opcode", "modifier", "A-mode", "A-number", "B-mode", "B-number")
LIMITS = (len(OPCODES), len(MODIFIERS), len(MODES), _mars.SIZE_MAX, len(MODES), _mars.SIZE_MAX)

# Cycle counts and death times stay below 2^31, so that traces hold them as int32.
CYCLES_MAX = 2**31 - 2


class Ending(enum.Enum):
    """When a battle ends, beside the last cycle and the last death."""

    LAST_CYCLE = 0  # a sole survivor goes on, as in Digital Red Queen's fitness
    ONE_SURVIVOR = 1  # the death that leaves one warrior ends it
    CANDIDATE = 3  # as LAST_CYCLE until warrior 0 dies: the rest does not change its figures


@dataclass(frozen=True, slots=True, init=False)
class Core:
    """Sizes of a core. Raises ValueError for sizes out of range.

    `size` in cells (1 .. 65,536), `cycles_max` full cycles of a battle, `processes_max` of one
    warrior, `pspace_size` cells; without it pMARS's rule: size // i for the largest i of 16 .. 1
    that divides the size.
    """

    size: int
    cycles_max: int
    processes_max: int
    pspace_size: int

    def __init__(
        self,
        size: int = 8000,
        cycles_max: int = 80_000,
        processes_max: int = 8000,
        pspace_size: int | None = None,
    ) -> None:
        require("core size", size, 1, _mars.SIZE_MAX)
        require("cycles_max", cycles_max, 1, CYCLES_MAX)
        require("processes_max", processes_max, 1, _mars.RING_MAX)
        if pspace_size is None:
            pspace_size = next(size // i for i in range(16, 0, -1) if size % i == 0)
        require("pspace_size", pspace_size, 1, size)
        for name, value in (
            ("size", size),
            ("cycles_max", cycles_max),
            ("processes_max", processes_max),
            ("pspace_size", pspace_size),
        ):
            object.__setattr__(self, name, int(value))


class Program:
    """Assembled code, validated and immutable.

    `code` is an integer array (length, 6), `start` the offset of the first instruction executed,
    `pin` the number under which warriors share P-space. Raises ValueError for code that is empty,
    of another shape, or has a value out of range.
    """

    __slots__ = ("_cells", "_code", "_pin", "_start")

    def __init__(self, code: ArrayLike, start: int = 0, pin: int | None = None) -> None:
        rows = checked_code(code)
        if not 0 <= start < len(rows):
            raise ValueError(
                f"start must be an offset inside the program, 0 to {len(rows) - 1}, not {start}"
            )
        self._code = rows
        self._start = int(start)
        self._pin = None if pin is None else int(pin)
        self._cells = _mars.encode(rows, _mars.SIZE_MAX)
        self._cells.flags.writeable = False

    @property
    def code(self) -> NDArray[np.int32]:
        """Instructions (length, 6), read-only."""
        return self._code

    @property
    def start(self) -> int:
        return self._start

    @property
    def pin(self) -> int | None:
        return self._pin

    @property
    def cells(self) -> NDArray[np.uint64]:
        """The code as the kernel holds it (length,); its bits are the kernel's own affair."""
        return self._cells

    @property
    def number_max(self) -> int:
        """Largest number in it; a core that runs it must be larger."""
        return int(self._code[:, (3, 5)].max())

    @property
    def uses_pspace(self) -> bool:
        return bool(np.isin(self._code[:, 0], (OPCODES.index("LDP"), OPCODES.index("STP"))).any())

    def __len__(self) -> int:
        return len(self._code)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return (
            self._start == other._start
            and self._pin == other._pin
            and np.array_equal(self._code, other._code)
        )

    def __hash__(self) -> int:
        return hash((self._start, self._pin, self._code.tobytes()))

    def __repr__(self) -> str:
        return f"Program({len(self)} instructions, start={self._start}, pin={self._pin})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Program, (np.array(self._code), self._start, self._pin)


def checked_code(code: ArrayLike) -> NDArray[np.int32]:
    """A read-only int32 copy of instructions (length, 6). Raises ValueError."""
    given = np.asarray(code)
    if given.ndim != 2 or given.shape[1] != 6 or given.dtype.kind not in "iu":
        raise ValueError(
            "code must be an integer array of shape (length, 6), "
            f"not {given.dtype} of shape {given.shape}"
        )
    if len(given) == 0:
        raise ValueError("the program is empty; it needs at least one instruction")
    wrong = (given < 0) | (given >= np.array(LIMITS))
    if wrong.any():
        row, column = (int(x) for x in np.argwhere(wrong)[0])
        raise ValueError(
            f"instruction {row}: {COLUMNS[column]} must be 0 to {LIMITS[column] - 1}, "
            f"not {int(given[row, column])}"
        )
    rows = given.astype(np.int32)
    rows.flags.writeable = False
    return rows


def require(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low} to {high}, not {value}")
