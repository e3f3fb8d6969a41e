"""`deid assemble`, `deid battle` and `deid hill rank`, through click's runner."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from mars.reference import Battle

from deid_corewar.command_assemble import assemble
from deid_corewar.command_battle import battle
from deid_corewar.command_hill import hill
from deid_corewar.fights import program_of
from deid_corewar.placement import drq_positions
from deid_corewar.redcode import assemble as assemble_text
from deid_corewar.settings import SETTINGS
from deid_mars import Core, Ending

GROUP = click.Group(commands={"assemble": assemble, "battle": battle, "hill": hill})

IMP = ";redcode-94\n;name Imp\n;author A. K. Dewdney\n;assert 1\n mov 0, 1\n"
DWARF = ";redcode-94\n;name Dwarf\n;assert 1\n org s\nb dat 0\ns add #4, b\n mov b, @b\n jmp s\n"
CORPSE = ";redcode-94\n;name Corpse\n;assert 1\n dat 0, 0\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with three warriors."""
    for name, text in (("imp", IMP), ("dwarf", DWARF), ("corpse", CORPSE)):
        (tmp_path / f"{name}.red").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def corewar_data() -> Path:
    """The data folder; skips where it is missing."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("DEID_COREWAR_DATA", root.parent / "shared" / "data" / "corewar"))
    if not (folder / "results" / "pairs.csv").is_file():
        pytest.skip(f"no Core War data at {folder}; set DEID_COREWAR_DATA to its folder")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(GROUP, [str(argument) for argument in arguments])


def output(*arguments: object) -> Any:
    """The one JSON line of a command that succeeds."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_assemble_prints_one_json_line_a_file_in_the_form_of_the_published_code(
    files: Path,
) -> None:
    (files / "bad.red").write_text("mov 0, 1\n mov 0, nowhere\n", encoding="utf-8")

    result = run("assemble", files / "dwarf.red", files / "bad.red", files / "imp.red", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert rows[0] == {
        "file": str(files / "dwarf.red"),
        "start": 1,
        "code": ["DAT.F #0, $0", "ADD.AB #4, $7999", "MOV.I $7998, @7998", "JMP.B $7998, $0"],
    }
    assert rows[1]["file"] == str(files / "bad.red")
    assert (rows[1]["error"]["line"], rows[1]["error"]["column"]) == (2, 9)
    assert "unknown 'nowhere'" in rows[1]["error"]["message"]
    assert rows[2]["code"] == ["MOV.I $0, $1"]


def test_assemble_for_people_shows_name_listing_and_errors_on_their_streams(files: Path) -> None:
    (files / "bad.red").write_text("xch 0, 1\n", encoding="utf-8")

    result = run("assemble", files / "imp.red", files / "bad.red", "--listing")
    assert result.exit_code == 1
    assert "Imp by A. K. Dewdney, 1 instructions, starts at 0" in result.stdout
    assert "    0 START MOV.I $0, $1" in result.stdout
    assert result.stderr.startswith(f"{files / 'bad.red'}: line 1, column 5: expected an opcode")


def test_settings_and_single_values_reach_the_assembler(files: Path) -> None:
    text = "dat CORESIZE-1, PSPACESIZE\n dat MAXLENGTH, MINDISTANCE\n"
    (files / "sizes.red").write_text(text, encoding="utf-8")

    row = output("assemble", files / "sizes.red", "--settings", "tiny", "--length", "15")
    assert row["code"] == ["DAT.F $799, $50", "DAT.F $15, $20"]
    row = output(
        "assemble", files / "sizes.red", "--settings", "nano", "--core-size", 96, "--distance", 9
    )
    assert row["code"] == ["DAT.F $95, $6", "DAT.F $5, $9"]


def test_standard_88_applies_the_older_rules(files: Path) -> None:
    assert run("assemble", files / "imp.red", "--standard", "88").exit_code == 0
    result = run("assemble", files / "dwarf.red", "--standard", "88")
    assert result.exit_code == 1
    assert "ICWS'88" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["assemble"],
        ["assemble", "IMP", "--settings", "huge"],
        ["assemble", "IMP", "--core-size", "0"],
        ["assemble", "IMP", "--length", "101"],
        ["battle", "IMP"],
        ["battle", "IMP", "IMP", "--seed", "x"],
        ["battle", "IMP", "IMP", "--seed", "5"],
        ["battle", "IMP", "IMP", "IMP", "--seed", "500"],
        ["battle", "IMP", "IMP", "--rounds", "0"],
        ["battle", *["IMP"] * 90],
        ["hill", "rank", "IMP", "no-such-folder"],
    ],
)
def test_impossible_options_end_in_usage_errors(files: Path, arguments: list[str]) -> None:
    result = run(*[str(files / "imp.red") if word == "IMP" else word for word in arguments])

    assert result.exit_code == 2
    assert "Error: " in result.stderr


