"""Reference contexts: complete, of all families, and only for the cores they are made for."""

from __future__ import annotations

import pytest

from deid.errors import ConfigError
from deid_corewar.domain import CorewarDomain
from deid_corewar.reference import AXIS_UNITS, Reference, reference_of, references
from deid_corewar.settings import SETTINGS, settings_of
from deid_corewar.warriors import FAMILIES, seed_warriors


@pytest.mark.parametrize("reference", references(), ids=lambda reference: reference.name)
def test_a_reference_has_ten_seeds_and_warriors_of_every_family(reference: Reference) -> None:
    pool = [seed_warriors()[name] for name in reference.pool]

    assert len(set(reference.seeds)) == len(reference.seeds) == 10
    assert all(0 <= seed < 2**64 for seed in reference.seeds)
    assert {warrior.family for warrior in pool} == set(FAMILIES)
    assert all(reference.core_size in warrior.core_sizes for warrior in pool)
    assert len(set(reference.pool)) == len(pool) == {"standard": 12, "tiny": 8}[reference.name]


def test_the_standard_edges_are_those_of_digital_red_queen() -> None:
    reference = reference_of(settings_of("94"))

    assert reference.axis("spawned").edges == (1, 10, 100, 1_000, 10_000)
    assert reference.axis("covered").edges == (10, 100, 500, 1_000, 4_000)
    assert reference.axis("opcodes").edges == (4, 6, 8, 10, 14)
    assert reference.axis("length").edges == (5, 12, 20, 35, 60)


@pytest.mark.parametrize("reference", references(), ids=lambda reference: reference.name)
def test_every_bin_can_be_reached_in_its_core(reference: Reference) -> None:
    settings = next(
        s
        for s in SETTINGS.values()
        if (s.core_size, s.distance) == (reference.core_size, reference.distance)
    )
    most = {
        "spawned": settings.cycles_max,
        "covered": settings.core_size,
        "opcodes": 17,
        "length": settings.length_max,
    }

    assert all(reference.axis(name).edges[-1] <= most[name] for name in AXIS_UNITS)


@pytest.mark.parametrize("name", ["nano", "lp", "94x"])
def test_another_geometry_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(ConfigError, match=r"8000, 100, 100 \(standard\); 800, 20, 20 \(tiny\)"):
        CorewarDomain({"settings": name})


@pytest.mark.parametrize("key", ["core_size", "length_max", "distance"])
def test_an_override_of_the_geometry_is_refused(key: str) -> None:
    values = {"core_size": 4_000, "length_max": 50, "distance": 200}
    with pytest.raises(ConfigError, match=str(values[key])):
        CorewarDomain({key: values[key]})


@pytest.mark.parametrize("name", ["94", "tiny"])
def test_the_reference_separates_the_shipped_warriors(name: str) -> None:
    """Strong and weak ones differ by an order of magnitude, and they fall into many cells."""
    domain = CorewarDomain({"settings": name})
    context = domain.reference()

    evaluations = [domain.evaluate(g, context, 0, 10) for g in domain.corpora()["all"]]
    fitness = [context.fitness(evaluation) for evaluation in evaluations]
    cells = {domain.grid.cell(evaluation) for evaluation in evaluations}

    assert max(fitness) > 1.5
    assert min(fitness) < 0.15
    assert len(cells) >= 8
