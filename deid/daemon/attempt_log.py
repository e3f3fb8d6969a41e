"""Where attempts are kept: the journal of the node, or memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from deid.store.journal import Journal
from deid.store.values import Attempt, AttemptState, Charged, Transaction

__all__ = ["AttemptLog", "JournalAttemptLog", "MemoryAttemptLog"]


class AttemptLog(Protocol):
    """Where attempts are kept; rows are replaced whole by (round, iteration, ordinal, serial)."""

    def attempts_for(self, round: int, iteration: int) -> Sequence[Attempt]:
        """All attempts of one call, by ordinal and serial."""

    async def write(self, attempt: Attempt) -> None:
        """Returns when the row is durable; :class:`deid.errors.StoreError` if it never will be."""

    def post(self, attempt: Attempt) -> None:
        """Queues the row behind what was written before, and does not wait for the disk."""

    def charged(self) -> Charged:
        """What all of them cost, the worst case where usage is not settled."""


class MemoryAttemptLog:
    """An :class:`AttemptLog` that forgets with the process: for tests and virtual time."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, int, int, int], Attempt] = {}

    def attempts_for(self, round: int, iteration: int) -> list[Attempt]:
        """See :class:`AttemptLog`."""
        return [row for key, row in sorted(self._rows.items()) if key[:2] == (round, iteration)]

    async def write(self, attempt: Attempt) -> None:
        """See :class:`AttemptLog`."""
        self.post(attempt)

    def post(self, attempt: Attempt) -> None:
        """See :class:`AttemptLog`."""
        key = (attempt.round, attempt.iteration, attempt.ordinal, attempt.serial)
        self._rows[key] = attempt

    def charged(self) -> Charged:
        """See :class:`AttemptLog`."""
        rows = self._rows.values()
        columns = list(zip(*(row.usage for row in rows), strict=True)) or [(), (), (), ()]
        a, b, c, d = (sum(column) for column in columns)
        return Charged(len(rows), (a, b, c, d), sum(row.charged_micro_usd for row in rows))

    def orphan(self) -> None:
        """What opening a journal does after a crash: attempts under way are orphaned."""
        for key, row in self._rows.items():
            if row.state is AttemptState.RESERVED:
                self._rows[key] = replace(row, state=AttemptState.ORPHANED)


class JournalAttemptLog:
    """An :class:`AttemptLog` in the node's journal; opening that orphans what was under way."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def attempts_for(self, round: int, iteration: int) -> list[Attempt]:
        """See :class:`AttemptLog`."""
        return self._journal.attempts_for(round, iteration)

    async def write(self, attempt: Attempt) -> None:
        """See :class:`AttemptLog`."""
        await self._journal.commit(Transaction(attempts=(attempt,)))

    def post(self, attempt: Attempt) -> None:
        """See :class:`AttemptLog`; a row that is lost is an orphan of the next start."""
        self._journal.append(Transaction(attempts=(attempt,)))

    def charged(self) -> Charged:
        """See :class:`AttemptLog`."""
        return self._journal.charged()
