"""Colours of nodes, the same on the terminal and in the picture, apart for the colour-blind too.

Source: Okabe and Ito, Color Universal Design (2008).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["SEED_COLOUR", "node_colours"]

SEED_COLOUR: Final = "#8a8a8a"  # of programs that came with the domain
_COLOURS: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#9d8f00")


def node_colours(nodes: Iterable[str]) -> dict[str, str]:
    """A colour by the name of a node, as ``#rrggbb``; more than seven begin anew."""
    return {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(nodes)}
