"""The kernel against the slow reference: single instructions, and random battles to their end."""

import itertools

import numpy as np
import pytest
from mars.reference import Battle

from deid_mars import MODES, MODIFIERS, OPCODES, Core, Ending, Program, Trace, melee, trace

# Instructions that keep random warriors alive and busy, beside those drawn evenly.
LIVELY = ("MOV", "ADD", "SUB", "SPL", "SPL", "JMP", "DJN", "SEQ", "SNE", "JMN")


def random_program(rng: np.random.Generator, size: int, length_max: int) -> Program:
    """Code with all tuples in it, many of them lively, most numbers small."""
    length = int(rng.integers(1, length_max + 1))
    lively = rng.random(length) < 0.7
    opcodes = np.where(
        lively,
        rng.choice([OPCODES.index(name) for name in LIVELY], length),
        rng.integers(0, len(OPCODES), length),
    )
    near = rng.integers(-5, 6, (length, 2)) % size
    numbers = np.where(rng.random((length, 2)) < 0.6, near, rng.integers(0, size, (length, 2)))
    code = np.column_stack(
        (
            opcodes,
            rng.integers(0, len(MODIFIERS), length),
            rng.integers(0, len(MODES), length),
            numbers[:, 0],
            rng.integers(0, len(MODES), length),
            numbers[:, 1],
        )
    )
    pin = int(rng.integers(1, 3)) if rng.random() < 0.5 else None
    return Program(code, int(rng.integers(length)), pin)


def assert_same(seen: Trace, battle: Battle) -> None:
    """A kernel's battle and the reference's ended alike in everything."""
    assert seen.core.tolist() == [list(row) for row in battle.columns()]
    assert seen.pspace.tolist() == battle.pspaces()
    assert [list(p) for p in seen.processes] == [list(w.processes) for w in battle.warriors]
    assert seen.results.death[0].tolist() == [w.death for w in battle.warriors]
    assert seen.results.spawned[0].tolist() == [w.spawned for w in battle.warriors]
    assert seen.results.covered[0].tolist() == [len(w.covered) for w in battle.warriors]
    assert seen.results.executed[0].tolist() == [w.executed for w in battle.warriors]


@pytest.mark.parametrize("opcode", OPCODES)
def test_every_tuple_does_what_the_reference_does(opcode: str) -> None:
    """One instruction each, in a core full of others, through the handler it really gets."""
    rng = np.random.default_rng(OPCODES.index(opcode))
    core = Core(size=17, cycles_max=1, processes_max=2, pspace_size=3)
    for modifier, a_mode, b_mode in itertools.product(range(7), range(8), range(8)):
        code = random_program(rng, core.size, 17).code.copy()
        code[0] = (
            OPCODES.index(opcode),
            modifier,
            a_mode,
            rng.integers(core.size),
            b_mode,
            rng.integers(core.size),
        )
        code[:, (3, 5)] = np.where(
            rng.random((len(code), 2)) < 0.4, code[:, (3, 5)] % 3, code[:, (3, 5)]
        )
        program, at = Program(code), int(rng.integers(core.size))

        assert_same(trace(core, [program], [at], turns_max=0), Battle(core, [program], [at]).run())


@pytest.mark.parametrize("turns_max", [0, 50], ids=["fast", "traced"])
@pytest.mark.parametrize("seed", range(120))
def test_random_battles_end_as_in_the_reference(seed: int, turns_max: int) -> None:
    rng = np.random.default_rng([seed, turns_max])
    n = int(rng.choice([1, 1, 2, 2, 2, 3, 5]))
    size = int(rng.choice([n * 9, 64, 97, 251]))
    core = Core(
        size=max(size, n * 9),
        cycles_max=int(rng.choice([1, 7, 60, 400])),
        processes_max=int(rng.choice([1, 2, 3, 8, 64])),
        pspace_size=int(rng.integers(1, 9)),
    )
    programs = [random_program(rng, core.size, 9) for _ in range(n)]
    slot = core.size // n
    turned = int(rng.integers(core.size))
    positions = [(i * slot + turned) % core.size for i in rng.permutation(n)]
    first = int(rng.integers(n))
    ending = list(Ending)[rng.choice(3, p=[0.5, 0.3, 0.2])]

    seen = trace(core, programs, positions, first, ending=ending, turns_max=turns_max)

    assert_same(seen, Battle(core, programs, positions, first).run(ending))


@pytest.mark.parametrize("seed", range(20))
def test_a_battle_cut_at_the_candidate_s_death_has_its_figures_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng([seed, 9])
    n = int(rng.integers(2, 6))
    core = Core(size=100, cycles_max=400, processes_max=int(rng.choice([1, 8])))
    programs = [random_program(rng, core.size, 9) for _ in range(n)]
    positions = (np.arange(n) * 20 + rng.integers(0, 100, (25, 1))) % 100
    first = rng.integers(0, n, 25)

    whole = melee(core, programs, positions, first)
    short = melee(core, programs, positions, first, ending=Ending.CANDIDATE)

    for name in ("death", "spawned", "covered", "executed"):
        assert getattr(short, name)[:, 0].tolist() == getattr(whole, name)[:, 0].tolist()
    for one, other in zip(short.death.tolist(), whole.death.tolist(), strict=True):
        assert [min(cycle, one[0]) for cycle in one] == [min(cycle, one[0]) for cycle in other]


def test_one_batch_gives_what_its_battles_give_alone() -> None:
    rng = np.random.default_rng(5)
    core = Core(size=90, cycles_max=300, processes_max=5)
    programs = [random_program(rng, core.size, 9) for _ in range(4)]
    positions = (np.array([0, 20, 40, 60]) + rng.integers(0, 90, (30, 1))) % 90
    first = rng.integers(0, 4, 30)

    batch = melee(core, programs, positions, first)

    for i in range(30):
        battle = Battle(core, programs, positions[i].tolist(), int(first[i])).run()
        assert batch.death[i].tolist() == [w.death for w in battle.warriors]
        assert batch.spawned[i].tolist() == [w.spawned for w in battle.warriors]
        assert batch.covered[i].tolist() == [len(w.covered) for w in battle.warriors]
        assert batch.executed[i].tolist() == [w.executed for w in battle.warriors]
