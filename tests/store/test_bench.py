"""The bench measures what the search writes, and its journal holds."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from deid.search.records import Evaluated, Placed, Proposed
from deid.store.bench import candidate_rows, main, measure

BYTES_MAX = 2_048  # of journal for one evaluation (docs/operations.md)


def test_a_candidate_is_proposed_evaluated_and_placed() -> None:
    records = [row.record() for row in candidate_rows(Random(1), 1)]

    assert [type(record) for record in records] == [Proposed, Evaluated, Placed]


def test_a_candidate_takes_less_than_its_bound_on_disk(tmp_path: Path) -> None:
    figures = measure(tmp_path, singles=20, candidates=1_000)

    assert 400 < figures.bytes_per_candidate < BYTES_MAX
    assert figures.rows_per_s == pytest.approx(3 * figures.candidates_per_s)


def test_the_command_prints_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path), "--json", "--candidates", "200"])
    figures = json.loads(capsys.readouterr().out)

    assert figures["single_commits_per_s"] > 0
    assert list(tmp_path.iterdir()) == []
