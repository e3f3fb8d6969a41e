"""The atheris harness: a short run, and that its corpus reaches what it is meant to reach."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deid_corewar.redcode import Standard, assemble
from deid_corewar.settings import SETTINGS

HARNESS = Path(__file__).with_name("fuzz_assemble.py")
RUNS = 20_000


def test_coverage_guided_fuzzing_finds_nothing_in_a_short_run() -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (pip install atheris)")

    done = subprocess.run(
        [sys.executable, str(HARNESS), f"-runs={RUNS}", "-seed=1"],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"Done {RUNS} runs" in done.stderr


@pytest.mark.parametrize(
    "path", sorted(HARNESS.with_name("corpus").iterdir()), ids=lambda p: p.stem
)
def test_every_text_of_the_corpus_assembles(path: Path) -> None:
    text = path.read_text(encoding="latin-1")
    standard = Standard.ICWS88 if text[0] == "8" else Standard.ICWS94

    warrior = assemble(text[1:], SETTINGS["tiny"], standard=standard)
    assert len(warrior.instructions) >= 4
