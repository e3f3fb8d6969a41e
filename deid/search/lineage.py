"""Ancestry: how much of a program comes from which maker, over any number of hops.

A maker is ``node/operator`` or ``node/operator/model``. A program made from nothing is its
maker's alone; a child is half its maker's and half its parents', in equal parts. Shares are
integers out of 65,536 that add up to it, kept for the seven largest makers and ``(others)``, so
that an item's size stays bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

WHOLE = 1 << 16
MAKERS_MAX = 8  # entries of one ancestry, ``(others)`` included
OTHERS = "(others)"

Ancestry = tuple[tuple[str, int], ...]  # (maker, share), largest first, then by name


def maker(node: str, operator: str, model: str = "") -> str:
    """The maker's label."""
    return f"{node}/{operator}/{model}" if model else f"{node}/{operator}"


def founder(label: str) -> Ancestry:
    """Ancestry of a program that ``label`` made from nothing."""
    return ((label, WHOLE),)


def child(label: str, parents: Sequence[Ancestry]) -> Ancestry:
    """Ancestry of a program that ``label`` made from ``parents`` (none: a founder)."""
    if not parents:
        return founder(label)
    shares: dict[str, int] = {}
    for parent in parents:
        for name, share in parent:
            shares[name] = shares.get(name, 0) + share // (2 * len(parents))
    shares[label] = shares.get(label, 0) + WHOLE - sum(shares.values())
    return _bounded(shares)


def _bounded(shares: dict[str, int]) -> Ancestry:
    others = shares.pop(OTHERS, 0)
    ranked = sorted(((n, s) for n, s in shares.items() if s), key=lambda row: (-row[1], row[0]))
    keep = MAKERS_MAX if not others and len(ranked) <= MAKERS_MAX else MAKERS_MAX - 1
    others += sum(share for _, share in ranked[keep:])
    kept = ranked[:keep]
    return tuple(kept) if not others else (*kept, (OTHERS, others))
