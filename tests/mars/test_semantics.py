"""Every opcode x modifier and every mode, with results worked out by hand from the rules.

Each case runs through the fast loop, the traced loop and the slow reference. The core has 80 cells
and one warrior at 0, so cell numbers are offsets in its code.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from mars.data import instruction
from mars.reference import Battle

from deid_mars import MODES, MODIFIERS, OPCODES, Core, Program, trace

BLANK = "DAT.F $0, $0"


@dataclass(frozen=True, slots=True)
class State:
    """What a warrior has made of the core."""

    cells: list[str]
    processes: list[int]
    pspace: list[int]


def text(row: list[int] | tuple[int, ...]) -> str:
    op, mod, a_mode, a, b_mode, b = row
    return f"{OPCODES[op]}.{MODIFIERS[mod]} {MODES[a_mode]}{a}, {MODES[b_mode]}{b}"


def by_kernel(code: list[str], core: Core, turns_max: int) -> State:
    seen = trace(core, [Program([instruction(line) for line in code])], [0], turns_max=turns_max)
    return State(
        [text(row) for row in seen.core.tolist()], list(seen.processes[0]), seen.pspace[0].tolist()
    )


def by_reference(code: list[str], core: Core) -> State:
    battle = Battle(core, [Program([instruction(line) for line in code])], [0]).run()
    return State(
        [text(row) for row in battle.columns()],
        list(battle.warriors[0].processes),
        battle.pspaces()[0],
    )


Run = Callable[..., State]


@pytest.fixture(params=["fast", "traced", "reference"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs code for some cycles and tells the state."""

    def runner(*code: str, cycles: int = 1, processes_max: int = 4) -> State:
        core = Core(80, cycles, processes_max, 10)
        if request.param == "reference":
            return by_reference(list(code), core)
        return by_kernel(list(code), core, 0 if request.param == "fast" else 100)

    return runner


# ---- arithmetic and moves: source 7, 3 (cell 1), target 20, 6 (cell 2) --------------------------

SOURCE, TARGET = "JMZ.BA {7, <3", "SLT.X >20, @6"
NUMBERS = {
    "MOV": {"A": (7, 6), "B": (20, 3), "AB": (20, 7), "BA": (3, 6), "F": (7, 3), "X": (3, 7)},
    "ADD": {"A": (27, 6), "B": (20, 9), "AB": (20, 13), "BA": (23, 6), "F": (27, 9),
            "X": (23, 13), "I": (27, 9)},
    "SUB": {"A": (13, 6), "B": (20, 3), "AB": (20, 79), "BA": (17, 6), "F": (13, 3),
            "X": (17, 79), "I": (13, 3)},
    "MUL": {"A": (60, 6), "B": (20, 18), "AB": (20, 42), "BA": (60, 6), "F": (60, 18),
            "X": (60, 42), "I": (60, 18)},
    "DIV": {"A": (2, 6), "B": (20, 2), "AB": (20, 0), "BA": (6, 6), "F": (2, 2), "X": (6, 0),
            "I": (2, 2)},
    "MOD": {"A": (6, 6), "B": (20, 0), "AB": (20, 6), "BA": (2, 6), "F": (6, 0), "X": (2, 6),
            "I": (6, 0)},
}  # fmt: skip
COMBINED = [(op, mod, *numbers) for op, by in NUMBERS.items() for mod, numbers in by.items()]


@pytest.mark.parametrize(("opcode", "modifier", "a", "b"), COMBINED)
def test_arithmetic_changes_the_numbers_that_the_modifier_names(
    run: Run, opcode: str, modifier: str, a: int, b: int
) -> None:
    state = run(f"{opcode}.{modifier} $1, $2", SOURCE, TARGET)

    assert state.cells[1] == SOURCE
    assert state.cells[2] == f"SLT.X >{a}, @{b}"
    assert state.processes == [1]


def test_mov_i_copies_the_whole_instruction(run: Run) -> None:
    assert run("MOV.I $1, $2", SOURCE, TARGET).cells[2] == SOURCE


def test_mov_i_of_an_instruction_with_its_own_handler_makes_that_run(run: Run) -> None:
    imp = run("MOV.I $0, $1", cycles=3)

    assert imp.cells[:5] == ["MOV.I $0, $1"] * 4 + [BLANK]
    assert imp.processes == [3]


# ---- division by zero: what can be divided is, and the process dies -----------------------------


