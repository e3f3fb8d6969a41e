"""The benchmark: its rows, and that other simulators fight the same battles to the same end."""

import importlib.util
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from mars.data import instruction
from mars.test_battles import lives, random_melee

from deid_mars import Core, Ending, Program, melee
from deid_mars.bench import Deid, Exhaust, Tally, Workload, load_file, rows, simulators

PAIR = (
    Program([instruction(line) for line in ("SPL.B $0, $0", "MOV.I $0, $1")]),
    Program([instruction(line) for line in ("NOP.F $0, $0", "MOV.I $0, $1")], start=1),
)
PAIRS = Workload("pairs", Core(200, 500, 20), 20, (PAIR,))


def test_every_simulator_has_a_row_of_every_workload() -> None:
    core, programs, _, _ = random_melee(0)
    groups = Workload("groups", core, 20, (tuple(programs),))

    found = rows(0.02, [PAIRS, groups], threads=(1, 2), report=print)

    for name, warriors in (("pairs", 2), ("groups", 5)):
        ours = [row for row in found if row.set == name and row.simulator.startswith("deid")]
        assert [(row.simulator, row.threads) for row in ours] == [
            ("deid-last-cycle", 1), ("deid", 1), ("deid", 2),
        ]  # fmt: skip
        assert all(row.warriors == warriors and row.statistics for row in ours)
    assert all(row.battles_per_s > 0 and row.minstr_per_s > 0 for row in found)


def test_speeds_are_work_divided_by_time() -> None:
    tally = Tally()
    side = Deid(PAIRS, Ending.LAST_CYCLE, "deid", 1)

    side.fight((lives(3), lives(5)), np.array([[0, 100]] * 7, dtype=np.int32), tally)

    assert (tally.battles, tally.instructions) == (7, 7 * 8) and tally.seconds > 0


def test_exhaust_fights_the_same_battles() -> None:
    """With one process a side it calls no tie early, so both see the same survivors."""
    if importlib.util.find_spec("_exhaust_ma") is None:
        pytest.skip("exhaust-ma is not installed")
    core = Core(200, 500, 1)
    workload = Workload("one", core, 20, ((lives(9), PAIR[1]),))
    with ExitStack() as stack:
        (side,) = (s for s in simulators(workload, (1,), stack, print) if isinstance(s, Exhaust))
        tally = Tally()
        side.fight(workload.groups[0], np.array([[0, 100]], dtype=np.int32), tally)
        assert (tally.battles, tally.instructions) == (1, 9 + 8)

    results = melee(core, workload.groups[0], [[0, 100]], [0], ending=Ending.ONE_SURVIVOR)
    assert results.death.tolist() == [[9, 501]]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo \"Can't connect to X server\" >&2; exit 1",
         "ends with exit code 1: Can't connect to X server"),
        ("exit 3", "ends with exit code 3: no message"),
        ("echo $DISPLAY", "does not print the results of a round; build it without a display"),
    ],
)  # fmt: skip
def test_a_pmars_that_cannot_play_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    program = tmp_path / "pmars"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reports: list[str] = []
    with ExitStack() as stack:
        sides = simulators(PAIRS, (1,), stack, reports.append)

    assert "pmars" not in [side.name for side in sides]
    assert reports == [f"pairs, 2 warriors: pmars is left out: {program} {reason}"]


def test_a_pmars_that_plays_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pmars"
    program.write_text("#!/bin/sh\necho 'Results: 0 0 1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = rows(0, [PAIRS], report=pytest.fail)

    assert [row.battles_per_s > 0 for row in found if row.simulator == "pmars"] == [True]


def test_a_load_file_names_start_and_pin() -> None:
    text = load_file(Program([instruction("MOV.I #3, }4"), instruction("DAT.F $0, $0")], 1, 7))

    assert text.splitlines() == [
        ";redcode-94", ";assert 1", "ORG 1", "PIN 7", "MOV.I #3, }4", "DAT.F $0, $0", "END",
    ]  # fmt: skip
