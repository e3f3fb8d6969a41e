from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.swarm import MakeNode, Node

from deid.cli.fleet import free_ports


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a short path: the control sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="deid-e2e-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def node(base: Path) -> Iterator[MakeNode]:
    """Makes nodes, and ends what still runs of them."""
    made: list[Node] = []

    def make(name: str, **options: Any) -> Node:
        options = {"base": base, **options}
        if "port" not in options:
            (options["port"],) = free_ports(1)
        made.append(Node(name, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