@pytest.mark.parametrize(
    ("line", "source", "target"),
    [
        ("DIV.A $1, $2", "DAT.F $0, $3", "SLT.X >20, @6"),
        ("DIV.B $1, $2", "DAT.F $7, $0", "SLT.X >20, @6"),
        ("DIV.AB $1, $2", "DAT.F $0, $3", "SLT.X >20, @6"),
        ("DIV.BA $1, $2", "DAT.F $7, $0", "SLT.X >20, @6"),
        ("DIV.F $1, $2", "DAT.F $0, $3", "SLT.X >20, @2"),
        ("DIV.F $1, $2", "DAT.F $7, $0", "SLT.X >2, @6"),
        ("DIV.F $1, $2", "DAT.F $0, $0", "SLT.X >20, @6"),
        ("DIV.I $1, $2", "DAT.F $0, $3", "SLT.X >20, @2"),
        ("DIV.X $1, $2", "DAT.F $0, $3", "SLT.X >6, @6"),
        ("DIV.X $1, $2", "DAT.F $7, $0", "SLT.X >20, @0"),
        ("MOD.A $1, $2", "DAT.F $0, $3", "SLT.X >20, @6"),
        ("MOD.B $1, $2", "DAT.F $7, $0", "SLT.X >20, @6"),
        ("MOD.AB $1, $2", "DAT.F $0, $3", "SLT.X >20, @6"),
        ("MOD.BA $1, $2", "DAT.F $7, $0", "SLT.X >20, @6"),
        ("MOD.F $1, $2", "DAT.F $0, $3", "SLT.X >20, @0"),
        ("MOD.F $1, $2", "DAT.F $7, $0", "SLT.X >6, @6"),
        ("MOD.I $1, $2", "DAT.F $7, $0", "SLT.X >6, @6"),
        ("MOD.X $1, $2", "DAT.F $0, $3", "SLT.X >2, @6"),
        ("MOD.X $1, $2", "DAT.F $7, $0", "SLT.X >20, @6"),
    ],
)
def test_a_zero_divisor_kills_and_leaves_its_number(
    run: Run, line: str, source: str, target: str
) -> None:
    state = run(line, source, TARGET)

    assert state.cells[2] == target
    assert state.processes == []


# ---- jumps: to cell 9, by the numbers of cell 2 --------------------------------------------------

# For which numbers of the target each modifier jumps.
JUMPS = {
    "JMZ": {
        "A": ["0 0", "0 1"], "BA": ["0 0", "0 1"], "B": ["0 0", "1 0"], "AB": ["0 0", "1 0"],
        "F": ["0 0"], "X": ["0 0"], "I": ["0 0"],
    },
    "JMN": {
        "A": ["1 0", "1 1"], "BA": ["1 0", "1 1"], "B": ["0 1", "1 1"], "AB": ["0 1", "1 1"],
        "F": ["0 1", "1 0", "1 1"], "X": ["0 1", "1 0", "1 1"], "I": ["0 1", "1 0", "1 1"],
    },
    "DJN": {
        "A": ["0 0", "0 1"], "BA": ["0 0", "0 1"], "B": ["0 0", "1 0"], "AB": ["0 0", "1 0"],
        "F": ["0 0", "0 1", "1 0"], "X": ["0 0", "0 1", "1 0"], "I": ["0 0", "0 1", "1 0"],
    },
}  # fmt: skip
JUMP_CASES = [
    (op, mod, numbers, numbers in taken)
    for op, by in JUMPS.items()
    for mod, taken in by.items()
    for numbers in ("0 0", "0 1", "1 0", "1 1")
]


@pytest.mark.parametrize(("opcode", "modifier", "numbers", "taken"), JUMP_CASES)
def test_conditional_jumps_test_the_numbers_that_the_modifier_names(
    run: Run, opcode: str, modifier: str, numbers: str, taken: bool
) -> None:
    a, b = numbers.split()

    state = run(f"{opcode}.{modifier} $9, $2", BLANK, f"SLT.X >{a}, @{b}")

    assert state.processes == [9 if taken else 1]


@pytest.mark.parametrize(
    ("modifier", "a", "b"),
    [("A", 79, 5), ("BA", 79, 5), ("B", 0, 4), ("AB", 0, 4), ("F", 79, 4), ("X", 79, 4),
     ("I", 79, 4)],
)  # fmt: skip
def test_djn_decrements_and_wraps(run: Run, modifier: str, a: int, b: int) -> None:
    state = run(f"DJN.{modifier} $9, $2", BLANK, "SLT.X >0, @5")

    assert state.cells[2] == f"SLT.X >{a}, @{b}"


