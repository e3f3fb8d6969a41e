"""The shipped warriors: what they are, and that each of them can fight."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest

import deid_mars
from deid_corewar.domain import CorewarDomain
from deid_corewar.placement import drq_positions
from deid_corewar.redcode import Warrior, assemble
from deid_corewar.scoring import melee_points
from deid_corewar.settings import CoreSettings, settings_of
from deid_corewar.warriors import FAMILIES, SeedWarrior, seed_warriors

CORES = {8_000: settings_of("94"), 800: settings_of("tiny")}
BATTLES = 100
ENTRIES = [
    pytest.param(warrior, CORES[size], id=f"{name}-{size}")
    for name, warrior in seed_warriors().items()
    for size in warrior.core_sizes
]


def program_of(warrior: Warrior) -> deid_mars.Program:
    rows = [(i.opcode, i.modifier, i.a_mode, i.a, i.b_mode, i.b) for i in warrior.instructions]
    return deid_mars.Program(rows, warrior.start)


def core_of(settings: CoreSettings) -> deid_mars.Core:
    return deid_mars.Core(settings.core_size, settings.cycles_max, settings.processes_max)


def test_there_are_several_of_every_family() -> None:
    counts = Counter(warrior.family for warrior in seed_warriors().values())

    assert sum(counts.values()) >= 30
    assert set(counts) == set(FAMILIES)
    assert min(counts.values()) >= 5


def test_every_header_says_who_what_and_for_which_core() -> None:
    for name, seed in seed_warriors().items():
        for size in seed.core_sizes:
            warrior = assemble(seed.source, CORES[size])

            assert (warrior.name, warrior.author) == (name, "deid")
            assert warrior.strategy.replace("\n", " ") == seed.strategy != ""
            assert warrior.warnings == ()


def test_an_assert_line_refuses_a_core_that_a_warrior_is_not_written_for() -> None:
    odd = CoreSettings(8_191, 80_000, 8_000, 100, 100, 1)
    with pytest.raises(Exception, match="assert"):
        assemble(seed_warriors()["mason"].source, odd)


@pytest.mark.parametrize(("seed", "settings"), ENTRIES)
def test_a_warrior_beats_or_ties_an_imp(seed: SeedWarrior, settings: CoreSettings) -> None:
    warrior = program_of(assemble(seed.source, settings))
    imp = program_of(assemble("MOV.I $0, $1", settings))
    positions, first = drq_positions(
        [len(warrior), len(imp)], settings.core_size, settings.distance, range(BATTLES)
    )

    results = deid_mars.melee(core_of(settings), [warrior, imp], positions, first)

    mine, theirs = melee_points(results.death, settings.cycles_max).sum(axis=0).tolist()
    assert mine >= theirs


@pytest.mark.parametrize(("seed", "settings"), ENTRIES)
def test_a_warrior_alone_never_kills_itself(seed: SeedWarrior, settings: CoreSettings) -> None:
    warrior = program_of(assemble(seed.source, settings))

    results = deid_mars.melee(core_of(settings), [warrior], [[0]], [0])

    assert int(results.death[0, 0]) == settings.cycles_max + 1


def test_no_two_warriors_are_the_same_program() -> None:
    for name in ("94", "tiny"):
        everything = CorewarDomain({"settings": name}).corpora()["all"]

        assert len({genome.content_hash for genome in everything}) == len(everything)


def test_families_differ_in_the_instructions_they_use() -> None:
    """Total variation distance between their (opcode, A-mode, B-mode) frequencies."""
    domain = CorewarDomain({})
    shares: dict[str, dict[tuple[int, ...], float]] = {}
    for family in FAMILIES:
        counts: Counter[tuple[int, ...]] = Counter()
        for genome in domain.corpora()[family]:
            lines = domain.grammar.read(genome).lines
            counts.update((line[0], line[2], line[4]) for line in lines if any(line[3::2]))
        shares[family] = {key: count / counts.total() for key, count in counts.items()}

    for one, other in combinations(FAMILIES[:-1], 2):
        keys = shares[one].keys() | shares[other].keys()
        distance = sum(abs(shares[one].get(k, 0) - shares[other].get(k, 0)) for k in keys) / 2
        assert distance > 0.4, (one, other, distance)
