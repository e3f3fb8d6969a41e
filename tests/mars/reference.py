"""A slow MARS in plain Python, from the text of the ICWS'94 draft as pMARS 0.9.2 changes it.

It shares nothing with the kernel: operands are evaluated step by step as the draft tells it, every
warrior has a queue of its own, and cycles are counted by counting them. Changes by pMARS: an
immediate operand's register is the instruction as fetched; the modes * { }; SEQ, SNE, NOP; LDP and
STP with P-space.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from deid_mars import MODES, MODIFIERS, OPCODES, Core, Ending, Program


@dataclass(slots=True)
class Instruction:
    """One core cell, by the names of things."""

    opcode: str
    modifier: str
    a_mode: str
    a: int
    b_mode: str
    b: int

    def copy(self) -> "Instruction":
        return Instruction(self.opcode, self.modifier, self.a_mode, self.a, self.b_mode, self.b)

    def columns(self) -> tuple[int, ...]:
        return (
            OPCODES.index(self.opcode),
            MODIFIERS.index(self.modifier),
            MODES.index(self.a_mode),
            self.a,
            MODES.index(self.b_mode),
            self.b,
        )


@dataclass(slots=True)
class Warrior:
    """One warrior in the core."""

    processes: deque[int]
    pspace: dict[int, int]
    last_result: int
    death: int = 0
    spawned: int = 0
    executed: int = 0
    covered: set[int] = field(default_factory=set)


# What each modifier compares or combines: pairs (number of the A-instruction, number of the
# B-instruction). I stands for F where an instruction has no form for whole instructions.
PAIRS = {
    "A": [("a", "a")],
    "B": [("b", "b")],
    "AB": [("a", "b")],
    "BA": [("b", "a")],
    "F": [("a", "a"), ("b", "b")],
    "X": [("a", "b"), ("b", "a")],
    "I": [("a", "a"), ("b", "b")],
}


class Battle:
    """One battle, run cycle by cycle."""

    def __init__(
        self, core: Core, programs: Sequence[Program], positions: Sequence[int], first: int = 0
    ) -> None:
        self.core = core
        self.size = core.size
        self.cells = [Instruction("DAT", "F", "$", 0, "$", 0) for _ in range(core.size)]
        self.warriors: list[Warrior] = []
        spaces: dict[int, dict[int, int]] = {}
        for program, position in zip(programs, positions, strict=True):
            for offset, (op, mod, am, a, bm, b) in enumerate(program.code.tolist()):
                self.cells[(position + offset) % self.size] = Instruction(
                    OPCODES[op], MODIFIERS[mod], MODES[am], a, MODES[bm], b
                )
            space: dict[int, int] = {}
            if program.pin is not None:
                space = spaces.setdefault(program.pin, space)
            start = (position + program.start) % self.size
            self.warriors.append(Warrior(deque([start]), space, core.size - 1))
        self.order = [(first + k) % len(programs) for k in range(len(programs))]

    def run(self, ending: Ending = Ending.LAST_CYCLE) -> "Battle":
        """Run to the end."""
        for cycle in range(1, self.core.cycles_max + 1):
            if not self.run_cycle(cycle, ending):
                break
        alive = sum(bool(w.processes) for w in self.warriors)
        for w in self.warriors:
            if w.processes:
                w.death = self.core.cycles_max + 1
            w.last_result = alive if w.processes else 0
        return self

    def run_cycle(self, cycle: int, ending: Ending) -> bool:
        """One turn of everybody alive; False when that has ended the battle."""
        for index in self.order:
            w = self.warriors[index]
            if not w.processes:
                continue
            self.turn(w)
            if not w.processes:
                w.death = cycle
                alive = sum(bool(other.processes) for other in self.warriors)
                if (
                    alive == 0
                    or (alive == 1 and ending is Ending.ONE_SURVIVOR)
                    or (w is self.warriors[0] and ending is Ending.CANDIDATE)
                ):
                    return False
        return True

    def turn(self, w: Warrior) -> None:
        """Execute one process of a warrior."""
        before = len(w.processes)
        at = w.processes.popleft()
        w.executed += 1
        for address in self.execute(w, at, before):
            w.processes.append(address)
            w.covered.add(address)
        w.spawned += max(0, len(w.processes) - before)

    def operand(
        self, at: int, instruction: Instruction, mode: str, number: int
    ) -> tuple[int, Instruction]:
        """Address of an operand and its register, after the side effects of the mode."""
        if mode == "#":
            return at, instruction
        pointer = (at + number) % self.size
        if mode == "$":
            return pointer, self.cells[pointer].copy()
        which = "a" if mode in "*{}" else "b"
        if mode in "<{":
            self.add_to(pointer, which, -1)
        address = (pointer + getattr(self.cells[pointer], which)) % self.size
        register = self.cells[address].copy()
        if mode in ">}":
            self.add_to(pointer, which, 1)
        return address, register

    def add_to(self, address: int, which: str, amount: int) -> None:
        cell = self.cells[address]
        setattr(cell, which, (getattr(cell, which) + amount) % self.size)

    def execute(self, w: Warrior, at: int, processes: int) -> Iterator[int]:
        """Addresses to queue, in order."""
        now = self.cells[at].copy()
        to_a, source = self.operand(at, now, now.a_mode, now.a)
        to_b, register = self.operand(at, now, now.b_mode, now.b)
        target = self.cells[to_b]
        following, skipped = (at + 1) % self.size, (at + 2) % self.size
        pairs = PAIRS[now.modifier]
        values = [(getattr(source, s), getattr(register, t)) for s, t in pairs]
        tested = {"A": "a", "BA": "a", "B": "b", "AB": "b"}.get(now.modifier, "ab")
        numbers = [getattr(register, which) for which in tested]
        match now.opcode:
            case "DAT":
                return
            case "NOP":
                pass
            case "MOV" if now.modifier == "I":
                self.cells[to_b] = source.copy()
            case "MOV" | "ADD" | "SUB" | "MUL" | "DIV" | "MOD" as opcode:
                survives = True
                for (_, which), (x, y) in zip(pairs, values, strict=True):
                    if opcode in ("DIV", "MOD") and x == 0:
                        survives = False
                    else:
                        setattr(target, which, compute(opcode, y, x) % self.size)
                if not survives:
                    return
            case "JMP":
                following = to_a
            case "JMZ":
                following = to_a if not any(numbers) else following
            case "JMN":
                following = to_a if any(numbers) else following
            case "DJN":
                for which in tested:
                    self.add_to(to_b, which, -1)
                following = to_a if any(number != 1 for number in numbers) else following
            case "SPL":
                yield following
                if processes < self.core.processes_max:
                    yield to_a
                return
            case "CMP" | "SEQ" | "SNE" as opcode:
                equal = (
                    source == register if now.modifier == "I" else all(x == y for x, y in values)
                )
                following = skipped if equal != (opcode == "SNE") else following
            case "SLT":
                following = skipped if all(x < y for x, y in values) else following
            case "LDP" | "STP" as opcode:
                s, t = PAIRS[now.modifier if now.modifier in ("A", "AB", "BA") else "B"][0]
                if opcode == "LDP":
                    setattr(target, t, self.load(w, getattr(source, s)))
                else:
                    self.store(w, getattr(register, t), getattr(source, s))
        yield following

    def load(self, w: Warrior, number: int) -> int:
        index = number % self.core.pspace_size
        return w.pspace.get(index, 0) if index else w.last_result

    def store(self, w: Warrior, number: int, value: int) -> None:
        index = number % self.core.pspace_size
        if index:
            w.pspace[index] = value
        else:
            w.last_result = value

    def columns(self) -> list[tuple[int, ...]]:
        """The core as rows of six columns."""
        return [cell.columns() for cell in self.cells]

    def pspaces(self) -> list[list[int]]:
        """P-space by warrior."""
        return [
            [w.last_result] + [w.pspace.get(i, 0) for i in range(1, self.core.pspace_size)]
            for w in self.warriors
        ]


def compute(opcode: str, target: int, source: int) -> int:
    """The target's number after arithmetic with the source's, before it is reduced."""
    match opcode:
        case "MOV":
            return source
        case "ADD":
            return target + source
        case "SUB":
            return target - source
        case "MUL":
            return target * source
        case "DIV":
            return target // source
        case _:
            return target % source
