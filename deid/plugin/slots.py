"""Drawing and bending the values of slots, for operators that work on :class:`Program`.

All chance comes from a :class:`Stream` and all arithmetic is on integers, so a seed gives the
same program on every machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from deid.errors import ConfigError
from deid.plugin.contracts import Choice, Domain, Kind, Program, Request, Slot
from deid.plugin.settings import nearest
from deid.search.genome import Genome
from deid.search.streams import Stream

__all__ = [
    "bounds",
    "corpus_of",
    "draw_all",
    "magnitude",
    "nearby",
    "parents_of",
    "spread",
    "unseen_text",
    "wrap",
]

_PARENTS = {Kind.NEW: 0, Kind.MUTATE: 1, Kind.CROSS: 2}


def bounds(slot: Slot) -> tuple[int, int]:
    """The lowest and the highest value of ``slot``."""
    return (0, len(slot.values) - 1) if isinstance(slot, Choice) else (slot.low, slot.high)


def wrap(slot: Slot, value: int) -> int:
    """``value`` brought into ``slot`` the way residues go: past the top is the bottom."""
    low, high = bounds(slot)
    return low + (value - low) % (high - low + 1)


def magnitude(stream: Stream, most: int) -> int:
    """An integer in [1, most] whose order of magnitude is uniform: small ones are common."""
    width = 1 << stream.below(most.bit_length())
    return min(width + stream.below(width), most)


def nearby(slot: Slot, value: int, step_max: int, stream: Stream) -> int:
    """Another value of ``slot``, at most ``step_max`` away; the same where it has only one."""
    low, high = bounds(slot)
    if low == high:
        return value
    step = magnitude(stream, min(step_max, high - low))
    return wrap(slot, value + step if stream.chance(1, 2) else value - step)


def spread(slot: Slot, stream: Stream) -> int:
    """A value for ``slot``.

    Words are uniform. Numbers are small in most programs: half are uniform over the slot, the
    others lie around zero, or around either end of a slot that has no zero inside, with a uniform
    order of magnitude.
    """
    low, high = bounds(slot)
    if isinstance(slot, Choice) or high - low < 4 or stream.chance(1, 2):
        return low + stream.below(high - low + 1)
    inside = low < 0 < high
    anchor = 0 if inside else stream.choice((low, high))
    reach = magnitude(stream, high - low) - 1
    return wrap(slot, anchor + reach if stream.chance(1, 2) else anchor - reach)


def parents_of(request: Request, domain: Domain) -> tuple[Genome, ...]:
    """The parents as genomes; :class:`ValueError` unless there are as many as the kind takes."""
    expected = _PARENTS[request.kind]
    if len(request.parents) != expected:
        raise ValueError(
            f"{request.kind.value} takes {expected} parents, got {len(request.parents)}"
        )
    return tuple(parent.genome(domain) for parent in request.parents)


def corpus_of(domain: Domain, family: str, where: str) -> tuple[Genome, ...]:
    """The examples of ``family``; those of all families, by name, for ``all``.

    where: what asks, as the message names it (``operator 'edit'``). Raises :class:`ConfigError`,
    with the families that there are, for one that the domain does not have.
    """
    families = domain.corpora()
    if family in families:
        return tuple(families[family])
    if family == "all":
        return tuple(genome for name in sorted(families) for genome in families[name])
    match = nearest(family, families)
    raise ConfigError(
        f"{where}: unknown corpus {family!r}; domain {domain.name!r} has: "
        f"{', '.join(['all', *sorted(families)])}",
        hint=None if match is None else f"did you mean {match!r}?",
    )


def unseen_text(domain: Domain, program: Program, seen: Collection[bytes]) -> str | None:
    """Text of ``program``, or None when its canonical code is among ``seen``."""
    text = domain.grammar.write(program)
    return None if domain.parse(text).code in seen else text


def draw_all(slots: Sequence[Slot], stream: Stream) -> tuple[int, ...]:
    """One :func:`spread` value for each slot."""
    return tuple(spread(slot, stream) for slot in slots)
