from __future__ import annotations

import json

import pytest

from deid.search import bench

SCALE = 0.002
NAMES = [
    "archive additions",
    "parents sampled",
    "streams created",
    "merge of 4 x 36 cells",
    "engine commits",
    "engine commits, rows encoded",
]


def test_every_figure_is_measured() -> None:
    measured = [row for row in bench.rows(SCALE) if not row.name.startswith("pyribs")]

    assert [row.name for row in measured] == NAMES
    assert all(row.value > 0 for row in measured)
    assert [row.unit for row in measured] == ["1/s", "1/s", "1/s", "ms", "1/s", "1/s"]


def test_the_figures_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--json", "--scale", str(SCALE)])
    printed = json.loads(capsys.readouterr().out)

    assert [set(row) for row in printed] == [{"name", "value", "unit"}] * len(printed)
    assert set(NAMES) <= {row["name"] for row in printed}


def test_the_figures_are_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--scale", str(SCALE)])
    lines = capsys.readouterr().out.splitlines()

    assert [line for line in lines if line.startswith("engine commits ")]
    assert len(lines) >= len(NAMES)