@pytest.mark.parametrize("command", ["battle", "hill"])
def test_bad_redcode_and_missing_files_end_in_one_line_and_exit_code_1(
    files: Path, command: str
) -> None:
    (files / "bad.red").write_text("mov 0\n", encoding="utf-8")
    other = [files / "imp.red"] if command == "battle" else [files]
    words = ["battle"] if command == "battle" else ["hill", "rank"]

    for name, message in (("bad.red", "line 1, column 6"), ("none.red", "cannot be read")):
        result = run(*words, files / name, *other)
        assert result.exit_code == 1
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_battle_gives_the_results_of_pmars_for_published_pairs(corewar_data: Path) -> None:
    with (corewar_data / "results" / "pairs.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    chosen: dict[tuple[str, bool], dict[str, str]] = {}
    for row in rows:
        chosen.setdefault((row["set"], "-F" in row["options"]), row)

    assert len({group for group, _ in chosen}) >= 5
    for (group, _), row in chosen.items():
        options = row["options"].split()
        seed = options[options.index("-F") + 1] if "-F" in options else "fixed"
        rounds = options[options.index("-r") + 1]
        warriors = [corewar_data / "warriors" / name for name in row["warriors"].split()]
        record = output(
            "battle", *warriors, "--rounds", rounds, "--settings", group, "--seed", seed
        )
        assert record["results"] == [int(count) for count in row["results"].split()]
        assert record["instructions"] > 0
        assert record["seconds"] >= 0


@pytest.mark.slow
@pytest.mark.parametrize("table", ["pairs", "multis"])
def test_battle_gives_the_results_of_pmars_for_every_published_row(
    corewar_data: Path, table: str
) -> None:
    with (corewar_data / "results" / f"{table}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    different = []
    for row in rows:
        options = row["options"].split()
        rounds = options[options.index("-r") + 1]
        seed = options[options.index("-F") + 1] if "-F" in options else "fixed"
        warriors = [corewar_data / "warriors" / name for name in row["warriors"].split()]
        forms = ["--settings", row["set"], "--rounds", rounds, "--seed", seed]
        parts = [[int(n) for n in part.split()] for part in row["results"].split("|")]
        expected = parts[0] if len(warriors) == 2 else parts
        if output("battle", *warriors, *forms)["results"] != expected:
            different.append(row)

    assert len(rows) == {"pairs": 580, "multis": 40}[table]
    assert different == []


def test_battle_gives_the_table_of_pmars_for_three_or_more(corewar_data: Path) -> None:
    with (corewar_data / "results" / "multis.csv").open(encoding="utf-8") as stream:
        row = min(csv.DictReader(stream), key=lambda row: len(row["warriors"]))
    options = row["options"].split()
    warriors = [corewar_data / "warriors" / name for name in row["warriors"].split()]

    record = output(
        "battle", *warriors, "--settings", row["set"], "--rounds", options[options.index("-r") + 1]
    )
    expected = [[int(n) for n in part.split()] for part in row["results"].split("|")]
    assert record["results"] == expected


@pytest.mark.parametrize("placement", ["pmars", "drq"])
@pytest.mark.parametrize("rules", ["pmars", "drq"])
def test_every_placement_and_rule_lets_the_imp_outlive_the_corpse(
    files: Path, placement: str, rules: str
) -> None:
    pair = ["battle", files / "imp.red", files / "corpse.red", "--placement", placement]

    record = output(*pair, "--rules", rules, "--rounds", 12, "--seed", "fixed")
    assert record["results"] == [12, 0, 0]


@pytest.mark.parametrize("placement", ["pmars", "drq"])
def test_rows_of_three_warriors_count_every_round_once(files: Path, placement: str) -> None:
    three = [files / f"{name}.red" for name in ("imp", "dwarf", "corpse")]

    record = output("battle", *three, "--placement", placement, "--rules", "drq", "--rounds", 9)
    assert [sum(row) for row in record["results"]] == [9, 9, 9]
    assert record["results"][2] == [0, 0, 0, 9]


def test_slot_battles_depend_on_the_seed_alone(files: Path) -> None:
    pair = ["battle", files / "imp.red", files / "dwarf.red", "--placement", "drq", "--rounds", 40]

    one, two, other = (
        output(*pair, "--seed", seed, "--threads", threads)
        for seed, threads in ((7, 1), (7, 2), (8, 2))
    )
    assert (one["results"], one["instructions"]) == (two["results"], two["instructions"])
    assert one["instructions"] != other["instructions"]


def test_battle_for_people_names_the_warriors(files: Path) -> None:
    result = run("battle", files / "imp.red", files / "corpse.red", "--rounds", 3)

    assert result.exit_code == 0
    assert "Imp" in result.stdout
    assert "won 3" in result.stdout


def test_rank_counts_shares_and_leaves_out_the_warriors_own_code(files: Path) -> None:
    (files / "copy.red").write_text(";name other\nstart mov.i $0, $1\n end start\n", "utf-8")
    (files / "broken.red").write_text("mov\n", encoding="utf-8")

    record = output("hill", "rank", files / "imp.red", files, "--battles", 5)
    assert (record["opponents"], record["excluded"], record["refused"]) == (2, 2, 1)
    assert record["battles"] == 5
    counts = [record[word]["count"] for word in ("defeated", "tied", "lost")]
    assert sum(counts) == 2
    assert record["defeated"]["count"] >= 1
    for word in ("defeated", "tied", "lost", "score"):
        assert 0 <= record[word]["low"] <= record[word]["share"] <= record[word]["high"] <= 1


def test_rank_is_what_a_slow_simulator_counts_cycle_by_cycle(tmp_path: Path) -> None:
    """Half a cycle each for two that live through it, all of it for the last one."""
    texts = {
        "hero": " spl 0\n mov 0, 1\n",
        "bomber": "b dat 0\ns add #4, b\n mov b, @b\n jmp s\n end s\n",
        "corpse": " dat 0, 0\n",
        "imp": " mov 0, 1\n",
        "runner": " mov 2, <3\n djn -1, #9\n jmp -2\n",
        "stayer": " jmp 0\n",
    }
    hill_folder = tmp_path / "hill"
    hill_folder.mkdir()
    for name, text in texts.items():
        (hill_folder / f"{name}.red").write_text(f";assert 1\n{text}", encoding="utf-8")
    settings = replace(
        SETTINGS["nano"], core_size=120, cycles_max=150, processes_max=6, length_max=8, distance=9
    )
    core = Core(120, 150, 6)
    programs = {n: program_of(assemble_text(t, settings)) for n, t in texts.items()}
    seeds = range(3, 11)
    leads = []
    for name in sorted(set(texts) - {"hero"}):
        pair = [programs["hero"], programs[name]]
        positions, first = drq_positions([len(p) for p in pair], 120, 9, list(seeds))
        lead = 0
        for placed, mover in zip(positions.tolist(), first.tolist(), strict=True):
            ours, other = (
                w.death for w in Battle(core, pair, placed, mover).run(Ending.LAST_CYCLE).warriors
            )
            for cycle in range(1, 151):
                if (ours > cycle) != (other > cycle):
                    lead += 1 if ours > cycle else -1
        leads.append(lead)

    record = output(
        "hill", "rank", hill_folder / "hero.red", hill_folder, "--battles", 8, "--seed", 3,
        "--settings", "nano", "--core-size", 120, "--cycles", 150, "--processes", 6,
        "--length", 8, "--distance", 9,
    )  # fmt: skip
    assert record["defeated"]["count"] == sum(lead > 0 for lead in leads)
    assert record["tied"]["count"] == sum(lead == 0 for lead in leads)
    assert record["lost"]["count"] == sum(lead < 0 for lead in leads)
    assert len({lead > 0 for lead in leads}) == 2


def test_rank_leaves_out_what_the_caller_excludes(files: Path) -> None:
    record = output(
        "hill", "rank", files / "imp.red", files, "--battles", 2, "--exclude", files / "dwarf.red"
    )

    assert (record["opponents"], record["excluded"]) == (1, 2)
    assert record["defeated"] == pytest.approx(
        {"count": 1, "share": 1.0, "low": 0.206549, "high": 1.0}, abs=1e-5
    )  # Wilson's interval for 1 of 1: 1 / (1 + z²)


def test_rank_of_a_folder_without_opponents_is_an_error(files: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()

    result = run("hill", "rank", files / "imp.red", empty)
    assert result.exit_code == 1
    assert "expected .red files" in result.stderr
