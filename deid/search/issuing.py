"""How a call is made: its kind, operator, parents and examples, from one named stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from deid.search.archive import Archive
from deid.search.calls import Call, CallKind, Shown
from deid.search.canonical import Plain
from deid.search.settings import PARTS, SearchSettings
from deid.search.streams import Stream

FAULTS_MAX = 3  # last faults of an operator that are shown to it
FAULT_CHARS_MAX = 500


class Feedback:
    """The last faults of every operator, oldest first."""

    __slots__ = ("_faults",)

    def __init__(self) -> None:
        self._faults: dict[str, deque[str]] = {}

    def note(self, operator: str, fault: str) -> None:
        faults = self._faults.setdefault(operator, deque(maxlen=FAULTS_MAX))
        faults.append(fault[:FAULT_CHARS_MAX])

    def of(self, operator: str) -> tuple[str, ...]:
        return tuple(self._faults.get(operator, ()))

    def plain(self) -> Plain:
        return [[operator, list(faults)] for operator, faults in sorted(self._faults.items())]


def make_call(
    settings: SearchSettings,
    number: int,
    iteration: int,
    seen: int,
    archive: Archive,
    shown: Mapping[int, Shown],
    feedback: Feedback,
) -> Call:
    """Call ``iteration`` of round ``number``, its parents taken from ``archive``.

    The first ``n_init`` calls of a round are NEW; later ones are NEW or CROSS with the settings'
    probabilities, else MUTATE of an elite whose cell is drawn uniformly from the occupied ones.
    """
    stream = Stream(settings.seed, settings.node, "call", number, iteration)
    operator = settings.operators[stream.weighted([weight for _, weight in settings.operators])][0]
    draw = stream.below(PARTS)
    count = 1
    if iteration < settings.n_init or draw < settings.new_parts or not len(archive):
        kind, count = CallKind.NEW, 0
    elif draw < settings.new_parts + settings.cross_parts and len(archive) > 1:
        kind, count = CallKind.CROSS, 2
    else:
        kind = CallKind.MUTATE
    cells = [elite.cell for elite in archive]
    parents = _draw(stream, cells, count)
    inspirations = _draw(stream, cells, settings.inspirations_max)
    return Call(
        round=number,
        iteration=iteration,
        seen=seen,
        kind=kind,
        operator=operator,
        parents=tuple(shown[cell] for cell in parents),
        inspirations=tuple(shown[cell] for cell in inspirations),
        feedback=feedback.of(operator),
        seed=stream.word(),
        candidates_max=settings.candidates_max,
    )


def _draw(stream: Stream, cells: list[int], count: int) -> list[int]:
    """Removes and returns ``count`` cells, uniformly without replacement; fewer if there are."""
    return [cells.pop(stream.below(len(cells))) for _ in range(min(count, len(cells)))]
