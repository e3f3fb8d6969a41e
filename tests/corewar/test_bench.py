"""``deid bench mars``: the rows that it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from deid.errors import NothingMatchedError
from deid_corewar.bench import mars

QUICK = ["--pairs", "2", "--groups", "1", "--seconds", "0", "--threads", "1"]
ROW = {
    "simulator": str,
    "set": str,
    "warriors": int,
    "statistics": bool,
    "threads": int,
    "battles_per_s": float,
    "minstr_per_s": float,
}


@pytest.fixture(autouse=True)
def no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever pMARS this machine has stays out of the tests."""
    monkeypatch.setenv("PATH", "")


def test_every_row_is_one_json_object_with_the_documented_keys() -> None:
    result = CliRunner().invoke(mars, [*QUICK, "--settings", "tiny", "--json"])
    rows = [json.loads(line) for line in result.output.splitlines()]

    assert result.exit_code == 0
    assert all({key: type(value) for key, value in row.items()} == ROW for row in rows)
    assert all(row["battles_per_s"] > 0 and row["set"] == "deid" for row in rows)
    assert {row["warriors"] for row in rows} == {2, 20}  # 21 tiny warriors do not fit
    assert {"deid", "deid-last-cycle"} <= {row["simulator"] for row in rows}


def test_a_folder_is_a_set_with_the_sizes_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "nano"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.red").write_text(f"MOV 0, 1\nJMP -1, {number}\n")
    (folder / "wrong.red").write_text("MOV 0, 1\n" * 6)

    result = CliRunner().invoke(mars, [*QUICK, str(folder)])

    assert result.exit_code == 0
    assert "nano: 1 warriors do not assemble" in result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split()[:3] == ["simulator", "set", "warriors"]
    assert {(row.split()[1], row.split()[2]) for row in rows} == {("nano", "2"), ("nano", "3")}


def test_a_folder_without_warriors_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(mars, [*QUICK, str(tmp_path)])

    assert isinstance(result.exception, NothingMatchedError)
