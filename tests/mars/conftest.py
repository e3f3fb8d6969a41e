"""The data folder, for the tests of the simulator."""

from pathlib import Path

import pytest
from mars.data import corewar_data as where


@pytest.fixture(scope="session")
def corewar_data() -> Path:
    """The folder of warriors and pMARS's results; skips where it is missing."""
    folder = where()
    if not (folder / "results" / "pairs.csv").is_file():
        pytest.skip(f"no Core War data at {folder}; set DEID_COREWAR_DATA to its folder")
    return folder