def test_djn_tests_the_register_but_decrements_memory(run: Run) -> None:
    """The pointer in cell 1 points at itself: its register is 0, and memory then 1."""
    state = run("DJN.B $9, >1", "DAT.F $3, $0")

    assert state.cells[1] == "DAT.F $3, $0"
    assert state.processes == [9]


@pytest.mark.parametrize("modifier", MODIFIERS)
@pytest.mark.parametrize(
    ("code", "processes", "cell_2"),
    [
        ("JMP.{} $9, <2", [9], "SLT.X >20, @5"),
        ("JMP.{} #9, }}2", [0], "SLT.X >21, @6"),
        ("JMP.{} @2, $0", [8], "SLT.X >20, @6"),
        ("SPL.{} $9, <2", [1, 9], "SLT.X >20, @5"),
        ("SPL.{} #9, $2", [1, 0], "SLT.X >20, @6"),
        ("SPL.{} *2, $0", [1, 22], "SLT.X >20, @6"),
        ("NOP.{} >2, {{2", [1], "SLT.X >19, @7"),
        ("DAT.{} <2, }}2", [], "SLT.X >21, @5"),
    ],
)
def test_jmp_spl_nop_and_dat_heed_modes_and_no_modifier(
    run: Run, modifier: str, code: str, processes: list[int], cell_2: str
) -> None:
    state = run(code.format(modifier), BLANK, TARGET)

    assert state.processes == processes
    assert state.cells[2] == cell_2


def test_spl_at_the_limit_queues_only_what_follows(run: Run) -> None:
    state = run("SPL.B $0, $0", "JMP.B $0, $0", cycles=6, processes_max=2)

    assert state.processes == [1, 1]


def test_processes_take_turns_in_the_order_in_which_they_were_queued(run: Run) -> None:
    """Cell 1 runs before cell 4; each writes to cell 9, and the later write stays."""
    state = run("SPL.B $4, $0", "MOV.AB #1, $8", BLANK, BLANK, "MOV.AB #4, $5", cycles=3)

    assert state.cells[9] == "DAT.F $0, $4"
    assert state.processes == [2, 5]


# ---- comparisons: source cell 1, target cell 2 ---------------------------------------------------

# Source 3, 4. For each modifier: targets that compare equal; targets that do not.
EQUAL = {
    "A": (["3 4", "3 9"], ["9 4", "4 3"]),
    "B": (["3 4", "9 4"], ["3 9", "4 3"]),
    "AB": (["9 3", "4 3"], ["3 4", "3 9"]),
    "BA": (["4 9", "4 3"], ["3 4", "9 4"]),
    "F": (["3 4"], ["3 9", "9 4", "4 3"]),
    "X": (["4 3"], ["3 4", "4 9", "9 3"]),
    "I": (["3 4"], ["3 9", "9 4", "4 3"]),
}
COMPARISONS = [
    (op, mod, numbers, equal == (op != "SNE"))
    for op in ("CMP", "SEQ", "SNE")
    for mod, sides in EQUAL.items()
    for equal, side in zip((True, False), sides, strict=True)
    for numbers in side
]


@pytest.mark.parametrize(("opcode", "modifier", "numbers", "skips"), COMPARISONS)
def test_comparisons_skip_by_the_numbers_that_the_modifier_names(
    run: Run, opcode: str, modifier: str, numbers: str, skips: bool
) -> None:
    a, b = numbers.split()

    state = run(f"{opcode}.{modifier} $1, $2", "MUL.BA #3, *4", f"MUL.BA #{a}, *{b}")

    assert state.processes == [2 if skips else 1]


@pytest.mark.parametrize(
    "other", ["DIV.BA #3, *4", "MUL.F #3, *4", "MUL.BA $3, *4", "MUL.BA #3, @4"]
)
@pytest.mark.parametrize(
    ("line", "processes"), [("CMP.I $1, $2", [1]), ("SEQ.I $1, $2", [1]), ("SNE.I $1, $2", [2])]
)
def test_whole_instructions_differ_in_opcode_modifier_and_modes(
    run: Run, line: str, processes: list[int], other: str
) -> None:
    assert run(line, "MUL.BA #3, *4", other).processes == processes


