"""Counts over the journal's records, for people; the same whether folded live or again."""

from __future__ import annotations

from collections import Counter

from deid.search.records import (
    WARM_UP,
    Arrived,
    Decided,
    Decision,
    Evaluated,
    Placed,
    Proposed,
    Record,
)


class Tally:
    """What has happened in this run.

    evaluations: journalled ones, reference claims included. placed: candidates that took a cell,
    by operator. handed: content hashes that ``gather`` gave to the search. quarantined: keys of
    origins whose items may do nothing in it.
    """

    def __init__(self) -> None:
        self.evaluations = 0
        self.placed: Counter[str] = Counter()
        self.handed: set[bytes] = set()
        self.quarantined: set[bytes] = set()
        self._operator = ""

    def observe(self, record: Record) -> None:
        """Takes the next record of the journal."""
        match record:
            case Evaluated():
                self.evaluations += 1
            case Proposed():
                self._operator = record.operator  # placements of its candidates follow at once
            case Placed() if record.iteration != WARM_UP and record.outcome != "kept":
                self.placed[self._operator] += 1
            case Arrived():
                self.handed.update(item.genome.content_hash for item in record.items)
            case Decided(decision=Decision.QUARANTINE):
                self.quarantined.add(record.subject)
            case _:
                pass
