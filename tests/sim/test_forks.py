"""Equivocation under faults: where nodes end with two items of one name, the run has failed.

The general checker lets such names differ; here it does not.
"""

from __future__ import annotations

from itertools import count, islice

import pytest
from sim.checker import Checker
from sim.scenario import run, scenario_of
from sim.test_simulator import judge

from deid.wire.forks import Forks

SEEDS = 16
EQUIVOCATING = list(islice((n for n in count() if scenario_of(n).malice == "equivocates"), SEEDS))


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checker, "_disputed", lambda checker, name: False)


def test_all_nodes_end_with_one_item_of_a_name() -> None:
    judge([run(scenario_of(seed)) for seed in EQUIVOCATING])


def test_a_planted_fault_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that differ are never settled: the proofs alone, one an origin, do not do it."""
    monkeypatch.setattr(Forks, "on_variants", lambda *_: None)
    for seed in EQUIVOCATING:
        if any("different items" in each for each in run(scenario_of(seed)).violations):
            return
    raise AssertionError(f"not noticed in {SEEDS} seeds")