def test_cmp_and_seq_are_different_instructions(run: Run) -> None:
    assert run("SEQ.I $1, $2", "CMP.B #3, *4", "SEQ.B #3, *4").processes == [1]


# Source 3, 4: targets that it is less than; targets that it is not.
LESS = {
    "A": (["4 0", "9 9"], ["3 9", "2 9"]),
    "B": (["0 5", "9 9"], ["9 4", "9 3"]),
    "AB": (["0 4", "9 9"], ["9 3", "9 2"]),
    "BA": (["5 0", "9 9"], ["4 9", "3 9"]),
    "F": (["4 5", "9 9"], ["3 5", "4 4", "0 9"]),
    "X": (["5 4", "9 9"], ["4 4", "5 3", "9 0"]),
    "I": (["4 5", "9 9"], ["3 5", "4 4", "0 9"]),
}
SLT_CASES = [
    (mod, numbers, less)
    for mod, sides in LESS.items()
    for less, side in zip((True, False), sides, strict=True)
    for numbers in side
]


@pytest.mark.parametrize(("modifier", "numbers", "skips"), SLT_CASES)
def test_slt_skips_if_the_source_is_less(
    run: Run, modifier: str, numbers: str, skips: bool
) -> None:
    a, b = numbers.split()

    state = run(f"SLT.{modifier} $1, $2", "MUL.BA #3, *4", f"DAT.F ${a}, ${b}")

    assert state.processes == [2 if skips else 1]


# ---- P-space: 10 cells; cell 0 held core size - 1 before the first round -------------------------


@pytest.mark.parametrize(
    ("modifier", "index", "value"),
    [("A", 4, 3), ("B", 5, 8), ("AB", 5, 3), ("BA", 4, 8), ("F", 5, 8), ("X", 5, 8), ("I", 5, 8)],
)
def test_stp_stores_the_number_that_the_modifier_names(
    run: Run, modifier: str, index: int, value: int
) -> None:
    """Source 3, 8; target 4, 15, and 15 modulo 10 cells is 5."""
    state = run(f"STP.{modifier} $1, $2", "DAT.F $3, $8", "DAT.F $4, $15")

    assert state.pspace[1:] == [value if i == index else 0 for i in range(1, 10)]
    assert state.processes == [1]


@pytest.mark.parametrize(
    ("modifier", "a", "b"),
    [("A", 44, 6), ("B", 20, 55), ("AB", 20, 44), ("BA", 55, 6), ("F", 20, 55), ("X", 20, 55),
     ("I", 20, 55)],
)  # fmt: skip
def test_ldp_loads_to_the_number_that_the_modifier_names(
    run: Run, modifier: str, a: int, b: int
) -> None:
    """P-space 4 and 5 hold 44 and 55; the source is 4, 15."""
    state = run(
        "STP.AB #44, #4", "STP.AB #55, #5", f"LDP.{modifier} $2, $3", BLANK,
        "DAT.F $4, $15", TARGET, cycles=3,
    )  # fmt: skip

    assert state.cells[5] == f"SLT.X >{a}, @{b}"


def test_pspace_0_holds_the_last_result_and_can_be_overwritten(run: Run) -> None:
    state = run("LDP.AB #0, $4", "STP.AB #7, #20", "LDP.AB #0, $3", cycles=3)

    assert state.cells[4] == "DAT.F $0, $79"
    assert state.cells[5] == "DAT.F $0, $7"


# ---- modes: the operand's cell and what the mode does to the pointer -----------------------------

# Cell 3 is the pointer: A 5, B 10. Cells 8 and 13 are what it points at, 7 and 12 what it points at
# after a decrement.
LAYOUT = {
    3: "SUB.F $5, $10", 7: "DAT.A $71, $72", 8: "DAT.B $41, $42", 12: "DAT.X $21, $22",
    13: "DAT.F $31, $32",
}  # fmt: skip
MODE_CASES = [
    ("#", 0, "SUB.F $5, $10"),
    ("$", 3, "SUB.F $5, $10"),
    ("@", 13, "SUB.F $5, $10"),
    ("<", 12, "SUB.F $5, $9"),
    (">", 13, "SUB.F $5, $11"),
    ("*", 8, "SUB.F $5, $10"),
    ("{", 7, "SUB.F $4, $10"),
    ("}", 8, "SUB.F $6, $10"),
]


def layout(*code: str) -> list[str]:
    cells = {**dict(enumerate(code)), **LAYOUT}
    return [cells.get(i, BLANK) for i in range(14)]


