"""The data folder: published warriors and what pMARS made of them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Published:
    """One warrior, and pMARS's code and start for it."""

    group: str
    name: str
    text: str
    start: int
    code: list[str]


@pytest.fixture(scope="session")
def published() -> list[Published]:
    """All warriors in the order of the assembled files; skips where the folder is missing."""
    root = Path(__file__).parents[3]
    folder = Path(os.environ.get("DEID_COREWAR_DATA", root.parent / "shared" / "data" / "corewar"))
    if not (folder / "assembled").is_dir():
        pytest.skip(f"no Core War data at {folder}; set DEID_COREWAR_DATA to its folder")
    return [
        Published(
            path.stem,
            row["warrior"],
            (folder / "warriors" / row["warrior"]).read_bytes().decode("latin-1"),
            row["start"],
            row["code"],
        )
        for path in sorted((folder / "assembled").glob("*.jsonl"))
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]
