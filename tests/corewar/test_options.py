"""The [domain] table: every wrong value is named, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from deid.errors import CandidateError, ConfigError
from deid_corewar.domain import CorewarDomain
from deid_corewar.options import read_options


def test_an_empty_table_is_the_standard_game() -> None:
    options = read_options({})

    assert (options.core.core_size, options.core.cycles_max) == (8_000, 80_000)
    assert (options.battles, options.opponents, options.axes) == (
        20,
        ("imp",),
        ("spawned", "covered"),
    )


def test_single_sizes_override_a_set() -> None:
    options = read_options({"settings": "tiny", "cycles_max": 4_000, "processes_max": 80})

    assert (options.core.core_size, options.core.cycles_max, options.core.processes_max) == (
        800,
        4_000,
        80,
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"cycle_max": 1}, r"cycle_max: unknown key\n.*did you mean 'cycles_max'"),
        ({"zzz": 1}, r"zzz: unknown key\n.*known: settings, core_size"),
        ({"settings": "95"}, "expected one of 94nop"),
        ({"settings": 94}, "settings: expected a name such as '94', got 94"),
        ({"battles": 0}, "battles: expected 1 to 10000, got 0"),
        ({"battles": 10_001}, "battles: expected 1 to 10000, got 10001"),
        ({"battles": True}, "battles: expected 1 to 10000, got True"),
        ({"cycles_max": "80000"}, "cycles_max: expected a whole number from 1 up, got '80000'"),
        ({"cycles_max": 0}, "cycles_max: expected a whole number from 1 up, got 0"),
        ({"cycles_max": 2**31 - 1}, "cycles_max: expected 1 to 2147483646"),
        ({"processes_max": 2**27}, "processes_max: expected 1 to 67108864"),
        ({"processes_max": 2**25}, "processes_max: at most 1677721 "),
        ({"axes": ["spawn"]}, "got 'spawn'\n.*did you mean 'spawned'"),
        ({"axes": []}, "axes: expected different names, at least one"),
        ({"axes": ["length", "length"]}, "axes: expected different names"),
        ({"axes": 3}, "axes: expected a name or a list of names, got 3"),
        ({"opponents": ["broon"]}, "got 'broon'\n.*did you mean 'broom'"),
        ({"opponents": "no/such.red"}, "no/such.red: No such file"),
        ({"opponents": ["hydra"], "settings": "tiny"}, "opponents: 'hydra' is written for"),
    ],
)
def test_a_wrong_entry_is_named(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CorewarDomain(table)


def test_opponents_are_shipped_warriors_or_files(tmp_path: Path) -> None:
    mine = tmp_path / "mine.red"
    mine.write_text("JMP 0\n")
    domain = CorewarDomain({"opponents": ["broom", str(mine)]})

    broom, own = domain.opponents()
    assert broom in domain.corpora()["clears"]
    assert own == domain.parse("JMP.B $0, $0")


def test_an_opponents_file_that_is_no_redcode_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.red"
    wrong.write_text("MOVE 0, 1\n")

    with pytest.raises(ConfigError, match=r"wrong\.red: line 1"):
        CorewarDomain({"opponents": [str(wrong)]})
    with pytest.raises(CandidateError):
        CorewarDomain({}).parse(wrong.read_text())


def test_more_opponents_than_slots_are_refused(tmp_path: Path) -> None:
    paths = []
    for number in range(20):
        path = tmp_path / f"{number}.red"
        path.write_text(f"JMP {number}\n")
        paths.append(str(path))

    with pytest.raises(
        ConfigError, match="at most 19 fit beside a candidate in a core of 800, got 20"
    ):
        CorewarDomain({"settings": "tiny", "opponents": paths})
    assert len(CorewarDomain({"settings": "tiny", "opponents": paths[:19]}).opponents()) == 19