@pytest.mark.parametrize(("mode", "address", "pointer"), MODE_CASES)
def test_each_mode_as_a_source(run: Run, mode: str, address: int, pointer: str) -> None:
    code = layout(f"MOV.I {mode}3, $20")

    state = run(*code)

    assert state.cells[20] == code[address]
    assert state.cells[3] == pointer


@pytest.mark.parametrize(("mode", "address", "pointer"), MODE_CASES)
def test_each_mode_as_a_target(run: Run, mode: str, address: int, pointer: str) -> None:
    state = run(*layout(f"MOV.I $1, {mode}3", SOURCE))

    assert state.cells[address] == SOURCE
    if address != 3:
        assert state.cells[3] == pointer


@pytest.mark.parametrize(("mode", "address", "pointer"), MODE_CASES)
def test_each_mode_as_a_destination_of_jumps(
    run: Run, mode: str, address: int, pointer: str
) -> None:
    state = run(*layout(f"JMP.B {mode}3, $0"))

    assert state.processes == [address]
    assert state.cells[3] == pointer


@pytest.mark.parametrize(
    ("mode", "pointer"),
    [("<", "DAT.F $0, $79"), (">", "DAT.F $0, $1"), ("{", "DAT.F $79, $0"), ("}", "DAT.F $1, $0")],
)
def test_pointers_wrap_below_zero(run: Run, mode: str, pointer: str) -> None:
    assert run(f"NOP.F {mode}2, $0").cells[2] == pointer


@pytest.mark.parametrize(("mode", "pointer"), [(">", "DAT.F $79, $0"), ("}", "DAT.F $0, $79")])
def test_pointers_wrap_above_the_core_size(run: Run, mode: str, pointer: str) -> None:
    assert run(f"NOP.F {mode}1, $0", "DAT.F $79, $79").cells[1] == pointer


# ---- the order of things -------------------------------------------------------------------------


def test_the_a_operand_is_done_with_before_the_b_operand_begins(run: Run) -> None:
    """A takes cell 2 + 5 and leaves 6 there; B's indirection then starts from 6."""
    state = run("MOV.I >2, @2", BLANK, "DAT.F $0, $5", BLANK, BLANK, BLANK, BLANK, SOURCE)

    assert state.cells[8] == SOURCE


def test_a_register_keeps_what_it_read_before_an_increment(run: Run) -> None:
    """The pointer points at itself: B 0 is read, then raised to 1, and 0 is what moves."""
    state = run("MOV.B >1, $2", "DAT.F $9, $0", "DAT.F $9, $9")

    assert state.cells[1] == "DAT.F $9, $1"
    assert state.cells[2] == "DAT.F $9, $0"


def test_a_register_sees_a_decrement_made_for_it(run: Run) -> None:
    """The pointer, 1, becomes 0 and points at itself."""
    assert run("MOV.B <1, $2", "DAT.F $9, $1", "DAT.F $9, $9").cells[2] == "DAT.F $9, $0"


def test_addition_takes_the_target_as_read_not_as_incremented(run: Run) -> None:
    """B of cell 1 is read as 0 and raised to 1; 5 + 0 then replaces it."""
    assert run("ADD.AB #5, >1", "DAT.F $3, $0").cells[1] == "DAT.F $3, $5"


def test_an_immediate_operand_is_the_instruction_as_fetched(run: Run) -> None:
    """A's increment changes the running instruction's own A number; B's register has the old."""
    state = run("MOV.AB }0, #3", BLANK)

    assert state.cells[0] == "MOV.AB }1, #0"

    state = run("ADD.A }0, #3")

    assert state.cells[0] == "ADD.A }0, #3"


def test_a_mov_i_onto_the_running_process_takes_effect_at_once(run: Run) -> None:
    """The sole warrior's next instruction is overwritten by the one that runs."""
    state = run("MOV.I $2, $1", BLANK, "JMP.B $0, $0", cycles=2)

    assert state.cells[1] == "JMP.B $0, $0"
    assert state.processes == [1]


def test_skips_and_steps_wrap_around_the_core(run: Run) -> None:
    state = run("JMP.B $79, $0", cycles=1)

    assert state.processes == [79]

    state = run("MOV.I $3, $79", "JMP.B $78, $0", BLANK, "SEQ.B $0, $0", cycles=3)

    assert state.processes == [1]
