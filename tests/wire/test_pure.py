"""The core does no I/O: what it imports, and what it never names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import deid.wire

SOURCES = sorted(Path(deid.wire.__file__).parent.glob("*.py"))
ALLOWED = {
    "__future__", "abc", "bisect", "collections", "cryptography", "dataclasses", "deid", "enum",
    "hashlib", "itertools", "msgpack", "typing",
}  # fmt: skip
LAYERS = {"errors", "search", "wire"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_module_imports_no_clock_no_socket_no_file(path: Path) -> None:
    imported: set[str] = set()
    for each in ast.walk(ast.parse(path.read_text())):
        if isinstance(each, ast.Import):
            imported |= {alias.name for alias in each.names}
        if isinstance(each, ast.ImportFrom):
            imported.add(each.module or "")

    assert {name.split(".")[0] for name in imported} <= ALLOWED
    layers = {name.split(".")[1] for name in imported if name.startswith("deid.")}
    assert layers <= LAYERS


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_module_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 430
