"""The coverage-guided fuzzer's target holds for its first corpus, and for a short run of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from wire.fuzz_receive import fuzz_one, seeds

SCRIPT = Path(__file__).parent / "fuzz_receive.py"


@pytest.mark.parametrize("data", seeds(), ids=lambda data: f"{len(data)}-bytes")
def test_the_first_corpus_passes(data: bytes) -> None:
    fuzz_one(data)


def test_a_short_run_of_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install atheris")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "-runs=300", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
